"""T5X's checkpoints: the published layout (one zarr array for each parameter) and the one that orbax writes for T5X.

Needs T5X neither to read nor to write. Parameters stand under `target`, optimiser state, which is not read, under
`state`.
"""

from collections.abc import Callable, Mapping
import functools
import os
import re
from typing import Any

from flax import serialization, traverse_util
import numpy as np

from robust_t5x.models import t5
from seqio_tasks.errors import UserError


class T5XCheckpointError(UserError):
  """A checkpoint that cannot be read as T5X's."""


class T5XBackbone:
  """An open T5X checkpoint.

  Attributes:
    path: the directory `checkpoint_N`, local or in a bucket (gs://...).
    format: 't5x' for the published layout, 'orbax' for the newer one.
    config: the network, as the shapes tell; the widest distance of relative positions is T5's 128.
    shapes: name -> (shape, dtype), adapter included where there is one.
  """

  def __init__(self, path: str, format: str):
    """Reads the shapes.

    Args:
      path: the directory.
      format: 't5x' or 'orbax'.

    Raises:
      T5XCheckpointError: if parameters cannot be found.
    """
    self.path, self.format = path, format
    self._inline: dict[str, np.ndarray] = {}
    specs = _published_specs(path, self._inline) if format == 't5x' else _orbax_specs(path)
    futures = {
      name: _tensorstore().open(spec, open=True, read=True, context=_context()) for name, spec in specs.items()
    }
    self._stores = {name: future.result() for name, future in futures.items()}
    self.shapes = {name: (tuple(s.shape), s.dtype.numpy_dtype) for name, s in self._stores.items()}
    self.shapes |= {name: (a.shape, a.dtype) for name, a in self._inline.items()}
    if not self.shapes:
      raise T5XCheckpointError(f'{path}: holds no parameters under `target`; it is no T5X checkpoint of a model')
    self.config = config_of({name: shape for name, (shape, _) in self.shapes.items()}, path)

  def read(self, name: str) -> np.ndarray:
    """One tensor."""
    if name in self._inline:
      return self._inline[name]
    return np.asarray(self._stores[name].read().result())


def config_of(shapes: Mapping[str, tuple[int, ...]], path: str) -> t5.T5Config:
  """The network that has parameters of these shapes.

  Raises:
    T5XCheckpointError: naming the parameter that a T5 has and this checkpoint lacks.
  """

  def shape(name):
    if name not in shapes:
      raise T5XCheckpointError(f'{path}: has no parameter {name}; only T5 encoder-decoders are supported')
    return shapes[name]

  def layers(stack):
    numbers = [int(m[1]) for name in shapes if (m := re.match(rf'{stack}/layers_(\d+)/', name))]
    return max(numbers, default=-1) + 1

  gated = 'encoder/layers_0/mlp/wi_0/kernel' in shapes
  heads, buckets = shape('encoder/relpos_bias/rel_embedding')
  vocab_size, emb_dim = shape('token_embedder/embedding')
  return t5.T5Config(
    vocab_size=vocab_size,
    emb_dim=emb_dim,
    num_heads=heads,
    head_dim=shape('encoder/layers_0/attention/query/kernel')[1] // heads,
    num_encoder_layers=layers('encoder'),
    num_decoder_layers=layers('decoder'),
    mlp_dim=shape(f'encoder/layers_0/mlp/{"wi_0" if gated else "wi"}/kernel')[1],
    mlp_activations=('gelu', 'linear') if gated else ('relu',),
    logits_via_embedding='decoder/logits_dense/kernel' not in shapes,
    relpos_buckets=buckets,
  )


