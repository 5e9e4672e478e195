"""The log of a training run, and a tracker beside it: a stand-in with the calls that wandb and trackio share."""

from helpers import align
import numpy as np
import pytest

from robust_t5x.runtime.errors import UsageError
from robust_t5x.training import tracking

STAND_IN = """
calls = []


class Run:
  def __init__(self, **settings):
    calls.append(settings)

  def log(self, values, step):
    if step == 13:
      raise OSError('no route to host')
    calls.append((step, values))

  def finish(self):
    calls.append('finish')


init = Run
"""


def test_tensorboard_reads_the_numbers(tmp_path):
  from tensorboard.backend.event_processing import event_accumulator
  from tensorboard.util import tensor_util

  log = tracking.Log(str(tmp_path / 'adapter'), None, {})
  log.write(50, {'loss': 0.5, 'accuracy': 0.25})
  log.write(100, {'loss': np.float32(0.375)})
  log.close()
  read = event_accumulator.EventAccumulator(str(tmp_path / 'adapter/tensorboard'))
  read.Reload()
  found = {
    name: [(event.step, tensor_util.make_ndarray(event.tensor_proto).item()) for event in read.Tensors(name)]
    for name in read.Tags()['tensors']
  }
  assert found == {'loss': [(50, 0.5), (100, 0.375)], 'accuracy': [(50, 0.25)]}
  assert {read.SummaryMetadata(name).plugin_data.plugin_name for name in found} == {'scalars'}


@pytest.fixture(params=tracking.TRACKERS)
def tracker(request, tmp_path, monkeypatch):
  """(its name, the calls that it got)."""
  name = request.param
  (tmp_path / 'modules').mkdir()
  (tmp_path / f'modules/{name}.py').write_text(STAND_IN)
  monkeypatch.syspath_prepend(str(tmp_path / 'modules'))
  monkeypatch.delitem(__import__('sys').modules, name, raising=False)
  yield name, __import__(name).calls
  monkeypatch.delitem(__import__('sys').modules, name)


def test_a_run_that_goes_on_is_the_same_run_to_the_tracker(tracker, tmp_path):
  name, calls = tracker
  tracking.check(name)
  for step in (50, 100):
    log = tracking.Log(str(tmp_path / 'adapter'), name, {'seed': 3})
    log.write(step, {'loss': 0.5})
    log.close()
  first, *rest, last = calls
  assert first['project'] == 'robust_t5x' and first['name'].startswith('adapter-') and first['resume'] == 'allow'
  assert first['config'] == {'seed': 3} and first.get('id') == (first['name'] if name == 'wandb' else None)
  assert rest == [(50, {'loss': 0.5}), 'finish', first, (100, {'loss': 0.5})] and last == 'finish'
  assert len(list((tmp_path / 'adapter/tensorboard').iterdir())) == 2


def test_a_tracker_that_fails_is_left_out_with_a_warning(tracker, tmp_path, capsys):
  name, calls = tracker
  log = tracking.Log(str(tmp_path / 'adapter'), name, {})
  for step in (1, 13, 14):
    log.write(step, {'loss': 0.5})
  log.close()
  assert calls[1:] == [(1, {'loss': 0.5})]
  assert capsys.readouterr().err == 'warning: TRACKER: no route to host; the numbers go to TensorBoard alone\n'


def test_a_tracker_that_is_not_known_or_not_installed_is_refused_before_any_work(
  tiny_checkpoint, tmp_path, capsys, monkeypatch
):
  assert align(tiny_checkpoint, tmp_path / 'run', "--gin.TRACKER='mlflow'", steps=1) == 2
  assert "error: TRACKER is 'mlflow'; it is None or one of wandb, trackio" in capsys.readouterr().err
  assert not (tmp_path / 'run').exists()
  monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
  with pytest.raises(UsageError, match='pip install wandb'):
    tracking.check('wandb')
