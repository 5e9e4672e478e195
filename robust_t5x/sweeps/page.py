"""The page of a sweep: response curves, a table that sorts, the command of every trial."""

from collections.abc import Mapping, Sequence
import dataclasses
import os

import jinja2
from markupsafe import Markup
import numpy as np
import pandas as pd
from scipy import stats

from robust_t5x.reports.tables import percent
from robust_t5x.runtime.files import write_atomically
from robust_t5x.sweeps.charts import COLOURS, Point, Series, draw, marker
from robust_t5x.sweeps.grid import Shown
from robust_t5x.sweeps.table import BASELINE, GAP, TRIAL, caution

SELECTION = 'development AvgP'
_DRAWN = ('AvgP', 'worst phrasing', 'sd', 'spread', 'CPS', 'case-level worst')
_TABLED = ('AvgP', 'worst phrasing', 'sd')
_LEVEL = 0.95
_FEWEST = 3  # seeds from which on an interval is given
Axes = Mapping[str, Sequence[Shown]]  # axis -> its values in order, without the seed
_TEMPLATES = os.path.join(os.path.dirname(__file__), 'templates')


@dataclasses.dataclass(frozen=True)
class Setting:
  """The finished trials that differ in nothing but the seed.

  Attributes:
    values: axis -> value.
    trials: a row of the table for each.
  """

  values: Mapping[str, Shown]
  trials: pd.DataFrame

  @property
  def label(self) -> str:
    """The values in a line."""
    return ', '.join(f'{k}={v}' for k, v in self.values.items()) or 'trained'

  def point(self, metric: str) -> Point:
    """A metric over the seeds that have it; its mean is NaN where none has."""
    found = self.trials[['seed', metric]].dropna()
    values = found[metric].to_numpy(float)
    low, high = interval(values)
    mean = float(values.mean()) if len(values) else np.nan
    return Point(dict(zip(found['seed'], values.tolist(), strict=True)), mean, low, high)


def interval(values: np.ndarray) -> tuple[float | None, float | None]:
  """95% interval of a mean over seeds by Student's t, or (None, None) for fewer than three.

  It says how far another set of seeds may lie, over the same examples and phrasings.
  """
  n = len(values)
  if n < _FEWEST:
    return None, None
  half = stats.t.ppf((1 + _LEVEL) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n)
  return float(values.mean() - half), float(values.mean() + half)


def write(path: str, table: pd.DataFrame, axes: Axes, command: str) -> None:
  """Writes the page.

  Args:
    path: of the HTML file.
    table: see table.build.
    axes: axis -> its values in order, without the seed.
    command: that made the sweep.
  """
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_TEMPLATES), trim_blocks=True, lstrip_blocks=True,
    undefined=jinja2.StrictUndefined, autoescape=True,
  )  # fmt: skip
  environment.filters |= {'percent': percent, 'number': number}
  write_atomically(path, environment.get_template('sweep.html.j2').render(contents(table, axes, command)))


def contents(table: pd.DataFrame, axes: Axes, command: str) -> dict[str, object]:
  """Everything that the page says."""
  baselines = table[table['kind'] == BASELINE]
  trials = table[table['kind'] == TRIAL]
  settings = settings_of(trials, axes)
  groups = [g for g in dict.fromkeys(c.removesuffix(' AvgP') for c in table if c.endswith(' AvgP'))]
  drawn = [f'{g} {m}' for m in _DRAWN for g in groups if f'{g} {m}' in table]
  drawn += [GAP] if GAP in table else []
  drawn = [m for m in drawn if any(s.trials[m].notna().any() for s in settings)]
  first = next((m for m in (SELECTION, 'unobserved AvgP') if m in drawn), drawn[0] if drawn else None)
  references = {m: baselines.dropna(subset=m).set_index('trial')[m].to_dict() for m in drawn}
  tabled = [m for m in drawn if m.endswith(_TABLED) and not m.endswith('case-level sd') or m == GAP]
  return {
    'finding': finding(trials, settings, baselines),
    'caution': caution(table),
    'metrics': drawn,
    'first': first,
    'charts': {
      axis: {
        metric: draw(values, _series(settings, axis, metric), references[metric], f'{metric} against {axis}')
        for metric in drawn
      }
      for axis, values in axes.items()
      if settings
    },
    'legends': {axis: _legend(settings, axis) for axis in axes},
    'tabled': tabled,
    'axes': list(axes),
    'baselines': baselines.to_dict('records'),
    'settings': [
      {
        'at': setting.values,
        'seeds': len(setting.trials),
        'points': {m: setting.point(m) for m in tabled},
        'steps': int(setting.trials['steps'].iloc[0]),
        'seconds': float(setting.trials['train_seconds'].mean()),
        'parameters': int(setting.trials['parameters'].iloc[0]),
      }
      for setting in settings
    ],
    'trials': trials.to_dict('records'),
    'any_interval': any(len(s.trials) >= _FEWEST for s in settings),
    'command': command,
    'fewest': _FEWEST,
  }


