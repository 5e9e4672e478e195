"""Progress where the output is no terminal: a line now and then, by the main process alone."""

import io
import sys
import types

import pytest

from robust_t5x.runtime import processes, progress


@pytest.fixture
def clock(monkeypatch):
  """A clock that a test sets."""
  now = types.SimpleNamespace(seconds=0.0)
  monkeypatch.setattr(progress, 'time', types.SimpleNamespace(monotonic=lambda: now.seconds))
  return now


def test_a_line_says_how_far_and_how_long(clock, capsys):
  with progress.Progress('training', 10, start=4) as bar:
    clock.seconds = 9.0
    bar.advance()
    assert capsys.readouterr().err == ''  # too soon
    clock.seconds = 10.0
    bar.advance(note='loss 1.5')
    # Two of this process's units in 10 s; four are left.
    assert capsys.readouterr().err == 'training: 6/10, 20 s left  loss 1.5\n'
    clock.seconds = 19.0
    bar.advance(2)
    assert capsys.readouterr().err == ''


def test_parts_of_a_unit_count(clock, capsys):
  with progress.Progress('evaluating', 2) as bar:
    clock.seconds = 10.0
    bar.advance_of(4, 1, note='first')
    assert capsys.readouterr().err == 'evaluating: 0.2/2, 70 s left  first\n'
    clock.seconds = 20.0
    bar.advance_of(4, 3, note='first')
    assert capsys.readouterr().err == 'evaluating: 1/2, 20 s left  first\n'


def test_what_was_done_before_is_not_of_the_pace(clock, capsys):
  with progress.Progress('evaluating', 1) as bar:
    clock.seconds = 10.0
    bar.advance_of(1000, 900, known=True)
    assert capsys.readouterr().err == 'evaluating: 0.9/1\n'  # nothing tells how fast it goes
    clock.seconds = 20.0
    bar.advance_of(1000, 20)
    assert capsys.readouterr().err == 'evaluating: 0.9/1, 80 s left\n'


def test_parts_add_up_to_a_whole(clock, capsys):
  with progress.Progress('evaluating', 2) as bar:
    for _ in range(49):  # 49 times 1/49 is less than 1
      clock.seconds += 10.0
      bar.advance_of(49, 1)
  assert 'evaluating: 1/2, 490 s left\n' in capsys.readouterr().err


def test_an_unknown_total_is_not_estimated(clock, capsys):
  with progress.Progress('importing', None, interval=1.0) as bar:
    clock.seconds = 1.0
    bar.advance(3)
  assert capsys.readouterr().err == 'importing: 3 done\n'


@pytest.mark.parametrize('closed', ['stdout', 'stderr'])
def test_a_stream_that_was_closed_is_done_without(closed, monkeypatch):
  class Terminal(io.StringIO):
    def isatty(self):
      return True

  for name in ('stdout', 'stderr'):
    monkeypatch.setattr(sys, name, None if name == closed else Terminal())
  with progress.Progress('training', 10) as bar:
    bar.advance()


def test_only_the_main_process_speaks(clock, capsys, monkeypatch):
  progress.log('heard')
  monkeypatch.setattr(processes, 'is_main', lambda: False)
  progress.log('silent')
  with progress.Progress('training', 10, interval=0.0) as bar:
    clock.seconds = 1.0
    bar.advance()
  said = capsys.readouterr()
  assert (said.out, said.err) == ('', 'heard\n')
