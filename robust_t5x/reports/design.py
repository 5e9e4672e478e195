"""A design in words, as a table and as a picture; `analysis.design` has the numbers.

A directory holds `design.md`, `design.csv`, `design.tex`, and the frontier as `design.png` and `design.pdf`.
"""

from collections.abc import Sequence
import dataclasses
import os

from robust_t5x.analysis import design
from robust_t5x.analysis.comparison import Comparison
from robust_t5x.analysis.crossed import EXAMPLES, PHRASINGS, SEEDS
from robust_t5x.analysis.design import Design, Question, Variances
from robust_t5x.reports import escaping
from robust_t5x.reports.inputs import focus_of, in_order
from robust_t5x.reports.tables import Cell, Column, Table, percent
from robust_t5x.results.schema import OBSERVED, UNOBSERVED
from robust_t5x.runtime.files import write_atomically
from seqio_tasks.errors import UserError

_DEAREST = 4  # times the fewest rows: designs beyond are not shown


@dataclasses.dataclass(frozen=True)
class Price:
  """What a row costs.

  Attributes:
    seconds: of a machine; None where it is not known.
    tokens: read and written.
    per_million: money for a million tokens.
  """

  seconds: float | None = None
  tokens: float | None = None
  per_million: float | None = None

  def columns(self) -> tuple[Column, ...]:
    """Those that are known."""
    names = (('hours', self.seconds), ('million tokens', self.tokens), ('money', self._money))
    return tuple(Column(name, 'number') for name, known in names if known is not None)

  def cells(self, rows: int) -> tuple[float, ...]:
    """Of a number of rows, for each column."""
    prices = (
      None if self.seconds is None else rows * self.seconds / 3600,
      None if self.tokens is None else rows * self.tokens / 1e6,
      None if self._money is None else rows * self._money,
    )
    return tuple(p for p in prices if p is not None)

  @property
  def _money(self) -> float | None:
    if self.tokens is None or self.per_million is None:
      return None
    return self.tokens * self.per_million / 1e6


@dataclasses.dataclass(frozen=True)
class Answer:
  """What was asked and what came of it.

  Attributes:
    what: is to be shown, in words, such as "the gap of small".
    question: the same as weights.
    margin: as a share.
    power: wanted.
    variances: behind it.
    designs: the frontier.
    price: of a row.
  """

  what: str
  question: Question
  margin: float
  power: float
  variances: Variances
  designs: Sequence[Design]
  price: Price

  @property
  def best(self) -> Design:
    """The cheapest."""
    return design.cheapest(self.variances, self.designs)


def question_of(comparison: Comparison, kind: str | None, group: str | None) -> tuple[str, Question]:
  """What is asked, in words and as weights.

  Args:
    comparison: of one or two models.
    kind: 'mean', 'gap', 'change' or 'gap-change'; None for what the results allow.
    group: of phrasings, of a mean or a change; None for the one of interest.

  Raises:
    UserError: if the results do not allow it.
  """
  models = comparison.models
  if len(models) > 2:
    raise UserError(f'the results are of {len(models)} models: {", ".join(models[:5])}; give those of one or two')
  if kind is None:
    kind = 'change' if len(models) > 1 else 'gap' if comparison.has_gap and group is None else 'mean'
  if (len(models) > 1) != (kind in ('change', 'gap-change')):
    raise UserError(
      f'a {kind} is of {"two models" if len(models) == 1 else "one model"}; the results are of {" and ".join(models)}'
    )
  group = group or focus_of(in_order(comparison.groups))
  if group not in comparison.groups:
    raise UserError(f'the results have no {group} phrasings; --group is one of {", ".join(comparison.groups)}')
  of = {models[-1]: 1.0} | ({models[0]: -1.0} if len(models) > 1 else {})
  if kind in ('gap', 'gap-change'):
    name = f'the gap of {models[-1]}' if kind == 'gap' else f'the change of the gap from {models[0]} to {models[1]}'
    return name, Question({UNOBSERVED: 1.0, OBSERVED: -1.0}, of)
  name = f'the mean of {models[0]}' if kind == 'mean' else f'the change from {models[0]} to {models[1]}'
  return f'{name} under {group} phrasings', Question({group: 1.0}, of)


def answer(
  what: str, question: Question, variances: Variances, margin: float, power: float, seeds: int, price: Price
) -> Answer:
  """The designs that will do.

  Raises:
    UserError: if none does.
  """
  designs = design.frontier(variances, margin, power, question.is_difference, seeds)
  least = min((d.rows(variances) for d in designs), default=0)
  designs = [d for d in designs if d.rows(variances) <= _DEAREST * least]
  if not designs:
    raise UserError(
      f'no design of up to {design.PHRASING_COUNTS[-1]:,} phrasings and {design.MOST_EXAMPLES:,} examples {_aim(margin, power, question)}; '
      'take a greater --margin, or more --seeds where these differ most'
    )
  return Answer(what, question, margin, power, variances, designs, price)


