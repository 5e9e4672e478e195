"""What an evaluation asks of a model, whether it is loaded here or served elsewhere."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from robust_t5x.results.scorers import Runner
from robust_t5x.runtime.costs import Cost

if TYPE_CHECKING:
  import seqio


class CountingRunner(Runner, Protocol):
  """What answers, and says beforehand what that takes."""

  @property
  def shared_tokens(self) -> int:
    """Input tokens, of all that was answered, that were not read again since other inputs begin with them too."""

  def cost(self, inputs: Sequence[np.ndarray], options: Sequence[Sequence[str]]) -> Cost:
    """What answering takes; `options` are those that are ranked, none where outputs are generated."""


class Subject(Protocol):
  """A model that is evaluated: checkpoints.loading.Loaded, served.serving.Served."""

  @property
  def label(self) -> str:
    """Its name in tables and reports, unless another is given."""

  @property
  def identity(self) -> dict[str, Any]:
    """Where it is from, for `run.json`."""

  @property
  def weights(self) -> Mapping[str, str | None]:
    """backbone, adapter, dtype and vocabulary: what two evaluations of the same model have in common."""

  @property
  def vocabulary(self) -> 'seqio.Vocabulary':
    """Of what it reads."""

  def lengths(self, wanted: Mapping[str, int]) -> Mapping[str, int]:
    """Where inputs and targets are cut, in tokens of `vocabulary`, if so much room is wanted."""

  def runner(self, batch_size: int, lengths: Mapping[str, int], directory: str) -> CountingRunner:
    """What answers: so many inputs together, with so many tokens, results going to a directory."""
