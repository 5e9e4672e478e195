"""The report of one or more evaluations: what goes where in its files, and the files."""

from collections.abc import Sequence
import dataclasses
import os

import jinja2

from robust_t5x.analysis.decisions import MARGIN, SPREAD_MARGIN
from robust_t5x.analysis.statistics import Interval
from robust_t5x.reports import (
  charts,
  choice,
  content,
  escaping,
  perturbations,
  representation,
  robustness,
  room,
  svg,
  uncertainty,
  wording,
  words,
)
from robust_t5x.reports.inputs import Inputs, focus_of, read
from robust_t5x.reports.scaling import Family, find_families, scaling_table
from robust_t5x.reports.sections import Section, agreement, estimated, extraction, sensitivity, stopped
from robust_t5x.reports.summary import Summary, metric_frame, summarise
from robust_t5x.reports.tables import Table, number, percent
from robust_t5x.results.schema import EXAMPLE, OBSERVED
from robust_t5x.runtime.files import write_atomically

_TEMPLATES = os.path.join(os.path.dirname(__file__), 'templates')
_PHRASINGS = 2000  # rows of the page's list of phrasings
_PLANES = 3  # models whose phrasings are set against those of the first
_NO_OUTPUTS = 'Outputs need the answers to every example; these inputs have accuracies per phrasing.'


def write(
  directories: Sequence[str],
  out: str,
  represented: str | None = None,
  epsilon: float = 0.02,
  delta: float = 0.05,
  margin: float = MARGIN,
  spread_margin: float = SPREAD_MARGIN,
) -> str:
  """Writes the report.

  `report.html` stands alone; `report.md`, `tables/*.csv` and `tables/*.tex` hold its tables, `metrics.csv` and
  `phrasings.csv` all numbers, `plot.png`, `plot.pdf` and the like its pictures.

  Args:
    directories: of finished evaluations, what the others are compared with first; those with the same label are seeds
      of one model.
    out: directory to write to, made if absent.
    represented: output of `robust-t5x represent` to take in, or None.
    epsilon: of "phrasings needed": how far the mean over fewer phrasings may be from that over all, as a share.
    delta: probability with which it may be further.
    margin: below which a gap or a change does not matter, as a share.
    spread_margin: the same of the best phrasing less the worst.

  Returns:
    the finding, in one or a few sentences.

  Raises:
    ResultsError: if an evaluation is missing, unfinished, or not of the same cells as the first.
  """
  from robust_t5x.reports import plots

  inputs = read(directories)
  summary = summarise(inputs, margin)
  families = find_families(inputs)
  tables = Tables.of(inputs, summary, families)
  made_of = uncertainty.rows(inputs)
  sections = [
    perturbations.section(inputs),
    robustness.section(inputs, summary, spread_margin),
    room.section(inputs),
    uncertainty.section(made_of),
    choice.section(inputs),
    wording.section(inputs),
    stopped(inputs),
    estimated(inputs),
    sensitivity(inputs, epsilon, delta),
    extraction(inputs),
    agreement(inputs),
  ]
  if represented is not None:
    sections.append(representation.section(representation.read(represented)))
  extras = [section for section in sections if section is not None]
  os.makedirs(os.path.join(out, 'tables'), exist_ok=True)
  plots.write_all(inputs, summary, families, made_of, out)
  write_atomically(os.path.join(out, 'metrics.csv'), escaping.spreadsheet(metric_frame(summary)))
  write_atomically(os.path.join(out, 'phrasings.csv'), escaping.spreadsheet(inputs.phrasings))
  for table in (*tables.saved(), *(table for extra in extras for table in extra.tables)):
    stem = os.path.join(out, 'tables', table.stem)
    write_atomically(stem + '.csv', escaping.spreadsheet(table.frame()))
    write_atomically(stem + '.tex', table.latex())
  everything = contents(inputs, summary, families, tables, extras)
  for name in ('report.html', 'report.md'):
    write_atomically(os.path.join(out, name), render(name, everything))
  return words.finding(inputs, summary)


@dataclasses.dataclass(frozen=True)
class Tables:
  """The tables of a report, None where there is nothing to show."""

  accuracy: Table
  change: Table | None
  datasets: Table
  closer: Table | None
  scaling: Table | None
  metrics: Table
  phrasings: Table
  made: Table

  @classmethod
  def of(cls, inputs: Inputs, summary: Summary, families: Sequence[Family]) -> 'Tables':
    """All of them."""
    return cls(
      accuracy=content.accuracy_table(inputs, summary),
      change=content.change_table(inputs, summary),
      datasets=content.dataset_table(inputs),
      closer=content.group_table(inputs, summary),
      scaling=scaling_table(families, inputs.groups),
      metrics=content.metric_table(inputs, summary),
      phrasings=content.phrasing_table(inputs),
      made=content.made_table(inputs),
    )

  def saved(self) -> list[Table]:
    """Those that are files too: all there are but the phrasings, which have a file of their own."""
    every = (self.accuracy, self.change, self.datasets, self.closer, self.scaling, self.metrics, self.made)
    return [table for table in every if table is not None]


