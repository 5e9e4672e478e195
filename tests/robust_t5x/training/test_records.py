"""What a run must be told by: it is written down, and another run in the same place is refused."""

import json
import pathlib

import pytest

from robust_t5x.runtime.errors import UsageError
from robust_t5x.training import records
from seqio_tasks.datasets import readings

BACKBONE = str(pathlib.Path(__file__).parents[2] / 'data/hf_t5/v1_1')
RECORD = {
  'gin_config': 'SEED = 3\n',
  'seed': 3,
  'backbone': {'path': 'a', 'sha256': 'f' * 64},
  'tasks': {'t': 'd' * 64},
  'vocabulary': 'e' * 64,
}


def test_a_record_names_seed_command_and_backbone(monkeypatch):
  monkeypatch.setattr('sys.argv', ['/somewhere/robust-t5x', 'train', 'quickstart'])
  record = records.run_record(3, BACKBONE, {'task': 'a' * 64}, 'v' * 64)
  assert (record['seed'], record['command']) == (3, 'robust-t5x train quickstart')
  assert record['backbone']['path'] == BACKBONE and len(record['backbone']['sha256']) == 64
  assert 'jax' in record['versions']
  assert record['tasks'] == {'task': 'a' * 64} and record['data'] == readings()
  assert records.run_record(3, None, {}, '')['backbone'] is None


def test_it_is_written_beside_the_results(tmp_path):
  records.write_record(str(tmp_path), RECORD)
  assert json.loads((tmp_path / 'run.json').read_text()) == RECORD
  assert (tmp_path / 'config.gin').read_text() == 'SEED = 3\n'
  assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'seed': 4}, 'the seed was 3, is 4. Give another MODEL_DIR, or set what it was'),
    ({'backbone': {'path': 'b', 'sha256': '0' * 64}}, r'the backbone was a \(ffffffffffff\), is b \(000000000000\)'),
    ({'tasks': {'t': '1' * 64}}, 'the data or phrasings of t changed, their hash was dddddddddddd, is 111111111111'),
    ({'tasks': {'t': 'd' * 64, 'u': '1' * 64}}, 'u was not trained on, is. Give'),
    ({'tasks': {'u': '1' * 64}}, 'u was not trained on, is; t was trained on, is not'),
    ({'vocabulary': '1' * 64}, 'the vocabulary, or what stands around texts, changed, its hash was eeeeeeeeeeee, is 1'),
    ({'backbone': None}, 'the backbone was .*, is random weights'),
    ({'backbone': {'path': 'b'}}, r'the backbone was a \(ffffffffffff\), is b \(no hash\)'),
    ({'gin_config': 'SEED = 4\n', 'seed': 4}, r'SEED was 3, is 4\. Give'),
    ({'gin_config': 'SEED = 3\nLEARNING_RATE = 0.3\n'}, 'LEARNING_RATE was not set, is 0.3'),
    (
      {'gin_config': 'SEED = 3\nBATCH_SIZE = 4\nrobust.RobustModel.alignment_objective = @objectives.kl\n'},
      'BATCH_SIZE was not set, is 4; robust.RobustModel.alignment_objective was not set, is @objectives.kl',
    ),
  ],
)
def test_another_run_is_refused(changes, message, tmp_path):
  records.write_record(str(tmp_path), RECORD)
  with pytest.raises(UsageError, match=f'MODEL_DIR: {tmp_path} holds a run with other settings: {message}'):
    records.check_same_run(str(tmp_path), RECORD | changes)


def test_the_same_run_goes_on_wherever_its_backbone_lies(tmp_path):
  records.check_same_run(str(tmp_path), RECORD)  # nothing there yet
  records.write_record(str(tmp_path), RECORD)
  records.check_same_run(str(tmp_path), RECORD | {'backbone': {'path': 'moved', 'sha256': 'f' * 64}})


def test_what_a_run_did_not_record_is_not_compared(tmp_path):
  records.write_record(str(tmp_path), {k: v for k, v in RECORD.items() if k not in ('tasks', 'vocabulary')})
  records.check_same_run(str(tmp_path), RECORD)  # of an earlier version
  records.write_record(str(tmp_path), RECORD)
  records.check_same_run(str(tmp_path), RECORD | {'tasks': {}})  # of a cache, which tells nothing


