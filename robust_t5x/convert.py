"""Converts checkpoints to Hugging Face's layout and T5X's, and adapters between our file, .npy and PEFT's layout.

  robust-t5x convert CHECKPOINT DIR --to t5x [--adapter FILE]   a backbone, with an adapter if given
  robust-t5x convert CHECKPOINT DIR --to huggingface [--adapter FILE]   LoRA merged into the weights; CHECKPOINT may be a GGUF file
  robust-t5x convert ADAPTER OUT --to adapter|npy|peft           an adapter; ADAPTER may be a T5X checkpoint that holds one

For a hub: --card BEFORE AFTER writes README.md beside what goes to PEFT, or beside weights with a merged adapter.

The source's format is found out. A backbone is written tensor by tensor and needs little more memory than its largest one.
"""

import argparse
from collections.abc import Sequence
import dataclasses
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

from robust_t5x.runtime import errors, files, progress, quiet
from seqio_tasks.errors import UserError, shorten

if TYPE_CHECKING:
  import numpy as np

  from robust_t5x.models.protocol import NetworkConfig

BACKBONES = ('huggingface', 't5x')
ADAPTERS = ('adapter', 'npy', 'peft')
_PIECES = 'spiece.model'
# What else Hugging Face keeps beside the weights: how text becomes tokens, how a chat is written, where an output ends.
_BESIDE = (
  'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json', 'chat_template.jinja',
  'generation_config.json', 'tokenizer.model', 'vocab.json', 'merges.txt',
)  # fmt: skip


class ConversionError(UserError):
  """A conversion that cannot be made."""


@dataclasses.dataclass(frozen=True)
class Card:
  """What a model card is written from, beside the adapter and the record of its training.

  Attributes:
    before: OUTPUT_DIR of an evaluation without the adapter.
    after: that of one with it, and those with adapters of other seeds, in any order.
    license: of the adapter, as the hub names it.
  """

  before: str
  after: tuple[str, ...]
  license: str | None = None


