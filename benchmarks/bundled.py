"""What the docs say of the bundled model with and without its adapter, measured anew.

`python benchmarks/bundled.py OUT [--lmentry DIR]` evaluates what OUT does not hold yet, with the command line, and writes
benchmarks/results/bundled.json: some ten minutes on one core. DIR is laid out as arXiv 2401.00595 publishes LMentry.
"""

import argparse
from collections.abc import Iterator
import datetime
import json
import pathlib
import subprocess
import sys

import pandas as pd
from published_likeness import published

from robust_t5x.analysis import metrics
from robust_t5x.analysis.comparison import Comparison, compare
from robust_t5x.analysis.statistics import Interval
from robust_t5x.results import reading as results_reading
from seqio_tasks.bank import likeness, reading

RESULTS = pathlib.Path(__file__).parent / 'results/bundled.json'
BEFORE, AFTER = 'before', 'after'
_LABELS = {BEFORE: 'without adapter', AFTER: 'bundled adapter'}
# Published accuracies of other models are for these tasks that the bundled model knows.
PUBLISHED = ('first_alphabetically', 'less_letters', 'more_letters', 'word_before')
GROUPS = ('observed', 'unobserved', 'reported')
PEERS = ('flan-t5-small', 'flan-t5-base', 'flan-t5-large', 'flan-t5-xl', 'flan-t5-xxl')


def evaluate(out: pathlib.Path, suite: str, arguments: list[str]) -> list[str]:
  """Evaluates the model with and without adapter, unless that is done; returns the directories."""
  made = []
  for name, label in _LABELS.items():
    directory = out / f'{suite}_{name}'
    made.append(str(directory))
    adapter = ['--ADAPTER=bundled'] if name == AFTER else []
    if not (directory / 'results.parquet').exists():
      command = ['eval', suite, *arguments, *adapter, f'--LABEL={label}', f'--OUTPUT_DIR={directory}']
      subprocess.run([sys.executable, '-m', 'robust_t5x', *command], check=True)
  return made


def _percent(name: str, interval: Interval, scale: float = 100) -> Iterator[tuple[str, float]]:
  yield name, scale * interval.estimate
  yield f'{name}.low', scale * interval.low
  yield f'{name}.high', scale * interval.high


def of_the_suite(compared: Comparison) -> Iterator[tuple[str, float]]:
  """Accuracies in %, gaps in points, and how the unobserved accuracy depends on likeness to what was trained on."""
  for name, model in zip(_LABELS, compared.models, strict=True):
    for group in GROUPS:
      yield from _percent(f'mini.{name}.{group}', compared.interval(model, group, 'AvgP'))
    yield from _percent(f'mini.{name}.gap', compared.gap(model))
    for metric in ('sd', 'worst phrasing'):
      yield from _percent(f'mini.{name}.{metric.split()[0]}', compared.interval(model, 'unobserved', metric))
  for group in GROUPS:
    yield from _percent(f'mini.change.{group}', compared.change(compared.models[1], group, 'AvgP'))
  yield from _percent('mini.change.gap', compared.gap_change(compared.models[1]))
  bank = reading.Bank.from_package('mini')
  near = likeness.nearest([i for i in bank if i.collection == 'mini_heldout'], bank.select(roles=['alignment']))
  table = compared.phrasings.query('group == "unobserved"')
  keys = (
    table['instruction_id'] if table['instruction_id'].iloc[0].count('/') == 2 else table['instruction_id'].map(str)
  )
  alike = keys.map({n.id: n.likeness for n in near})
  assert alike.notna().all()
  far = alike < likeness.SHARES[1]
  yield 'mini.far', float(far.sum())
  yield 'mini.near', float((~far).sum())
  for name, model in zip(_LABELS, compared.models, strict=True):
    for words, rows in (('far', table[far]), ('near', table[~far])):
      yield f'mini.{name}.{words}', 100 * rows.groupby('dataset')[model].mean().mean()


def of_lmentry(compared: Comparison, directory: pathlib.Path) -> Iterator[tuple[str, float]]:
  """Accuracy and spread in %, the same answer in %, and CPS of the tasks that others publish accuracies for."""
  (group,) = compared.groups
  for name, model in zip(_LABELS, compared.models, strict=True):
    yield from _percent(f'lmentry.{name}', compared.interval(model, group, 'AvgP'))
    yield from _percent(f'lmentry.{name}.sd', compared.interval(model, group, 'sd'))
    agreed = compared.answer_agreement(model, group)
    yield from _percent(f'lmentry.{name}.consistency', agreed['consistency'])
    for task in PUBLISHED:
      yield f'lmentry.{name}.{task}', compared.value(model, group, 'CPS', f'lmentry_{task}')
  yield from _percent('lmentry.change', compared.change(compared.models[1], group, 'AvgP'))
  alike = _likeness_of_published(directory)
  far: dict[str, set[str]] = {}  # task -> task and index of the phrasings that are unlike all that was trained on
  for task in PUBLISHED:
    rows = compared.phrasings[compared.phrasings['dataset'] == f'lmentry_{task}']
    ids = rows['instruction_id'].str.split('/', n=1).str[1]
    chosen = ids.map(alike) < likeness.SHARES[1]
    far[task] = {*ids[chosen]}
    yield f'lmentry.all.{task}', float(len(rows))
    yield f'lmentry.far.{task}', float(len(far[task]))
    for name, model in zip(_LABELS, compared.models, strict=True):
      yield f'lmentry.{name}.far.{task}', _cps(rows[chosen][model])
  for task in PUBLISHED:
    published, _ = results_reading.read(str(directory / f'published_accuracies/{task}.csv'))
    for peer in PEERS:
      scores = published[(published['model'] == peer) & (published['group'] == 'correct')]
      yield f'lmentry.{peer}.{task}', _cps(scores['score'])
      yield f'lmentry.{peer}.far.{task}', _cps(scores[scores['instruction_id'].isin(far[task])]['score'])


def _cps(accuracies: pd.Series) -> float:
  return float(metrics.METRICS['CPS'](accuracies.to_numpy()[None]))


def _likeness_of_published(directory: pathlib.Path) -> dict[str, float]:
  """Task and published index -> likeness to the nearest phrasing that the bundled adapter was trained on."""
  trained = reading.Bank.from_package('mini').select(roles=['alignment'])
  found = likeness.nearest([*published(directory)], trained)
  return {n.id.split('/', 1)[1]: n.likeness for n in found}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('out', type=pathlib.Path, help='directory of the evaluations')
  parser.add_argument('--lmentry', type=pathlib.Path, metavar='DIR')
  arguments = parser.parse_args()
  values = dict(
    of_the_suite(compare(evaluate(arguments.out, 'mini', [f'--MIXTURES={[f"mini_eval_{group}" for group in GROUPS]}'])))
  )
  if arguments.lmentry:
    made = evaluate(arguments.out, 'lmentry', [f'--LMENTRY_DIR={arguments.lmentry}'])
    values |= of_lmentry(compare(made), arguments.lmentry)
  record = {
    'command': 'python benchmarks/bundled.py OUT --lmentry DIR',
    'date': datetime.date.today().isoformat(),
    'values': {name: float(f'{number:.8g}') for name, number in values.items()},
  }
  RESULTS.write_text(json.dumps(record, indent=2) + '\n', encoding='utf-8')
  print(pd.Series(values).to_string())


if __name__ == '__main__':
  main()
