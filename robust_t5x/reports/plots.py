"""The pictures of a report as files, PNG and PDF; the one module that draws with matplotlib."""

from collections.abc import Sequence
import io
import os

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
import matplotlib.pyplot as plt
from matplotlib.ticker import EngFormatter, NullFormatter, ScalarFormatter
import numpy as np
import pandas as pd

from robust_t5x.analysis.representation import ANSWER, INPUT, Representation
from robust_t5x.reports.escaping import picture
from robust_t5x.reports.inputs import Inputs, focus_of
from robust_t5x.reports.scaling import Family
from robust_t5x.reports.summary import Summary
from robust_t5x.reports.uncertainty import PARTS, Row
from robust_t5x.results.schema import OBSERVED
from robust_t5x.runtime.files import write_atomically

matplotlib.use('Agg')

# Okabe and Ito, after a neutral one; every model has a shape besides.
COLOURS = ('#4c4c4c', '#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9')
SHAPES = ('o', 's', '^', 'D', 'v', 'P', 'p', 'X')
_MOST_DATASETS = 40  # drawn one by one; of more, those with the widest spread
plt.rcParams['pdf.fonttype'] = 42  # fonts that journals accept
plt.rcParams['text.parse_math'] = False  # a name with dollars is no formula


def colour(model: int) -> str:
  """Colour of a model's marks."""
  return COLOURS[model % len(COLOURS)]


def marker(model: int) -> str:
  """Shape of a model's marks."""
  return SHAPES[model % len(SHAPES)]


def save(figure: Figure, stem: str, endings: Sequence[str] = ('png', 'pdf')) -> None:
  """Writes a figure as PNG and PDF, or in the formats that are named, and closes it."""
  for ending in endings:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=ending, dpi=150)
    write_atomically(f'{stem}.{ending}', buffer.getvalue())
  plt.close(figure)


def write_all(
  inputs: Inputs, summary: Summary, families: Sequence[Family], uncertainties: Sequence[Row], out: str
) -> None:
  """Writes `plot`, and what else there is to draw (`paired`, `scaling`, `uncertainty`), each as PNG and PDF."""
  save(overview(inputs, summary), os.path.join(out, 'plot'))
  if inputs.paired:
    save(paired(inputs), os.path.join(out, 'paired'))
  if families:
    save(scaling(families, inputs), os.path.join(out, 'scaling'))
  known = [row for row in uncertainties if row.found.shares]
  if known:
    save(uncertainty(known), os.path.join(out, 'uncertainty'))


def overview(inputs: Inputs, summary: Summary) -> Figure:
  """Accuracy overall and under every phrasing.

  Left: mean accuracy of each model under each group with its 95% interval. Right: for each dataset the accuracy of
  every phrasing of the group of interest, a row of marks for each model, with the mean as a bar.
  """
  models, groups, frame = inputs.models, inputs.groups, inputs.phrasings
  focus = focus_of(groups)
  frame = frame[frame['group'] == focus]
  datasets = list(frame['dataset'].unique())
  if len(datasets) > _MOST_DATASETS:
    spread = frame.groupby('dataset')[list(models)].agg(lambda a: a.max() - a.min()).max(axis=1)
    datasets = spread.sort_values(ascending=False, kind='stable').index[:_MOST_DATASETS].tolist()
  crowded = len(groups) > 3  # as with perturbations: upright names, which do not run into each other
  height = min(
    max(4.4 if crowded else 3.2, 1.2 + 0.17 * len(datasets) * (len(models) + 0.8), 1.4 + 0.22 * len(models)), 40
  )
  figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, height), width_ratios=(1, 1.7), constrained_layout=True)
  for m, model in enumerate(models):
    label: str | None = picture(model)
    for g, group in enumerate(groups):
      value = summary.values[model, group, 'AvgP']
      if not value.is_known:
        continue
      x = g + (m - (len(models) - 1) / 2) * min(0.16, 0.7 / len(models))
      low, high = (value.low, value.high) if value.has_ends else (value.estimate, value.estimate)
      error = [[100 * max(value.estimate - low, 0)], [100 * max(high - value.estimate, 0)]]
      left.errorbar(
        x, 100 * value.estimate, error, fmt=marker(m), color=colour(m), capsize=3, markersize=5,
        label=label,
      )  # fmt: skip
      label = None  # that of its first mark
      if len(models) < 4:
        left.annotate(
          f'{100 * value.estimate:.1f}', (x, 100 * high), xytext=(0, 5), textcoords='offset points', ha='center',
          va='bottom', rotation=90, fontsize=8,
        )  # fmt: skip
  left.margins(y=0.2 if crowded else 0.12)  # room for the topmost label
  names = [picture(group) if crowded else f'{picture(group)}\nphrasings' for group in groups]
  left.set_xticks(range(len(groups)), names, rotation=90 if crowded else 0)
  left.set_xlim(-0.6, len(groups) - 0.4)
  left.set_ylabel('accuracy in %, mean over datasets')
  left.set_title('Overall, with 95% intervals', fontsize=10)
  left.legend(frameon=False, fontsize=9 if len(models) < 8 else 7, loc='best')

  step = len(models) + 0.8
  for d, dataset in enumerate(datasets):
    part = frame[frame['dataset'] == dataset]
    for m, model in enumerate(models):
      y = -(d * step + m)
      accuracy = 100 * part[model].dropna().to_numpy()
      if not len(accuracy):
        continue
      right.plot([accuracy.min(), accuracy.max()], [y, y], color=colour(m), linewidth=1, alpha=0.5, zorder=1)
      right.scatter(
        accuracy, np.full(len(accuracy), y), s=14, color=colour(m), marker=marker(m), alpha=0.55, linewidths=0, zorder=2,
        rasterized=len(accuracy) > 500,
      )  # fmt: skip
      right.plot(accuracy.mean(), y, marker='|', markersize=9, markeredgewidth=2.2, color=colour(m), zorder=3)
  centre = (len(models) - 1) / 2
  right.set_yticks([-(d * step + centre) for d in range(len(datasets))], map(picture, datasets), fontsize=8)
  right.set_xlim(-2, 102)
  right.set_xlabel('accuracy in %')
  right.set_title(f'Each mark one of the {picture(focus)} phrasings, the bar their mean', fontsize=10)
  right.grid(axis='x', linewidth=0.4, alpha=0.6)
  _open(left, right)
  return figure