def convert_backbone(
  source: str, target: str, to: str, adapter: str | None = None, dtype: str = 'float32', vocabulary: str | None = None,
  card: Card | None = None, base_model: str | None = None,
) -> dict[str, Any]:  # fmt: skip
  """Writes a backbone in another format.

  Args:
    source: any checkpoint that checkpoints.open_backbone reads.
    target: a directory that does not exist yet.
    to: 'huggingface' or 't5x'.
    adapter: an adapter file to put into a T5X checkpoint, or whose LoRA is merged into Hugging Face's weights.
    dtype: storage dtype.
    vocabulary: a SentencePiece file, tokenizer.json or GGUF file whose tokenizer is put beside it; by default the source's own.
    card: of a merged adapter, to write a model card from.
    base_model: the source's name on the hub, for that card.

  Returns:
    The report, which is also written to `conversion.json` there: every parameter with its shape, the hash of what was
    written, and path and hash of an adapter.

  Raises:
    ValueError: if the source cannot be read, the target exists, or the card is not of this adapter.
  """
  import ml_dtypes

  from robust_t5x.adapters import config
  from robust_t5x.checkpoints import adapter_files, backbones, checks, huggingface, lora_weights, t5x_format
  from robust_t5x.checkpoints.layouts import layout

  target = target.rstrip('/')
  if os.path.isfile(target) or os.path.exists(target) and os.listdir(target):
    raise ConversionError(f'{target} exists and is not empty; choose another directory')
  backbone = backbones.open_backbone(source)
  network = layout(backbone.config)
  shapes = network.shapes()
  if vocabulary and not os.path.isfile(vocabulary):
    raise ConversionError(f'--vocabulary: no file {vocabulary}; name a SentencePiece model or tokenizer.json')
  arrays: dict[str, Any] = {}
  lora: dict[str, Any] = {}
  readme = position = None
  if adapter is not None:
    loaded, metadata = adapter_files.load(adapter)
    config.check_fits(loaded, backbone.config, adapter)
    adapter_files.check_backbone(metadata, adapter, backbones.backbone_hash(source))
    if to == 't5x':
      arrays = {f'adapter/{name}': array for name, array in loaded.items()}
      position = metadata.get('prompt_position')
    else:
      lora_weights.check_mergeable(loaded, adapter)
      lora = loaded
      if card is not None:
        readme = _readme(card, adapter, target, loaded, metadata, backbone.config, base_model, merged=True)
  weight = lora_weights.merged(backbone.read, lora)
  kind = ml_dtypes.bfloat16 if dtype == 'bfloat16' else dtype
  with files.made_beside(target, progress.log) as temporary:
    with progress.Progress(f'writing {target}', len(shapes)) as bar:

      def read(name):
        bar.advance(1)
        if name in arrays:
          return arrays[name]
        array = weight(name)
        checks.check_range(array, kind, source, name)  # the writer casts, a block at a time
        return array

      if to == 'huggingface':
        huggingface.write(temporary, backbone.config, read, shapes, dtype, notes=backbone.notes)
      else:
        shapes |= {name: array.shape for name, array in arrays.items()}
        t5x_format.write(temporary, read, shapes, dtype)
        t5x_format.write_beside(temporary, backbone.config, backbone.notes, dtype, position)
    written = (
      huggingface.HuggingFaceBackbone(temporary) if to == 'huggingface' else t5x_format.T5XBackbone(temporary, to)
    )
    report = {
      'source': {'path': source, 'format': backbone.format},
      'adapter': None if adapter is None else {'path': adapter, 'sha256': backbones.sha256(adapter)},
      'format': to,
      'dtype': dtype,
      'sha256': backbones.hash_of(written),
      'parameters': {name: list(shape) for name, shape in sorted(shapes.items())},
    }
    _put_tokenizer(temporary, backbones.resolve(source), vocabulary)  # after what holds tensors: it may need TensorFlow
    files.write_atomically(os.path.join(temporary, 'conversion.json'), json.dumps(report, indent=2) + '\n')
    if readme is not None:
      files.write_atomically(os.path.join(temporary, 'README.md'), readme)
  return report


def _put_tokenizer(directory: str, source: str, vocabulary: str | None) -> None:
  """Puts beside weights what makes tokens of texts: a file's own, else the source's; a GGUF file's is written as files."""
  from robust_t5x.checkpoints import checks, tokenizer_files, vocabularies

  if vocabulary and os.path.basename(vocabulary) == tokenizer_files.FILE:
    source = os.path.dirname(vocabulary) or '.'
  elif vocabulary and not vocabulary.endswith('.gguf'):
    shutil.copyfile(vocabulary, os.path.join(directory, _PIECES))
    return
  else:
    source = vocabulary or source
  if source.endswith('.gguf'):
    try:
      vocabularies.save(directory, vocabularies.vocabulary(source))
    except checks.CheckpointError as e:
      progress.log(f'warning: no tokenizer is written: {e}')
    return
  for name in (_PIECES, *_BESIDE):
    if os.path.isfile(f'{source}/{name}'):
      shutil.copyfile(f'{source}/{name}', os.path.join(directory, name))


