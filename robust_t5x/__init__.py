"""Measures, and mends, how instruction-tuned language models react to rephrased instructions.

`load` is imported on first use, so that importing the package does not import JAX.
"""

__version__ = '0.1.0'
__all__ = ['load']


def __getattr__(name):
  if name == 'load':
    from robust_t5x.checkpoints import loading
    from robust_t5x.runtime import quiet

    quiet.set_up()
    return loading.load
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
