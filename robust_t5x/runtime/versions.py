"""Versions of what can change a result."""

import importlib.metadata
import sys

_PACKAGES = (
  'robust_t5x', 'jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'seqio', 'tensorflow', 'numpy', 'gin-config',
)  # fmt: skip


def versions() -> dict[str, str]:
  """Version of Python and of every package that can change a result; packages that are not installed are left out."""
  found = {'python': sys.version.split()[0]}
  for package in _PACKAGES:
    try:
      found[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      pass
  return found
