"""Damaged records that a model card is written from: of the training, of the two evaluations, of the adapter's own file."""

from collections.abc import Callable
import functools
import json
import pathlib

import numpy as np
import pandas as pd
from safetensors import numpy as safetensors

from robust_t5x import adapters, convert
from robust_t5x.checkpoints import backbones
from robust_t5x.results.runs import Run
from robust_t5x.results.schema import OPTIONAL

from . import damage
from .running import Wrong

_BACKBONE = str(pathlib.Path(__file__).parents[1] / 'data' / 'hf_t5' / 'v1_1')
_CONFIG = "ALIGNMENT_OBJECTIVE = @objectives.kl_to_canonical\nBANKS = ['/a/b.yaml']\nTRAIN_STEPS = 4\nSEED = 0\n"


@functools.cache
def _arrays() -> dict[str, np.ndarray]:
  network = backbones.open_backbone(_BACKBONE).config
  made = adapters.parameters(adapters.AdapterConfig(lora_rank=1), network)
  return {name: np.full(p.shape, 0.5, np.float32) for name, p in made.items()}


def _evaluation(directory: pathlib.Path, label: str, adapter: str | None) -> None:
  table = pd.DataFrame(
    [
      {
        'model': label, 'dataset': 'd', 'example_id': f'e{e}', 'instruction_id': f'i{i}', 'group': 'unobserved',
        'scorer': 'exact_match', 'prediction': 'yes', 'gold': 'no', 'score': float((e + i) % 2), 'option_scores': '',
        'matched_option': True, 'truncated_tokens': 0, **OPTIONAL,
      }
      for e in range(6) for i in range(3)
    ]
  )  # fmt: skip
  run = Run.open(
    str(directory), label,
    {'tasks': {'d': 'x'}, 'scorer': 'exact_match', 'split': 'test', 'backbone': _hash(), 'adapter': adapter, 'dtype': 'float32'},
  )  # fmt: skip
  run.add_shard('d', table)
  run.finish(
    {'i0': 'Say {x}'}, {'data': {'f': {'used': 6, 'left_out': {'no split': {'rows': 1, 'first': '/a/b: row 1'}}}}}
  )


@functools.cache
def _hash() -> str:
  return backbones.backbone_hash(_BACKBONE)


def _card(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  metadata = {'backbone': {'path': _BACKBONE, 'sha256': _hash()}, 'seed': 0, 'gin_config': _CONFIG}
  record = {'seed': 0, 'backbone': metadata['backbone'], 'tasks': {'d_alignment': 'y'}}
  which = damage.pick(rng, ('adapter', 'run.json', 'before', 'after'))
  if which == 'adapter':
    damaged = damage.tree(rng, metadata)
    try:
      text = json.dumps(damaged)
    except ValueError:  # numbers of thousands of digits
      text = '9' * 5000
    safe = text.encode('utf-8', 'replace').decode()
    (directory / 'adapter.safetensors').write_bytes(safetensors.save(_arrays(), {'robust_t5x': safe}))
  else:
    (directory / 'adapter.safetensors').write_bytes(safetensors.save(_arrays(), {'robust_t5x': json.dumps(metadata)}))
  (directory / 'run.json').write_text(json.dumps(record))
  sha256 = backbones.sha256(str(directory / 'adapter.safetensors'))
  for name, adapter in (('before', None), ('after', sha256)):
    _evaluation(directory / name, name, adapter)
  place = {
    'run.json': directory / 'run.json',
    'before': directory / 'before/run.json',
    'after': directory / 'after/run.json',
  }
  if which in place:
    whole = place[which].read_text()
    try:
      made = json.dumps(damage.tree(rng, json.loads(whole))).encode() if rng.random() < 0.7 else damage.text(rng, whole)
    except ValueError:
      made = b'9' * 5000
    place[which].write_bytes(made)

  def call() -> None:
    card = convert.Card(str(directory / 'before'), (str(directory / 'after'),), 'mit')
    convert.convert_adapter(str(directory / 'adapter.safetensors'), str(directory / 'out'), 'peft', card=card)
    written = (directory / 'out' / 'README.md').read_text()
    if written.count('\n---\n') != 1 or '/a/b' in written:
      raise Wrong('the card has other metadata, or a place of the machine')

  return call


READERS = {'model card': _card}
