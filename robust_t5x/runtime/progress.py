"""Progress of long work: a bar on a terminal, a line now and then elsewhere."""

import contextlib
import sys
import time
from typing import Protocol, TextIO

from robust_t5x.runtime import processes, terminal
from seqio_tasks.errors import shorten


class OnDone(Protocol):
  """Called now and then with how many units of work were done since; `known` ones took no time."""

  def __call__(self, amount: float, *, known: bool = False) -> None: ...


def untold(amount: float, *, known: bool = False) -> None:
  """An OnDone that shows nothing."""


class Progress:
  """Shows how far a loop is, how fast it goes and when it will be done."""

  def __init__(self, label: str, total: int | None, start: int = 0, interval: float = 10.0, window: float = 30.0):
    """Begins.

    Args:
      label: what is being done.
      total: units of work in all; None if that is not known.
      start: units done before, by an earlier run.
      interval: seconds between lines where the output is not a terminal.
      window: seconds whose pace a terminal's estimate goes by; more than a unit of work takes.
    """
    self._label, self._total, self._done = label, total, float(start)
    self._start, self._began = float(start), time.monotonic()
    self._interval, self._shown = interval, self._began
    self._bar = None
    self._silent = not processes.is_main()
    if not self._silent and _is_terminal(sys.stderr):
      from rich import console
      from rich import progress as rich_progress

      columns = (
        rich_progress.TextColumn('{task.description}', markup=False),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TimeRemainingColumn(),
        rich_progress.TextColumn('{task.fields[note]}', markup=False),
      )
      self._bar = rich_progress.Progress(
        *columns, console=console.Console(file=terminal.raw(sys.stderr)), transient=True, speed_estimate_period=window,
        redirect_stdout=_is_terminal(sys.stdout),
      )  # fmt: skip
      self._task = self._bar.add_task(shorten(label), total=total, completed=start, note='')

  def __enter__(self):
    if self._bar:
      self._bar.start()
    return self

  def __exit__(self, *unused):
    if self._bar:
      with contextlib.suppress(OSError):  # of a terminal that is gone, which must not hide why the work ends
        self._bar.stop()

  def advance_of(self, whole: int, amount: float, *, known: bool = False, note: str = '') -> None:
    """Counts parts of a unit that has `whole` of them."""
    self.advance(amount / whole, note, known)

  def advance(self, amount: float = 1, note: str = '', known: bool = False) -> None:
    """Counts units of work; `note` is shown beside. The pace does not go by `known` ones, which were done before."""
    self._done = round(self._done + amount, 9)  # parts add up to a whole
    if known:
      self._start += amount
    if self._bar:
      if known:
        self._bar.reset(self._task, completed=int(self._done))
      self._bar.update(self._task, completed=self._done, note=shorten(note))
      return
    now = time.monotonic()
    if not self._silent and now - self._shown >= self._interval:
      self._shown = now
      reached = f'{self._done:.1f}'.removesuffix('.0')
      if self._total is None:
        reached += ' done'
      else:
        reached += f'/{self._total}'
        if self._done > self._start:
          pace = (self._done - self._start) / (now - self._began)
          reached += f', {(self._total - self._done) / pace:.0f} s left'
      print(
        f'{self._label}: {reached}{"  " + note if note else ""}',
        file=sys.stderr,
        flush=True,
      )


def _is_terminal(stream: TextIO | None) -> bool:
  """Whether a stream is a terminal; None is one that was closed."""
  return stream is not None and stream.isatty()


def log(text: str) -> None:
  """Prints a line on standard error, on the main process."""
  if processes.is_main():
    print(text, file=sys.stderr, flush=True)