def write(
  directory: str, read: Callable[[str], np.ndarray], shapes: Mapping[str, tuple[int, ...]], dtype: str, step: int = 0
) -> None:
  """Writes the published layout, one tensor at a time; T5X restores it, as it does Google's own.

  Args:
    directory: where to, local; by T5X's custom its name ends in `checkpoint_STEP`.
    read: name -> array.
    shapes: name -> shape of all parameters.
    dtype: storage dtype, 'float32' or 'bfloat16'.
    step: the step that T5X goes on from where it is told to restore the state too.
  """
  os.makedirs(directory, exist_ok=True)
  specs = {}
  for name, shape in shapes.items():
    kvstore = {'driver': 'file', 'path': 'target.' + name.replace('/', '.')}
    specs[name] = {
      'driver': 'zarr',
      'dtype': dtype,
      'kvstore': kvstore,
      'metadata': {
        'shape': list(shape),
        'chunks': [max(n, 1) for n in shape],
        'compressor': {'id': 'gzip', 'level': 1},
      },
    }
    place = {**kvstore, 'path': os.path.join(os.path.abspath(directory), kvstore['path']) + '/'}
    store = _tensorstore().open({**specs[name], 'kvstore': place}, create=True, delete_existing=True).result()
    store.write(np.asarray(read(name)).astype(store.dtype.numpy_dtype, copy=False)).result()
  state = {'step': np.asarray(step, np.int32), 'param_states': {}}
  content = {'version': 3, 'optimizer': {'target': traverse_util.unflatten_dict(specs, sep='/'), 'state': state}}
  temporary = os.path.join(directory, f'checkpoint.{os.getpid()}.tmp')
  with open(temporary, 'wb') as f:
    f.write(serialization.msgpack_serialize(content))
  os.replace(temporary, os.path.join(directory, 'checkpoint'))  # last, since it makes the directory a checkpoint


def _tensorstore() -> Any:
  import tensorstore

  return tensorstore


@functools.lru_cache(maxsize=1)
def _context() -> Any:
  """Tries a bucket for some seconds; by default tensorstore goes on for many minutes, in silence."""
  retries = {'max_retries': 5, 'initial_delay': '500ms', 'max_delay': '4s'}
  return _tensorstore().Context({'gcs_request_retries': retries})


def kvstore(path: str) -> dict[str, Any]:
  """Tensorstore's name of a directory, local or in a bucket."""
  if path.startswith('gs://'):
    bucket, _, prefix = path[5:].partition('/')
    return {'driver': 'gcs', 'bucket': bucket, 'path': prefix.rstrip('/') + '/'}
  return {'driver': 'file', 'path': os.path.abspath(path) + '/'}


def read_file(path: str, name: str) -> bytes | None:
  """A file of a directory, or None if there is none."""
  result = _tensorstore().KvStore.open(kvstore(path), context=_context()).result().read(name).result()
  return result.value if result.state == 'value' else None


def _published_specs(path: str, inline: dict[str, np.ndarray]) -> dict[str, Any]:
  """Name -> tensorstore specification, from the file `checkpoint`; small arrays stand in that file itself."""
  packed = read_file(path, 'checkpoint')
  if packed is None:
    raise T5XCheckpointError(f'{path}: has no file checkpoint; give the directory of a step')
  content = serialization.msgpack_restore(packed)
  try:
    target = content['optimizer']['target']
  except (KeyError, TypeError) as e:
    raise T5XCheckpointError(f'{path}/checkpoint: has no field optimizer.target; it is no T5X checkpoint') from e
  flat = traverse_util.flatten_dict(target, is_leaf=lambda _, x: isinstance(x, dict) and 'driver' in x)
  specs = {}
  for keys, leaf in flat.items():
    name = '/'.join(keys)
    if isinstance(leaf, dict):
      specs[name] = _array(path, leaf['kvstore']['path'].rstrip('/').split('/')[-1], leaf['driver'])
    else:
      inline[name] = np.asarray(leaf)
  return specs


def _orbax_specs(path: str) -> dict[str, Any]:
  """Name -> tensorstore specification, from the keys of orbax's directory."""
  inner = f'{path}/state' if read_file(f'{path}/state', '_METADATA') else path
  store: Any = kvstore(inner)
  if read_file(inner, 'manifest.ocdbt'):
    store = {'driver': 'ocdbt', 'base': store}
  keys = [k.decode() for k in _tensorstore().KvStore.open(store, context=_context()).result().list().result()]
  specs = {}
  for key in keys:
    match = re.fullmatch(r'target\.(.+)/(\.zarray|zarr\.json)', key)
    if match:
      driver = 'zarr' if match[2] == '.zarray' else 'zarr3'
      specs[match[1].replace('.', '/')] = {'driver': driver, 'kvstore': _within(store, f'target.{match[1]}/')}
  return specs


def _array(path: str, name: str, driver: str) -> dict[str, Any]:
  return {'driver': driver, 'kvstore': _within(kvstore(path), f'{name}/')}


def _within(store: dict[str, Any], name: str) -> dict[str, Any]:
  return {**store, 'path': store.get('path', '') + name}
