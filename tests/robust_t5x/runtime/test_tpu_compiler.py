"""What libtpu has decided before it writes machine code, against whole compilations of small programs."""

import pathlib
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import pytest

from robust_t5x.runtime import hlo, partitioning, topologies, tpu_compiler

pytestmark = pytest.mark.usefixtures('as_started_anew')
MIB = 1 << 20


def lowered(width, model_parallel=2):
  """A loop over parts of a batch through a layer whose weights are split, on v5e-4."""
  mesh = partitioning.make_mesh(model_parallel, topologies.devices('v5e-4'))

  def run(w, v, xs):
    return jax.lax.scan(lambda total, x: (total + jnp.tanh(x @ w) @ v, None), jnp.zeros_like(xs[0]), xs)[0]

  def shape(spec, *dims):
    return jax.ShapeDtypeStruct(
      dims, jnp.bfloat16, sharding=jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*spec))
    )

  arrays = shape((None, 'model'), width, width), shape(('model',), width, width), shape((None, 'data'), 4, 512, width)
  return jax.jit(run).lower(*arrays), [d.id for d in mesh.devices.flat]


def test_the_figures_are_those_of_a_whole_compilation():
  pytest.importorskip('libtpu', reason="libtpu is not installed; pip install -e '.[plan]'")
  program, devices = lowered(512)
  whole, stopped = tpu_compiler.whole(program), tpu_compiler.laid_out(program, 'v5e-4', devices)
  assert stopped.flops == whole.flops
  assert abs(stopped.memory_bytes - whole.memory_bytes) < 4 * MIB  # machine code, which only one of them counts
  assert 0.8 < stopped.bytes_accessed / whole.bytes_accessed <= 1
  found, expected = (hlo.collectives(p.text, 4) for p in (stopped, whole))
  assert found == expected and sum(c.sent_bytes for c in found) > 0


def test_what_the_compiler_refuses_is_said():
  pytest.importorskip('libtpu', reason="libtpu is not installed; pip install -e '.[plan]'")
  program, devices = lowered(512)
  with pytest.raises(tpu_compiler.CompilerError, match='unknown topology'):
    tpu_compiler.laid_out(program, 'v9-1', devices)


def test_the_compiler_ends_with_the_process_that_started_it():
  # In place of a long compilation, it waits for a module that nobody writes.
  code = (
    'import os, pathlib; from robust_t5x.runtime import tpu_compiler\n'
    'pathlib.Path.write_text = lambda self, *args, **options: os.mkfifo(self)\n'
    'class Lowered:\n'
    '  as_text = str\n'
    'tpu_compiler.laid_out(Lowered(), "v5e-4", [0, 1, 2, 3])'
  )
  with subprocess.Popen([sys.executable, '-c', code]) as parent:
    children: list[str] = []
    while not children:
      time.sleep(0.1)
      children = [c for task in _process(parent.pid).glob('task/*/children') for c in task.read_text().split()]
    parent.kill()
  end = time.monotonic() + 60
  while _runs(int(children[0])) and time.monotonic() < end:
    time.sleep(0.1)
  assert not _runs(int(children[0]))


def _process(number):
  return pathlib.Path(f'/proc/{number}')


def _runs(process):
  try:
    return (_process(process) / 'stat').read_text().rpartition(')')[2].split()[0] != 'Z'
  except OSError:
    return False


def test_buffers_of_main_memory_are_added_up():
  report = '\n'.join([
    'BufferAssignment:',
    'allocation 0: size 512, thread-local:',
    ' value: <59 reduce_sum.50 @0> (size=512,offset=0): f32[]{:T(128)}',
    'allocation 1: size 2097152, parameter 22, shape |bf16[256,4096]| at ShapeIndex {}:',
    'allocation 2: size 8192, constant:',
    'allocation 3: size 2048, output shape is |f32[128,4]|, maybe-live-out:',
    'allocation 4: size 32, color 2, preallocated-temp:',
    'allocation 5: size 1000, preallocated-temp:',
  ])  # fmt: skip
  assert tpu_compiler.allocated(report) == 2097152 + 8192 + 2048 + 1000
