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
  whole = processes.join(model_dir, 'model') if set(moving) - {ADAPTER} else None
  path = processes.join(model_dir, 'adapter.safetensors')
  params = trainable.merge(moving, partitioning.whole_on_host(frozen)) if whole else {}
  if not processes.is_main():
    return whole or path
  backbone = record['backbone']
  if whole:
    notes = backbones.open_backbone(backbone['path']).notes if backbone else None
    backbones.save(whole, model.module.config, params, notes)
    vocabularies.save(whole, model.input_vocabulary)
    progress.log(f'wrote {whole}')
  if ADAPTER in moving:
    if whole:  # what the adapter belongs to
      backbone = {'path': whole, 'sha256': backbones.backbone_hash(whole)}
    metadata = {k: record[k] for k in ('gin_config', 'seed', 'versions')} | {'backbone': backbone}
    adapter = model.module.adapter
    if adapter is not None and adapter.length:
      metadata['prompt_position'] = adapter.prompt_position or 0
    adapter_files.save(path, moving[ADAPTER], metadata)
    progress.log(f'wrote {path}')
  return whole or path
