"""Keeps the start-up chatter of TensorFlow and JAX away from the user."""

import contextlib
import copy
import importlib.abc
import importlib.machinery
import logging
import os
import sys
from typing import Any
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
  if not any(isinstance(finder, Quiet) for finder in sys.meta_path):
    sys.meta_path.insert(0, Quiet())


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
  """Imports TensorFlow and seqio; see `Quiet` for how."""
  set_up()
  import seqio  # noqa: F401
  import tensorflow_text  # noqa: F401


class Quiet(importlib.abc.MetaPathFinder, importlib.abc.Loader):
  """Lets TensorFlow be imported without chatter, by whatever comes to need it, and keeps it off the accelerators."""

  def __init__(self) -> None:
    self._found: importlib.machinery.ModuleSpec | None = None

  def find_spec(self, fullname: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
    """The spec of TensorFlow, loaded by this class."""
    if fullname != 'tensorflow':
      return None
    self._found = importlib.machinery.PathFinder.find_spec(fullname, path, target)
    if self._found is None or self._found.loader is None:
      return None
    spec = copy.copy(self._found)
    spec.loader = self
    return spec

  def create_module(self, spec: importlib.machinery.ModuleSpec) -> Any:
    """What TensorFlow's own loader makes."""
    return self._loader.create_module(spec)

  def exec_module(self, module: Any) -> None:
    """Runs TensorFlow's own loader."""
    module.__spec__.loader = module.__loader__ = self._loader
    with stderr_muted(), absent('matplotlib'):  # Keras, which draws nothing here, takes half a second for it
      self._loader.exec_module(module)
    module.get_logger().setLevel('ERROR')
    from absl import logging as absl_logging

    absl_logging.set_verbosity(absl_logging.ERROR)
    try:
      with stderr_muted():  # looks for a driver, and complains where there is none
        module.config.set_visible_devices([], 'GPU')
    except RuntimeError:
      pass  # Already in use by the caller, who then decides.

  @property
  def _loader(self) -> Any:
    assert self._found is not None
    return self._found.loader