def _readme(
  card: Card, adapter: str, target: str, arrays: 'dict[str, np.ndarray]', metadata: dict[str, Any], network: 'NetworkConfig',
  base_model: str | None, merged: bool,
) -> str:  # fmt: skip
  """The model card of an adapter; see reports.card for the errors."""
  from robust_t5x.adapters import config
  from robust_t5x.checkpoints import backbones
  from robust_t5x.models import llama
  from robust_t5x.reports import card as cards
  from robust_t5x.runtime import records

  if not os.path.isfile(adapter) or not metadata.get('backbone'):
    raise ConversionError(
      f'--card: {adapter} is not what evaluations name by its hash; give the adapter.safetensors that was evaluated'
    )
  place, record = os.path.join(os.path.dirname(adapter), 'run.json'), None
  if os.path.isfile(place):
    record = records.read(place, cards.TrainingRecord, 'move it away to write the card without it')
    trained_on = (record['backbone'] or {}).get('sha256')
    if record['seed'] != metadata.get('seed', record['seed']) or trained_on != metadata['backbone']['sha256']:
      raise ConversionError(f'--card: {place} is of another training run than {adapter}; move it away')
  subject = cards.Subject(
    name=os.path.basename(os.path.abspath(target)), config=config.config_of(arrays), sha256=backbones.sha256(adapter),
    values=sum(array.size for array in arrays.values()), backbone=metadata['backbone']['sha256'],
    decoder=isinstance(network, llama.LlamaConfig), merged=merged, metadata=metadata, record=record,
    base_model=base_model, license=card.license,
  )  # fmt: skip
  return cards.text(subject, cards.compared(card.before, card.after, subject))


