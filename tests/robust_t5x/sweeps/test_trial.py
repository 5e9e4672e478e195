"""One trial of a sweep on disk."""

import json

import pytest

from robust_t5x.results.schema import ResultsError
from robust_t5x.sweeps import grid
from robust_t5x.sweeps.trial import TrialRun, failure, is_evaluated, read_trial

DESCRIPTION = {
  'checkpoint': 'bundled', 'steps': 5, 'seed': 0, 'parameters': 7, 'adapter': True, 'backbone': False, 'config': 'A = 2\n',
}  # fmt: skip


def _find(out, description=DESCRIPTION):
  (trial,) = grid.trials(['a.gin'], {}, [grid.parse_axis('X=1')])
  return TrialRun.find(str(out), trial, description, ['e.gin'], {}, ())


def test_a_trial_is_found_again_by_its_hash(tmp_path):
  new = _find(tmp_path)
  assert new.status == 'not started' and not list(tmp_path.iterdir())
  (tmp_path / 'trials' / f'renamed-{new.directory[-8:]}').mkdir(parents=True)
  assert _find(tmp_path).directory.endswith(f'renamed-{new.directory[-8:]}')


def test_the_evaluation_reads_what_training_leaves(tmp_path):
  adapter = _find(tmp_path)
  (product,) = adapter.products
  assert product.endswith('train/adapter.safetensors')
  assert (
    f"--gin.ADAPTER='{product}'" in adapter.evaluate and "--gin.INITIAL_CHECKPOINT_PATH='bundled'" in adapter.evaluate
  )
  whole = _find(tmp_path, DESCRIPTION | {'adapter': False, 'backbone': True})
  (product,) = whole.products
  assert f"--gin.INITIAL_CHECKPOINT_PATH='{product}'" in whole.evaluate and "--gin.ADAPTER='none'" in whole.evaluate


def test_settings_that_changed_since_are_named(tmp_path):
  trial = _find(tmp_path)
  (tmp_path / trial.directory / 'train').mkdir(parents=True)
  for path, text in (('config.gin', 'A = 1\n'), ('adapter.safetensors', '')):
    (tmp_path / trial.directory / 'train' / path).write_text(text)
  trial.record['trained'] = True
  assert trial.drift == 'A was 1, is 2' and trial.status == 'trained'


def test_records_and_logs(tmp_path):
  assert read_trial(str(tmp_path)) is None and not is_evaluated(str(tmp_path))
  (tmp_path / 'trial.json').write_text('{')
  with pytest.raises(ResultsError, match='trial.json is not valid JSON'):
    read_trial(str(tmp_path))
  (tmp_path / 'trial.json').write_text('{"label": "x", "trained": "yes", "seconds": 1, "error": null}')
  with pytest.raises(ResultsError, match="trial.json: trained is 'yes', not bool; delete .* to run this trial again"):
    read_trial(str(tmp_path))
  for finished in (None, 'now'):
    (tmp_path / 'run.json').write_text(json.dumps({'finished': finished}))
    assert is_evaluated(str(tmp_path)) == bool(finished)
  log = tmp_path / 'train.log'
  log.write_text('training\nValueError: no\nerror: the loss was not finite\nbye\n')
  assert failure(str(log), 2) == 'the loss was not finite (status 2)'
