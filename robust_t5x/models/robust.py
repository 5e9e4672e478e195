"""The model: network, adapter and objective behind the protocol that T5X's trainer, evaluator and inferer call.

One class serves both launchers. It imports nothing of T5X and, until a dataset is asked for, nothing of TensorFlow.

Shape letters: B batch, K phrasings, T input tokens, L target tokens, C options, V vocabulary.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any, NamedTuple

from clu import metrics as clu_metrics
import jax
import jax.numpy as jnp
from jaxtyping import Float, Int
import numpy as np

from robust_t5x import objectives
from robust_t5x.models import decoding, protocol, runner
from robust_t5x.models import trainable as trainable_lib
from robust_t5x.models.protocol import ADAPTER, Context, Network, Params, Vocabulary
from robust_t5x.runtime import partitioning
from seqio_tasks import framing
from seqio_tasks.errors import UserError

Batch = Mapping[str, jax.Array]


class _Passed(NamedTuple):
  """What a pass over K phrasings of B examples gives; see objectives.Branches.

  Attributes:
    logits: of the answer, [B, K, L, V].
    read: states of the input, [B, K, S, D].
    mask: 1 for the input's own, [B, K, S].
    answered: states of the answer, [B, K, L, D].
    tail: states behind each layer at the input's last tokens, [B, K, layers, tail, D]; [B, K, 0] where they are not asked for.
  """

  logits: jax.Array
  read: jax.Array
  mask: jax.Array
  answered: jax.Array
  tail: jax.Array


class RobustModel:
  """A network with an adapter whose loss compares K phrasings of each example.

  `encoder_input_tokens` is [B, K, T] in alignment training (phrasing 0 is the canonical one) and [B, T] everywhere
  else; the decoder's features are shared by all phrasings of an example.

  Attributes:
    initialise: `initial_variables`, compiled; whoever asks for shapes, or for a part of the values, shares one tracing.
  """

  def __init__(
    self,
    module: Network,
    input_vocabulary: Vocabulary,
    output_vocabulary: Vocabulary,
    optimizer_def: Any = None,
    alignment_objective: objectives.Objective | None = None,
    alignment_weight: float = 0.5,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    trainable: trainable_lib.Trainable | None = None,
    initial_adapter: Callable[['RobustModel'], Mapping[str, np.ndarray]] | None = None,
    summed_parts: int = 1,
    canonical_trains: bool = True,
  ):
    """Builds the model.

    Args:
      module: the network, of any family that keeps to models.protocol; a soft prompt of its adapter goes where the
        vocabulary has a place for it, unless the adapter says where.
      input_vocabulary: seqio vocabulary of the inputs.
      output_vocabulary: seqio vocabulary of the targets.
      optimizer_def: an optax transformation (own runtime) or a T5X optimizer definition (T5X).
      alignment_objective: a function of robust_t5x.objectives, or None for cross-entropy alone.
      alignment_weight: λ of (1 − λ) · cross-entropy + λ · alignment; in [0, 1].
      label_smoothing: see objectives.cross_entropy.
      z_loss: see objectives.cross_entropy.
      trainable: what `loss_fn` may move, for a trainer that differentiates by all parameters, as T5X's does; None where
        the trainer differentiates by what trains only.
      initial_adapter: gives the adapter's initial parameters instead of the network's own initialisation.
      summed_parts: parts of a batch whose gradients the trainer adds up without telling `loss_fn` the totals, as T5X
        does with its microbatches; each then counts for one over their number.
      canonical_trains: whether the canonical phrasing takes part in the cross-entropy and is differentiated. Where not,
        it only says what the others are drawn to, and saves a step its backward pass.
    """
    if not 0.0 <= alignment_weight <= 1.0:
      raise UserError(f'ALIGNMENT_WEIGHT is {alignment_weight}; it must lie between 0 and 1')
    self.module = _placed(module, input_vocabulary)
    self.input_vocabulary = input_vocabulary
    self.output_vocabulary = output_vocabulary
    self.optimizer_def = optimizer_def
    self.alignment_objective = alignment_objective
    self.alignment_weight = alignment_weight
    self.label_smoothing = label_smoothing
    self.z_loss = z_loss
    self.trainable = trainable
    self.initial_adapter = initial_adapter
    self.summed_parts = summed_parts
    self.canonical_trains = canonical_trains
    self.ids = protocol.special_ids(output_vocabulary)
    self.initialise = jax.jit(self.initial_variables)
    self._programs: dict[tuple[str, Any], Callable[..., Any]] = {}

  @property
  def FEATURE_CONVERTER_CLS(self):  # noqa: N802 (the name is T5X's)
    """The seqio feature converter for the model's special ids; imports TensorFlow."""
    from robust_t5x.models import features

    return features.converter(self.ids)

  def get_initial_variables(
    self,
    rng: jax.Array,
    input_shapes: Mapping[str, tuple[int, ...]],
    input_types: Mapping[str, Any] | None = None,
  ) -> dict[str, Any]:
    """Fresh variables: 'params' and 'params_axes' (their logical axes).

    Args:
      rng: key of the initialisation.
      input_shapes: ignored.
      input_types: ignored; tokens are int32.
    """
    del input_shapes, input_types  # parameters depend on neither
    variables = self.initial_variables(rng)
    if self.initial_adapter is not None and ADAPTER in variables['params']:
      with jax.ensure_compile_time_eval():  # a trainer may call this while it traces
        adapter = self.initial_adapter(self)
      variables['params'][ADAPTER] = {name: jnp.asarray(value) for name, value in adapter.items()}
    return variables

  def initial_variables(self, rng: jax.Array) -> dict[str, Any]:
    """As get_initial_variables, with the network's own initialisation of the adapter."""
    tokens = jnp.ones((1, 8), jnp.int32)
    return self.module.init(rng, tokens, protocol.mask_of(tokens, self.ids.pad), tokens)

  def variable_shapes(self) -> tuple[dict[str, Any], Any]:
    """(shapes of the parameters, their logical axes), without computing anything."""
    variables = jax.eval_shape(self.initialise, jax.random.key(0))
    return variables['params'], variables['params_axes']

  def branches(
    self,
    params: Params,
    batch: Batch,
    dropout_rng: jax.Array | None = None,
    normalizers: objectives.Normalizers | None = None,
  ) -> objectives.Branches:
    """Runs the network on all phrasings of a batch, teacher-forced."""
    tokens = batch['encoder_input_tokens']
    if tokens.ndim == 2:
      tokens = tokens[:, None]
    targets = batch['decoder_input_tokens']
    needed = objectives.needed(self.alignment_objective) if tokens.shape[1] > 1 else frozenset()
    tail = self._tail_length() if 'tail' in needed else 0
    if self.canonical_is_fixed(tokens.shape[1]):
      keys = (None, None) if dropout_rng is None else jax.random.split(dropout_rng)
      # A pass of its own: a backward pass over rows of which only some need it costs what one over all rows costs.
      canonical = self._run(jax.lax.stop_gradient(params), tokens[:, :1], targets, keys[0], tail)
      others = self._run(params, tokens[:, 1:], targets, keys[1], tail)
      made = _Passed(*(jnp.concatenate(pair, axis=1) for pair in zip(canonical, others, strict=True)))
    else:
      made = self._run(params, tokens, targets, dropout_rng, tail)
    weights = self._weights(batch)
    branches = objectives.Branches(
      logits=made.logits,
      targets=batch['decoder_target_tokens'],
      weights=weights,
      encoded=made.read,
      encoded_mask=made.mask,
      normalizers=objectives.normalizers(weights) if normalizers is None else normalizers,
      decoded=made.answered,
    )
    if not needed:
      return branches
    every = 'references' in needed
    frozen = self._reference(params, tokens if every else tokens[:, :1], targets, tail)
    return branches._replace(
      reference=frozen.logits[:, 0],
      reference_decoded=frozen.answered[:, 0],
      references=frozen.logits if every else None,
      tail=made.tail if tail else None,
      reference_tail=frozen.tail[:, 0] if tail else None,
    )

  def canonical_is_fixed(self, phrasings: int) -> bool:
    """Whether the canonical one of K phrasings is only what the others are drawn to."""
    return phrasings > 1 and self.alignment_objective is not None and not self.canonical_trains

  def _run(self, params, tokens, targets, dropout_rng, tail=0, module=None):
    """Phrasings [B, K, T], answer tokens [B, L] -> _Passed, with the states behind each layer of the last `tail` tokens."""
    module = self.module if module is None else module
    examples, phrasings, length = tokens.shape
    read_rng, answer_rng = (None, None) if dropout_rng is None else jax.random.split(dropout_rng)
    rows = tokens.reshape(examples * phrasings, length)
    if tail:
      context, layers = protocol.read_layers(module, params, rows, self.ids.pad, read_rng)
      # Rows are padded at their ends.
      places = context.mask.sum(axis=1)[:, None] - tail + jnp.arange(tail)
      last = jnp.take_along_axis(layers, places[:, None, :, None], axis=2)
    else:
      context = protocol.read(module, params, rows, self.ids.pad, read_rng)
      last = jnp.zeros((len(rows), 0), context.states.dtype)
    repeated = jnp.repeat(targets, phrasings, axis=0)
    answer = protocol.answer(module, params, context, repeated, dropout_rng=answer_rng)
    parts = (answer.logits, context.states, context.pooled, answer.states, last)
    return _Passed(*(x.reshape(examples, phrasings, *x.shape[1:]) for x in parts))

  def _reference(self, params, tokens, targets, tail):
    """_run with the backbone, without adapter and dropout, as constants; tokens [B, K, T] of as many phrasings as are asked for."""
    backbone = {name: value for name, value in params.items() if name != ADAPTER}
    plain = self.module.clone(adapter=None)
    return jax.lax.stop_gradient(self._run(backbone, tokens, targets, None, tail, plain))

  def _tail_length(self) -> int:
    length = framing.tail_length(self.input_vocabulary)
    if not length:
      raise UserError(
        "ALIGNMENT_OBJECTIVE: it compares the tokens behind the input's text, and this model's inputs have none; use a chat template, "
        'or distil_states'
      )
    return length

  def normalizers(self, batch: Batch, axis_name: str | None = None) -> objectives.Normalizers:
    """Totals of a whole batch, for losses computed on its parts (microbatches, devices of `axis_name`)."""
    return objectives.normalizers(self._weights(batch), axis_name)

  def _weights(self, batch: Batch) -> Float[jax.Array, 'B L']:
    """Target weights, float32; 0 for padding by default."""
    weights = batch.get('decoder_loss_weights')
    if weights is None:
      weights = batch['decoder_target_tokens'] != self.ids.pad
    return weights.astype(jnp.float32)

  def loss_fn(
    self,
    params: Params,
    batch: Batch,
    dropout_rng: jax.Array | None,
    normalizers: objectives.Normalizers | None = None,
  ) -> tuple[jax.Array, dict[str, clu_metrics.Metric]]:
    """Loss and metrics of a batch, or of a part of one.

    Args:
      params: all parameters.
      batch: features as the converter makes them.
      dropout_rng: key for dropout, or None for none.
      normalizers: totals of the whole batch where this is only a part of it (see `normalizers`); the losses of the
        parts then add up to that of the whole.

    Returns:
      (scalar loss, metrics: loss, cross_entropy, token_accuracy and, with several phrasings, alignment and agreement).
    """
    if self.trainable is not None:
      moving, frozen = self.trainable.split(params)
      params = trainable_lib.merge(moving, jax.lax.stop_gradient(frozen))
    branches = self.branches(params, batch, dropout_rng, normalizers)
    phrasings = branches.logits.shape[1]
    first = 1 if self.canonical_is_fixed(phrasings) else 0
    trained = branches._replace(logits=branches.logits[:, first:])
    loss = cross_entropy = objectives.cross_entropy(trained, self.label_smoothing, self.z_loss)
    guesses = branches.logits.argmax(axis=-1)  # [B, K, L]
    tokens = branches.weights.sum()
    right = (guesses == branches.targets[:, None]).mean(axis=1)
    metrics = {
      'cross_entropy': _share(cross_entropy, branches.normalizers.tokens, tokens),
      'token_accuracy': clu_metrics.Average((right * branches.weights).sum(), tokens),
    }
    if self.alignment_objective is not None and phrasings > 1:
      alignment = self.alignment_objective(branches)
      loss = (1.0 - self.alignment_weight) * cross_entropy + self.alignment_weight * alignment
      agree = (guesses == guesses[:, :1]).all(axis=1)
      metrics['alignment'] = _share(alignment, branches.normalizers.tokens, tokens)
      metrics['agreement'] = clu_metrics.Average((agree * branches.weights).sum(), tokens)
    metrics['loss'] = _share(loss, branches.normalizers.tokens, tokens)
    return loss / self.summed_parts, metrics

  def eval_fn(self, params: Params, batch: Batch):
    """As loss_fn, without dropout."""
    return self.loss_fn(params, batch, None)

  def score_batch(self, params: Params, batch: Batch, return_intermediates: bool = False) -> Any:
    """Log-likelihood of each target, teacher-forced, summed over its tokens.

    Args:
      params: all parameters.
      batch: features with `encoder_input_tokens` [B, T].
      return_intermediates: also return what T5X's evaluators read beside the scores.

    Returns:
      float32 [B], in nats; with intermediates a pair (scores, nested dict).
    """
    branches = self.branches(params, batch)
    token_scores = _target_log_probabilities(branches.logits[:, 0], branches.targets) * branches.weights
    scores = token_scores.sum(axis=-1)
    if return_intermediates:
      decoder = {
        'target_tokens': (branches.targets,),
        'loss_weights': (branches.weights,),
        'token_scores': (token_scores,),
      }
      return scores, {'decoder': decoder}
    return scores

  def score_options(
    self,
    params: Params,
    encoder_input_tokens: Int[jax.Array, 'B T'],
    options: Int[jax.Array, 'B C L'],
    begun: Context | None = None,
  ) -> Float[jax.Array, 'B C']:
    """Log-likelihood, in nats, of every option [B, C, L] of every input [B, T]; see decoding.score_options."""
    return decoding.score_options(self.module, params, encoder_input_tokens, options, self.ids, begun)

  def score_continuations(
    self,
    params: Params,
    encoder_input_tokens: Int[jax.Array, 'B T'],
    options: Int[jax.Array, 'B C L'],
    begun: Context | None = None,
  ) -> Float[jax.Array, 'B C 2']:
    """Log-likelihood of every option, and whether a greedy decode begins with it; see decoding.score_continuations."""
    return decoding.score_continuations(self.module, params, encoder_input_tokens, options, self.ids, begun)

  def score_free_running(
    self,
    params: Params,
    encoder_input_tokens: Int[jax.Array, 'B T'],
    options: Int[jax.Array, 'B C L'],
    begun: Context | None = None,
  ) -> Float[jax.Array, 'B C']:
    """The scorer `paper_logits` of every option [B, C, L] of every input [B, T]; see decoding.score_free_running."""
    return decoding.score_free_running(self.module, params, encoder_input_tokens, options, self.ids, begun)

  def predict_batch(self, params: Params, batch: Batch, rng: jax.Array | None = None) -> Int[jax.Array, 'B L']:
    """Greedy decodes, int [B, L]; padding after the end token."""
    return self.predict_batch_with_aux(params, batch, rng)[0]

  def predict_batch_with_aux(
    self, params: Params, batch: Batch, rng: jax.Array | None = None
  ) -> tuple[Int[jax.Array, 'B L'], dict[str, Float[jax.Array, ' B']]]:
    """Greedy decodes and their log-likelihood.

    Args:
      params: all parameters.
      batch: `encoder_input_tokens` [B, T]; `decoder_input_tokens` [B, L] says how long an output may get.
      rng: ignored; decoding is deterministic.

    Returns:
      (int [B, L], {'scores': float32 [B]}).
    """
    del rng
    tokens, scores = self.decode_greedily(params, batch['encoder_input_tokens'], batch['decoder_input_tokens'].shape[1])
    return tokens, {'scores': scores}

  def decode_greedily(
    self,
    params: Params,
    encoder_input_tokens: Int[jax.Array, 'B T'],
    max_length: int,
    begun: Context | None = None,
  ) -> tuple[Int[jax.Array, 'B L'], Float[jax.Array, ' B']]:
    """Greedy outputs [B, max_length] of inputs [B, T] and their log-likelihood; see decoding.decode_greedily."""
    return decoding.decode_greedily(self.module, params, encoder_input_tokens, max_length, self.ids, begun)

  def begin(self, params: Params, encoder_input_tokens: Int[jax.Array, '1 T']) -> Context:
    """What the network makes of what several inputs begin with, to be given as `begun`; see protocol.Network.least_shared."""
    return protocol.read(self.module, params, encoder_input_tokens, self.ids.pad)

  def compiled_begin(self, mesh: Any = None) -> Callable[..., Any]:
    """`begin`, compiled likewise; what it gives stays where the devices need it."""
    return self._compiled('begin', self.begin, mesh, out_shardings=None)

  def compiled_decode(self, mesh: Any = None) -> Callable[..., Any]:
    """`decode_greedily`, compiled once per shape for the life of the model; its results are whole on every device."""
    return self._compiled('decode', self.decode_greedily, mesh, static_argnames='max_length')

  def compiled_score(self, mesh: Any = None) -> Callable[..., Any]:
    """`score_options`, likewise."""
    return self._compiled('score', self.score_options, mesh)

  def compiled_continuations(self, mesh: Any = None) -> Callable[..., Any]:
    """`score_continuations`, likewise."""
    return self._compiled('continuations', self.score_continuations, mesh)

  def compiled_score_free_running(self, mesh: Any = None) -> Callable[..., Any]:
    """`score_free_running`, likewise."""
    return self._compiled('score_free_running', self.score_free_running, mesh)

  def read_states(self, params: Params, encoder_input_tokens: jax.Array) -> tuple[jax.Array, ...]:
    """What the network makes of inputs [B, T]; see decoding.read_states."""
    return decoding.read_states(self.module, params, encoder_input_tokens, self.ids)

  def compiled_states(self, mesh: Any = None) -> Callable[..., Any]:
    """`read_states`, likewise."""
    return self._compiled('states', self.read_states, mesh)

  def without_adapter(self, params: Params) -> tuple['RobustModel', Params]:
    """The same backbone with no adapter, and its parameters."""
    plain = RobustModel(self.module.clone(adapter=None), self.input_vocabulary, self.output_vocabulary)
    return plain, {name: value for name, value in params.items() if name != ADAPTER}

  def _compiled(self, name, function, mesh, **options):
    if (name, mesh) not in self._programs:
      whole = None if mesh is None else partitioning.replicated(mesh)
      self._programs[name, mesh] = jax.jit(function, **{'out_shardings': whole, **options})
    return self._programs[name, mesh]

  def logits(
    self, params: Params, encoder_input_tokens: Int[jax.Array, 'B T'], decoder_input_tokens: Int[jax.Array, 'B L']
  ) -> Float[jax.Array, 'B L V']:
    """Teacher-forced logits.

    Nothing is added to the tokens, no end token and no template. The answer of a decoder-only model follows right behind
    each row's last input token.

    Args:
      params: all parameters.
      encoder_input_tokens: int [B, T], padded on the right with the vocabulary's padding id.
      decoder_input_tokens: int [B, L], the targets shifted right behind a padding id.

    Returns:
      float32 [B, L, V].
    """
    return protocol.logits(self.module, params, encoder_input_tokens, decoder_input_tokens, self.ids.pad)

  def generate(self, params: Params, inputs: Sequence[str], max_output: int = 32) -> list[str]:
    """Greedy outputs for texts, of at most `max_output` tokens; a chat model reads its template around each."""
    return self._runner(params, len(inputs), max_output).generate(self._encode(inputs))

  def score(self, params: Params, inputs: Sequence[str], options: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """Log-likelihood, in nats, of each option of each input text; one float32 array per input.

    A chat model reads its template around each text.
    """
    if len(options) != len(inputs) or any(isinstance(o, str) or not o for o in options):
      raise UserError('options: give a non-empty list of options for each input')
    return self._runner(params, len(inputs), 1).score(self._encode(inputs), options)

  def _runner(self, params, rows, max_output):
    return runner.Runner(self, params, min(rows, 64), max_output)

  def _encode(self, inputs: Sequence[str]) -> list[np.ndarray]:
    return [np.asarray(encoded.ids) for encoded in framing.inputs(self.input_vocabulary, inputs)]


def _placed(module: Network, vocabulary: Vocabulary) -> Network:
  """The network with its soft prompt behind as many ids as the vocabulary says."""
  adapter, own = module.adapter, framing.prompt_position(vocabulary)
  if adapter is None or not adapter.length:
    return module
  position = own if adapter.prompt_position is None else adapter.prompt_position
  if position not in (0, own):
    raise UserError(
      f'ADAPTER: its soft prompt stands behind {position} tokens of the input, and this model has {own} in front of its place, by '
      'chat template and system message; use those that it was trained with, or 0 for the very start'
    )
  return module.clone(adapter=dataclasses.replace(adapter, prompt_position=position))


def _share(value: jax.Array, whole: jax.Array, part: jax.Array) -> clu_metrics.Average:
  """A share of a mean as a metric that averages right when merged over parts."""
  return clu_metrics.Average(value * whole, part)


def _target_log_probabilities(
  logits: Float[jax.Array, 'N L V'], targets: Int[jax.Array, 'N L']
) -> Float[jax.Array, 'N L']:
  """Log probability of each target token; logits [N, L, V], targets [N, L] -> [N, L]."""
  chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
  return chosen - jax.nn.logsumexp(logits, axis=-1)
