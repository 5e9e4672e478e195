"""The checkpoints of a run: the newest stay, with the position in the data."""

import errno
import json
import os
import pathlib

import numpy as np
import pytest

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


def _saved(where, *steps):
  checkpoints = runs.RunCheckpoints(str(where), keep=3)
  for step in steps:
    checkpoints.save(step, _state(step), Position(10 * step))
  checkpoints.close()


def test_what_a_kill_left_of_a_checkpoint_goes(tmp_path):
  _saved(tmp_path, 1)
  (tmp_path / 'checkpoints/7.orbax-checkpoint-tmp/default').mkdir(parents=True)
  _saved(tmp_path, 2)  # orbax removes it in the background, and is done before it saves
  assert {path.name for path in (tmp_path / 'checkpoints').iterdir()} == {'1', '2'}


def _damage_arrays(where):
  for file in (where / 'checkpoints/3/default').rglob('*'):
    if file.is_file():
      file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _damage_position(where):
  (where / 'data_iterator/3-0-of-1').write_text('')


def _flip(path):
  """Changes a bit in the middle, which neither the size nor the format tells."""
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)


def _flip_array(where):
  _flip(max((where / 'checkpoints/3/default').rglob('d/*'), key=lambda path: path.stat().st_size))


def _flip_position(where):
  (where / 'data_iterator/3-0-of-1').write_text('31')


def _remove_position(where):
  (where / 'data_iterator/3-0-of-1').unlink()


def _flip_sums(where):
  _flip(where / 'checkpoints/3/sha256.json')


def _empty_checkpoint(where):
  (where / 'checkpoints/4/default').mkdir(parents=True)


def _empty_directory(where):
  (where / 'checkpoints/4').mkdir()


def _foreign_directory(where):
  (where / 'checkpoints/4/params').mkdir(parents=True)
  (where / 'checkpoints/4/state').mkdir()


@pytest.mark.parametrize(
  ('damage', 'good', 'removed'),
  [
    (_damage_arrays, 2, 3), (_damage_position, 2, 3), (_flip_array, 2, 3), (_flip_position, 2, 3), (_remove_position, 2, 3),
    (_flip_sums, 2, 3), (_empty_checkpoint, 3, 4), (_empty_directory, 3, 4), (_foreign_directory, 3, 4),
  ],
)  # fmt: skip
def test_a_damaged_newest_checkpoint_is_told_and_the_one_before_is_taken(damage, good, removed, tmp_path, capsys):
  _saved(tmp_path, 2, 3)
  damage(tmp_path)
  checkpoints = runs.RunCheckpoints(str(tmp_path), keep=3)
  position = Position()
  step, state = checkpoints.restore_newest(_state(0), position)
  assert (step, int(state['step']), position.at) == (good, good, 10 * good)
  said = capsys.readouterr().err
  assert f'warning: {tmp_path}/checkpoints/{removed} is damaged (' in said
  assert said.count('\n') == 2
  assert not (tmp_path / f'checkpoints/{removed}').exists()
  checkpoints.save(removed, _state(7), Position(70))  # the run writes that step again
  assert int(checkpoints.restore(removed, _state(0))['step']) == 7
  checkpoints.close()


