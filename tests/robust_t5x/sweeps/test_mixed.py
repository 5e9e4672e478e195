"""Weights and data that changed between the trials of a sweep."""

import json
import types

from robust_t5x.sweeps import mixed


def trial(tmp_path, name, label, **record):
  (tmp_path / name / 'train').mkdir(parents=True)
  made = {'backbone': {'path': 'B', 'sha256': '1' * 64}, 'tasks': {'t': '2' * 64}, 'vocabulary': '3' * 64} | record
  (tmp_path / name / 'train/run.json').write_text(json.dumps(made))
  return types.SimpleNamespace(directory=str(tmp_path / name), trained=True, record={'label': label})


def baseline(tmp_path, backbone):
  (tmp_path / 'baseline').mkdir()
  record = {'finished': 'now', 'fingerprint': {'backbone': backbone}}
  (tmp_path / 'baseline/run.json').write_text(json.dumps(record))
  return {'B': str(tmp_path / 'baseline')}


def test_what_is_the_same_is_not_told(tmp_path):
  runs = [trial(tmp_path, 'a', 'x'), trial(tmp_path, 'b', 'x'), trial(tmp_path, 'c', 'y', tasks={'t': '5' * 64})]
  runs[1].trained = False
  (tmp_path / 'b/train/run.json').unlink()
  assert mixed.warnings(runs, baseline(tmp_path, '1' * 64)) == []


def test_weights_that_changed_are_told_with_their_trials_and_the_baseline(tmp_path):
  runs = [trial(tmp_path, 'a', 'x'), trial(tmp_path, 'b', 'y', backbone={'path': 'B', 'sha256': '4' * 64})]
  (told,) = mixed.warnings(runs, baseline(tmp_path, '4' * 64))
  assert told == (
    f'the weights in B changed between runs of this sweep (111111111111: {tmp_path}/a; 444444444444: {tmp_path}/b, '
    f'{tmp_path}/baseline); delete those of one kind and start again'
  )


def test_data_and_vocabulary_that_changed_between_seeds_are_told(tmp_path):
  runs = [trial(tmp_path, 'a', 'x'), trial(tmp_path, 'b', 'x', tasks={'t': '5' * 64}, vocabulary='6' * 64)]
  told = mixed.warnings(runs, {})
  assert [line.split(' changed')[0] for line in told] == ['the vocabulary of x', 't of x']


def test_a_damaged_record_is_told_and_the_others_are_compared(tmp_path):
  runs = [trial(tmp_path, name, 'x', vocabulary=digit * 64) for name, digit in (('a', '3'), ('b', '3'), ('c', '6'))]
  (tmp_path / 'a/train/run.json').write_text('{"backbone": ')
  damaged, changed = mixed.warnings(runs, {})
  assert f'{tmp_path}/a/train/run.json' in damaged and damaged.endswith(
    f'; delete {tmp_path}/a to run this trial again'
  )
  assert changed.startswith('the vocabulary of x changed')
