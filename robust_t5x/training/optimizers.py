"""Optimisers as gin selects them, on optax."""

import optax


def adamw(
  learning_rate: optax.ScalarOrSchedule,
  weight_decay: float = 0.0,
  clip_norm: float = 1.0,
  b2: float = 0.99,
) -> optax.GradientTransformation:
  """AdamW behind a clip of the gradient's global norm.

  Args:
    learning_rate: a number, or an optax schedule of the step.
    weight_decay: decoupled decay per unit of learning rate.
    clip_norm: largest global norm of the gradient.
    b2: decay of the second moment.
  """
  return optax.chain(
    optax.clip_by_global_norm(clip_norm),
    optax.adamw(learning_rate, b2=b2, weight_decay=weight_decay),
  )


def warmup_cosine(peak: float, steps: int, warmup: int = 100, end: float = 0.02) -> optax.Schedule:
  """Linear warm-up to `peak`, then half a cosine down to `end` · `peak` at `steps`."""
  return optax.warmup_cosine_decay_schedule(
    0.0, peak, min(warmup, max(steps // 2, 1)), max(steps, 2), end_value=end * peak
  )


def relative_adam(
  learning_rate: optax.ScalarOrSchedule,
  weight_decay: float = 0.0,
  clip_norm: float = 1.0,
  b2: float = 0.99,
) -> optax.GradientTransformation:
  """Adam whose step is relative to the root mean square of each parameter, behind a clip of the gradient.

  T5's parameters differ in scale by two orders of magnitude (embeddings of 1 beside query kernels of 1/sqrt(D F)), for
  which T5 itself takes Adafactor's relative step (Shazeer and Stern 2018, section 8).

  Args:
    learning_rate: a number, or an optax schedule of the step; 0.01 is T5's.
    weight_decay: decoupled decay, before the scaling.
    clip_norm: largest global norm of the gradient.
    b2: decay of the second moment.
  """
  return optax.chain(
    optax.clip_by_global_norm(clip_norm),
    optax.scale_by_adam(b2=b2),
    optax.add_decayed_weights(weight_decay),
    optax.scale_by_param_block_rms(),
    optax.scale_by_learning_rate(learning_rate),
  )