def convert_adapter(
  source: str, target: str, to: str, backbone: str | None = None, prompt_position: int | None = None,
  card: Card | None = None, base_model: str | None = None,
) -> dict[str, Any]:  # fmt: skip
  """Writes an adapter in another format.

  Args:
    source: an adapter file, a .npy array [P, D], PEFT's directory, or a T5X checkpoint with an adapter.
    target: the file or, for 'peft', the directory.
    to: 'adapter'; 'npy', which holds a soft prompt and nothing else; 'peft', which holds LoRA, a joined prefix of the decoder, or a
      soft prompt.
    backbone: the checkpoint that the adapter belongs to, which an adapter file must name; found out where the source says.
    prompt_position: tokens of the input that stand before a soft prompt, where the source does not say and it is not 0.
    card: for PEFT's directory, to write a model card from.
    base_model: the backbone's name on the hub, for PEFT's directory.

  Returns:
    The report: name -> shape of what was written.

  Raises:
    ValueError: if the source holds no adapter, the format cannot hold it, or the card is not of this adapter.
  """
  import numpy as np

  from robust_t5x.adapters import config
  from robust_t5x.checkpoints import adapter_files, backbones, checks, peft
  from robust_t5x.models import llama

  if os.path.exists(target):
    raise ConversionError(f'{target} exists; choose another place')
  network = None if backbone is None else backbones.open_backbone(backbone).config
  arrays, metadata = adapter_files.read_any(source, network)
  if network is not None:
    config.check_fits(arrays, network, source)
    if metadata.get('backbone'):
      adapter_files.check_backbone(metadata, source, backbones.backbone_hash(backbone))
  if prompt_position is not None:
    if metadata.setdefault('prompt_position', prompt_position) != prompt_position:
      raise ConversionError(f'--prompt_position: {source} says that it is {metadata["prompt_position"]}; leave it out')
  if to == 'npy':
    if set(arrays) != {'embedding'}:
      raise ConversionError(
        f'{source} holds {", ".join(sorted(arrays))}; npy has a place for a soft prompt (embedding) only'
      )
    with files.written_whole(target) as f:
      np.save(f, arrays['embedding'])
    return {name: list(array.shape) for name, array in arrays.items()}
  if to == 'adapter' and backbone is not None:
    metadata['backbone'] = {'path': backbone, 'sha256': backbones.backbone_hash(backbone)}
  place = backbone or (metadata.get('backbone') or {}).get('path')
  if not metadata.get('backbone') and backbone is None or not place and to == 'peft':
    raise ConversionError(f'{source} does not say which backbone it belongs to; add --backbone CHECKPOINT')
  if to == 'adapter':
    if isinstance(network, llama.LlamaConfig) and 'embedding' in arrays and 'prompt_position' not in metadata:
      raise ConversionError(
        f'{source} does not say where its soft prompt stands; add --prompt_position, the tokens of the input before it: 0 for the '
        'very start, else those up to the end of the system turn'
      )
    adapter_files.save(target, arrays, metadata)
  else:
    try:
      network = backbones.open_backbone(place).config
    except checks.CheckpointError as e:
      raise ConversionError(
        f'{source}: its backbone cannot be read ({shorten(e, 200)}); add --backbone CHECKPOINT'
      ) from e
    config.check_fits(arrays, network, source)
    readme = card and _readme(card, source, target, arrays, metadata, network, base_model, merged=False)
    peft.write(
      target,
      arrays,
      network,
      base_model or place,
      metadata.get('prompt_position', 0),
      {'README.md': readme} if readme else {},
    )
  return {name: list(array.shape) for name, array in arrays.items()}


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  quiet.set_up()
  parser = errors.Parser(
    prog='robust-t5x convert',
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  parser.add_argument('source', help='what to convert')
  parser.add_argument('target', help='where to')
  parser.add_argument('--to', required=True, choices=(*BACKBONES, *ADAPTERS))
  parser.add_argument(
    '--adapter', help="an adapter file to put into a T5X checkpoint, or to merge into Hugging Face's weights"
  )
  parser.add_argument('--backbone', help='the checkpoint that an adapter belongs to')
  parser.add_argument(
    '--prompt_position', type=int, help='tokens of the input before a soft prompt, where the source does not say'
  )
  parser.add_argument('--dtype', default='float32', choices=('float32', 'bfloat16', 'float16'), help='of a backbone')
  parser.add_argument(
    '--vocabulary',
    help="a SentencePiece file or tokenizer.json to put beside a backbone; the source's tokenizer by default",
  )
  parser.add_argument(
    '--card', nargs='+', metavar=('BEFORE AFTER', 'SEED'),
    help='writes a model card from the OUTPUT_DIR of an evaluation without the adapter, of one with it, and of those with adapters '
    'of other seeds, if there are some',
  )  # fmt: skip
  parser.add_argument('--license', metavar='ID', help='of the adapter, for its card, such as apache-2.0')
  parser.add_argument(
    '--base_model', metavar='NAME', help="the model's name on the hub, for the card and PEFT's adapter_config.json"
  )
  arguments = parser.parse_args(argv)
  merges = arguments.to == 'huggingface' and arguments.adapter is not None
  if arguments.card and not merges and arguments.to != 'peft':
    parser.error('--card goes with --to peft, or with --to huggingface --adapter FILE')
  if arguments.card and len(arguments.card) < 2:
    parser.error('--card takes two directories or more: of the evaluation without the adapter, then of that with it')
  if arguments.license and not arguments.card:
    parser.error('--license goes with --card')
  if arguments.base_model and not arguments.card and arguments.to != 'peft':
    parser.error('--base_model goes with --to peft or --card')
  card = Card(arguments.card[0], tuple(arguments.card[1:]), arguments.license) if arguments.card else None
  try:
    if card or arguments.base_model:
      from robust_t5x.reports import card as cards

      cards.check_names(arguments.base_model, arguments.license)
    if arguments.to in BACKBONES:
      report = convert_backbone(
        arguments.source, arguments.target, arguments.to, arguments.adapter, arguments.dtype, arguments.vocabulary, card,
        arguments.base_model,
      )  # fmt: skip
      for name, shape in report['parameters'].items():
        print(f'{name}  {"x".join(map(str, shape))}')
      print(f'wrote {len(report["parameters"])} parameters to {arguments.target}')
    else:
      report = convert_adapter(
        arguments.source, arguments.target, arguments.to, arguments.backbone, arguments.prompt_position, card,
        arguments.base_model,
      )  # fmt: skip
      for name, shape in report.items():
        print(f'{name}  {"x".join(map(str, shape))}')
      print(f'wrote {arguments.target}')
    if card is not None:
      print(f'card: {os.path.join(arguments.target, "README.md")}')
      if not arguments.base_model:
        progress.log(
          'warning: the card names the base model by its hash alone; --base_model NAME says where the hub has it'
        )
  except Exception as e:
    return errors.report_error(e)
  return 0