def _aim(margin: float, power: float, question: Question) -> str:
  size = f'{100 * margin:g} point{"" if margin == 0.01 else "s"}'
  return (
    f'shows a difference of {size} with a probability of {power:.0%}'
    if question.is_difference
    else f'is within ±{size}'
  )


def sentences(found: Answer) -> list[str]:
  """The result in a few lines."""
  variances, best = found.variances, found.best
  groups = f' for each of {variances.groups} groups' if variances.groups > 1 else ''
  examples = f' of each of {variances.datasets} datasets' if variances.datasets > 1 else ''
  seeds = f' × {best.seeds} seeds' if best.seeds > 1 else ''
  size = f'{best.phrasings:,} phrasings{groups} × {best.examples:,} examples{examples}{seeds}'
  aim = _aim(found.margin, found.power, found.question)
  lines = [
    f'{found.what[0].upper()}{found.what[1:]}: {size} {aim}. These are {best.rows(variances):,} rows, the fewest of all.'
  ]
  have = Design(round(variances.sizes[PHRASINGS]), round(variances.sizes[EXAMPLES]), round(variances.sizes[SEEDS]))
  at_hand = (
    f'{have.phrasings:,} phrasings × {have.examples:,} examples{f" × {have.seeds} seeds" if have.seeds > 1 else ""}'
  )
  if variances.evaluated < 1:
    lines.append(
      f'At hand are {percent(variances.evaluated)} of the cells of {at_hand}; all of them would have {_does(found, have, variances)}.'
    )
  else:
    lines.append(f'At hand are {at_hand}: {_does(found, have, variances)}.')
  lines.append(
    f'How far phrasings differ is known from few of them, and this is the mean over what it may be. At an upper limit, which holds with '
    f'90%, the cheapest design has {_does(found, best, design.cautious(variances))}.'
  )
  return lines


def _does(found: Answer, size: Design, variances: Variances) -> str:
  half = f'an interval of ±{100 * design.width(variances, size):.1f} points'
  if not found.question.is_difference:
    return half
  return f'a power of {design.chance(variances, size, found.margin):.0%} and {half}'


def table(found: Answer) -> Table:
  """A row for each design of the frontier."""
  tested = found.question.is_difference
  columns = (
    Column('phrasings', 'count'), Column('examples', 'count'), Column('seeds', 'count'), Column('rows', 'count'),
    *([Column('power', 'percent')] if tested else []), Column('interval, points', 'half'),
    Column('of the variance: wording', 'percent'), *found.price.columns(),
  )  # fmt: skip
  rows: list[Sequence[Cell]] = []
  for size in found.designs:
    estimate = design.planned(found.variances, size)
    power = [design.chance(found.variances, size, found.margin)] if tested else []
    wording = max(estimate.share_of(PHRASINGS), 0.0) / estimate.variance if estimate.variance else None
    number = size.rows(found.variances)
    rows.append(
      (
        size.phrasings,
        size.examples,
        size.seeds,
        number,
        *power,
        design.half_width(estimate),
        wording,
        *found.price.cells(number),
      )
    )
  aim = _aim(found.margin, found.power, found.question)
  note = (
    'Phrasings of each group, examples of each dataset, seeds of each model; rows of all models together. A design is left out '
    f'where one with fewer phrasings needs no more examples, or the cheapest has less than a {_DEAREST}th of its rows.'
  )
  return Table('design', f'Designs by which {found.what} {aim}', columns, rows, note)


def write(found: Answer, out: str) -> None:
  """Writes all files of a design."""
  from robust_t5x.reports import plots

  os.makedirs(out, exist_ok=True)
  shown = table(found)
  lines = [
    '# Design',
    *(escaping.markdown_paragraph(line) for line in sentences(found)),
    '![The frontier](design.png)',
    shown.markdown(),
  ]
  write_atomically(
    os.path.join(out, 'design.md'), '\n\n'.join([*lines, escaping.markdown_paragraph(shown.note)]) + '\n'
  )
  write_atomically(os.path.join(out, 'design.csv'), escaping.spreadsheet(shown.frame()))
  write_atomically(os.path.join(out, 'design.tex'), shown.latex())
  points = [(d.phrasings, d.examples, d.rows(found.variances)) for d in found.designs]
  have = (round(found.variances.sizes[PHRASINGS]), round(found.variances.sizes[EXAMPLES]))
  plots.save(plots.frontier(points, have), os.path.join(out, 'design'))