def paired(inputs: Inputs) -> Figure:
  """Every phrasing's accuracy with the first model (across) and with each other one (up)."""
  first, others = inputs.models[0], inputs.paired[:3]
  figure, panels = plt.subplots(
    1, len(others), figsize=(4.2 * len(others), 4.2), squeeze=False, sharey=True, constrained_layout=True
  )
  for axes, model in zip(panels[0], others, strict=True):
    m = inputs.models.index(model)
    for g, (group, part) in enumerate(inputs.phrasings.groupby('group', sort=False)):
      axes.scatter(
        100 * part[first], 100 * part[model], s=18, marker=SHAPES[g % len(SHAPES)], alpha=0.7, linewidths=1,
        facecolors='none' if group == OBSERVED else colour(m), edgecolors=colour(m), label=picture(group),
        rasterized=len(part) > 2000,
      )  # fmt: skip
    axes.plot([0, 100], [0, 100], color='#777777', linewidth=0.8, linestyle='--', zorder=0)
    axes.set(
      xlim=(-2, 102),
      ylim=(-2, 102),
      xlabel=f'{picture(first)}, accuracy in %',
      ylabel=f'{picture(model)}, accuracy in %',
    )
    axes.legend(frameon=False, fontsize=8, title='phrasings', title_fontsize=8)
  _open(*panels[0])
  return figure


def scaling(families: Sequence[Family], inputs: Inputs) -> Figure:
  """Accuracy against parameters, a line for each family and group."""
  figure, axes = plt.subplots(figsize=(5.4, 3.8), constrained_layout=True)
  for f, family in enumerate(families):
    for g, group in enumerate(inputs.groups):
      path = [(x.parameters, 100 * x.values[group]) for x in family.members if group in x.values]
      if path:
        axes.plot(
          *zip(*path, strict=True), color=colour(f + 1), marker=SHAPES[g % len(SHAPES)], label=picture(f'{family.name}, {group}'),
          linestyle='--' if group == OBSERVED else '-',
          markerfacecolor='white' if group == OBSERVED else None,
        )  # fmt: skip
  axes.set(xscale='log', xlabel='parameters', ylabel='accuracy in %, mean over datasets')
  axes.xaxis.set_major_formatter(EngFormatter(sep=''))  # matplotlib's own is a formula
  axes.xaxis.set_minor_formatter(NullFormatter())
  axes.legend(frameon=False, fontsize=8)
  axes.grid(linewidth=0.4, alpha=0.6)
  _open(axes)
  return figure


def differences(table: pd.DataFrame, groups: Sequence[str]) -> Figure:
  """Differences with their intervals around zero, a panel for each group.

  Args:
    table: of analysis.effects.effects.
    groups: in the order of the panels.
  """
  rows = list(table['dataset'].unique())
  height = min(max(2.4, 1.1 + 0.24 * len(rows)), 40)
  figure, panels = plt.subplots(
    1, len(groups), figsize=(2.2 + 3.2 * len(groups), height), squeeze=False, sharey=True, constrained_layout=True
  )
  for g, (axes, group) in enumerate(zip(panels[0], groups, strict=True)):
    part = table[table['group'] == group]
    y = [-rows.index(d) for d in part['dataset']]
    error = 100 * np.abs(np.stack([part['difference'] - part['low'], part['high'] - part['difference']]))
    axes.errorbar(
      100 * part['difference'],
      y,
      xerr=np.nan_to_num(error),
      fmt=marker(g),
      color=colour(g + 1),
      capsize=2,
      markersize=5,
    )
    axes.axvline(0, color='#777777', linewidth=0.8)
    axes.set_title(f'{picture(group)} phrasings', fontsize=10)
    axes.set_xlabel('difference in points')
    axes.grid(axis='x', linewidth=0.4, alpha=0.6)
  panels[0][0].set_yticks([-i for i in range(len(rows))], map(picture, rows), fontsize=8)
  _open(*panels[0])
  return figure


