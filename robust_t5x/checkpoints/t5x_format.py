"""T5X's checkpoints: the published layout (one zarr array for each parameter) and the one that orbax writes for T5X.

Needs T5X neither to read nor to write. Parameters stand under `target`, optimiser state, which is not read, under
`state`.
"""

from collections.abc import Callable, Mapping, Sequence
import functools
import json
import math
import os
import re
from typing import Any, TypedDict

from flax import serialization, traverse_util
import numpy as np

from robust_t5x.checkpoints import hf_config, t5_names
from robust_t5x.checkpoints.checks import CheckpointError, cast, check_finite, check_parameters
from robust_t5x.checkpoints.layouts import layout
from robust_t5x.models.protocol import ADAPTER, NetworkConfig
from robust_t5x.runtime import progress, records
from robust_t5x.runtime.files import write_atomically
from seqio_tasks.errors import UserError, shorten
from seqio_tasks.tables import parse_json

# Files of ours in a checkpoint's directory or, of a run under T5X, in the one above: `config.json` of the network, where shapes do
# not tell all that it says, and where a soft prompt stands.
_NETWORK, _ADAPTER = 'network.json', 'adapter.json'
_CHUNK = 1 << 22  # values in a chunk; one that is written or read is held two or three times, as it is and compressed
# How tensorstore tells an error of the system, such as a full disk.
_OF_THE_SYSTEM = re.compile(r"os_error_code='(\d+)'")


class _AdapterNotes(TypedDict):
  prompt_position: int


class T5XCheckpointError(CheckpointError):
  """A checkpoint that cannot be read as T5X's."""


class T5XBackbone:
  """An open T5X checkpoint.

  Attributes:
    path: the directory `checkpoint_N`, local or in a bucket (gs://...).
    format: 't5x' for the published layout, 'orbax' for the newer one.
    config: the network, as `network.json` there or above tells or, where there is none, as the shapes do of a T5; the widest
      distance of relative positions is then T5's 128.
    notes: see hf_config.notes_of.
    shapes: name -> (shape, dtype), adapter included where there is one.
  """

  def __init__(self, path: str, format: str):
    """Reads the shapes.

    Args:
      path: the directory.
      format: 't5x' or 'orbax'.

    Raises:
      CheckpointError: if parameters cannot be found or opened, or are not those of the network.
    """
    self.path, self.format = path, format
    self._inline: dict[str, np.ndarray] = {}
    specs = _published_specs(path, self._inline) if format == 't5x' else _orbax_specs(path)
    try:
      futures = {
        name: _tensorstore().open(_filled(name, spec), open=True, read=True, context=_context())
        for name, spec in specs.items()
      }
    except ValueError as e:  # of what the checkpoint says of its arrays
      raise T5XCheckpointError(f'{path}: its arrays cannot be opened ({shorten(e, 200)}); fetch it again') from e
    self._stores = {name: self._result(future, name) for name, future in futures.items()}
    self.shapes = {name: (tuple(s.shape), s.dtype.numpy_dtype) for name, s in self._stores.items()}
    self.shapes |= {name: (a.shape, a.dtype) for name, a in self._inline.items()}
    if not self.shapes:
      raise T5XCheckpointError(f'{path}: holds no parameters under `target`; it is no T5X checkpoint of a model')
    self.config, self.notes = _network(path, {name: shape for name, (shape, _) in self.shapes.items()})
    network = layout(self.config)
    if network.layers > len(self.shapes):
      raise T5XCheckpointError(f'{path}/{_NETWORK}: has more layers than there are weights; fetch the whole checkpoint')
    needed = network.shapes()
    check_parameters(path, self.shapes, needed, network.noun)
    unused = [name for name in self.shapes if name not in needed and not name.startswith(f'{ADAPTER}/')]
    if unused:
      progress.log(
        f'warning: {path}: {len(unused)} arrays are no part of {network.noun} and not used: '
        f'{shorten(", ".join(sorted(unused)), 200)}'
      )

  def read(self, name: str) -> np.ndarray:
    """One tensor.

    Raises:
      CheckpointError: if a chunk of it is missing or damaged, or a value is not finite.
    """
    if name in self._inline:
      array = self._inline[name]
    else:
      array = self._read(self._stores[name], name)
    check_finite(array, self.path, name)
    return array

  def _read(self, store: Any, name: str) -> np.ndarray:
    """An array by parts of whole chunks, two under way at a time: all at once would hold it decoded and compressed."""
    shape = tuple(store.shape)
    array = np.empty(shape, store.dtype.numpy_dtype)
    waiting: list[tuple[Any, Any]] = []

    def take():
      part, future = waiting.pop(0)
      array[part] = self._result(future, name)

    for part in _parts(shape, store.chunk_layout.read_chunk.shape):
      waiting.append((part, store[part].read()))
      if len(waiting) == 2:
        take()
    while waiting:
      take()
    return array

  def _result(self, future: Any, name: str) -> Any:
    """What tensorstore found; its errors, all of which tell of files, named by the parameter."""
    try:
      return future.result()
    except Exception as e:
      what = str(e).partition(' [')[0]
      raise T5XCheckpointError(
        f'{self.path}: {name} cannot be read ({shorten(what, 200)}); the checkpoint is not whole: fetch or write it again'
      ) from e


