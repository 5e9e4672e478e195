"""What wording does to a real model, and what alignment does about it: the tables of docs/real_model.md.

`bash benchmarks/real_model.sh OUT BIGBENCH_DIR` makes the evaluations that this reads; `python benchmarks/real_model.py OUT`
then keeps their scores in benchmarks/results/real_model/, beside those of earlier runs, and writes
benchmarks/results/real_model.json from all that is kept. OUT/frozen is the model as it is, OUT/content_free the same without
questions, every OUT/METHOD-SEED one with an adapter, OUT/tuning/METHOD the sweep that its learning rate was chosen by. Without
OUT the tables are made from what is kept.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import json
import pathlib

import pandas as pd
import study

from robust_t5x.analysis import remedies
from robust_t5x.analysis.comparison import Comparison
from robust_t5x.analysis.wording import features
from robust_t5x.results.schema import Record

RESULTS = pathlib.Path(__file__).parent / 'results/real_model.json'
KEPT = RESULTS.with_suffix('')
FROZEN, CONTENT_FREE = 'frozen', 'content_free'
CALIBRATED = 'frozen, calibrated'
GROUP = 'unobserved'
_METRICS = ('AvgP', 'sd', 'worst phrasing')
_AS_IT_IS = 'sum'
# Readings of the same scores; the first is what the evaluation itself reports.
_NORMS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
  _AS_IT_IS: lambda table: table,
  'per token': remedies.per_token,
}
_STRATA = ('not listed', 'listed')


def stratum(template: str) -> str:
  """Whether a phrasing lists the options."""
  return _STRATA[bool(features(template)['lists the options'])]


def wording(table: pd.DataFrame, free: pd.DataFrame | None, templates: Mapping[str, str]) -> Iterator[study.Cells]:
  """A row for each task: how much wording matters."""
  listed = table['instruction_id'].map(lambda i: stratum(templates[i]))
  for task, rows in table.groupby('dataset', sort=False):
    accuracy = 100 * rows.groupby('instruction_id', sort=False)['score'].mean()
    chance = rows['option_scores'].map(lambda text: 100 / len(json.loads(text))).mean()
    without = None if free is None else 100 * free.loc[free['dataset'] == task, 'score'].mean()
    by_stratum = 100 * rows.groupby(listed[rows.index])['score'].mean()
    yield [
      task.removeprefix('bigbench_'), str(rows['example_id'].nunique()), f'{chance:.0f}', '–' if without is None else f'{without:.0f}',
      f'{accuracy.mean():.0f}', f'{accuracy.std():.0f}', f'{accuracy.min():.0f}–{accuracy.max():.0f}',
      *(f'{by_stratum.get(s, float("nan")):.0f}' for s in _STRATA),
    ]  # fmt: skip


def without_training(table: pd.DataFrame, free: pd.DataFrame | None, record: Record) -> Iterator[study.Cells]:
  """A row for each reading of the frozen model's scores."""
  readings = {_AS_IT_IS: table} | {name: function(table) for name, function in remedies.READINGS.items()}
  if free is not None:
    readings['calibrated'] = remedies.calibrated(table, free)
  for name, read_so in readings.items():
    yield [name, *_numbers(study.compared({name: [read_so]}, record), name)]


def methods(tables: Mapping[str, Sequence[pd.DataFrame]], record: Record) -> Iterator[study.Cells]:
  """A row for each model, its seeds together."""
  compared = study.compared(tables, record)
  for name in tables:
    yield [name, str(len(tables[name])), *_numbers(compared, name)]


def changes(tables: Mapping[str, Sequence[pd.DataFrame]], record: Record) -> Iterator[study.Cells]:
  """A row for each method against the frozen model, and for the first method against each other one."""
  compared = study.compared(tables, record)
  others = [name for name in tables if name != FROZEN]
  for name, baseline in [(name, FROZEN) for name in others] + [(others[0], other) for other in others[1:]]:
    found = (compared.change(name, GROUP, metric, baseline=baseline) for metric in _METRICS)
    alike = compared.answer_agreement_change(name, GROUP, baseline)['consistency']
    yield [f'{name} less {baseline}', *(study.interval(change, signed=True) for change in (*found, alike))]


def _numbers(compared: Comparison, model: str) -> study.Cells:
  """Mean accuracy, spread over phrasings, worst phrasing, and pairs of phrasings that lead to the same option, in %."""
  found = [compared.interval(model, GROUP, metric) for metric in _METRICS]
  return [*map(study.interval, found), study.interval(compared.answer_agreement(model, GROUP)['consistency'])]


_HEADS = {
  'wording': ['task', 'examples', 'chance', 'no question', 'mean', 'sd', 'lowest–highest', *_STRATA],
  'readings': ['ranked by', 'mean', 'sd', 'worst phrasing', 'same answer'],
  'methods': ['model', 'seeds', 'mean', 'sd', 'worst phrasing', 'same answer'],
  'changes': ['', 'mean', 'sd', 'worst phrasing', 'same answer'],
  'tuning': study.TUNING_HEAD,
}


def main() -> None:
  study.add_what_is_named(__doc__, KEPT)
  found, record = study.read_all(KEPT)
  (frozen,) = found.pop(FROZEN)
  (free,) = found.pop(CONTENT_FREE, [None])
  listed = frozen['instruction_id'].map(lambda i: stratum(record['instructions'][i]))
  tables: dict[str, list[study.Cells]] = {}
  for norm, again in _NORMS.items():
    tables[f'wording/{norm}'] = list(
      wording(again(frozen), None if free is None else again(free), record['instructions'])
    )
    for name in (None, *_STRATA):
      shown = set(frozen.loc[listed == name, 'instruction_id']) if name else set(frozen['instruction_id'])
      models = {
        model: [again(t[t['instruction_id'].isin(shown)]) for t in seeds]
        for model, seeds in ({FROZEN: [frozen]} | found).items()
      }
      if free is not None and norm == _AS_IT_IS:
        calibrated = remedies.calibrated(frozen, free)
        models[CALIBRATED] = [calibrated[calibrated['instruction_id'].isin(shown)]]
      for kind in (methods, changes):
        tables[f'{kind.__name__}/{norm}/{name or "all"}'] = list(kind(models, record))
  tables['readings'] = list(without_training(frozen, free, record))
  tables['tuning'] = list(study.tuning(KEPT))
  study.write(
    RESULTS,
    'python benchmarks/real_model.py',
    {name: [_HEADS[name.split('/')[0]], *rows] for name, rows in tables.items()},
  )


if __name__ == '__main__':
  main()