def uncertainty(rows: Sequence[Row]) -> Figure:
  """Half the interval of each mean accuracy as a bar, cut by the shares of its variance."""
  figure, axes = plt.subplots(figsize=(7.5, min(1.3 + 0.34 * len(rows), 40)), constrained_layout=True)
  for y, row in enumerate(rows):
    start, half = 0.0, 100 * row.found.half_width
    for part, series in zip(PARTS, (2, 1, 0, 3), strict=True):
      share = row.found.shares.get(part, 0.0)
      axes.barh(-y, share * half, left=start, height=0.7, color=COLOURS[series], label=part if y == 0 else None)
      if share >= 0.15:
        axes.text(
          start + share * half / 2, -y, f'{100 * share:.0f}%', ha='center', va='center', color='white', fontsize=8
        )
      start += share * half
  axes.set_yticks([-y for y in range(len(rows))], [picture(f'{r.model}, {r.group}') for r in rows], fontsize=8)
  axes.set_xlabel('half of the 95% interval of the mean accuracy, in points, cut by shares of its variance')
  axes.legend(frameon=False, fontsize=8, ncols=4, loc='lower left', bbox_to_anchor=(0, 1))
  _open(axes)
  return figure


def frontier(designs: Sequence[tuple[int, int, int]], have: tuple[int, int]) -> Figure:
  """Designs that will do, more phrasings to the right and more examples up; and what is at hand.

  Args:
    designs: (phrasings, examples, rows) of each.
    have: phrasings and examples at hand.
  """
  figure, axes = plt.subplots(figsize=(6.4, 4.2), constrained_layout=True)
  phrasings, examples, rows = zip(*designs, strict=True)
  best = rows.index(min(rows))
  axes.plot(phrasings, examples, color=COLOURS[1], marker='o', markersize=4, label='will do')
  axes.plot(phrasings[best], examples[best], 'D', color=COLOURS[2], markersize=8, label=f'fewest rows: {rows[best]:,}')
  axes.plot(*have, 'x', color=COLOURS[0], markersize=8, markeredgewidth=2, label='at hand')
  for i in {0, best, len(designs) - 1}:
    axes.annotate(
      f'{rows[i]:,} rows', (phrasings[i], examples[i]), xytext=(5, 6), textcoords='offset points', fontsize=8
    )
  axes.set(xscale='log', yscale='log', xlabel='phrasings of each group', ylabel='examples of each dataset')
  for axis in (axes.xaxis, axes.yaxis):
    axis.set_major_formatter(ScalarFormatter())
    axis.set_minor_formatter(NullFormatter())
  axes.set_xticks(sorted({*phrasings[:: max(len(phrasings) // 6, 1)], have[0]}))
  ends = min(*examples, have[1]), max(*examples, have[1])
  axes.set_yticks([t for t in (m * 10**e for e in range(7) for m in (1, 2, 5)) if ends[0] / 2 < t < ends[1] * 2])
  axes.grid(linewidth=0.4, alpha=0.6)
  axes.legend(frameon=False, fontsize=8)
  _open(axes)
  return figure


def representation_map(found: Representation) -> Figure:
  """The phrasings on two principal components: a column for each model, the decoder above the encoder."""
  frame = found.phrasings
  models, datasets = list(frame['model'].unique()), list(frame['dataset'].unique())
  figure, panels = plt.subplots(
    2,
    len(models),
    figsize=(4.4 * len(models) + 1.6, 8),
    squeeze=False,
    sharex='row',
    sharey='row',
    constrained_layout=True,
  )
  for row, (place, x, y) in zip(panels, ((ANSWER, 'x', 'y'), (INPUT, 'u', 'v')), strict=True):
    for axes, model in zip(row, models, strict=True):
      for d, dataset in enumerate(datasets):
        part = frame[(frame['model'] == model) & (frame['dataset'] == dataset)]
        for observed in (True, False):
          one = part[(part['group'] == OBSERVED) == observed]
          axes.scatter(
            one[x], one[y], s=26, marker=marker(d), linewidths=1, edgecolors=colour(d), alpha=0.8,
            facecolors='none' if observed else colour(d), label=None if observed else picture(dataset),
          )  # fmt: skip
      axes.set_title(f'{picture(model)}, {place}', fontsize=10)
      axes.set(xticks=[], yticks=[])
  handles, labels = panels[0][0].get_legend_handles_labels()
  if len(labels) <= 24:
    figure.legend(handles, labels, loc='outside right upper', frameon=False, fontsize=8)
  _open(*panels.ravel())
  return figure


def _open(*panels: Axes) -> None:
  for axes in panels:
    axes.spines[['top', 'right']].set_visible(False)
