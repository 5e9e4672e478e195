"""What wording does to a real model, and what alignment does about it: the tables of docs/real_model.md.

`bash benchmarks/real_model.sh OUT BIGBENCH_DIR` makes the evaluations that this reads; `python benchmarks/real_model.py OUT`
then keeps their scores in benchmarks/results/real_model/, beside those of earlier runs, and writes
benchmarks/results/real_model.json from all that is kept. OUT/frozen is the model as it is, OUT/content_free the same without
questions, every OUT/METHOD-SEED one with an adapter, OUT/tuning/METHOD the sweep that its learning rate was chosen by. Without
OUT the tables are made from what is kept.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
import datetime
import hashlib
import json
import math
import pathlib
from typing import Any

import pandas as pd

from robust_t5x.analysis import remedies
from robust_t5x.analysis.comparison import Comparison, compare_sources
from robust_t5x.analysis.sources import Source
from robust_t5x.analysis.statistics import Interval
from robust_t5x.analysis.wording import features
from robust_t5x.results.reading import read
from robust_t5x.results.schema import Record

RESULTS = pathlib.Path(__file__).parent / 'results/real_model.json'
KEPT = RESULTS.with_suffix('')
_RUNS, _TUNING = 'runs.json', 'tuning.csv'
FROZEN, CONTENT_FREE = 'frozen', 'content_free'
GROUP = 'unobserved'
_METRICS = ('AvgP', 'sd', 'worst phrasing')
_RATE, _CHOSEN_BY = 'LEARNING_RATE', 'development AvgP'
_TUNED = ('method', _RATE, 'SEED', 'status', _CHOSEN_BY, 'development worst phrasing', 'development sd')
_AS_IT_IS = 'sum'
# Readings of the same scores; the first is what the evaluation itself reports.
_NORMS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
  _AS_IT_IS: lambda table: table,
  'per token': remedies.per_token,
}
_STRATA = ('not listed', 'listed')

Cells = list[str]


def stratum(template: str) -> str:
  """Whether a phrasing lists the options."""
  return _STRATA[bool(features(template)['lists the options'])]


def wording(table: pd.DataFrame, free: pd.DataFrame | None, templates: Mapping[str, str]) -> Iterator[Cells]:
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


def without_training(table: pd.DataFrame, free: pd.DataFrame | None, record: Record) -> Iterator[Cells]:
  """A row for each reading of the frozen model's scores."""
  readings = {_AS_IT_IS: table} | {name: function(table) for name, function in remedies.READINGS.items()}
  if free is not None:
    readings['calibrated'] = remedies.calibrated(table, free)
  for name, read_so in readings.items():
    yield [name, *_numbers(_compare({name: [by_place(read_so)]}, record), name)]


def methods(tables: Mapping[str, Sequence[pd.DataFrame]], record: Record) -> Iterator[Cells]:
  """A row for each model, its seeds together."""
  compared = _compare(tables, record)
  for name in tables:
    yield [name, str(len(tables[name])), *_numbers(compared, name)]


def changes(tables: Mapping[str, Sequence[pd.DataFrame]], record: Record) -> Iterator[Cells]:
  """A row for each method against the frozen model, and for the first method against each other one."""
  compared = _compare(tables, record)
  trained = [name for name in tables if name != FROZEN]
  for name, baseline in [(name, FROZEN) for name in trained] + [(trained[0], other) for other in trained[1:]]:
    found = (compared.change(name, GROUP, metric, baseline=baseline) for metric in _METRICS)
    yield [f'{name} less {baseline}', *(_interval(change, signed=True) for change in found)]


def _compare(tables: Mapping[str, Sequence[pd.DataFrame]], record: Record) -> Comparison:
  return compare_sources(
    [
      Source(f'{name}-{seed}', name, table.assign(model=name), record)
      for name, seeds in tables.items()
      for seed, table in enumerate(seeds)
    ]
  )


def _numbers(compared: Comparison, model: str) -> Cells:
  """Mean accuracy, spread over phrasings, worst phrasing, and pairs of phrasings that lead to the same option, in %."""
  found = [compared.interval(model, GROUP, metric) for metric in _METRICS]
  return [*map(_interval, found), _interval(compared.answer_agreement(model, GROUP)['consistency'])]


def by_place(table: pd.DataFrame) -> pd.DataFrame:
  """A table whose predictions are places of options, the same under phrasings that ask for texts and for labels."""
  places = [list(json.loads(o)).index(p) for o, p in zip(table['option_scores'], table['prediction'], strict=True)]
  return table.assign(prediction=list(map(str, places)))


def _interval(found: Interval, signed: bool = False) -> str:
  if math.isnan(found.estimate):  # of one phrasing there is no spread
    return '–'
  sign = '+' if signed else ''
  return f'{100 * found.estimate:{sign}.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]'.replace('-', '\u2212')


