"""Reports: what one or more evaluations say, as a page, as Markdown and as tables.

`robust-t5x report out/before out/after --out out/report`
"""

import argparse
from collections.abc import Sequence
import json
import os
import sys
from typing import Any

from robust_t5x import quiet

_TEMPLATES = os.path.join(os.path.dirname(__file__), 'templates')
_PHRASINGS = 2000  # rows of the page's list of phrasings


def write(directories: Sequence[str], out: str, representation: str | None = None) -> str:
  """Writes the report.

  `report.html` stands alone; `report.md`, `tables/*.csv` and `tables/*.tex` hold its tables, `metrics.csv` and
  `phrasings.csv` all numbers, `plot.png`, `plot.pdf` and `figures/` its pictures.

  Args:
    directories: of finished evaluations, what the others are compared with first; those with the same label are seeds
      of one model.
    out: directory to write to, made if absent.
    representation: output of `robust-t5x represent` to take in, or None.

  Returns:
    the finding, in one or a few sentences.

  Raises:
    ResultsError: if an evaluation is missing, unfinished, or not of the same cells as the first.
  """
  from robust_t5x import plots, report_content, report_inputs, representation_report, results

  comparison = report_inputs.read(directories)
  summary = report_content.summarise(comparison)
  extras = [] if representation is None else [representation_report.section(representation_report.read(representation))]
  content = contents(comparison, summary, extras)
  os.makedirs(os.path.join(out, 'tables'), exist_ok=True)
  plots.write_all(comparison, summary, content['families'], out)
  report_content.metric_frame(comparison, summary).to_csv(os.path.join(out, 'metrics.csv'), index=False)
  comparison.phrasings.to_csv(os.path.join(out, 'phrasings.csv'), index=False)
  for table in content['tables']:
    stem = os.path.join(out, 'tables', table.name)
    results.write_atomically(stem + '.csv', table.frame().to_csv(index=False))
    results.write_atomically(stem + '.tex', table.latex())
  for name in ('report.html', 'report.md'):
    results.write_atomically(os.path.join(out, name), render(name, content))
  return content['finding']


def render(name: str, content: dict[str, Any]) -> str:
  """Fills a template."""
  import jinja2

  from robust_t5x import report_tables

  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_TEMPLATES), trim_blocks=True, lstrip_blocks=True,
    undefined=jinja2.StrictUndefined, autoescape=jinja2.select_autoescape(['html.j2']),
  )  # fmt: skip
  environment.filters |= {'percent': report_tables.percent, 'line': lambda text: ' '.join(str(text).split())}
  return environment.get_template(name + '.j2').render(content)


