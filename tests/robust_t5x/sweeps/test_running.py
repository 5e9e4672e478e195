"""What a sweep does around its trials; test_sweep.py has whole sweeps."""

import pytest

from robust_t5x.runtime.errors import UsageError
from robust_t5x.sweeps import check, running
from robust_t5x.sweeps.flags import parse

ARGUMENTS = ['--gin_file=a.gin', '--eval_gin_file=e.gin', '--grid', 'X=1,2']
DESCRIPTION = {
  'checkpoint': 'c',
  'steps': 5,
  'seed': 0,
  'parameters': 7,
  'adapter': True,
  'backbone': False,
  'config': '',
}


def test_a_plan_has_every_trial_and_each_backbone_once(monkeypatch, tmp_path):
  monkeypatch.setattr(check, 'check', lambda trials, *rest: ([DESCRIPTION] * len(trials), ''))
  runs, baselines, _ = running.plan(parse([*ARGUMENTS, '--out', str(tmp_path)], ''))
  assert len(runs) == 2 and list(baselines) == ['c']
  assert running.plan(parse([*ARGUMENTS, '--no_baseline', '--out', str(tmp_path)], ''))[1] == {}
  monkeypatch.setattr(check, 'check', lambda trials, *rest: ([DESCRIPTION | {'checkpoint': None}] * len(trials), ''))
  with pytest.raises(UsageError, match='INITIAL_CHECKPOINT_PATH is None'):
    running.plan(parse([*ARGUMENTS, '--out', str(tmp_path)], ''))