def test_what_no_result_depends_on_may_change(tmp_path, capsys):
  records.write_record(
    str(tmp_path), RECORD | {'gin_config': 'LR = 0.10\nMODEL_DIR = "a"\nSAVE_PERIOD = 2\nTRAIN_STEPS = 5\n'}
  )
  config = 'LR = 0.1\nMODEL_DIR = "b"\nMICROBATCHES = 2\nTRAIN_STEPS = 9\nschedule.steps = %TRAIN_STEPS\n'
  with pytest.raises(UsageError, match='other settings: schedule.steps was not set, is %TRAIN_STEPS. Give'):
    records.check_same_run(str(tmp_path), RECORD | {'gin_config': config})
  records.write_record(str(tmp_path), RECORD | {'gin_config': config.replace('9', '5'), 'versions': {'jax': '1'}})
  records.check_same_run(str(tmp_path), RECORD | {'gin_config': config, 'versions': {'jax': '2'}})
  said = capsys.readouterr().err
  assert 'TRAIN_STEPS was 5, is 9: the run changes its length; so does schedule.steps from here on' in said
  assert 'warning: jax was 1, is 2' in said


def test_microbatches_stay_where_the_objective_sees_them(tmp_path):
  config = 'ALIGNMENT_OBJECTIVE = @objectives.{}\nMICROBATCHES = {}\nobjectives.info_nce.temperature = 0.1\n'
  for name in (
    'kl',
    'info_nce',
    'weighted_sum()\nobjectives.weighted_sum.terms = [@objectives.kl, @objectives.info_nce]',
  ):
    records.write_record(str(tmp_path), RECORD | {'gin_config': config.format(name, 1)})
    other = RECORD | {'gin_config': config.format(name, 2)}
    if name == 'kl':
      records.check_same_run(str(tmp_path), other)
      continue
    with pytest.raises(UsageError, match='MICROBATCHES was 1, is 2'):
      records.check_same_run(str(tmp_path), other)


@pytest.mark.parametrize('text', ['', '{"seed": 3', '[]', '{"seed": 3, "backbone": null}', '\xff'])
def test_a_damaged_record_is_named(text, tmp_path):
  (tmp_path / 'run.json').write_bytes(text.encode('latin-1'))
  with pytest.raises(UsageError, match=r'run\.json is damaged \(.*\), so that .* delete it and .*config\.gin to go on'):
    records.check_same_run(str(tmp_path), RECORD)


def test_where_it_is_damaged_the_settings_are_compared_with_the_other_copy(tmp_path, capsys):
  records.write_record(str(tmp_path), RECORD)
  (tmp_path / 'run.json').write_text('{"seed": ')
  records.check_same_run(str(tmp_path), RECORD)
  assert 'run.json is damaged' in capsys.readouterr().err
  with pytest.raises(UsageError, match='SEED was 3, is 4'):
    records.check_same_run(str(tmp_path), RECORD | {'gin_config': 'SEED = 4\n', 'seed': 4})


def test_a_record_that_is_gone_does_not_let_other_settings_in(tmp_path, capsys):
  records.write_record(str(tmp_path), RECORD)
  (tmp_path / 'run.json').unlink()
  with pytest.raises(UsageError, match='SEED was 3, is 4'):
    records.check_same_run(str(tmp_path), RECORD | {'gin_config': 'SEED = 4\n', 'seed': 4})
  records.check_same_run(str(tmp_path), RECORD)
  assert 'run.json is gone; the settings are compared with' in capsys.readouterr().err
  (tmp_path / 'config.gin').write_text('')
  with pytest.raises(UsageError, match=r'run\.json is gone, so that it cannot be seen'):
    records.check_same_run(str(tmp_path), RECORD)
  (tmp_path / 'config.gin').unlink()
  records.check_same_run(str(tmp_path), RECORD | {'seed': 4})
  assert 'run.json is gone; the steps before are taken to have had the settings of today' in capsys.readouterr().err


def test_an_evaluation_and_a_result_without_checkpoints_are_not_written_over(tmp_path):
  assert not records.holds_results(str(tmp_path))
  records.write_record(str(tmp_path), RECORD)
  assert not records.holds_results(str(tmp_path))  # of a run that was ended before it had saved
  (tmp_path / 'adapter.safetensors').write_text('')
  assert records.holds_results(str(tmp_path))
  evaluation = tmp_path / 'evaluation'
  (evaluation / 'shards').mkdir(parents=True)
  (evaluation / 'run.json').write_text(json.dumps({'label': 'm', 'fingerprint': {}, 'finished': None}))
  assert records.holds_results(str(evaluation))
  with pytest.raises(UsageError, match='run.json is that of an evaluation, so that .*; give another MODEL_DIR'):
    records.check_same_run(str(evaluation), RECORD)
