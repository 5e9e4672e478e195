"""Fixtures for all tests: a tiny vocabulary, and the shared data where they are present."""

import gc
import os
import pathlib

import compiler

# Before anything imports JAX; eight devices on the host, so that parallel programs can be tested.
os.environ['XLA_FLAGS'] = ' '.join((os.environ.get('XLA_FLAGS', ''), compiler.EIGHT_DEVICES, compiler.FLAGS))
os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

# As the command has it: imports and tracing make millions of objects that stay.
gc.set_threshold(100_000, *gc.get_threshold()[1:])

import pytest  # noqa: E402
import tiny_checkpoint  # noqa: E402


@pytest.fixture(scope='session')
def tiny_vocabulary_path(tmp_path_factory: pytest.TempPathFactory) -> str:
  """Path of a sentencepiece model of a few hundred pieces; see `tiny_checkpoint.write_vocabulary`."""
  path = tmp_path_factory.mktemp('vocabulary') / 'tiny.model'
  tiny_checkpoint.write_vocabulary(path)
  return str(path)


@pytest.fixture(scope='session')
def shared_data() -> pathlib.Path:
  """The directory of shared data; skips where it is absent."""
  default = pathlib.Path(__file__).resolve().parents[2] / 'shared' / 'data'
  path = pathlib.Path(os.environ.get('ROBUST_T5X_SHARED_DATA', default))
  if not path.is_dir():
    pytest.skip(f'no shared data at {path}; set ROBUST_T5X_SHARED_DATA')
  return path