def test_a_directory_may_be_named_from_where_the_command_runs(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  _saved('run', 2, 3)
  sums = json.loads(pathlib.Path('run/checkpoints/3/sha256.json').read_text())
  assert {name.split('/')[0] for name in sums} == {'checkpoints', 'data_iterator'}
  checkpoints = runs.RunCheckpoints('run')
  assert checkpoints.restore_newest(_state(0), Position())[0] == 3
  checkpoints.close()


def test_a_checkpoint_without_sums_is_read(tmp_path):
  _saved(tmp_path, 2, 3)
  (tmp_path / 'checkpoints/3/sha256.json').unlink()
  checkpoints = runs.RunCheckpoints(str(tmp_path))
  assert checkpoints.restore_newest(_state(0), Position())[0] == 3
  checkpoints.close()


def test_a_checkpoint_whose_metadata_are_damaged_is_read_without_a_word(tmp_path, capsys, caplog):
  _saved(tmp_path, 2, 3)
  (tmp_path / 'checkpoints/3/_CHECKPOINT_METADATA').write_text('{"')
  checkpoints = runs.RunCheckpoints(str(tmp_path), keep=3)
  step, state = checkpoints.restore_newest(_state(0), Position())
  checkpoints.close()
  assert (step, int(state['step'])) == (3, 3)
  assert not capsys.readouterr().err and not caplog.records


def test_a_signal_while_it_closes_is_not_told_as_a_write_that_failed(tmp_path, monkeypatch, caplog):
  class Asked:
    def map(self, function):
      raise KeyboardInterrupt

  checkpoints = runs.RunCheckpoints(str(tmp_path))
  monkeypatch.setattr(checkpoints._manager, '_finalize_thread', Asked())
  with pytest.raises(KeyboardInterrupt):
    checkpoints.close()
  monkeypatch.undo()
  checkpoints.close()
  assert not caplog.records


def test_a_run_without_a_whole_checkpoint_is_refused_and_a_new_one_starts(tmp_path):
  _saved(tmp_path / 'run', 3)
  _damage_arrays(tmp_path / 'run')
  checkpoints = runs.RunCheckpoints(str(tmp_path / 'run'))
  with pytest.raises(runs.DamagedRunError, match='can be read, of steps 3; delete the directory to train anew'):
    checkpoints.restore_newest(_state(0), Position())
  checkpoints.close()
  assert (tmp_path / 'run/checkpoints/3').exists()
  like = _state(0)
  fresh = runs.RunCheckpoints(str(tmp_path / 'new'))
  assert fresh.restore_newest(like, Position()) == (0, like)
  fresh.close()


def test_what_a_killed_process_left_of_a_position_is_removed(tmp_path):
  left = tmp_path / 'data_iterator/1-0-of-1_temp'
  left.mkdir(parents=True)
  (left / 'part').write_text('x')
  other = tmp_path / 'data_iterator/1-0-of-16.index'
  other.write_text('of another process')
  _saved(tmp_path, 2)
  assert {path.name for path in (tmp_path / 'data_iterator').iterdir()} == {'2-0-of-1', other.name}


def test_another_number_of_processes_goes_on_from_the_same_position(tmp_path):
  """As two processes leave a run: both have saved the position, and the sums name both."""
  _saved(tmp_path, 2)
  own = tmp_path / 'data_iterator/2-0-of-1'
  (tmp_path / 'data_iterator/2-1-of-2').write_bytes(own.read_bytes())
  own.rename(tmp_path / 'data_iterator/2-0-of-2')
  sums = tmp_path / 'checkpoints/2/sha256.json'
  sums.write_text(sums.read_text().replace('2-0-of-1', '2-0-of-2'))
  position = Position()
  checkpoints = runs.RunCheckpoints(str(tmp_path), keep=3)
  step, _ = checkpoints.restore_newest(_state(0), position)
  assert step == 2 and position.at == 20
  checkpoints.close()


def test_a_checkpoint_that_cannot_be_written_is_an_error_that_names_it(tmp_path, monkeypatch):
  _saved(tmp_path, 2)
  checkpoints = runs.RunCheckpoints(str(tmp_path), keep=3)

  def full(path):
    pathlib.Path(path + '_temp').touch()
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  position = Position()
  monkeypatch.setattr(position, 'save', full)
  with pytest.raises(runs.SavingError, match=f'{tmp_path}/checkpoints/3 cannot be written .*No space left.* make room'):
    checkpoints.save(3, _state(3), position)
  assert checkpoints.latest_step() == 2
  checkpoints.save(3, _state(3), Position(30))
  assert checkpoints.latest_step() == 3
  checkpoints.close()
  assert {path.name for path in (tmp_path / 'data_iterator').iterdir()} == {'2-0-of-1', '3-0-of-1'}
