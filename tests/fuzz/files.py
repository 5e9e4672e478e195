"""Damaged results, checkpoints, adapters and records: each made from a whole one that is tiny."""

from collections.abc import Callable, Mapping
import contextlib
import csv
import functools
import io
import json
import pathlib
import shutil
import struct
import tempfile
from typing import Any

from flax import serialization
import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet
from safetensors import numpy as safetensors

from robust_t5x import adapters
from robust_t5x.checkpoints import (
  adapter_files,
  backbones,
  chat_templates,
  huggingface,
  peft,
  t5_names,
  t5x_format,
  tensorfile,
  text_encoder,
  tokenizer_files,
)  # fmt: skip
from robust_t5x.checkpoints.layouts import layout
from robust_t5x.models import t5
from robust_t5x.models.llama import LlamaConfig
from robust_t5x.models.rotary import Rotary
from robust_t5x.reports import representation
from robust_t5x.results import reading
from robust_t5x.results.runs import Run
from robust_t5x.results.schema import OPTIONAL
from robust_t5x.sweeps import trial

from . import damage
from .running import Wrong

Files = Mapping[str, bytes | None]  # path below a directory -> content, None of a file that is gone
Writer = Callable[[np.random.Generator, pathlib.Path], Callable[[], object]]

_CONFIG = t5.T5Config(
  vocab_size=12, emb_dim=4, num_heads=2, head_dim=2, num_encoder_layers=2, num_decoder_layers=1, mlp_dim=6,
  relpos_buckets=4,
)  # fmt: skip


def _write(directory: pathlib.Path, files: Files) -> None:
  for name, content in files.items():
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is not None:
      path.write_bytes(content)


def _files(directory: pathlib.Path) -> dict[str, bytes]:
  return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob('*')) if p.is_file()}


def _damaged(rng: np.random.Generator, name: str, content: bytes) -> bytes:
  """Damage to a file as its kind has it: to a tree, lines, the header of a safetensors file, or bytes."""
  if name.endswith('.json') and rng.random() < 0.7:
    return json.dumps(damage.tree(rng, json.loads(content))).encode()
  if name.endswith(('.csv', '.json', '.jsonl')) and rng.random() < 0.8:
    return damage.text(rng, content.decode())
  if name.endswith('.safetensors') and rng.random() < 0.8:
    size = struct.unpack('<Q', content[:8])[0]
    header, data = content[8 : 8 + size], content[8 + size :]
    if rng.random() < 0.7:
      header = json.dumps(damage.tree(rng, json.loads(header))).encode()
    else:
      header = damage.binary(rng, header)
    return struct.pack('<Q', len(header)) + header + data
  return damage.binary(rng, content)


def _one_damaged(rng: np.random.Generator, files: Files) -> tuple[dict[str, bytes | None], str]:
  """The files with one of them damaged or gone, and its name."""
  name = damage.pick(rng, sorted(files))
  made: dict[str, bytes | None] = dict(files)
  if rng.random() < 0.1 and len(files) > 1:
    made[name] = None
  else:
    made[name] = _damaged(rng, name, files[name])
  return made, name


def _check(holds: bool, what: str) -> None:
  if not holds:
    raise Wrong(what)


# Results.


def _check_results(path: pathlib.Path, files: Files) -> None:
  """Reads results; a table that is read has scores from 0 to 1, and each cell once."""
  table, record = reading.read(str(path))
  _check(bool(table['score'].between(0, 1).all()), 'scores are not from 0 to 1')
  keys = ['model', 'scorer', 'dataset', 'group', 'instruction_id', *(['example_id'] if 'example_id' in table else [])]
  _check(not table.duplicated(keys).any(), 'a cell stands twice')
  for name, content in files.items():
    if (
      content is not None
      and name.endswith('.csv')
      and name in {pathlib.Path(source).name for source in record.get('sources', ())}
    ):
      rows = [r for r in csv.reader(io.StringIO(content.decode('utf-8-sig'), newline='')) if r]
      _check(len({len(row) for row in rows}) == 1, f'{name}: rows have other numbers of cells')


