"""Reports: what one or more evaluations say, as a page, as Markdown and as tables.

`robust-t5x report out/before out/after --out out/report`
"""

import argparse
import base64
from collections.abc import Sequence
import os
import sys
from typing import Any

from robust_t5x import quiet

_TEMPLATES = os.path.join(os.path.dirname(__file__), 'templates')


def write(directories: Sequence[str], out: str) -> str:
  """Writes `report.html`, `report.md`, `plot.png`, `metrics.csv` and `phrasings.csv`.

  Args:
    directories: of finished evaluations, what the others are compared with first; those with the same label are seeds
      of one model.
    out: directory to write to, made if absent.

  Returns:
    the finding, in one or a few sentences.

  Raises:
    ResultsError: if an evaluation is missing, unfinished, or not of the same cells as the first.
  """
  import jinja2

  from robust_t5x import analysis, plots, results

  comparison = analysis.compare(directories)
  os.makedirs(out, exist_ok=True)
  plot = os.path.join(out, 'plot.png')
  plots.draw(comparison, plot)
  content = contents(comparison)
  with open(plot, 'rb') as f:
    content['plot'] = base64.b64encode(f.read()).decode()
  content['metrics'].to_csv(os.path.join(out, 'metrics.csv'), index=False)
  comparison.phrasings.to_csv(os.path.join(out, 'phrasings.csv'), index=False)
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_TEMPLATES), trim_blocks=True, lstrip_blocks=True,
    undefined=jinja2.StrictUndefined, autoescape=jinja2.select_autoescape(['html.j2']),
  )  # fmt: skip
  environment.filters |= {
    'percent': percent,
    'points': points,
  }
  for name in ('report.html', 'report.md'):
    results.write_atomically(os.path.join(out, name), environment.get_template(name + '.j2').render(content))
  return content['finding']


def contents(comparison: Any) -> dict[str, Any]:
  """Everything that a report says, as plain values, `Interval`s and data frames."""
  import pandas as pd

  from robust_t5x import metrics

  models, groups = comparison.models, comparison.groups
  rows = [
    {'model': model, 'group': group, 'metric': name, **_ends(comparison.interval(model, group, name))}
    for model in models
    for group in groups
    for name in comparison.metric_names
  ]
  gaps = {}
  if comparison.has_gap:
    gaps = {model: comparison.gap(model) for model in models}
    rows += [{'model': m, 'group': 'gap', 'metric': 'observed gap', **_ends(gap)} for m, gap in gaps.items()]
  values = {(row['model'], row['group'], row['metric']): row for row in rows}
  changes = [
    {
      'model': model,
      'groups': {group: comparison.change(model, group, metrics.average_performance) for group in groups},
      'gap': comparison.gap_change(model) if gaps else None,
    }
    for model in models[1:]
  ]
  by_dataset = [
    {
      'dataset': dataset,
      'cells': [
        float(metrics.average_performance(scores[group][comparison.runs_of(model)]).mean())
        if group in scores else None
        for group in groups
        for model in models
      ],
    }
    for dataset, scores in comparison.datasets.items()
  ]  # fmt: skip
  phrasings = comparison.phrasings.sort_values([models[-1]], kind='stable')
  return {
    'finding': finding(comparison, values, gaps, changes),
    'models': models,
    'groups': groups,
    'metric_names': list(comparison.metric_names),
    'values': values,
    'gaps': gaps,
    'changes': changes,
    'by_dataset': by_dataset,
    'phrasings': phrasings.to_dict('records'),
    'unmatched': comparison.unmatched,
    'records': comparison.records,
    'runs': comparison.runs,
    'metrics': pd.DataFrame(rows),
  }


def finding(comparison, values, gaps, changes) -> str:
  """The result in words."""
  first = comparison.models[0]
  count = len(comparison.datasets)
  parts = [
    f'{percent(values[first, group, "AvgP"]["estimate"])} under {group} phrasings' for group in comparison.groups
  ]
  text = f'Over {count} task{"s" if count > 1 else ""}, the model {first} scores {" and ".join(parts)}'
  if gaps:
    text += f': a gap of {points(gaps[first])}'
  sentences = [text + '.']
  for change in changes:
    parts = [
      f'under {group} phrasings by {points(value)}'
      + ('' if value.excludes_zero else ' (which cannot be told from no change)')
      for group, value in change['groups'].items()
    ]
    if change['gap']:
      parts.append(f'and the gap by {points(change["gap"])}')
    sentences.append(f'{change["model"].capitalize()}, accuracy changes {", ".join(parts)}.')
  return ' '.join(sentences)


def percent(value: float | None) -> str:
  """A share as a percentage with one decimal; nothing for a value that is absent."""
  return '' if value is None or value != value else f'{100 * value:.1f}%'


def points(value: Any) -> str:
  """A difference of shares with its interval, in percentage points."""
  return f'{100 * value.estimate:+.1f} points [{100 * value.low:+.1f}, {100 * value.high:+.1f}]'


def _ends(interval: Any) -> dict[str, float]:
  return {'estimate': interval.estimate, 'low': interval.low, 'high': interval.high}


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  quiet.set_up()
  from robust_t5x import results

  parser = argparse.ArgumentParser(prog='robust-t5x report', description=__doc__.splitlines()[0])
  parser.add_argument(
    'directories', nargs='+', metavar='DIR', help='OUTPUT_DIR of a finished evaluation, baseline first'
  )
  parser.add_argument('--out', required=True, help='directory that the report is written to')
  args = parser.parse_args(argv)
  try:
    text = write(args.directories, args.out)
  except results.ResultsError as e:
    print(f'error: {e}', file=sys.stderr)
    return 2
  print(f'report: {os.path.join(args.out, "report.html")}')
  print(f'finding: {text}')
  return 0


if __name__ == '__main__':
  sys.exit(main())
