"""What a run must be told by, kept beside its results."""

from collections.abc import Mapping
import contextlib
import json
from typing import Any, NotRequired, TypedDict

from etils import epath

import gin
from robust_t5x.checkpoints import backbones
from robust_t5x.runtime import errors, files, launcher, processes, progress, records, settings, versions
from seqio_tasks.datasets import readings
from seqio_tasks.errors import shorten

# What a result does not depend on, beyond rounding: places, how often something is written, how the work is cut up, and
# what only evaluations read.
FREE = (
  'MODEL_DIR', 'train.train.model_dir', 'SAVE_PERIOD', 'train.train.save_period', 'LOG_PERIOD', 'train.train.log_period',
  'TOPOLOGY', 'MICROBATCHES', 'train.train.microbatches', 'MODEL_PARALLEL', 'train.train.model_parallel',
  'REMAT', 'SCAN_LAYERS', 'EVAL_BATCH_SIZE', 'NUM_EXAMPLES', 'USE_CACHED_TASKS', 'train.train.use_cached_tasks',
  'TRACKER', 'train.train.tracker',
)  # fmt: skip
# Its negatives are the other examples of a microbatch.
_OF_MICROBATCHES = 'objectives.info_nce'


class RunRecord(TypedDict):
  """What `run.json` of a training run holds."""

  gin_config: str
  seed: int
  backbone: dict[str, str] | None
  tasks: NotRequired[dict[str, str]]  # name -> hash of what it is trained on
  vocabulary: NotRequired[str]  # hash of what makes texts tokens, and of what stands around them


def run_record(
  seed: int, initial_checkpoint_path: str | None, tasks: Mapping[str, str], vocabulary: str
) -> dict[str, Any]:
  """What a run must be told by: configuration, seed, backbone, vocabulary, data, versions.

  Args:
    seed: of the run.
    initial_checkpoint_path: backbone; None for random weights.
    tasks: that are trained on -> hash of what they hold, see `registration.content_hashes`.
    vocabulary: hash of that of the inputs, see `loading.vocabulary_hash`.
  """
  record = {
    'gin_config': gin.config_str(),
    'seed': seed,
    'versions': versions.versions(),
    'command': launcher.command_line(),
    'backbone': None,
    'tasks': dict(tasks),
    'vocabulary': vocabulary,
    'data': readings(),
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


def holds_results(model_dir: str) -> bool:
  """Whether a directory holds what another run must not write over, also without a checkpoint: a result, or an evaluation."""
  names = ('adapter.safetensors', 'model', 'results.parquet', 'shards')
  return any(epath.Path(processes.join(model_dir, name)).exists() for name in names)


def check_same_run(model_dir: str, record: Mapping[str, Any]) -> None:
  """Compares a run with the one that a directory holds, in everything that its result depends on.

  Settings of FREE may differ, but for MICROBATCHES with an objective that sees them. TRAIN_STEPS may too, so that a run can
  be made longer: it is said, since a schedule that follows it has had other rates so far. So may versions, with a warning.

  Raises:
    UsageError: if the directory holds a run with other settings, seed, backbone, vocabulary or data; names each.
  """
  before = _read_record(model_dir, record)
  if before is None:
    return
  now = settings.read(record['gin_config'])
  then = settings.read(before['gin_config'])
  same_backbone = _hash(before) == _hash(record)
  free = {*FREE, 'TRAIN_STEPS', *(['INITIAL_CHECKPOINT_PATH'] if same_backbone else [])}
  if any(_OF_MICROBATCHES in value for value in then.values()):
    free -= {'MICROBATCHES', 'train.train.microbatches'}
  changed = settings.changes(then, now, without=free)
  if before.get('seed') != record['seed'] and not any(line.startswith('SEED ') for line in changed):
    changed.append(f'the seed was {before.get("seed")}, is {record["seed"]}')
  if not same_backbone:
    changed.append(f'the backbone was {_named(before)}, is {_named(record)}')
  words, words_now = (r.get('vocabulary') for r in (before, record))
  if words and words_now and words != words_now:
    changed.append(
      f'the vocabulary, or what stands around texts, changed, its hash was {words[:12]}, is {words_now[:12]}'
    )
  changed += _changed_tasks(before.get('tasks') or {}, record.get('tasks') or {})
  if changed:
    raise errors.UsageError(
      f'MODEL_DIR: {model_dir} holds a run with other settings: {"; ".join(changed)}. Give another MODEL_DIR, or set what '
      'it was'
    )
  if then.get('TRAIN_STEPS') != now.get('TRAIN_STEPS'):
    followers = [name for name, value in now.items() if value == '%TRAIN_STEPS' and name != 'train.train.train_steps']
    note = f'; so does {", ".join(followers)} from here on, not in the steps before' if followers else ''
    progress.log(
      f'TRAIN_STEPS was {then.get("TRAIN_STEPS")}, is {now.get("TRAIN_STEPS")}: the run changes its length{note}'
    )
  versions_before, versions_now = before.get('versions') or {}, record.get('versions') or {}
  for line in settings.changes(versions_before, versions_now):
    progress.log(f'warning: {line}; the steps before were taken with the old version')


def _read_record(model_dir: str, now: Mapping[str, Any]) -> Mapping[str, Any] | None:
  """What `run.json` holds; where it is damaged or gone, what `config.gin` says, and for the rest `now`; None if both are gone.

  Raises:
    UsageError: if neither can be read.
  """
  path, config = (epath.Path(processes.join(model_dir, name)) for name in ('run.json', 'config.gin'))
  if path.exists():
    record = None
    try:
      record = json.loads(path.read_text())
      found = records.fault(record, RunRecord)
    except ValueError as e:  # not JSON, or not UTF-8
      found = str(e)
    if not found:
      return record
    of_another = isinstance(record, dict) and 'fingerprint' in record
    found = 'is that of an evaluation' if of_another else f'is damaged ({shorten(found)})'
  elif config.exists():
    found = 'is gone'
  else:
    progress.log(f'warning: {path} is gone; the steps before are taken to have had the settings of today')
    return None
  with contextlib.suppress(OSError, ValueError):
    text = config.read_text()
    if settings.read(text):
      progress.log(f'warning: {path} {found}; the settings are compared with {config}, data and weights are not')
      return {**now, 'gin_config': text}
  raise errors.UsageError(
    f'{path} {found}, so that it cannot be seen whether this is the same run; give another MODEL_DIR, or delete it and '
    f'{config} to go on with the settings of today'
  )


def _changed_tasks(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
  """Which tasks are not what they were; none where either run knows none, since it read a cache."""
  if not before or not now:
    return []
  came, went = sorted({*now} - {*before}), sorted({*before} - {*now})
  return [
    *(f'{name} was not trained on, is' for name in came),
    *(f'{name} was trained on, is not' for name in went),
    *(
      f'the data or phrasings of {name} changed, their hash was {before[name][:12]}, is {now[name][:12]}'
      for name in before
      if now.get(name, before[name]) != before[name]
    ),
  ]


def _hash(record: Mapping[str, Any]) -> str | None:
  return (record['backbone'] or {}).get('sha256')


def _named(record: Mapping[str, Any]) -> str:
  backbone = record['backbone']
  return f'{backbone.get("path")} ({backbone.get("sha256", "no hash")[:12]})' if backbone else 'random weights'
