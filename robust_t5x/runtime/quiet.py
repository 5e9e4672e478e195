"""Keeps the start-up chatter of TensorFlow and JAX away from the user."""

import contextlib
import logging
import os
import sys
import warnings


def set_up() -> None:
  """Sets what those libraries read when they are imported; call before importing them."""
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  os.environ.setdefault('GRPC_VERBOSITY', 'ERROR')
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
  warnings.filterwarnings('ignore', category=DeprecationWarning)
  warnings.filterwarnings('ignore', category=FutureWarning)
  for name in ('absl', 'jax', 'orbax', 'tensorflow', 'root'):
    logging.getLogger(name).setLevel(logging.ERROR)
  for name in ('robust_t5x', 'seqio_tasks'):  # what this project says is meant for the user
    logging.getLogger(name).setLevel(logging.WARNING)


@contextlib.contextmanager
def stderr_muted():
  """Drops what native code writes to the process's standard error meanwhile, such as on TensorFlow's import."""
  sys.stderr.flush()
  saved = os.dup(2)
  with open(os.devnull, 'wb') as null:
    os.dup2(null.fileno(), 2)
  try:
    yield
  finally:
    sys.stderr.flush()
    os.dup2(saved, 2)
    os.close(saved)


@contextlib.contextmanager
def logs_muted():
  """Drops what libraries log meanwhile, errors too, such as gin's of every place where a file is not."""
  before = logging.root.manager.disable
  logging.disable(logging.ERROR)
  try:
    yield
  finally:
    logging.disable(before)


@contextlib.contextmanager
def absent(module: str):
  """A module cannot be imported meanwhile, unless it has been."""
  if module in sys.modules:
    yield
    return
  sys.modules[module] = None  # type: ignore[assignment]  # what Python takes for a module that is not there
  try:
    yield
  finally:
    del sys.modules[module]


def import_tensorflow() -> None:
  """Imports TensorFlow and seqio without their chatter, and keeps TensorFlow off the accelerators."""
  set_up()
  with stderr_muted(), absent('matplotlib'):  # Keras, which draws nothing here, takes half a second for it
    import seqio  # noqa: F401
    import tensorflow as tf
    import tensorflow_text  # noqa: F401

  tf.get_logger().setLevel('ERROR')
  from absl import logging as absl_logging

  absl_logging.set_verbosity(absl_logging.ERROR)
  try:
    with stderr_muted():  # looks for a driver, and complains where there is none
      tf.config.set_visible_devices([], 'GPU')
  except RuntimeError:
    pass  # Already in use by the caller, who then decides.
