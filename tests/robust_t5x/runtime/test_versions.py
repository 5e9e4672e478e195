"""Versions of what can change a result."""

import sys

import numpy as np

from robust_t5x.runtime import versions


def test_they_are_those_that_run():
  found = versions.versions()
  assert found['python'] == '.'.join(map(str, sys.version_info[:3]))
  assert found['numpy'] == np.__version__
  assert {'jax', 'jaxlib', 'flax', 'optax', 'seqio'} <= set(found)


def test_a_package_that_is_not_installed_is_left_out(monkeypatch):
  monkeypatch.setattr(versions, '_PACKAGES', ('numpy', 'robust-t5x-absent'))
  assert list(versions.versions()) == ['python', 'numpy']