def _results_csv(make: Callable[[], Files], path: str) -> Writer:
  def write(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
    files, _ = _one_damaged(rng, make())
    _write(directory, files)
    return lambda: _check_results(directory / path, files)

  return write


@functools.cache
def _generic() -> Files:
  rows = [f'm,d,i{i},{group},s,{i / 8},20,"Say, {{x}}"\n' for i in range(6) for group in ('observed', 'unobserved')]
  header = 'model,dataset,instruction_id,group,scorer,score,num_examples,template\n'
  return {'table.csv': (header + ''.join(rows)).encode()}


def _published_parquet(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  """Half of the tables are whole files of odd values, half are damaged in their bytes."""
  rows: Any = [
    {'model': 'm', 'dataset': 'd', 'instruction_id': f'i{i}', 'group': group, 'score': i / 8, 'num_examples': 20, 'template': 'Say, {x}'}
    for i in range(6)
    for group in ('observed', 'unobserved')
  ]  # fmt: skip
  sink = pa.BufferOutputStream()
  parquet.write_table(pa.Table.from_pylist(rows), sink)
  data = sink.getvalue().to_pybytes()
  if rng.random() < 0.5:
    with contextlib.suppress(pa.ArrowException, OverflowError, TypeError, ValueError, AttributeError):
      sink = pa.BufferOutputStream()
      parquet.write_table(pa.Table.from_pylist(damage.tree(rng, rows)), sink)
      data = sink.getvalue().to_pybytes()
  else:
    data = damage.binary(rng, data)
  _write(directory, {'table.parquet': data})
  return lambda: _check_results(directory / 'table.parquet', {})


@functools.cache
def _by_example() -> Files:
  rows = [f'e{e},d,i{i},{(e + i) % 2}.0,yes,True,0,\n' for e in range(4) for i in range(3)]
  header = 'example_id,dataset,instruction_id,score,prediction,matched_option,truncated_tokens,extracted_score\n'
  return {'table.csv': (header + ''.join(rows)).encode()}


@functools.cache
def _instruction_eval() -> Files:
  header = 'Model,Dataset,Collection,Type,ID,Shots,Performance,Metric,Include?\n'
  one = [f'M,D,NIV2,QA,{i},0,0.{i}5,Logits,TRUE\n' for i in range(5)]
  two = [f'M,E,BBL,Unobserved,{i},0,0.{i}5,Logits,TRUE\n' for i in range(5)]
  return {'tables/one.csv': (header + ''.join(one)).encode(), 'tables/two.csv': (header + ''.join(two)).encode()}


@functools.cache
def _multi_prompt() -> Files:
  scores = 'paraphrase idx,a_acc,b_acc\n' + ''.join(f'{i},0.{i},0.{i + 1}\n' for i in range(6))
  phrasings = 'prompt idx,prompt template,correct\n' + ''.join(f'{i},"Say, {{x}}",{i % 2}\n' for i in range(6))
  return {'accuracies/t.csv': scores.encode(), 'paraphrases/t.csv': phrasings.encode()}


@functools.cache
def _harness_run() -> Files:
  run = pathlib.Path(__file__).parents[1] / 'data' / 'lm_eval' / 'run'
  return {f'run/{file.name}': file.read_bytes() for file in sorted(run.iterdir())}


def _t5x_output(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  key = {'example_id': 'e0', 'instruction_id': 'i0', 'truncated_tokens': 0}
  decoded = [
    {
      'input': {**key, 'example_id': f'e{e}', 'targets_pretokenized': 'yes', 'options': '["yes", "no"]'},
      'prediction': 'no',
    }
    for e in range(3)
  ]
  ranked = [
    {'input': {**key, 'example_id': f'e{e}', 'targets_pretokenized': o, 'is_correct': o == 'yes', 'idx': [e, i]}, 'score': -1.5}
    for e in range(3) for i, o in enumerate(('yes', 'no'))
  ]  # fmt: skip
  files = {
    f'out/inference_eval/d_eval_{group}-000010.jsonl': ''.join(json.dumps(row) + '\n' for row in rows)
    for group, rows in (('observed', decoded), ('unobserved__rank', ranked))
  }
  name = damage.pick(rng, sorted(files))
  if rng.random() < 0.5:
    rows = damage.tree(rng, [json.loads(line) for line in files[name].splitlines()])
    rows = rows if isinstance(rows, list) else [rows]
    made = ''.join(json.dumps(row) + '\n' for row in rows).encode()
  else:
    made = damage.text(rng, files[name])
  _write(directory, {n: c.encode() for n, c in files.items()} | {name: made})
  return lambda: _check_results(directory / 'out', {})


@functools.cache
def _evaluation() -> tuple[Files, pd.DataFrame]:
  """The files of a finished evaluation, and its table."""
  table = pd.DataFrame(
    [
      {
        'model': 'm', 'dataset': 'd', 'example_id': f'e{e}', 'instruction_id': f'i{i}', 'group': 'observed',
        'scorer': 'exact_match', 'prediction': 'yes', 'gold': 'no', 'score': float((e + i) % 2), 'option_scores': '',
        'matched_option': True, 'truncated_tokens': 0, **OPTIONAL,
      }
      for e in range(20) for i in range(3)
    ]
  )  # fmt: skip
  with tempfile.TemporaryDirectory() as directory:
    run = Run.open(directory, label='m', fingerprint={'tasks': {'d': 'x'}, 'scorer': 'exact_match'})
    run.add_shard('d', table)
    run.finish({'i0': 'Say {x}'}, {})
    made = _files(pathlib.Path(directory))
  return {f'run/{name}': made[name] for name in ('run.json', 'results.parquet')}, table


def _evaluation_of_ours(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  whole, table = _evaluation()
  files, name = _one_damaged(rng, whole)
  _write(directory, files)

  def read() -> None:
    _check_results(directory / 'run', {})
    found, _ = reading.read(str(directory / 'run'))
    if name.endswith('.parquet'):
      _check(found[list(table)].equals(table), 'the table holds other values')

  return read


def _trial(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  record = {
    'label': 'x', 'trained': True, 'seconds': 1.5, 'error': {'stage': 'eval', 'message': 'm'}, 'settings': {'A': 1, 'B': 'x'},
    'seed': 0, 'steps': 3, 'parameters': 10, 'train_command': 'a', 'eval_command': 'b',
  }  # fmt: skip
  _write(directory, {'trial.json': _damaged(rng, 'trial.json', json.dumps(record).encode())})
  return lambda: trial.read_trial(str(directory))


def _represent(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  number = ',0.5' * 3
  whole = {
    'represent.json': json.dumps({'shares': {'input': [0.5, 0.25], 'first answer step': [0.5, 0.25]}}),
    'distances.csv': f'model,place,measure,quantity,estimate,low,high\na,encoder,cosine,ratio{number}\n',
    'correlations.csv': f'model,group,place,measure,rho,low,high,phrasings\na,g,encoder,cosine{number},3\n',
    'phrasings.csv': f'model,dataset,group,instruction_id,template,accuracy,x,y,u,v\na,d,g,i,Say{number},1,2\n',
  }
  files, _ = _one_damaged(rng, {f'out/{name}': text.encode() for name, text in whole.items()})
  _write(directory, files)
  return lambda: representation.read(str(directory / 'out'))


# Checkpoints.


@functools.cache
def _parameters() -> dict[str, np.ndarray]:
  rng = np.random.default_rng(0)
  return {name: rng.normal(size=shape).astype(np.float32) for name, shape in t5_names.layout(_CONFIG).shapes().items()}


@functools.cache
def _huggingface(shard_bytes: int) -> tuple[Files, str]:
  """The files of a checkpoint, and its hash."""
  flat = _parameters()
  with tempfile.TemporaryDirectory() as directory:
    shapes = {name: x.shape for name, x in flat.items()}
    huggingface.write(directory, _CONFIG, flat.__getitem__, shapes, 'float32', shard_bytes)
    digest = backbones.hash_of(huggingface.HuggingFaceBackbone(directory))
    return {f'model/{name}': content for name, content in _files(pathlib.Path(directory)).items()}, digest


def _huggingface_directory(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  whole, digest = _huggingface(damage.pick(rng, (10**9, 2000)))
  files, name = _one_damaged(rng, whole)
  _write(directory, files)

  def read() -> None:
    found = backbones.hash_of(backbones.open_backbone(str(directory / 'model')))
    if name.endswith('index.json'):
      _check(found == digest, 'the index gives other weights')

  return read


_DECODER = LlamaConfig(
  12, 8, 2, 1, 4, 2, 6, Rotary('llama3', 1e4, 8.0, 32), attention_bias=('query', 'key', 'value', 'out')
)


@functools.cache
def _decoder() -> tuple[Files, str]:
  """The files of a decoder's checkpoint, and its hash."""
  rng = np.random.default_rng(0)
  network = layout(_DECODER)
  flat = {name: rng.normal(size=shape).astype(np.float32) for name, shape in network.shapes().items()}
  with tempfile.TemporaryDirectory() as directory:
    huggingface.write(directory, _DECODER, flat.__getitem__, network.shapes(), 'float32', 600)
    digest = backbones.hash_of(huggingface.HuggingFaceBackbone(directory))
    return {f'model/{name}': content for name, content in _files(pathlib.Path(directory)).items()}, digest


def _decoder_directory(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  whole, digest = _decoder()
  name = damage.pick(rng, ('model/config.json', 'model/config.json', *whole))
  files = {**whole, name: _damaged(rng, name, whole[name] or b'')}
  _write(directory, files)

  def read() -> None:
    source = backbones.open_backbone(str(directory / 'model'))
    found = backbones.hash_of(source)
    source.config.sites  # noqa: B018
    if isinstance(source.config, LlamaConfig):
      frequencies = source.config.rotary.frequencies(source.config.head_dim)
      _check(bool(np.isfinite(frequencies).all()), 'positions turn by what is no number')
    if name.endswith('index.json'):
      _check(found == digest, 'the index gives other weights')

  return read


@functools.cache
def _gguf() -> bytes:
  import tiny_gguf

  with tempfile.TemporaryDirectory() as directory:
    return pathlib.Path(tiny_gguf.write(f'{directory}/x.gguf', 'llama_biases')).read_bytes()


def _gguf_file(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  whole = _gguf()
  head = 3000  # metadata and the list of tensors, where damage tells most
  made = damage.binary(rng, whole[:head]) + whole[head:] if rng.random() < 0.7 else damage.binary(rng, whole)
  _write(directory, {'x.gguf': made})

  def read() -> None:
    source = backbones.open_backbone(str(directory / 'x.gguf'))
    for name, (shape, _) in source.shapes.items():
      array = source.read(name)
      _check(array.shape == shape and bool(np.isfinite(array).all()), f'{name} is another tensor')

  return read


_TOKENIZERS = pathlib.Path(__file__).parents[1] / 'data' / 'hf_tokenizers'


def _tokenizer_directory(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  style = damage.pick(rng, ('llama2', 'llama3', 'plain'))
  names = ('tokenizer.json', 'tokenizer_config.json', 'generation_config.json')
  files, _ = _one_damaged(rng, {f'model/{name}': (_TOKENIZERS / style / name).read_bytes() for name in names})
  _write(directory, files)

  def read() -> None:
    spec = tokenizer_files.read(str(directory / 'model'))
    sources = [source for _, source in spec.templates.values()]
    encoder = text_encoder.TextEncoder(spec, sources)
    ids = {control.id for control in encoder.controls.values()}
    _check(ids.isdisjoint(encoder.encode(['Say yes.'], True)[0].ids), 'a text holds a special token')
    for place, source in spec.templates.values():
      chat_templates.find_frame(chat_templates.ChatTemplate(source, place, spec.special_tokens), chat_templates.OWN)

  return read


@functools.cache
def _t5x() -> tuple[Files, str]:
  flat = _parameters() | {'adapter/encoder_gate': np.zeros((2, 2), np.float32)}
  with tempfile.TemporaryDirectory() as directory:
    t5x_format.write(directory, flat.__getitem__, {name: x.shape for name, x in flat.items()}, 'float32')
    digest = backbones.hash_of(t5x_format.T5XBackbone(directory, 't5x'))
    return {f'model/{name}': content for name, content in _files(pathlib.Path(directory)).items()}, digest


def _t5x_directory(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  whole, digest = _t5x()
  kind = damage.pick(rng, ('checkpoint', '.zarray', '0'))
  name = damage.pick(rng, sorted(n for n in whole if n.split('/')[-1].split('.')[0] == kind or n.endswith(f'/{kind}')))
  files = dict(whole)
  if kind == 'checkpoint' and rng.random() < 0.7:
    content = json.loads(json.dumps(serialization.msgpack_restore(files[name])['optimizer']['target']))
    target = damage.tree(rng, content)
    try:
      files[name] = serialization.msgpack_serialize({'version': 3, 'optimizer': {'target': target, 'state': {}}})
    except (OverflowError, ValueError, TypeError):  # what msgpack has no place for
      files[name] = b''
  elif rng.random() < 0.2:
    files[name] = None
  elif kind == '.zarray':
    files[name] = _damaged(rng, 'x.json', files[name])
  else:
    files[name] = damage.binary(rng, files[name])
  _write(directory, files)

  def read() -> None:
    source = backbones.open_backbone(str(directory / 'model'))
    found = backbones.hash_of(source)
    content = files[name]
    # A chunk that is cut may have lost the checksum at its end, without which tensorstore reads it all the same.
    if kind == '0' and 'adapter' not in name and (content is None or len(content) >= len(whole[name] or b'')):
      _check(found == digest, 'a damaged chunk gives other weights')

  return read


@functools.cache
def _orbax() -> tuple[Files, str]:
  import jax
  import orbax.checkpoint as ocp

  from robust_t5x.models import trainable

  state = {'target': trainable.unflatten(_parameters()), 'state': {'step': np.asarray(7)}}
  with tempfile.TemporaryDirectory() as directory:
    path = pathlib.Path(directory) / 'checkpoint_7'
    ocp.PyTreeCheckpointer().save(path / 'state', jax.tree.map(jax.numpy.asarray, state))
    digest = backbones.hash_of(t5x_format.T5XBackbone(str(path), 'orbax'))
    return _files(pathlib.Path(directory)), digest


def _orbax_directory(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  whole, digest = _orbax()
  files, _ = _one_damaged(rng, whole)
  _write(directory, files)

  def read() -> None:
    found = backbones.hash_of(backbones.open_backbone(str(directory / 'checkpoint_7')))
    _check(found == digest, 'a damaged checkpoint gives other weights')

  return read


def _tensor_file(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  tensors = {name: np.arange(i * 3, dtype=np.float32).reshape(i, 3) for i, name in enumerate(('a', 'b', 'c', 'd'), 1)}
  whole = safetensors.save(tensors, {'format': 'pt'})
  size = struct.unpack('<Q', whole[:8])[0]
  if rng.random() < 0.5:
    made = _damaged(rng, 'x.safetensors', whole)
  else:  # its header, with its length
    made = damage.binary(rng, whole[: 8 + size]) + whole[8 + size :]
  _write(directory, {'x.safetensors': made})

  def read() -> None:
    file = tensorfile.TensorFile(str(directory / 'x.safetensors'))
    for name, (shape, dtype) in file.shapes.items():
      array = file.read(name)
      if made[-len(whole) + 8 + size :] == whole[8 + size :] and name in tensors and tensors[name].shape == shape:
        same = dtype != np.float32 or np.array_equal(array, tensors[name])
        _check(same, f'{name} is another tensor')

  return read


# Adapters.


def _adapter(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  arrays = {
    name: np.full(p.shape, 0.5, np.float32)
    for name, p in adapters.parameters(adapters.AdapterConfig(3, {'encoder': 2}, lora_rank=2), _CONFIG).items()
  }
  metadata = json.dumps({'backbone': {'path': 'p', 'sha256': 'x'}, 'seed': 3})
  if rng.random() < 0.3:
    metadata = _damaged(rng, 'x.json', metadata.encode()).decode('utf-8', 'replace')
    content = safetensors.save(arrays, {'robust_t5x': metadata})
  else:
    content = _damaged(rng, 'x.safetensors', safetensors.save(arrays, {'robust_t5x': metadata}))
  path = directory / 'adapter.safetensors'
  path.write_bytes(content)

  def read() -> None:
    found, _ = adapter_files.load(str(path))
    adapters.check_fits(found, _CONFIG, str(path))
    _check(all(np.isfinite(array).all() for array in found.values()), 'holds numbers that are not finite')

  return read


def _npy(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  buffer = io.BytesIO()
  np.save(buffer, np.ones((3, 4), np.float32))
  _write(directory, {'x.npy': damage.binary(rng, buffer.getvalue())})
  return lambda: adapter_files.read_any(str(directory / 'x.npy'))


def _peft(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  config: dict[str, Any] = {
    'peft_type': 'PROMPT_TUNING',
    'num_virtual_tokens': 3,
    'token_dim': 4,
    'task_type': 'SEQ_2_SEQ_LM',
  }
  whole = {
    'peft/adapter_config.json': json.dumps(config).encode(),
    'peft/adapter_model.safetensors': safetensors.save({'prompt_embeddings': np.ones((3, 4), np.float32)}),
  }
  files, _ = _one_damaged(rng, whole)
  _write(directory, files)
  return lambda: adapter_files.read_any(str(directory / 'peft'))


def _peft_lora(rng: np.random.Generator, directory: pathlib.Path) -> Callable[[], object]:
  made = adapters.parameters(adapters.AdapterConfig(lora_rank=2), _CONFIG)
  peft.write(str(directory / 'peft'), {name: np.ones(p.shape, np.float32) for name, p in made.items()}, _CONFIG)
  whole = {f'peft/{path.name}': path.read_bytes() for path in (directory / 'peft').iterdir()}
  files, _ = _one_damaged(rng, whole)
  shutil.rmtree(directory / 'peft')
  _write(directory, files)

  def read() -> None:
    found, _ = adapter_files.read_any(str(directory / 'peft'), _CONFIG)
    _check(all(np.isfinite(array).all() for array in found.values()), 'holds numbers that are not finite')

  return read


READERS: dict[str, Writer] = {
  'results of phrasings': _results_csv(_generic, 'table.csv'),
  'results of phrasings, Parquet': _published_parquet,
  'results of examples': _results_csv(_by_example, 'table.csv'),
  'InstructionEval tables': _results_csv(_instruction_eval, 'tables'),
  'multi-prompt tables': _results_csv(_multi_prompt, 'accuracies'),
  'T5X output': _t5x_output,
  'lm-evaluation-harness output': _results_csv(_harness_run, 'run'),
  'evaluation': _evaluation_of_ours,
  'trial': _trial,
  'representation': _represent,
  'Hugging Face checkpoint': _huggingface_directory,
  'Hugging Face decoder': _decoder_directory,
  'GGUF': _gguf_file,
  'tokenizer': _tokenizer_directory,
  'T5X checkpoint': _t5x_directory,
  'orbax checkpoint': _orbax_directory,
  'safetensors': _tensor_file,
  'adapter': _adapter,
  'npy': _npy,
  'PEFT directory': _peft,
  'PEFT directory of LoRA': _peft_lora,
}
