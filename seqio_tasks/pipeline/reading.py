"""Examples under phrasings as tokens, by Python alone: what `phrasings`' preprocessors make, without TensorFlow.

A graph for every task costs more than its texts do, and a graph keeps no tokens from one epoch to the next. SeqIO's pipelines are
what T5X reads, and what other tasks are read by; both give the same tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from seqio_tasks import framing
from seqio_tasks.bank.templates import parse_template
from seqio_tasks.datasets.sources import Example
from seqio_tasks.pipeline import flattening
from seqio_tasks.pipeline.cutting import feature_length
from seqio_tasks.pipeline.examples import check_any, check_letters, features_of

_KEPT_TOKENS = 50_000_000  # of a task, from one epoch to the next: 200 MB


class Stacked(NamedTuple):
  """An example under some phrasings.

  Attributes:
    inputs: tokens of each phrasing, unpadded.
    targets: tokens of the answer, unpadded.
    truncated_tokens: how many were cut off each phrasing.
    cut_answer_tokens: how many were cut off the answer.
  """

  inputs: list[np.ndarray]
  targets: np.ndarray
  truncated_tokens: list[int]
  cut_answer_tokens: int


class Reader:
  """The examples of a task's split under its phrasings; what was tokenised once is kept.

  Attributes:
    examples: of the split.
  """

  def __init__(
    self,
    where: str,
    examples: Sequence[Example],
    flat: flattening.FlatPhrasings,
    vocabulary: Any,
    lengths: Mapping[str, int] | None,
  ):
    """Prepares.

    Args:
      where: name of task and split, for messages.
      examples: at least one.
      flat: the phrasings.
      vocabulary: of inputs and targets.
      lengths: most tokens of 'inputs' and 'targets'; longer ones are cut.

    Raises:
      DatasetError: if there is no example, or one has more options than the phrasings can list.
      UserError: if inputs have no room for what stands around texts.
    """
    check_any(where, examples)
    check_letters(where, examples, flat.instructions)
    self.examples = examples
    self._where, self._flat, self._vocabulary = where, flat, vocabulary
    self._templates = [parse_template(template) for template in flat.templates]
    self._inputs, self._targets = (feature_length(lengths, name) for name in ('inputs', 'targets'))
    framing.check_room(vocabulary, self._inputs)
    self._kept: dict[tuple[int, int], tuple[np.ndarray, int]] = {}
    self._answers: dict[str, tuple[np.ndarray, int]] = {}
    self._golds: dict[tuple[int, int], str] = {}
    self._room = _KEPT_TOKENS

  def stack(self, example: int, phrasings: Sequence[int]) -> Stacked:
    """An example under some phrasings, answered as the first of them asks for.

    Args:
      example: index of it.
      phrasings: indices of `flat`'s.
    """
    answer = self._flat.answer_index[phrasings[0]]
    lacking = [p for p in phrasings if (example, p) not in self._kept]
    found: Mapping[tuple[int, int], tuple[np.ndarray, int]] = self._kept
    gold = self._golds.get((example, answer))
    if lacking or gold is None:
      features = features_of(self._where, self.examples[example], self._flat)
      gold = features['golds'][answer]
      texts = [self._text(p, features['texts']) for p in lacking]
      made = {
        (example, p): (np.asarray(encoded.ids, np.int32), encoded.cut)
        for p, encoded in zip(lacking, framing.inputs(self._vocabulary, texts, self._inputs), strict=True)
      }
      found = {**{(example, p): self._kept[example, p] for p in phrasings if p not in lacking}, **made}
      if self._room > 0:
        self._kept.update(made)
        self._golds[example, answer] = gold
        self._room -= sum(len(ids) for ids, _ in made.values())
    rows = [found[example, p] for p in phrasings]
    targets, over = self._answer(gold)
    return Stacked([ids for ids, _ in rows], targets, [cut for _, cut in rows], _of_text(over))

  def rows(self) -> Iterator[dict[str, Any]]:
    """Every example under every phrasing, with the features of `phrasings.expand_phrasings`; texts are strings."""
    for example in self.examples:
      features = features_of(self._where, example, self._flat)
      texts = [self._text(p, features['texts']) for p in range(len(self._templates))]
      encoded = framing.inputs(self._vocabulary, texts, self._inputs)
      for instruction, answer, text, made in zip(
        self._flat.instructions, self._flat.answer_index, texts, encoded, strict=True
      ):
        gold = features['golds'][answer]
        targets, cut = self._answer(gold)
        yield {
          'inputs': np.asarray(made.ids, np.int32),
          'targets': targets,
          'inputs_pretokenized': text,
          'targets_pretokenized': gold,
          'example_id': str(example['example_id']),
          'instruction_id': instruction.id,
          'group': self._flat.group,
          **{name: features[name][answer] for name in ('options', 'alternatives', 'right_options', 'option_texts')},
          'truncated_tokens': made.cut,
          'cut_answer_tokens': _of_text(cut),
        }

  def _text(self, phrasing: int, texts: Mapping[str, str]) -> str:
    return ''.join(literal + (texts[name] if name else '') for literal, name in self._templates[phrasing])

  def _answer(self, text: str) -> tuple[np.ndarray, int]:
    """(tokens of an answer, how many were cut off); the same text is encoded once."""
    if text not in self._answers:
      ids, cut = framing.answers(self._vocabulary, [text], self._targets)[0]
      self._answers[text] = np.asarray(ids, np.int32), cut
    return self._answers[text]


def _of_text(cut: int) -> int:
  """How many tokens of an answer's text were cut off, of so many with the end token, which a text of full length does without."""
  return max(cut - 1, 0)
