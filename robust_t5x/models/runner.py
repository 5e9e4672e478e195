"""Runs a model over many inputs of different lengths: greedy outputs, scores of given options, states.

Inputs are sorted by length and cut into batches of few shapes (models.batching), so little is computed on padding and a
program is compiled once per shape. What many inputs begin with is read once, where the network can (models.sharing).
"""

from collections.abc import Callable, Iterator, Sequence
import itertools
import math
from typing import Any

import jax
import numpy as np

from robust_t5x.models import batching, sharing
from robust_t5x.runtime import partitioning
from robust_t5x.runtime.costs import Cost
from robust_t5x.runtime.progress import OnDone, untold
from seqio_tasks import framing
from seqio_tasks.errors import UserError, shorten


class Runner:
  """A model with its compiled programs."""

  def __init__(
    self, model: Any, params: Any, batch_size: int = 128, max_output: int = 16, max_input: int | None = None
  ):
    """Prepares.

    Args:
      model: a models.RobustModel.
      params: its parameters. Where they lie on a mesh, the rows are split over its replicas; every process passes all
        inputs and gets all results.
      batch_size: inputs of the greatest length processed together, of shorter ones up to four times as many; rounded up
        to a multiple of the replicas.
      max_output: most tokens of a generated output, the end token included.
      max_input: the greatest length of an input; by default that of the longest of each call.
    """
    self._ids = model.ids
    self._encoded: dict[str, list[int]] = {}
    self._shared_tokens = 0
    self._model, self._params, self._max_output, self._max_input = model, params, max_output, max_input
    self._mesh = partitioning.mesh_of(params)
    self._unit = self._mesh.shape['data'] if self._mesh else 1
    self._batch_size = partitioning.round_up(batch_size, self._mesh) if self._mesh else batch_size

  @property
  def shared_tokens(self) -> int:
    """Input tokens, of all that was answered, that were not read again since other inputs begin with them too."""
    return self._shared_tokens

  def generate(self, inputs: Sequence[np.ndarray], on_done: OnDone = untold) -> list[str]:
    """Greedy outputs as text.

    Args:
      inputs: token ids of each input, as seqio_tasks.framing makes them, unpadded.
      on_done: called after each batch with how many inputs it did.
    """
    decode = self._model.compiled_decode(self._mesh)

    def start(tokens, members, begun):
      del members
      return decode(self._params, tokens, max_length=self._max_output, begun=begun)

    out: list[str] = [''] * len(inputs)
    for members, (tokens, _) in self._run(inputs, start):
      for i, ids in zip(members, tokens, strict=False):
        out[i] = self._text(ids)
      on_done(len(members))
    return out

  def score(
    self,
    inputs: Sequence[np.ndarray],
    options: Sequence[Sequence[str]],
    on_done: OnDone = untold,
  ) -> list[np.ndarray]:
    """Log-likelihood of every option of every input, summed over the option's tokens, in nats.

    Args:
      inputs: token ids of each input, as seqio_tasks.framing makes them, unpadded.
      options: the options of each input, at least one.
      on_done: called after each batch with how many inputs it did.

    Returns:
      For each input a float32 array with a score per option.
    """
    return self._score_options(self._model.compiled_score(self._mesh), inputs, self._encoded_options(options), on_done)

  def score_free_running(
    self,
    inputs: Sequence[np.ndarray],
    options: Sequence[Sequence[str]],
    on_done: OnDone = untold,
  ) -> list[np.ndarray]:
    """As `score`, with the number of decoding.score_free_running."""
    program = self._model.compiled_score_free_running(self._mesh)
    return self._score_options(program, inputs, self._encoded_options(options), on_done)

  def score_continuations(
    self,
    inputs: Sequence[np.ndarray],
    continuations: Sequence[Sequence[Sequence[int]]],
    on_done: OnDone = untold,
  ) -> list[np.ndarray]:
    """Log-likelihood of every continuation of every input, in nats, and whether a greedy output begins with it.

    Args:
      inputs: token ids of each input, unpadded.
      continuations: token ids of each of them, of at least one for an input; nothing is added to them.
      on_done: called after each batch with how many inputs it did.

    Returns:
      For each input a float32 array with a row of two numbers per continuation, the second 1 or 0.
    """
    return self._score_options(self._model.compiled_continuations(self._mesh), inputs, continuations, on_done)

  def count_tokens(self, options: Sequence[Sequence[str]]) -> list[list[int]]:
    """Tokens of every option, its end token included."""
    return [[len(self._encode(text)) for text in row] for row in options]

  def cost(self, inputs: Sequence[np.ndarray], options: Sequence[Sequence[str]]) -> Cost:
    """What answering takes: an input is read once, whatever is ranked behind it, and so is what several begin with."""
    written = sum(sum(row) for row in self.count_tokens(options)) if options else self._max_output * len(inputs)
    read = [inputs[i] for i in batching.distinct(inputs, self._encoded_options(options))[0]] if options else inputs
    groups = [group for group in self._groups(read) if group.length]
    shared = sum(group.saved for group in groups)
    sharing = sum(len(group.members) for group in groups)
    return Cost(len(inputs), 0, sum(len(x) for x in read) - shared, written, shared, sharing, len(groups))

  def states(self, inputs: Sequence[np.ndarray], on_done: OnDone = untold) -> tuple[np.ndarray, ...]:
    """What the model makes of inputs, as decoding.read_states has it: [n, D], [n, D], [n, V], [n, layers, D].

    Args:
      inputs: token ids of each input, as seqio_tasks.framing makes them, unpadded.
      on_done: called after each batch with how many inputs it did.
    """
    program = self._model.compiled_states(self._mesh)
    out: list[Any] = [None] * len(inputs)

    def start(tokens, members, begun):
      del members, begun
      return program(self._params, tokens)

    # The states of all tokens are asked for, so each input is read whole.
    for members, found in self._run(inputs, start, groups=[sharing.Group(0, np.arange(len(inputs)))]):
      for row, member in enumerate(members):
        out[member] = tuple(x[row] for x in found)
      on_done(len(members))
    return tuple(np.stack(x) for x in zip(*out, strict=True))

  def _encoded_options(self, options: Sequence[Sequence[str]]) -> list[list[list[int]]]:
    return [[self._encode(o) for o in row] for row in options]

  def _score_options(self, program, inputs, encoded, on_done):
    asked, of = batching.distinct(inputs, encoded)
    sizes = [(len(encoded[i]), max(map(len, encoded[i]))) for i in asked]
    shapes, times = batching.option_shapes(sizes), np.bincount(of, minlength=len(asked))

    def start(tokens, members, begun):
      targets = np.full((len(tokens), *shapes[members[0]]), self._ids.pad, np.int32)
      for row, member in enumerate(members):
        for c, ids in enumerate(encoded[asked[member]]):
          targets[row, c, : len(ids)] = ids
      return program(self._params, tokens, self._place(targets), begun)

    out: list[Any] = [None] * len(asked)
    for members, scores in self._run([inputs[i] for i in asked], start, shapes):
      for member, row in zip(members, scores, strict=False):
        out[member] = row[: len(encoded[asked[member]])]
      on_done(int(times[members].sum()))
    return [out[place] for place in of]

  def _groups(self, inputs: Sequence[np.ndarray]) -> list[sharing.Group]:
    """Inputs that are read behind the same tokens."""
    least = self._model.module.least_shared
    if least is None:
      return [sharing.Group(0, np.arange(len(inputs)))]
    return sharing.plan_groups(inputs, sharing.GROUP_COST, least)

  def _run(
    self,
    inputs: Sequence[np.ndarray],
    start: Callable[[Any, np.ndarray, Any], Any],
    kinds: Sequence[tuple[int, int]] | None = None,
    groups: Sequence[sharing.Group] | None = None,
  ) -> Iterator[tuple[np.ndarray, Any]]:
    """(indices of the inputs, result or results) of each batch.

    Args:
      inputs: tokens of each.
      start: `start(tokens, indices, begun)` computes on tokens [rows, length] behind the context of what was read before.
      kinds: places for options and their tokens, of each input; those of a batch are of one kind.
      groups: of the inputs, by default those of `_groups`.
    """
    for group in self._groups(inputs) if groups is None else groups:
      begun, longest = None, self._max_input
      if group.length:
        begun = self._begin(inputs[group.members[0]][: group.length])
        self._shared_tokens += group.saved
        # Rows behind shared tokens are as many as if they were read whole.
        longest = longest or max(len(inputs[i]) for i in group.members)
      by_kind: dict[tuple[int, ...], list[int]] = {}
      for i in group.members:
        by_kind.setdefault(kinds[i] if kinds else (), []).append(i)
      for kind, chosen in sorted(by_kind.items()):
        rests = [inputs[i][group.length :] for i in chosen]
        lengths = [len(x) for x in rests]
        for batch in batching.plan_batches(
          lengths, self._batch_size, longest, self._unit, math.prod(kind) if kind else 0, group.length > 0
        ):
          tokens = np.full((batch.rows, batch.length), self._ids.pad, np.int32)
          for row, i in enumerate(batch.members):
            tokens[row, : len(rests[i])] = rests[i]
          members = np.asarray(chosen)[batch.members]
          found = jax.tree.map(np.asarray, start(self._place(tokens), members, begun))
          self._check_finite([inputs[i] for i in members], found)
          yield members, found

  def _begin(self, shared: np.ndarray) -> Any:
    """The context of what several inputs begin with."""
    tokens = np.full((1, batching.shared_bucket(len(shared))), self._ids.pad, np.int32)
    tokens[0, : len(shared)] = shared
    placed = tokens if self._mesh is None else partitioning.everywhere(tokens, self._mesh)
    return self._model.compiled_begin(self._mesh)(self._params, placed)

  def _check_finite(self, inputs: Sequence[np.ndarray], found: Any) -> None:
    """Raises UserError where a number of an input is NaN or infinite: it would be ranked, or decoded, as any other."""
    wrong = np.zeros(len(inputs), bool)
    for numbers in jax.tree.leaves(found):
      wrong |= ~np.isfinite(numbers[: len(inputs)].reshape(len(inputs), -1)).all(axis=1)
    if wrong.any():
      text = shorten(framing.visible(self._model.input_vocabulary, inputs[int(wrong.argmax())].tolist()))
      raise UserError(
        f'the model gives numbers that are not finite for the input {text!r}; a weight '
        'of the checkpoint or adapter is not finite, or overflows: check them, or set DTYPE to float32'
      )

  def _encode(self, text: str) -> list[int]:
    """Tokens of an option as an answer, with the end token; the same text is encoded once."""
    if text not in self._encoded:
      self._encoded[text] = framing.answers(self._model.output_vocabulary, [text])[0].ids
    return self._encoded[text]

  def _place(self, rows: np.ndarray) -> Any:
    return rows if self._mesh is None else partitioning.split_rows(rows, self._mesh)

  def _text(self, ids: np.ndarray) -> str:
    special = {self._ids.pad, self._ids.end, *self._ids.stops}
    kept = itertools.takewhile(lambda token: token not in special, ids.tolist())
    return framing.answer_text(self._model.output_vocabulary, kept)
