"""What the studies of the docs share: evaluations whose scores are kept beside the docs, and cells of tables.

From what is kept the tables can be made again, and later seeds be added to earlier ones. No text of others is kept: a digest stands
for every option, answer, and phrasing that is not the package's.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
import datetime
import hashlib
import json
import math
import pathlib
from typing import Any

import pandas as pd

from robust_t5x.analysis.comparison import Comparison, compare_sources
from robust_t5x.analysis.sources import Source
from robust_t5x.analysis.statistics import Interval
from robust_t5x.reports import inputs, plots
from robust_t5x.reports.summary import summarise
from robust_t5x.results.reading import read
from robust_t5x.results.schema import Record
from seqio_tasks.bank import reading

Cells = list[str]
_RUNS, _TUNING = 'runs.json', 'tuning.csv'
_COLUMNS = ['dataset', 'group', 'instruction_id', 'example_id', 'scorer', 'score', 'option_tokens', 'tied_options']
_RATE, _CHOSEN_BY = 'LEARNING_RATE', 'development AvgP'
_TUNED = ['method', _RATE, 'seed', 'status', _CHOSEN_BY, 'development worst phrasing', 'development sd']
TUNING_HEAD = ['method', 'accuracy by learning rate', 'chosen']


def add_what_is_named(doc: str, directory: pathlib.Path) -> pathlib.Path | None:
  """Adds the evaluations of a directory, if the command line names one (`add`).

  Args:
    doc: what a study's command does; its first line is shown.
    directory: that keeps its scores.

  Returns:
    What was named.
  """
  parser = argparse.ArgumentParser(description=doc.splitlines()[0])
  parser.add_argument('out', type=pathlib.Path, nargs='?', help='directory of evaluations to keep')
  out = parser.parse_args().out
  if out:
    add(out, directory)
  return out


def add(out: pathlib.Path, directory: pathlib.Path) -> None:
  """Adds evaluations and sweeps to those that a directory keeps; one of the same name takes the place of an earlier one.

  Args:
    out: holds evaluations NAME/ and sweeps tuning/METHOD/. A name is that of a model, or METHOD-SEED.
    directory: gets NAME.parquet in the generic layout of results, runs.json and tuning.csv.
  """
  directory.mkdir(exist_ok=True)
  path = directory / _RUNS
  runs: dict[str, Any] = json.loads(path.read_text(encoding='utf-8')) if path.is_file() else {}
  for place in sorted(p.parent for p in out.glob('*/results.parquet')):
    results, record = read(str(place))
    _without_texts(results, record).to_parquet(directory / f'{place.name}.parquet', index=False, compression='zstd')
    runs[place.name] = {
      'fingerprint': record['fingerprint'],
      'versions': record['versions'],
      'date': datetime.date.today().isoformat(),
    }
  path.write_text(json.dumps(dict(sorted(runs.items())), indent=2) + '\n', encoding='utf-8')
  sweeps = sorted(out.glob('tuning/*/sweep.csv'))
  if sweeps:
    trials = pd.concat([pd.read_csv(p).assign(method=p.parent.name) for p in sweeps])
    kept = _tuning(directory)
    kept = kept[~kept['method'].isin(trials['method'])]
    kept = pd.concat([kept, trials.loc[trials['status'] == 'finished', _TUNED]])
    kept.sort_values(['method', _RATE], kind='stable').to_csv(directory / _TUNING, index=False)


def _without_texts(results: pd.DataFrame, record: Record) -> pd.DataFrame:
  scores = [
    json.dumps({_digest(o): round(x, 5) for o, x in json.loads(text).items()}) if text else ''
    for text in results['option_scores']
  ]
  own = {i.template for i in reading.read_banks(['package', *map(str, reading.package_files('mini'))])}
  phrasings = {i: text if text in own else _digest(text) for i, text in record['instructions'].items()}
  return results[_COLUMNS].assign(
    prediction=results['prediction'].map(_digest),
    gold=results['gold'].map(_digest),
    option_scores=scores,
    also_right=results['also_right'].map(lambda text: json.dumps(list(map(_digest, json.loads(text)))) if text else ''),
    template=results['instruction_id'].map(phrasings),
  )


def _tuning(directory: pathlib.Path) -> pd.DataFrame:
  path = directory / _TUNING
  return pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=_TUNED)


def _digest(text: str) -> str:
  return hashlib.blake2s(text.encode(), digest_size=6).hexdigest()


def read_all(directory: pathlib.Path) -> tuple[dict[str, list[pd.DataFrame]], Record]:
  """(model or method -> the tables of its seeds, a record with the phrasings of all)."""
  tables, record = read_each(directory)
  return by_model(tables), record


def read_each(directory: pathlib.Path) -> tuple[dict[str, pd.DataFrame], Record]:
  """(name of an evaluation -> its table, a record with the phrasings of all)."""
  found, records = {}, []
  for path in sorted(directory.glob('*.parquet')):
    found[path.stem], record = read(str(path))
    records.append(record)
  phrasings = {i: text for record in records for i, text in record['instructions'].items()}
  return found, {**records[0], 'instructions': phrasings}


def by_model(tables: Mapping[str, pd.DataFrame]) -> dict[str, list[pd.DataFrame]]:
  """The tables of each model's or method's seeds together."""
  found: dict[str, list[pd.DataFrame]] = {}
  for name, table in tables.items():
    found.setdefault(name.split('-')[0], []).append(table)
  return found


def tuning(directory: pathlib.Path) -> Iterator[Cells]:
  """A row for each method: mean accuracy in % under development phrasings by learning rate, and the best rate."""
  for method, rows in _tuning(directory).groupby('method', sort=False):
    accuracy = 100 * rows.groupby(_RATE)[_CHOSEN_BY].mean()
    yield [
      str(method).replace('_', ' '),
      ', '.join(f'{rate:g}: {value:.1f}' for rate, value in accuracy.items()),
      f'{accuracy.idxmax():g}',
    ]


def compared(tables: Mapping[str, Sequence[pd.DataFrame]], record: Record) -> Comparison:
  """The models, the seeds of each as one."""
  return compare_sources(
    [
      Source(f'{name}-{seed}', name, table.assign(model=name), record)
      for name, seeds in tables.items()
      for seed, table in enumerate(seeds)
    ]
  )


def draw(tables: Mapping[str, Sequence[pd.DataFrame]], record: Record, path: pathlib.Path) -> None:
  """Writes the picture of a report on the models, the seeds of each as one, as PNG."""
  read_by_report = inputs.of_comparison(compared(tables, record))
  plots.save(plots.overview(read_by_report, summarise(read_by_report)), str(path.with_suffix('')), ['png'])


def interval(found: Interval, signed: bool = False) -> str:
  """A share as a percentage, or a change as points, with its interval."""
  if math.isnan(found.estimate):  # of one phrasing there is no spread
    return '–'
  sign = '+' if signed else ''
  estimate, low, high = (round(100 * x, 1) + 0.0 for x in (found.estimate, found.low, found.high))  # no -0.0
  return f'{estimate:{sign}.1f} [{low:.1f}, {high:.1f}]'.replace('-', '\u2212')


def write(path: pathlib.Path, command: str, tables: Mapping[str, Sequence[Cells]]) -> None:
  """Writes and prints tables by name; the first row of each is its head."""
  content = {'command': command, 'date': datetime.date.today().isoformat(), 'tables': tables}
  path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + '\n', encoding='utf-8')
  for name, (head, *rows) in tables.items():
    print(f'\n{name}\n' + markdown(head, rows))


def table(path: pathlib.Path, name: str) -> str:
  """A table that `write` wrote, as Markdown."""
  head, *rows = json.loads(path.read_text(encoding='utf-8'))['tables'][name]
  return markdown(head, rows)


def markdown(head: Cells, rows: Sequence[Cells]) -> str:
  """A table as Markdown."""
  return '\n'.join('| ' + ' | '.join(row) + ' |' for row in [head, ['---'] * len(head), *rows])
