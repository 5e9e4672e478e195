"""A model's own answers as something to train on, read from an evaluation."""

import collections
from collections.abc import Sequence
import json

from robust_t5x.results.reading import read
from robust_t5x.results.schema import ResultsError, check_ranked
from robust_t5x.runtime import progress
from seqio_tasks import answers


def votes(directory: str | None, phrasings: Sequence[str] | None = None) -> dict[str, dict[str, int]] | None:
  """The option that most phrasings lead to, for each example of each dataset.

  With one phrasing these are the model's own answers under it, which are taught to all phrasings in consistency training
  (Chua et al. 2024, arXiv 2403.05518); with several it is the vote of consensus training (Hejabi et al., arXiv 2510.14242).
  Options go by their place. A tie says nothing: its example is left out and counted. So does a ranking of options of which two have
  the same text, since a table has one score for both, and the places behind them are not known.

  Args:
    directory: OUTPUT_DIR of an evaluation that ranked options; None for no answers.
    phrasings: ids of those that vote; by default all.

  Returns:
    dataset -> example id -> place of the option; None without a directory.

  Raises:
    ResultsError: if there is no finished evaluation of one model, it ranked no options, a phrasing is not in it, or phrasings
      that vote have the options in several orders.
  """
  if directory is None:
    return None
  table, _ = read(directory)
  check_ranked(directory, table)
  unknown = sorted(set(phrasings or ()) - set(table['instruction_id']))
  if unknown:
    raise ResultsError(
      f'{directory}: has no phrasing {unknown[0]}; it has {table["instruction_id"].iloc[0]} and others'
    )
  if phrasings is not None:
    table = table[table['instruction_id'].isin(phrasings)]
  ballots: dict[str, dict[str, collections.Counter[int]]] = {}
  right: dict[tuple[str, str], tuple[int, str]] = {}  # place of the right option, by the first phrasing that tells
  columns = [
    table[name] for name in ('dataset', 'example_id', 'instruction_id', 'gold', 'option_scores', 'option_tokens')
  ]
  for dataset, example, phrasing, gold, text, tokens in zip(*columns, strict=True):
    by_option = json.loads(text)
    best = answers.best_options(list(by_option.values()))
    ballot = ballots.setdefault(dataset, {}).setdefault(example, collections.Counter())
    if tokens and len(json.loads(tokens)) != len(by_option):
      continue
    if gold in by_option:
      place = list(by_option).index(gold)
      first, other = right.setdefault((dataset, example), (place, phrasing))
      if first != place:
        raise ResultsError(
          f'{directory}: {phrasing} has the options of example {example!r} of {dataset} in another order than {other}, so that their places '
          'cannot be counted together; name the phrasings that vote (ANSWERS_PHRASINGS)'
        )
    if len(best) == 1:
      ballot[best[0]] += 1
  chosen = {
    d: {e: b for e, ballot in found.items() if (b := _winner(ballot)) is not None} for d, found in ballots.items()
  }
  examples, decided = (sum(map(len, x.values())) for x in (ballots, chosen))
  progress.log(f'{directory}: {decided} examples have an answer, {examples - decided} are ties and left out')
  return chosen


def _winner(ballot: collections.Counter[int]) -> int | None:
  first = ballot.most_common(2)
  return None if not first or len(first) == 2 and first[0][1] == first[1][1] else first[0][0]
