"""What a finished run leaves: an adapter file, and a whole checkpoint where more than the adapter trained."""

from collections.abc import Mapping
from typing import Any

from robust_t5x.checkpoints import adapter_files, backbones, vocabularies
from robust_t5x.models import trainable
from robust_t5x.models.protocol import ADAPTER, Params
from robust_t5x.models.robust import RobustModel
from robust_t5x.runtime import partitioning, processes, progress


def write(model: RobustModel, model_dir: str, moving: Params, frozen: Params, record: Mapping[str, Any]) -> str:
  """Writes what was trained, by the main process.

  Args:
    model: the model.
    model_dir: the run's directory.
    moving: the parameters that trained, nested, on the devices.
    frozen: the others.
    record: of the run; see records.run_record.

  Returns:
    Path of `adapter.safetensors`, or of the directory `model` where the backbone trained.
  """
  moving = partitioning.whole_on_host(moving)
  path = processes.join(model_dir, 'adapter.safetensors')
  if ADAPTER in moving and processes.is_main():
    metadata = {k: record[k] for k in ('gin_config', 'seed', 'versions', 'backbone')}
    adapter = model.module.adapter
    if adapter is not None and adapter.length:
      metadata['prompt_position'] = adapter.prompt_position or 0
    adapter_files.save(path, moving[ADAPTER], metadata)
    progress.log(f'wrote {path}')
  if set(moving) - {ADAPTER}:
    path = processes.join(model_dir, 'model')
    params = trainable.merge(moving, partitioning.whole_on_host(frozen))
    if not processes.is_main():
      return path
    began = record['backbone']
    notes = backbones.open_backbone(began['path']).notes if began else None
    backbones.save(path, model.module.config, params, notes)
    vocabularies.save(path, model.input_vocabulary)
    progress.log(f'wrote {path}')
  return path
