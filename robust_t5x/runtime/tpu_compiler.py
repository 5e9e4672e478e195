"""What the TPU's compiler has decided of a program before it writes machine code: memory, operations, traffic.

Machine code takes nine tenths of the time of a compilation and gigabytes of memory, for each layer anew; all figures of a plan but the
size of the code itself stand before it begins. libtpu has no way to be stopped there. So a process of its own compiles, with the
compiler's reports written to a directory, and is ended when the last of the reports is there.
"""

import dataclasses
import pathlib
import re
import subprocess
import sys
import tempfile
import time
from typing import Any

from robust_t5x.runtime import orphans, topologies

_LAST = '*.after_optimizations_after_buffer_assignment.txt'
_ALLOCATION = re.compile(r'^allocation \d+: size (\d+)(.*):$', re.MULTILINE)
_POLL_SECONDS = 0.1


class CompilerError(RuntimeError):
  """The compiler ended without its reports; the message is what it said."""


@dataclasses.dataclass(frozen=True)
class Program:
  """A program of one device, optimised and laid out in memory, without machine code.

  Attributes:
    text: its HLO.
    memory_bytes: what it holds at its peak in the device's main memory: arguments, results and everything between.
    flops: floating-point operations; bodies of loops once.
    bytes_accessed: bytes that its operations read and write; likewise, and without the padding of arrays.
  """

  text: str
  memory_bytes: int
  flops: float
  bytes_accessed: float


def laid_out(lowered: Any, topology: str, devices: list[int]) -> Program:
  """Runs the compiler up to machine code.

  Args:
    lowered: a lowered jitted function whose arguments all have shardings.
    topology: a name of topologies.TPUS.
    devices: ids of its devices, in the order of the mesh.

  Raises:
    CompilerError: with the compiler's message, such as that the program does not fit.
  """
  with tempfile.TemporaryDirectory() as directory:
    folder = pathlib.Path(directory)
    (folder / 'module').write_text(lowered.as_text(), encoding='utf-8')
    order = ','.join(map(str, devices))
    with open(folder / 'stderr', 'wb') as said:
      process = subprocess.Popen(
        [sys.executable, '-m', __name__, topology, order, directory],
        stdout=said, stderr=said, env={**orphans.environment(), 'JAX_PLATFORMS': 'cpu'},
      )  # fmt: skip
    try:
      while process.poll() is None and not any(folder.glob(_LAST)):
        time.sleep(_POLL_SECONDS)
      _wait_until_whole(folder, process)
    finally:
      process.kill()
      process.wait()
    reports = list(folder.glob(_LAST))
    if not reports:
      lines = (folder / 'stderr').read_text(encoding='utf-8', errors='replace').strip().splitlines()
      raise CompilerError(
        next((x for x in lines if 'RESOURCE_EXHAUSTED' in x), lines[-1] if lines else 'it said nothing')
      )
    text = reports[0].read_text(encoding='utf-8')
    (assignment,) = folder.glob('*.after_optimizations-buffer-assignment.txt')
    return Program(text, allocated(assignment.read_text(encoding='utf-8')), *_cost(text))


def whole(lowered: Any) -> Program:
  """Compiles a program to its end, machine code counted as memory; for devices that are attached."""
  compiled = lowered.compile()
  memory, cost = compiled.memory_analysis(), compiled.cost_analysis()
  total = (
    memory.argument_size_in_bytes
    + memory.output_size_in_bytes
    - memory.alias_size_in_bytes
    + memory.temp_size_in_bytes
    + memory.generated_code_size_in_bytes
  )
  return Program(compiled.as_text(), total, cost['flops'], cost['bytes accessed'])


def _wait_until_whole(folder: pathlib.Path, process: Any) -> None:
  """Waits until the last report has been written to its end."""
  size = -1
  while process.poll() is None and (report := next(folder.glob(_LAST), None)):
    now = report.stat().st_size
    if now == size and report.read_text(encoding='utf-8', errors='replace').rstrip().endswith('}'):
      return
    size = now
    time.sleep(_POLL_SECONDS)


def allocated(assignment: str) -> int:
  """Bytes of main memory in the compiler's report of its buffers: of arguments, results, constants and what lies between."""
  return sum(
    int(size) for size, kind in _ALLOCATION.findall(assignment) if 'color' not in kind and 'thread-local' not in kind
  )


def _cost(text: str) -> tuple[float, float]:
  import jax
  from jaxlib import _hlo, _jax  # type: ignore[attr-defined]  # without stubs

  cost = _jax.hlo_module_cost_analysis(jax.devices('cpu')[0].client, _hlo.hlo_module_from_text(text))
  return cost['flops'], cost['bytes accessed']


def _compile(topology: str, order: str, directory: str) -> None:
  """Compiles the module in a directory, with reports beside it."""
  import jax
  from jax._src import compiler
  from jax._src.interpreters import mlir
  from jax._src.lib import xla_client
  from jax._src.lib.mlir import ir
  import numpy as np

  jax.config.update('jax_platforms', 'cpu')
  by_id = {d.id: d for d in topologies.devices(topology)}
  devices = np.array([by_id[int(i)] for i in order.split(',')])
  options = compiler.get_compile_options(1, len(devices), devices[None], {'xla_dump_to': directory})
  options.executable_build_options.allow_spmd_sharding_propagation_to_output = [True]
  with mlir.make_ir_context():
    module = ir.Module.parse(pathlib.Path(directory, 'module').read_bytes())
    devices[0].client.compile(module, executable_devices=xla_client.DeviceList(tuple(devices)), compile_options=options)


if __name__ == '__main__':
  orphans.end_with_parent()
  _compile(*sys.argv[1:])
