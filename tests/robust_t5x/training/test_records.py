"""What a run must be told by: it is written down, and another run in the same place is refused."""

import json
import pathlib

import pytest

from robust_t5x.runtime.errors import UsageError
from robust_t5x.training import records

BACKBONE = str(pathlib.Path(__file__).parents[2] / 'data/hf_t5/v1_1')
RECORD = {'gin_config': 'SEED = 3\n', 'seed': 3, 'backbone': {'path': 'a', 'sha256': 'f' * 64}}


def test_a_record_names_seed_command_and_backbone(monkeypatch):
  monkeypatch.setattr('sys.argv', ['/somewhere/robust-t5x', 'train', 'quickstart'])
  record = records.run_record(3, BACKBONE)
  assert (record['seed'], record['command']) == (3, 'robust-t5x train quickstart')
  assert record['backbone']['path'] == BACKBONE and len(record['backbone']['sha256']) == 64
  assert 'jax' in record['versions']
  assert records.run_record(3, None)['backbone'] is None


def test_it_is_written_beside_the_results(tmp_path):
  records.write_record(str(tmp_path), RECORD)
  assert json.loads((tmp_path / 'run.json').read_text()) == RECORD
  assert (tmp_path / 'config.gin').read_text() == 'SEED = 3\n'
  assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'seed': 4}, 'holds a run with seed 3, not 4; choose another MODEL_DIR'),
    ({'backbone': {'path': 'a', 'sha256': '0' * 64}}, "holds a run on another backbone .*'path': 'a'"),
    ({'backbone': None}, 'holds a run on another backbone'),
  ],
)
def test_another_run_is_refused(changes, message, tmp_path):
  records.write_record(str(tmp_path), RECORD)
  with pytest.raises(UsageError, match=f'MODEL_DIR: {tmp_path} {message}'):
    records.check_same_run(str(tmp_path), RECORD | changes)


def test_the_same_run_goes_on_wherever_its_backbone_lies(tmp_path):
  records.check_same_run(str(tmp_path), RECORD)  # nothing there yet
  records.write_record(str(tmp_path), RECORD)
  records.check_same_run(str(tmp_path), RECORD | {'backbone': {'path': 'moved', 'sha256': 'f' * 64}})
