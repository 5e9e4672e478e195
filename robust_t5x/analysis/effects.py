"""One model against another on the same cells: whether they may be compared, and how large the differences are."""

import dataclasses
import os

import pandas as pd

from robust_t5x.analysis.comparison import Comparison, compare_sources
from robust_t5x.analysis.decisions import MARGIN, PValues, in_words, p_values_of
from robust_t5x.analysis.significance import BENJAMINI_HOCHBERG, HOLM, adjust, cohens_d, odds_ratio
from robust_t5x.analysis.sources import Source, read_sources, reasons
from robust_t5x.results.reading import read
from robust_t5x.results.schema import Record, ResultsError
from seqio_tasks.errors import UserError


class NotComparableError(UserError):
  """Two evaluations whose numbers must not be set against each other; the message has every reason."""


def notes(first: Record, second: Record) -> list[str]:
  """What could not be checked, or differs without forbidding the comparison."""
  found = []
  if not all(record.get('model', {}).get('vocabulary') for record in (first, second)):
    found.append('The vocabulary is not recorded for both, so it was not checked.')
  lengths = [record.get('fingerprint', {}).get('task_feature_lengths') for record in (first, second)]
  if all(lengths) and lengths[0] != lengths[1]:
    found.append(f'Inputs were cut at other lengths: {lengths[0]} and {lengths[1]}.')
  return found


def compare_two(first: str, second: str) -> Comparison:
  """The comparison of two evaluations, A first.

  Raises:
    ResultsError: if one is missing or unfinished.
    NotComparableError: with every reason, if they must not be compared.
  """
  if os.path.realpath(first) == os.path.realpath(second):
    raise NotComparableError(f'{first} and {second} are the same results; give those of two models')
  try:
    comparison = compare_sources([source for path in (first, second) for source in read_sources([path])])
  except ResultsError as e:
    found = reasons(*(read(path)[1] for path in (first, second))) or [str(e)]
    raise NotComparableError(f'{first} and {second} cannot be compared: {"; ".join(found)}') from e
  found = reasons(*(source.record for source in comparison.sources[:2]))
  if found:
    raise NotComparableError(f'{first} and {second} cannot be compared: {"; ".join(found)}')
  if len(comparison.sources) != 2:
    raise NotComparableError(
      f'{first} and {second} hold {len(comparison.sources)} models together; give files of one model each'
    )
  return comparison if len(comparison.models) == 2 else _told_apart(comparison)


def _told_apart(comparison: Comparison) -> Comparison:
  """Two evaluations with the same label, which would count as seeds, named after their places."""
  names = [os.path.basename(os.path.abspath(s.path)) or s.path for s in comparison.sources]
  names = [s.path for s in comparison.sources] if names[0] == names[1] else names
  sources = [
    Source(s.path, name, s.table, s.record, s.set_aside) for s, name in zip(comparison.sources, names, strict=True)
  ]
  keys = ['dataset', 'group', 'instruction_id']
  accuracies = comparison.phrasings[[*keys, 'template']]
  for source in sources:
    mean = source.table.groupby(keys, sort=False, observed=True)['score'].mean().rename(source.label).reset_index()
    accuracies = accuracies.merge(mean, on=keys)
  return dataclasses.replace(
    comparison, models=tuple(names), runs={s.label: (s.path,) for s in sources}, phrasings=accuracies,
    unmatched=dict.fromkeys(names, float('nan')), records={s.label: s.record for s in sources}, sources=tuple(sources),
  )  # fmt: skip


def effects(comparison: Comparison, margin: float = MARGIN) -> pd.DataFrame:
  """A row for each group and dataset, and each group's mean over datasets.

  Args:
    comparison: of two models.
    margin: below which a difference does not matter, as a share.

  Returns:
    columns of Comparison.paired, with p_adjusted (Holm) and false_discovery_rate (Benjamini and Hochberg) over all groups,
    margin, p_equivalent and p_not_worse (by Holm in the same families; `decisions`), verdict (of the adjusted p-values, in words),
    and cohens_d, odds_ratio and mcnemar (phrasings found /
    tested), missing where the results have no scores of examples or scores between 0 and 1.
  """
  parts = [comparison.paired(group) for group in comparison.groups]
  table = pd.concat(parts, ignore_index=True)
  whole = table['dataset'] == 'all'
  a, b = comparison.models
  tests = [
    p_values_of(
      comparison.contrast({r.group: 1.0}, [(b, 1.0), (a, -1.0)], None if r.dataset == 'all' else r.dataset), margin
    )
    for r in table.itertuples()
  ]
  table = table.assign(
    margin=margin, p_equivalent=[t.equivalent for t in tests], p_not_worse=[t.not_worse for t in tests]
  )
  for family in (whole, ~whole):
    for one_sided in ('p_equivalent', 'p_not_worse'):
      table.loc[family, one_sided] = adjust(table.loc[family, one_sided], HOLM)
    table.loc[family, 'p_adjusted'] = adjust(table.loc[family, 'p'], HOLM)
    table.loc[family, 'false_discovery_rate'] = adjust(table.loc[family, 'p'], BENJAMINI_HOCHBERG)
  table['verdict'] = [
    in_words(PValues(r.p_adjusted, r.p_equivalent, r.p_not_worse), margin) for r in table.itertuples()
  ]
  mcnemar = {group: mcnemar_tests(comparison, group) for group in comparison.groups}
  extra = []
  for row in table.itertuples():
    names = [row.dataset] if row.dataset != 'all' else [d for d, g in comparison.datasets.items() if row.group in g]
    pairs = [(comparison.datasets[d][row.group][0], comparison.datasets[d][row.group][1]) for d in names]
    test = mcnemar[row.group]
    part = None if test is None else test[test['dataset'].isin(names)]
    extra.append((cohens_d(pairs), *_of_tests(part)))
  table[['cohens_d', 'odds_ratio', 'mcnemar']] = pd.DataFrame(extra, index=table.index, dtype=object)
  return table.assign(model=comparison.models[1])


def mcnemar_tests(comparison: Comparison, group: str) -> pd.DataFrame | None:
  """McNemar's test of each phrasing of a group; None where the scores do not allow it."""
  try:
    return comparison.mcnemar(comparison.models[1], group)
  except UserError:  # accuracies of phrasings, or scores between 0 and 1
    return None


def _of_tests(tests: pd.DataFrame | None) -> tuple[float | None, str | None]:
  """The odds ratio over all cells, and how many of the tests find a difference."""
  if tests is None:
    return None, None
  found = f'{int((tests["p_adjusted"] < 0.05).sum())} of {len(tests)}'
  return odds_ratio(tests['only_baseline'].sum(), tests['only_model'].sum()) if len(tests) else None, found
