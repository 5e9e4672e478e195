"""Loads a model for evaluation, inference and notebooks."""

from collections.abc import Mapping
import dataclasses
import hashlib
from typing import Any

import jax
import numpy as np

from robust_t5x import adapters
from robust_t5x.checkpoints import adapter_files, backbones, chat_templates, vocabularies
from robust_t5x.checkpoints.checks import cast
from robust_t5x.models.placement import place
from robust_t5x.models.protocol import ADAPTER
from robust_t5x.models.robust import RobustModel
from robust_t5x.models.runner import Runner

BUNDLED_ADAPTER = 'adapter.safetensors'


@dataclasses.dataclass(frozen=True)
class Loaded:
  """A model that is ready to run.

  Attributes:
    model: the model.
    params: its parameters, adapter included, on the devices.
    identity: path and hash of backbone and adapter, and hash of the vocabulary, for run metadata.
  """

  model: RobustModel
  params: Any
  identity: dict[str, Any]

  @property
  def label(self) -> str:
    """What evaluations call it unless they are told."""
    return 'with adapter' if self.identity['adapter'] else 'without adapter'

  @property
  def weights(self) -> dict[str, str | None]:
    """Hashes and dtype: evaluations of models with the same are evaluations of one model, which reads texts as the same tokens."""
    adapter = (self.identity['adapter'] or {}).get('sha256')
    return {
      'backbone': self.identity['backbone']['sha256'], 'adapter': adapter, 'dtype': self.model.module.config.dtype,
      'vocabulary': self.identity['vocabulary'],
    }  # fmt: skip

  @property
  def vocabulary(self) -> Any:
    """Of its inputs."""
    return self.model.input_vocabulary

  def lengths(self, wanted: Mapping[str, int]) -> Mapping[str, int]:
    """Where inputs and targets are cut: where that is wanted."""
    return wanted

  def runner(self, batch_size: int, lengths: Mapping[str, int], directory: str) -> Runner:
    """The model with its compiled programs; nothing of it is kept in the directory."""
    del directory
    return Runner(self.model, self.params, batch_size, lengths['targets'], lengths['inputs'])


def load(
  checkpoint: str,
  adapter: str | None = None,
  dtype: str = 'float32',
  vocabulary: str | None = None,
  chat_template: str = chat_templates.OWN,
  system_message: str = chat_templates.OWN,
) -> tuple[RobustModel, Any]:
  """Loads a checkpoint, with or without a trained adapter.

  Args:
    checkpoint: a checkpoint in any format that checkpoints.open_backbone reads, or 'bundled' for the mini model of the
      package.
    adapter: None or 'none', 'bundled' for the aligned adapter of the package, or the path of an adapter file.
    dtype: dtype of weights and activations, 'float32' or 'bfloat16'.
    vocabulary: a SentencePiece file or `tokenizer.json`, where the checkpoint holds none.
    chat_template: what decoder-only models have around texts: 'own' for the checkpoint's template if it has one, 'none'
      for a base model, or the file of one.
    system_message: 'own' for what the template does by itself, 'none' for no system turn, or a text.

  Returns:
    (model, params), for `model.score(params, inputs, options)`, `model.generate(params, inputs)`, both with the chat
    template around texts, and `model.logits(params, encoder_input_tokens, decoder_input_tokens)`, which adds nothing.

  Raises:
    ValueError: naming what is missing or does not fit.
  """
  loaded = load_with_identity(
    checkpoint, adapter, dtype, vocabulary, chat_template=chat_template, system_message=system_message
  )
  return loaded.model, loaded.params


def load_with_identity(
  checkpoint: str,
  adapter: str | None = None,
  dtype: str = 'float32',
  vocabulary: str | None = None,
  model_parallel: int = 1,
  chat_template: str = chat_templates.OWN,
  system_message: str = chat_templates.OWN,
  scan_layers: bool = True,
) -> Loaded:
  """As `load`, with path and hash of what was loaded; the weights lie on all devices.

  Args:
    checkpoint: see `load`.
    adapter: see `load`.
    dtype: see `load`.
    vocabulary: see `load`.
    model_parallel: devices that share one copy of the weights.
    chat_template: see `load`.
    system_message: see `load`.
    scan_layers: on a CPU, run the layers as one loop.
  """
  config = backbones.network_config(checkpoint, dtype, scan_layers=scan_layers)
  backbone_hash = backbones.backbone_hash(checkpoint)
  identity: dict[str, Any] = {'backbone': {'path': checkpoint, 'sha256': backbone_hash}, 'adapter': None}
  arrays: dict[str, np.ndarray] = {}
  adapter_config = None
  if adapter not in (None, 'none'):
    path = f'{backbones.bundled_path()}/{BUNDLED_ADAPTER}' if adapter == backbones.BUNDLED else adapter
    arrays, metadata = adapter_files.load(path)
    adapters.check_fits(arrays, config, path)
    adapter_files.check_backbone(metadata, path, backbone_hash)
    adapter_config = dataclasses.replace(adapters.config_of(arrays), prompt_position=metadata.get('prompt_position', 0))
    identity['adapter'] = {'path': adapter, 'sha256': backbones.sha256(path)}
  pieces = vocabularies.vocabulary(
    vocabulary, checkpoint=checkpoint, chat_template=chat_template, system_message=system_message
  )
  vocabularies.check_vocabulary(config, pieces)
  identity['vocabulary'] = vocabulary_hash(pieces)
  model = RobustModel(config.network(adapter_config), pieces, pieces)
  placed = place(model, model_parallel)
  like = placed.placed(placed.shapes, dtype)
  params, _ = backbones.load_backbone(checkpoint, like)
  if arrays:
    params[ADAPTER] = {
      name: jax.device_put(cast(array, dtype, path, name), like[ADAPTER][name].sharding)
      for name, array in arrays.items()
    }
  return Loaded(model, params, identity)


def vocabulary_hash(vocabulary: Any) -> str:
  """SHA-256 of a vocabulary: equal if and only if texts become the same tokens, with what stands around them."""
  if hasattr(vocabulary, 'digest'):
    return vocabulary.digest
  digest = hashlib.sha256(vocabulary.sp_model)
  digest.update(f'|{vocabulary.extra_ids}'.encode())
  return digest.hexdigest()
