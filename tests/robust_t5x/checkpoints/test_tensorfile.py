"""Safetensors files that are damaged."""

import json
import struct

import numpy as np
import pytest

from robust_t5x.checkpoints import tensorfile


@pytest.mark.parametrize(
  ('content', 'message'),
  [(b'', 'not a safetensors file'), (b'\xff' * 20, 'not a safetensors file'), (b'\x02' + b'\0' * 7 + b'{}', None)],
)
def test_damaged_tensor_files(content, message, tmp_path):
  path = tmp_path / 'x.safetensors'
  path.write_bytes(content)
  if message is None:
    assert tensorfile.TensorFile(str(path)).shapes == {}
    return
  with pytest.raises(tensorfile.TensorFileError, match=message):
    tensorfile.TensorFile(str(path))


def test_a_tensor_file_that_was_cut_off(tmp_path):
  path = tmp_path / 'x.safetensors'
  tensorfile.write(str(path), {'a': ((4,), '<f4')}, [('a', np.arange(4.0))], {})
  path.write_bytes(path.read_bytes()[:-3])
  with pytest.raises(
    tensorfile.TensorFileError,
    match='x.safetensors: not a safetensors file .it ends before its tensors do, 3 bytes short',
  ):
    tensorfile.TensorFile(str(path)).read('a')


def _file(path, header, data=bytes(16)):
  text = header if isinstance(header, bytes) else json.dumps(header).encode()
  path.write_bytes(struct.pack('<Q', len(text)) + text + data)
  return str(path)


def _tensor(begin, end, shape=(2,), dtype='F32'):
  return {'dtype': dtype, 'shape': list(shape), 'data_offsets': [begin, end]}


@pytest.mark.parametrize(
  ('header', 'message'),
  [
    ({'a': _tensor(0, 8), 'b': _tensor(4, 12)}, r'tensor b lies at \[4, 12\], where one should begin at 8'),
    ({'a': _tensor(0, 8), 'b': _tensor(0, 8)}, 'where one should begin at 8'),
    ({'a': _tensor(4, 12)}, 'where one should begin at 0'),
    ({'a': _tensor(-8, 0)}, 'where one should begin at 0'),
    ({'a': _tensor(0, 8)}, 'its tensors end at byte 8 of 16'),
    ({'a': _tensor(0, 24, (6,))}, 'it ends before its tensors do, 8 bytes short'),
    ({'a': _tensor(0, 16)}, r'tensor a of shape \[2\] and F32 lies at \[0, 16\], which is another length'),
    ({'a': _tensor(0, 16, (2,), 'F32') | {'shape': [-1, -4]}}, r'tensor a has the shape \[-1, -4\]'),
    ({'a': _tensor(0, 16) | {'shape': ['4']}}, r"header.a.shape\[0\] is '4', not int"),
    ({'a': _tensor(0, 16) | {'data_offsets': [0]}}, 'the offsets'),
    ({'a': {'dtype': 'F32'}}, 'header.a has no data_offsets'),
    ({'a': None}, 'header.a is None'),
    ({'__metadata__': {'x': 1}, 'a': _tensor(0, 16, (4,))}, '__metadata__.x is 1, not str'),
    ([], 'its header is no JSON object'),
    (b'{"a": {}, "a": {}}', 'its header names a twice'),
    (b'{' * 50_000, 'not a safetensors file'),
    (b'\xff{}', 'not a safetensors file'),
    ({'a': _tensor(0, 16, (16,), 'U8')}, 'tensors of dtype U8 are not supported'),
  ],
)
def test_a_header_that_does_not_fit_the_data_is_refused(tmp_path, header, message):
  with pytest.raises(tensorfile.TensorFileError, match=f'x.safetensors: .*{message}'):
    tensorfile.TensorFile(_file(tmp_path / 'x.safetensors', header))


def test_tensors_in_any_order_and_empty_ones_are_read(tmp_path):
  header = {'b': _tensor(8, 16), 'a': _tensor(0, 8), 'empty': _tensor(8, 8, (0, 3))}
  file = tensorfile.TensorFile(_file(tmp_path / 'x.safetensors', header, np.arange(4, dtype='<f4').tobytes()))
  assert file.read('b').tolist() == [2, 3] and file.read('empty').shape == (0, 3)
  assert [block.tolist() for block in file.blocks('a', 1)] == [[0], [1]]