def settings_of(trials: pd.DataFrame, axes: Axes) -> list[Setting]:
  """The settings that have a finished trial, in the order of the table."""
  finished = trials[trials['status'] == 'finished']
  if not axes:
    return [Setting({}, finished)] if len(finished) else []
  found = []
  for key, rows in finished.groupby(list(axes), sort=False):
    # The value as it was given: beside a baseline's empty trial, pandas keeps 4 as 4.0.
    values = {axis: next(v for v in axes[axis] if v == value) for axis, value in zip(axes, key, strict=True)}
    found.append(Setting(values, rows))
  return found


def best(settings: Sequence[Setting]) -> Setting | None:
  """The setting with the highest mean accuracy under development phrasings; None where one has none.

  Unobserved phrasings are what a sweep is judged by at the end, so nothing is chosen by them.
  """
  if not settings or not all(SELECTION in s.trials and s.trials[SELECTION].notna().all() for s in settings):
    return None
  return max(settings, key=lambda s: s.trials[SELECTION].mean())


def finding(trials: pd.DataFrame, settings: Sequence[Setting], baselines: pd.DataFrame) -> str:
  """How far the sweep is and, if it may be said, which setting is best."""
  finished, failed = ((trials['status'] == s).sum() for s in ('finished', 'failed'))
  text = f'{finished} of {len(trials)} trials are finished' + (f', {failed} failed' if failed else '')
  text += f': {len(settings)} settings.' if len(settings) != 1 else ': 1 setting.'
  if len(settings) < 2:
    return text
  chosen = best(settings)
  if chosen is None:
    return text + (
      ' No setting is named best: that takes development phrasings, since unobserved ones are for the final measurement '
      'and observed ones do not show the effect.'
    )
  mean = chosen.trials[SELECTION].mean()
  so_far = '' if finished == len(trials) else ' so far'
  text += f' The highest accuracy under development phrasings{so_far}, {percent(mean)}, is that of {chosen.label}'
  if len(baselines) == 1 and baselines[SELECTION].notna().all():
    text += f' ({percent(baselines[SELECTION].iloc[0])} without adapter)'
  return text + '. It is the highest of several, so a new measurement is likely to be a little lower.'


def number(value: float | None) -> str:
  """A count with separators; nothing for a value that is absent."""
  return '' if value is None or pd.isna(value) else f'{value:,.0f}'


def _series(settings: Sequence[Setting], axis: str, metric: str) -> list[Series]:
  """A series for each combination of the other axes' values."""
  found: dict[str, dict[object, Point]] = {}
  for setting in settings:
    points = found.setdefault(_rest(setting, axis), {})  # also where it has none: its place gives the colour
    if setting.trials[metric].notna().any():
      points[setting.values[axis]] = setting.point(metric)
  return [Series(label, points) for label, points in found.items()]


def _legend(settings: Sequence[Setting], axis: str) -> list[tuple[Markup, str]]:
  labels = list(dict.fromkeys(_rest(setting, axis) for setting in settings))
  if len(labels) < 2 or len(labels) > COLOURS:
    return []
  return [(marker(index), label) for index, label in enumerate(labels)]


def _rest(setting: Setting, axis: str) -> str:
  return ', '.join(f'{k}={v}' for k, v in setting.values.items() if k != axis)