def render(name: str, contents: dict[str, object]) -> str:
  """Fills a template."""
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_TEMPLATES), trim_blocks=True, lstrip_blocks=True,
    undefined=jinja2.StrictUndefined, autoescape=jinja2.select_autoescape(['html.j2']),
  )  # fmt: skip
  environment.filters |= {'percent': percent, 'md': escaping.markdown, 'paragraph': escaping.markdown_paragraph}
  return environment.get_template(name + '.j2').render(contents)


def contents(
  inputs: Inputs, summary: Summary, families: Sequence[Family], tables: Tables, extras: Sequence[Section]
) -> dict[str, object]:
  """Everything that the templates name."""
  models, groups = inputs.models, inputs.groups
  pairs = _pairs(tables.datasets, inputs)
  extremes = content.extremes(inputs)
  return {
    'finding': words.finding(inputs, summary),
    'models': models,
    'groups': groups,
    'facts': words.facts(inputs),
    'warnings': words.warnings(inputs),
    'interval_note': words.intervals_note(inputs),
    'sections': _sections(tables, bool(extremes), extras),
    'overview': charts.overview(models, groups, {k[:2]: v for k, v in summary.values.items() if k[2] == 'AvgP'}),
    'accuracy': tables.accuracy,
    'change': tables.change,
    'change_chart': charts.changes(_changes(inputs, summary)) if summary.changes else None,
    'planes': [
      {'model': model, 'svg': charts.paired(inputs.phrasings, models[0], model, models.index(model))}
      for model in inputs.paired[:_PLANES]
    ],
    'datasets': tables.datasets,
    'dataset_charts': charts.dumbbells(pairs),
    'chart_ends': charts.limits([v for row in pairs for v in row[1:]]),
    'strips': charts.strips(inputs.phrasings, models),
    'extremes': extremes,
    'no_examples': '' if inputs.grain == EXAMPLE else _NO_OUTPUTS,
    'closer': tables.closer,
    'scaling': tables.scaling,
    'scaling_chart': charts.scaling(families, models, groups) if families else None,
    'extras': extras,
    'metrics_by_group': tables.metrics,
    'phrasings': tables.phrasings,
    'phrasing_limit': _PHRASINGS,
    'methods': words.methods(inputs),
    'made': tables.made,
    'records': inputs.records,
    'model_list': charts.as_script(list(models)),
    'definitions': svg.definitions(),
    'key': svg.key,
  }


def _sections(tables: Tables, extremes: bool, extras: Sequence[Section]) -> list[tuple[str, str]]:
  """(anchor, name) of the page's sections that there are."""
  named = [
    ('accuracy', 'Accuracy', True), ('change', 'Change', tables.change is not None), ('datasets', 'By dataset', True),
    ('phrasings', 'Phrasings', True), ('extremes', 'Best and worst', extremes),
    ('groups', 'A closer look', tables.closer is not None), ('scaling', 'Scaling', tables.scaling is not None),
    *((extra.id, extra.title, True) for extra in extras),
    ('metrics', 'All metrics', True), ('list', 'All phrasings', True), ('methods', 'Methods', True),
  ]  # fmt: skip
  return [(anchor, name) for anchor, name, there in named if there]


def _changes(inputs: Inputs, summary: Summary) -> list[tuple[str, int, bool, Interval]]:
  """(label, model, whether an outline, change) of every change against the first model."""
  return [
    (f'{change.model}: {name}', inputs.models.index(change.model), charts.is_hollow(name), value)
    for change in summary.changes
    for name, value in (*change.groups.items(), *([('gap', change.gap)] if change.gap else []))
  ]


def _pairs(datasets: Table, inputs: Inputs) -> list[tuple[int, float | None, float | None]]:
  """(model, observed, unobserved or the group in their place) of each row of the table of datasets."""
  groups, focus = inputs.groups, focus_of(inputs.groups)
  columns = [column.name for column in datasets.columns]
  observed = columns.index(OBSERVED) if OBSERVED in groups and focus != OBSERVED else None
  return [
    (
      inputs.models.index(str(row[columns.index('model')])),
      None if observed is None else number(row[observed]),
      number(row[columns.index(focus)]),
    )
    for row in datasets.rows
  ]