def _network(path: str, shapes: Mapping[str, tuple[int, ...]]) -> tuple[NetworkConfig, dict[str, Any]]:
  """(configuration, notes) of the network whose parameters have these shapes."""
  place, content = _beside(path, _NETWORK)
  if content is None:
    if any(name.startswith('decoder/layers_0/attention/') for name in shapes):
      raise T5XCheckpointError(
        f'{path}: holds a decoder-only network, whose heads and positions the shapes of its arrays do not tell; put the '
        f"model's config.json there as {_NETWORK}"
      )
    return t5_names.config_of(shapes, path), {}
  return hf_config.config_of(content, place), hf_config.notes_of(content)


def adapter_notes(path: str) -> Mapping[str, Any]:
  """What a T5X checkpoint's adapter needs beside its arrays: `prompt_position`, the tokens of the input that stand before a soft
  prompt, where it is known.

  Raises:
    CheckpointError: if a file says of it what cannot be.
  """
  place, content = _beside(path, _ADAPTER)
  fault = None if content is None else records.fault(content, _AdapterNotes)
  if fault:
    raise T5XCheckpointError(f'{place}: {fault}; copy it from where the checkpoint was written')
  return content or {}


def _beside(path: str, name: str) -> tuple[str, Any]:
  """(place, content) of a JSON file of ours in a checkpoint's directory, or above it for one of a run; None if there is none."""
  above, _, step = path.rstrip('/').rpartition('/')
  for directory in (path, above) if above and re.fullmatch(r'checkpoint_\d+', step) else (path,):
    told = read_file(directory, name)
    if told is not None:
      place = f'{directory}/{name}'
      try:
        return place, parse_json(told.decode())
      except ValueError as e:
        raise T5XCheckpointError(f'{place}: cannot be read as JSON ({shorten(e)}); fetch it again') from e
  return f'{path}/{name}', None


def write_beside(
  directory: str, config: NetworkConfig, notes: Mapping[str, Any], dtype: str, prompt_position: int | None
) -> None:
  """Writes what the arrays of a checkpoint do not tell, into its directory or into the one above.

  Args:
    directory: where to, local or in a bucket.
    config: the network.
    notes: see hf_config.notes_of.
    dtype: of the weights.
    prompt_position: tokens of the input that stand before a soft prompt; None where there is none.
  """
  contents = {}
  if layout(config).settings():
    contents[_NETWORK] = hf_config.fields(config, dtype, notes)
  if prompt_position is not None:
    contents[_ADAPTER] = {'prompt_position': prompt_position}
  for name, content in contents.items():
    write_atomically(f'{directory}/{name}', json.dumps(content, indent=2) + '\n')