def contents(comparison: Any, summary: Any, extras: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
  """Everything that a report says, as plain values, tables and charts."""
  import markupsafe

  from robust_t5x import analysis, report_charts, report_content, report_words, svg

  models, groups = comparison.models, comparison.groups
  overview = report_charts.overview(models, groups, {k[:2]: v for k, v in summary.values.items() if k[2] == 'AvgP'})
  accuracy = report_content.accuracy_table(comparison, summary)
  change = report_content.change_table(comparison, summary)
  datasets = report_content.dataset_table(comparison)
  changes = [
    (f'{c["model"]}: {name}', models.index(c['model']), report_charts.is_hollow(name), value)
    for c in summary.changes
    for name, value in (*c['groups'].items(), *([('gap', c['gap'])] if c['gap'] else []))
  ]
  pairs = _pairs(datasets, groups, models)
  families = report_content.scaling(comparison)
  scaling = report_content.scaling_table(families, groups)
  closer = report_content.group_table(comparison, summary)
  extremes, no_examples = _extremes(comparison)
  sections = (report_content.estimated(comparison), report_content.agreement(comparison))
  extras = [*(section for section in sections if section), *extras]
  tables = [accuracy, change, datasets, closer, scaling, report_content.metric_table(comparison, summary)]
  made = report_content.made_table(comparison)
  content = {
    'finding': report_words.finding(comparison, summary),
    'models': models,
    'groups': groups,
    'facts': report_words.facts(comparison),
    'warnings': report_words.warnings(comparison),
    'interval_note': report_words.intervals_note(comparison),
    'overview': overview,
    'accuracy': accuracy,
    'change': change,
    'change_chart': report_charts.changes(changes) if changes else None,
    'planes': [
      {'model': m, 'svg': report_charts.paired(comparison.phrasings, models[0], m, models.index(m))}
      for m in comparison.paired[:3]
    ]
    if change
    else [],
    'datasets': datasets,
    'dataset_charts': report_charts.dumbbells(pairs),
    'chart_ends': report_charts.limits([v for row in pairs for v in row[1:]]),
    'strips': report_charts.strips(comparison.phrasings, models),
    'extremes': extremes,
    'no_examples': no_examples,
    'closer': closer,
    'families': families,
    'scaling': scaling,
    'scaling_chart': report_charts.scaling(families, models, groups) if families else None,
    'extras': extras,
    'metrics_by_group': tables[-1],
    'phrasings': report_content.phrasing_table(comparison),
    'phrasing_limit': _PHRASINGS,
    'methods': report_words.methods(comparison),
    'made': made,
    'records': comparison.records,
    'model_list': markupsafe.Markup(json.dumps(list(models)).replace('<', '\\u003c')),
    'definitions': svg.definitions(),
    'key': svg.key,
    'observed': analysis.OBSERVED,
    'tables': [t for t in (*tables, made) if t is not None] + [t for e in extras for t in e['tables']],
  }
  return content | {'sections': _sections(content)}


def _sections(content) -> list[tuple[str, str]]:
  """(anchor, name) of the page's sections that there are."""
  named = [
    ('accuracy', 'Accuracy', True), ('change', 'Change', content['change']), ('datasets', 'By dataset', True),
    ('phrasings', 'Phrasings', True), ('extremes', 'Best and worst', content['extremes']),
    ('groups', 'A closer look', content['closer']), ('scaling', 'Scaling', content['scaling']),
    *((e['id'], e['title'], True) for e in content['extras']),
    ('metrics', 'All metrics', True), ('list', 'All phrasings', True), ('methods', 'Methods', True),
  ]  # fmt: skip
  return [(anchor, name) for anchor, name, there in named if there]


def _pairs(datasets, groups, models) -> list[tuple[int, float | None, float | None]]:
  """(model, observed, unobserved or the group in their place) of each row of the table of datasets."""
  from robust_t5x import analysis, report_content

  focus = report_content.focus_of(groups)
  observed = groups.index(analysis.OBSERVED) if analysis.OBSERVED in groups and focus != analysis.OBSERVED else None
  return [
    (models.index(row[1]), None if observed is None else row[2 + observed], row[2 + groups.index(focus)])
    for row in datasets.rows
  ]


def _extremes(comparison) -> tuple[list[dict[str, Any]], str]:
  """Best and worst phrasings with outputs, and why there are no outputs, if so."""
  from robust_t5x import report_content, results

  found = report_content.extremes(comparison)
  if comparison.grain != results.EXAMPLE:
    why = 'Outputs need the answers to every example; these inputs have accuracies per phrasing.'
    return [item | {'examples': []} for item in found], why
  table = comparison.of(comparison.models[0]).sources[0].table
  table = table[table['instruction_id'].isin({item[end]['id'] for item in found for end in ('best', 'worst')})]
  for item in found:
    item['examples'] = report_content.examples(table, item['best']['id'], item['worst']['id'], item['dataset'])
  return found, ''


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  quiet.set_up()
  from robust_t5x import results

  parser = argparse.ArgumentParser(prog='robust-t5x report', description=__doc__.splitlines()[0])
  parser.add_argument(
    'directories', nargs='+', metavar='DIR', help='OUTPUT_DIR of a finished evaluation, baseline first'
  )
  parser.add_argument('--out', required=True, help='directory that the report is written to')
  parser.add_argument(
    '--represent', metavar='DIR', help='OUTPUT_DIR of `robust-t5x represent`, to take into the report'
  )
  args = parser.parse_args(argv)
  try:
    text = write(args.directories, args.out, args.represent)
  except results.ResultsError as e:
    print(f'error: {e}', file=sys.stderr)
    return 2
  print(f'report: {os.path.join(args.out, "report.html")}')
  print(f'finding: {text}')
  return 0


if __name__ == '__main__':
  sys.exit(main())
