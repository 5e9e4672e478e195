"""The checkpoints of a run: the newest stay, with the position in the data."""

import pathlib

import numpy as np

from robust_t5x.checkpoints import runs


class Position:
  """Stands for the iterator over the data: writes and reads one number."""

  def __init__(self, at=0):
    self.at = at

  def save(self, path):
    pathlib.Path(path).write_text(str(self.at))

  def restore(self, path):
    self.at = int(pathlib.Path(path).read_text())


def _state(value):
  return {'params': np.full((2, 3), value, np.float32), 'step': np.asarray(value, np.int32)}


def test_the_newest_checkpoints_stay_and_are_read_back(tmp_path):
  checkpoints = runs.RunCheckpoints(str(tmp_path), keep=2)
  assert checkpoints.latest_step() is None
  for step in (1, 2, 3):
    checkpoints.save(step, _state(step), Position(10 * step))
  checkpoints.save(3, _state(9), Position(90))  # a step that was written stays as it is
  checkpoints.close()

  again = runs.RunCheckpoints(str(tmp_path), keep=2)
  assert again.latest_step() == 3
  for step in (2, 3):
    position = Position()
    state = again.restore(step, _state(0), position)
    np.testing.assert_array_equal(state['params'], _state(step)['params'])
    assert int(state['step']) == step and position.at == 10 * step
  again.close()
  assert {path.name for path in (tmp_path / 'checkpoints').iterdir() if path.name.isdigit()} == {'2', '3'}
  assert {path.name for path in (tmp_path / 'data_iterator').iterdir()} == {'2-0-of-1', '3-0-of-1'}
