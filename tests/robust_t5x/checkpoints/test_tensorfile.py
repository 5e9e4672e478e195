"""Safetensors files that are damaged."""

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
  with pytest.raises(tensorfile.TensorFileError, match='ends within tensor a'):
    tensorfile.TensorFile(str(path)).read('a')
