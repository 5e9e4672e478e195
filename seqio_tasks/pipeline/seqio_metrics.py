"""Metrics of SeqIO tasks, by the rules of `answers`, and the targets that they are computed from.

SeqIO and T5X compute these; `robust-t5x eval` scores rows itself. SeqIO gives a metric the targets that a task's postprocessing makes, and decoded predictions or scores.
"""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import Any

from seqio_tasks import answers
from seqio_tasks.datasets.sources import Example


def exact_match(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
  """Share of predictions, in [0, 1], that are the target, or what else is right, by `answers.exact_match`."""
  return _mean('exact_match', _matches(targets, predictions), None)


def exact_match_by_part(targets: Sequence[Target], predictions: Sequence[str]) -> dict[str, float]:
  """`exact_match` of all examples, and of each part of the dataset as "exact_match/<part>"."""
  return _mean('exact_match', _matches(targets, predictions), [t.part for t in targets])


def lmentry(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
  """Mean of `answers.lmentry_score`, in [0, 1]; the options are yes and no where all targets are one of them."""
  options = answers.YES_NO if {t.casefold() for t in targets} <= set(answers.YES_NO) else ()
  scores = [answers.lmentry_score(p, t, options) for t, p in zip(targets, predictions, strict=True)]
  return _mean('lmentry', scores, None)


# (a dataset's metric, whether it has parts) -> metric of its tasks.
METRICS = {
  ('exact_match', False): exact_match,
  ('exact_match', True): exact_match_by_part,
  ('lmentry', False): lmentry,
}


def _matches(targets: Sequence[str], predictions: Sequence[str]) -> list[float]:
  """1.0 where a prediction is the target, or what else is right."""
  keys = (getattr(target, 'key', None) or answers.AnswerKey((str(target),)) for target in targets)
  return [answers.exact_match(prediction, key) for key, prediction in zip(keys, predictions, strict=True)]


def _mean(name: str, values: Sequence[float], parts: Sequence[str] | None) -> dict[str, float]:
  by_part = collections.defaultdict(list)
  for value, part in zip(values, parts or (), strict=False):
    by_part[f'{name}/{part}'].append(value)
  return {key: sum(v) / max(len(v), 1) for key, v in ((name, values), *sorted(by_part.items()))}


def rank_accuracy(targets: Sequence[tuple[int, int, bool]], scores: Sequence[float]) -> dict[str, float]:
  """Mean of `answers.ranking_score`, in [0, 1]: the share of examples whose best-scored option is right.

  Args:
    targets: (number of the example, number of the option, whether it is right), as `phrasings.RankOptions` has them.
    scores: log-likelihood of each option.

  Raises:
    UserError: if a score is not finite.
  """
  rows: dict[int, list[tuple[int, bool, float]]] = {}
  for (example, option, correct), score in zip(targets, scores, strict=True):
    rows.setdefault(example, []).append((option, correct, float(score)))
  values = []
  for options in rows.values():
    best = answers.best_options([score for _, _, score in options])
    values.append(answers.ranking_score(best, [i for i, (_, correct, _) in enumerate(options) if correct]))
  return _mean('rank_accuracy', values, None)


def option_score_target(output: Any, example: Example, is_target: bool = False) -> Any:
  """SeqIO's postprocessing for rank classification."""
  if not is_target:
    return output
  number, option = (int(i) for i in example['idx'])
  return number, option, bool(example['is_correct'])


# The features that say what is right.
_KEY = ('targets_pretokenized', 'alternatives', 'options', 'right_options', 'option_texts')


def gold_or_prediction(output: str, example: Example, is_target: bool = False) -> str:
  """SeqIO's postprocessing: the untokenised gold answer as target, decoded text as prediction."""
  if not is_target:
    return output
  target = Target(_text(example['targets_pretokenized']))
  target.example_id = _text(example['example_id']) if 'example_id' in example else ''
  target.key = answers.AnswerKey.of_features({k: _text(v) for k, v in example.items() if k in _KEY})
  return target


class Target(str):
  """A gold answer, with what a metric may want to know of its example.

  Attributes:
    example_id: of the example.
    key: what is right; None for the target itself.
  """

  example_id: str = ''
  key: answers.AnswerKey | None = None

  @property
  def part(self) -> str:
    """What stands before the first slash of the example's id."""
    return self.example_id.partition('/')[0]


def _text(value: Any) -> str:
  value = value.numpy() if hasattr(value, 'numpy') else value
  return value.decode('utf-8') if isinstance(value, bytes) else str(value)