def write(
  directory: str,
  read: Callable[[str], np.ndarray],
  shapes: Mapping[str, tuple[int, ...]],
  dtype: str,
  step: int = 0,
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
  specs: dict[str, Any] = {}
  for name, shape in shapes.items():
    kvstore = {'driver': 'file', 'path': 'target.' + name.replace('/', '.')}
    specs[name] = {
      'driver': 'zarr',
      'dtype': dtype,
      'kvstore': kvstore,
      'metadata': {
        'shape': list(shape),
        'chunks': _chunk(shape),
        'compressor': {'id': 'gzip', 'level': 1},
      },
    }
    place = {**kvstore, 'path': os.path.join(os.path.abspath(directory), kvstore['path']) + '/'}
    spec = {**specs[name], 'kvstore': place, 'store_data_equal_to_fill_value': True}  # a chunk that is missing is lost
    array = np.asarray(read(name))
    if array.shape != tuple(shape):
      raise AssertionError(f'{name} {array.shape} where {tuple(shape)} was announced')
    try:
      store = _tensorstore().open(spec, create=True, delete_existing=True).result()
      for part in _parts(shape, _chunk(shape)):
        store[part].write(cast(array[part], store.dtype.numpy_dtype, directory, name)).result()
      del array  # before the next is read
    except UserError:
      raise
    except ValueError as e:  # tensorstore's
      system = _OF_THE_SYSTEM.search(str(e))
      if system:
        raise OSError(int(system[1]), os.strerror(int(system[1])), directory) from e
      raise T5XCheckpointError(f'{directory}: cannot be written ({shorten(e, 200)}); mend that, and start again') from e
  state = {'step': np.asarray(step, np.int32), 'param_states': {}}
  content = {'version': 3, 'optimizer': {'target': traverse_util.unflatten_dict(specs, sep='/'), 'state': state}}
  # Last, since it makes the directory a checkpoint.
  write_atomically(os.path.join(directory, 'checkpoint'), serialization.msgpack_serialize(content))


def _chunk(shape: Sequence[int]) -> list[int]:
  """The chunk of an array: all of it or, of a large one, rows that are written and compressed together."""
  whole = [max(n, 1) for n in shape]
  if math.prod(whole) > _CHUNK:
    whole[0] = max(_CHUNK // math.prod(whole[1:]), 1)
  return whole


def _parts(shape: Sequence[int], chunk: Sequence[int]) -> list[Any]:
  """Rows of an array that hold whole chunks, of _CHUNK values or as few more as that takes, as indices of it."""
  if not shape:
    return [np.s_[...]]
  rows = chunk[0] * max(_CHUNK // (chunk[0] * max(math.prod(shape[1:]), 1)), 1)
  return [np.s_[at : min(at + rows, shape[0])] for at in range(0, shape[0], rows)]


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
  try:
    result = _tensorstore().KvStore.open(kvstore(path), context=_context()).result().read(name).result()
  except ValueError as e:
    raise T5XCheckpointError(f'{path}/{name}: cannot be read ({shorten(str(e).partition(" [")[0], 200)})') from e
  return result.value if result.state == 'value' else None


def _published_specs(path: str, inline: dict[str, np.ndarray]) -> dict[str, Any]:
  """Name -> tensorstore specification, from the file `checkpoint`; small arrays stand in that file itself."""
  packed = read_file(path, 'checkpoint')
  if packed is None:
    raise T5XCheckpointError(f'{path}: has no file checkpoint; give the directory of a step')
  place = f'{path}/checkpoint'
  try:
    content = serialization.msgpack_restore(packed)
  except Exception as e:  # of msgpack and of what flax puts into it
    raise T5XCheckpointError(f'{place}: cannot be read ({shorten(e)}); fetch it again') from e
  try:
    target = content['optimizer']['target']
  except (KeyError, TypeError, IndexError) as e:
    raise T5XCheckpointError(f'{place}: has no field optimizer.target; it is no T5X checkpoint') from e
  specs = {}
  for name, leaf in _leaves(target, place):
    if not isinstance(leaf, dict):
      inline[name] = leaf
      continue
    store, driver = leaf.get('kvstore'), leaf['driver']
    where = store.get('path') if isinstance(store, dict) else None
    file = where.rstrip('/').rpartition('/')[2] if isinstance(where, str) else ''
    if driver not in ('zarr', 'zarr3') or file in ('', '.', '..'):
      raise T5XCheckpointError(f'{place}: says of {name} {shorten(leaf)}, which is no array beside it; fetch it again')
    specs[name] = _array(path, file, driver)
  return specs


def _leaves(target: Any, place: str) -> list[tuple[str, Any]]:
  """Name -> the arrays, and dictionaries with a driver, of a nested one."""
  found = []
  waiting = [('', target)]
  while waiting:
    name, value = waiting.pop()
    if isinstance(value, dict) and 'driver' not in value:
      waiting += [(f'{name}/{key}' if name else str(key), below) for key, below in value.items()][::-1]
    elif isinstance(value, dict | np.ndarray | np.generic | float) and name:
      found.append((name, value if isinstance(value, dict) else np.asarray(value)))
    else:
      raise T5XCheckpointError(f'{place}: {name or "target"} is {shorten(repr(value))}, not an array; fetch it again')
  return found


def _orbax_specs(path: str) -> dict[str, Any]:
  """Name -> tensorstore specification, from the keys of orbax's directory."""
  inner = f'{path}/state' if read_file(f'{path}/state', '_METADATA') else path
  store: Any = kvstore(inner)
  if read_file(inner, 'manifest.ocdbt'):
    store = {'driver': 'ocdbt', 'base': store}
  try:
    listed = _tensorstore().KvStore.open(store, context=_context()).result().list().result()
    keys = [k.decode() for k in listed]
  except Exception as e:  # tensorstore's, of files that are damaged
    what = str(e).partition(' [')[0]
    raise T5XCheckpointError(f'{path}: cannot be read ({shorten(what, 200)}); fetch or write it again') from e
  specs = {}
  for key in keys:
    match = re.fullmatch(r'target\.(.+)/(\.zarray|zarr\.json)', key)
    if match:
      driver = 'zarr' if match[2] == '.zarray' else 'zarr3'
      specs[match[1].replace('.', '/')] = {'driver': driver, 'kvstore': _within(store, f'target.{match[1]}/')}
  return specs


def _filled(name: str, spec: dict[str, Any]) -> dict[str, Any]:
  """A specification that says whether a chunk that is missing is one of zeros.

  Tensorstore writes none for a chunk of zeros, unless it is told to. An untrained adapter has such; a backbone has not.
  """
  untrained = name.startswith(f'{ADAPTER}/') and name.endswith(('_gate', '_up', '_pool'))
  return {**spec, 'fill_missing_data_reads': untrained}


def _array(path: str, name: str, driver: str) -> dict[str, Any]:
  return {'driver': driver, 'kvstore': _within(kvstore(path), f'{name}/')}


def _within(store: dict[str, Any], name: str) -> dict[str, Any]:
  return {**store, 'path': store.get('path', '') + name}