_HEADS = {
  'wording': ['task', 'examples', 'chance', 'no question', 'mean', 'sd', 'lowest–highest', *_STRATA],
  'readings': ['ranked by', 'mean', 'sd', 'worst phrasing', 'same answer'],
  'methods': ['model', 'seeds', 'mean', 'sd', 'worst phrasing', 'same answer'],
  'changes': ['', 'mean', 'sd', 'worst phrasing'],
  'tuning': ['method', 'accuracy by learning rate', 'chosen'],
}


def table(name: str, record: Mapping[str, Mapping[str, list[Cells]]]) -> str:
  """A table of the record as Markdown; those by norm have it behind a slash, as in "wording/sum"."""
  head = _HEADS[name.split('/')[0]]
  rows = record['tables'][name]
  return '\n'.join('| ' + ' | '.join(row) + ' |' for row in [head, ['---'] * len(head), *rows])


def tuning(trials: pd.DataFrame) -> Iterator[Cells]:
  """A row for each method: mean accuracy in % under development phrasings by learning rate, and the best rate."""
  for method, rows in trials.groupby('method', sort=False):
    accuracy = 100 * rows.groupby(_RATE)[_CHOSEN_BY].mean()
    yield [
      str(method),
      ', '.join(f'{rate:g}: {value:.1f}' for rate, value in accuracy.items()),
      f'{accuracy.idxmax():g}',
    ]


def without_texts(results: pd.DataFrame, record: Record) -> pd.DataFrame:
  """Results in the generic layout, with the phrasings' templates, and a digest for each text of the benchmark."""
  columns = ['dataset', 'group', 'instruction_id', 'example_id', 'scorer', 'score', 'option_tokens', 'tied_options']
  scores = [
    json.dumps({_digest(option): round(score, 5) for option, score in json.loads(text).items()})
    for text in results['option_scores']
  ]
  return results[columns].assign(
    prediction=results['prediction'].map(_digest),
    gold=results['gold'].map(_digest),
    option_scores=scores,
    template=results['instruction_id'].map(record['instructions']),
  )


def _digest(text: str) -> str:
  return hashlib.blake2s(text.encode(), digest_size=6).hexdigest()


def keep(out: pathlib.Path) -> None:
  """Adds the evaluations and sweeps of a directory to what is kept; one of the same name takes the place of an earlier one."""
  KEPT.mkdir(exist_ok=True)
  path = KEPT / _RUNS
  runs: dict[str, Any] = json.loads(path.read_text(encoding='utf-8')) if path.is_file() else {}
  for directory in sorted(p for p in out.iterdir() if (p / 'results.parquet').is_file()):
    results, record = read(str(directory))
    without_texts(results, record).to_parquet(KEPT / f'{directory.name}.parquet', index=False, compression='zstd')
    runs[directory.name] = {
      'fingerprint': record['fingerprint'],
      'versions': record['versions'],
      'date': datetime.date.today().isoformat(),
    }
  path.write_text(json.dumps(dict(sorted(runs.items())), indent=2) + '\n', encoding='utf-8')
  sweeps = sorted(out.glob('tuning/*/sweep.csv'))
  if sweeps:
    pd.concat([pd.read_csv(p).assign(method=p.parent.name) for p in sweeps])[list(_TUNED)].to_csv(
      KEPT / _TUNING, index=False
    )


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('out', type=pathlib.Path, nargs='?', help='directory of evaluations to keep')
  out = parser.parse_args().out
  if out:
    keep(out)
  found: dict[str, list[pd.DataFrame]] = {}
  for path in sorted(KEPT.glob('*-*.parquet')):
    found.setdefault(path.stem.rsplit('-', 1)[0], []).append(read(str(path))[0])
  frozen, record = read(str(KEPT / f'{FROZEN}.parquet'))
  free_path = KEPT / f'{CONTENT_FREE}.parquet'
  free = read(str(free_path))[0] if free_path.is_file() else None
  listed = frozen['instruction_id'].map(lambda i: stratum(record['instructions'][i]))
  tables: dict[str, list[Cells]] = {}
  for norm, again in _NORMS.items():
    tables[f'wording/{norm}'] = list(
      wording(again(frozen), None if free is None else again(free), record['instructions'])
    )
    for name in (None, *_STRATA):
      kept = set(frozen.loc[listed == name, 'instruction_id']) if name else set(frozen['instruction_id'])
      models = {
        model: [by_place(again(t[t['instruction_id'].isin(kept)])) for t in seeds]
        for model, seeds in ({FROZEN: [frozen]} | found).items()
      }
      for kind in (methods, changes):
        tables[f'{kind.__name__}/{norm}/{name or "all"}'] = list(kind(models, record))
  tables['readings'] = list(without_training(frozen, free, record))
  if (KEPT / _TUNING).is_file():
    tables['tuning'] = list(tuning(pd.read_csv(KEPT / _TUNING)))
  content = {
    'command': 'python benchmarks/real_model.py',
    'date': datetime.date.today().isoformat(),
    'tables': tables,
  }
  RESULTS.write_text(json.dumps(content, indent=2, ensure_ascii=False) + '\n', encoding='utf-8')
  for name in tables:
    print(f'\n{name}\n' + table(name, content))


if __name__ == '__main__':
  main()
