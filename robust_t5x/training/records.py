"""What a run must be told by, kept beside its results."""

from collections.abc import Mapping
import json
from typing import Any

from etils import epath

import gin
from robust_t5x.checkpoints import backbones
from robust_t5x.runtime import errors, files, launcher, processes, versions


def run_record(seed: int, initial_checkpoint_path: str | None) -> dict[str, Any]:
  """What a run must be told by: configuration, seed, backbone, versions."""
  record = {
    'gin_config': gin.config_str(),
    'seed': seed,
    'versions': versions.versions(),
    'command': launcher.command_line(),
    'backbone': None,
  }
  if initial_checkpoint_path is not None:
    record['backbone'] = {
      'path': initial_checkpoint_path,
      'sha256': backbones.backbone_hash(initial_checkpoint_path),
    }
  return record


def write_record(model_dir: str, record: Mapping[str, Any]) -> None:
  """Writes `run.json` and `config.gin`, atomically."""
  for name, text in (
    ('run.json', json.dumps(record, indent=2) + '\n'),
    ('config.gin', record['gin_config']),
  ):
    files.write_atomically(processes.join(model_dir, name), text)


def check_same_run(model_dir: str, record: Mapping[str, Any]) -> None:
  """Raises UsageError if a directory holds a run on another backbone or with another seed."""
  path = epath.Path(processes.join(model_dir, 'run.json'))
  if not path.exists():
    return
  before = json.loads(path.read_text())
  if (before['backbone'] or {}).get('sha256') != (record['backbone'] or {}).get('sha256'):
    raise errors.UsageError(
      f'MODEL_DIR: {model_dir} holds a run on another backbone ({before["backbone"]}); choose another MODEL_DIR'
    )
  if before['seed'] != record['seed']:
    raise errors.UsageError(
      f'MODEL_DIR: {model_dir} holds a run with seed {before["seed"]}, not {record["seed"]}; choose another MODEL_DIR'
    )
