"""The report as pages and tables."""

from collections.abc import Sequence
import json
import os
from typing import Any

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
  from robust_t5x.reports import content as content_lib
  from robust_t5x.reports import inputs, plots
  from robust_t5x.reports import representation as representation_lib
  from robust_t5x.runtime import files

  comparison = inputs.read(directories)
  summary = content_lib.summarise(comparison)
  extras = [] if representation is None else [representation_lib.section(representation_lib.read(representation))]
  content = contents(comparison, summary, extras)
  os.makedirs(os.path.join(out, 'tables'), exist_ok=True)
  plots.write_all(comparison, summary, content['families'], out)
  content_lib.metric_frame(comparison, summary).to_csv(os.path.join(out, 'metrics.csv'), index=False)
  comparison.phrasings.to_csv(os.path.join(out, 'phrasings.csv'), index=False)
  for table in content['tables']:
    stem = os.path.join(out, 'tables', table.name)
    files.write_atomically(stem + '.csv', table.frame().to_csv(index=False))
    files.write_atomically(stem + '.tex', table.latex())
  for name in ('report.html', 'report.md'):
    files.write_atomically(os.path.join(out, name), render(name, content))
  return content['finding']


def render(name: str, content: dict[str, Any]) -> str:
  """Fills a template."""
  import jinja2

  from robust_t5x.reports import tables as tables_lib

  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_TEMPLATES), trim_blocks=True, lstrip_blocks=True,
    undefined=jinja2.StrictUndefined, autoescape=jinja2.select_autoescape(['html.j2']),
  )  # fmt: skip
  environment.filters |= {'percent': tables_lib.percent, 'line': lambda text: ' '.join(str(text).split())}
  return environment.get_template(name + '.j2').render(content)


def contents(comparison: Any, summary: Any, extras: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
  """Everything that a report says, as plain values, tables and charts."""
  import markupsafe

  from robust_t5x.analysis import comparison as comparison_lib
  from robust_t5x.reports import charts, svg, words
  from robust_t5x.reports import content as content_lib

  models, groups = comparison.models, comparison.groups
  overview = charts.overview(models, groups, {k[:2]: v for k, v in summary.values.items() if k[2] == 'AvgP'})
  accuracy = content_lib.accuracy_table(comparison, summary)
  change = content_lib.change_table(comparison, summary)
  datasets = content_lib.dataset_table(comparison)
  changes = [
    (f'{c["model"]}: {name}', models.index(c['model']), charts.is_hollow(name), value)
    for c in summary.changes
    for name, value in (*c['groups'].items(), *([('gap', c['gap'])] if c['gap'] else []))
  ]
  pairs = _pairs(datasets, groups, models)
  families = content_lib.scaling(comparison)
  scaling = content_lib.scaling_table(families, groups)
  closer = content_lib.group_table(comparison, summary)
  extremes, no_examples = _extremes(comparison)
  sections = (content_lib.estimated(comparison), content_lib.agreement(comparison))
  extras = [*(section for section in sections if section), *extras]
  tables = [accuracy, change, datasets, closer, scaling, content_lib.metric_table(comparison, summary)]
  made = content_lib.made_table(comparison)
  content = {
    'finding': words.finding(comparison, summary),
    'models': models,
    'groups': groups,
    'facts': words.facts(comparison),
    'warnings': words.warnings(comparison),
    'interval_note': words.intervals_note(comparison),
    'overview': overview,
    'accuracy': accuracy,
    'change': change,
    'change_chart': charts.changes(changes) if changes else None,
    'planes': [
      {'model': m, 'svg': charts.paired(comparison.phrasings, models[0], m, models.index(m))}
      for m in comparison.paired[:3]
    ]
    if change
    else [],
    'datasets': datasets,
    'dataset_charts': charts.dumbbells(pairs),
    'chart_ends': charts.limits([v for row in pairs for v in row[1:]]),
    'strips': charts.strips(comparison.phrasings, models),
    'extremes': extremes,
    'no_examples': no_examples,
    'closer': closer,
    'families': families,
    'scaling': scaling,
    'scaling_chart': charts.scaling(families, models, groups) if families else None,
    'extras': extras,
    'metrics_by_group': tables[-1],
    'phrasings': content_lib.phrasing_table(comparison),
    'phrasing_limit': _PHRASINGS,
    'methods': words.methods(comparison),
    'made': made,
    'records': comparison.records,
    'model_list': markupsafe.Markup(json.dumps(list(models)).replace('<', '\\u003c')),
    'definitions': svg.definitions(),
    'key': svg.key,
    'observed': comparison_lib.OBSERVED,
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
  from robust_t5x.analysis import comparison as comparison_lib
  from robust_t5x.reports import content as content_lib

  focus = content_lib.focus_of(groups)
  observed = (
    groups.index(comparison_lib.OBSERVED)
    if comparison_lib.OBSERVED in groups and focus != comparison_lib.OBSERVED
    else None
  )
  return [
    (models.index(row[1]), None if observed is None else row[2 + observed], row[2 + groups.index(focus)])
    for row in datasets.rows
  ]


def _extremes(comparison) -> tuple[list[dict[str, Any]], str]:
  """Best and worst phrasings with outputs, and why there are no outputs, if so."""
  from robust_t5x.reports import content as content_lib
  from robust_t5x.results import schema

  found = content_lib.extremes(comparison)
  if comparison.grain != schema.EXAMPLE:
    why = 'Outputs need the answers to every example; these inputs have accuracies per phrasing.'
    return [item | {'examples': []} for item in found], why
  table = comparison.of(comparison.models[0]).sources[0].table
  table = table[table['instruction_id'].isin({item[end]['id'] for item in found for end in ('best', 'worst')})]
  for item in found:
    item['examples'] = content_lib.examples(table, item['best']['id'], item['worst']['id'], item['dataset'])
  return found, ''
