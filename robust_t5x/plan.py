"""Compiles a run for a topology, attached or not, and says what it needs and what it can reach there.

`robust-t5x plan RECIPE OR ARGUMENTS OF robust-t5x train [--topology v4-32] [--json] [--study CELLS]`

The steps are those that would run: training, scoring of options and greedy decoding, compiled by the compiler of that
machine with the shardings of the run; libtpu's, for a TPU, only up to machine code (runtime.tpu_compiler).
"""

import argparse
from collections.abc import Sequence
import contextlib
import dataclasses
import json
import math
import sys
import time
from typing import Any

from robust_t5x.runtime import errors, gin_files, launcher, quiet, topologies, tpu_compiler
from seqio_tasks.errors import shorten

OPTIONS = 4  # of a question in the evaluation step, as in MMLU
# Of a device's memory, what machine code and the runtime may take: libtpu keeps 1.25 of v4's 32 GiB for itself.
RESERVED = 1 / 16


@dataclasses.dataclass(frozen=True)
class Settings:
  """What a step's cost depends on, as the gin files give it.

  Attributes:
    model: a models.RobustModel.
    trainable: what trains.
    batch_size: examples of a training step.
    phrasings: phrasings K of an example.
    inputs: input tokens T.
    targets: target tokens L.
    microbatches: parts of a training step.
    model_parallel: devices that share one copy of the weights.
    backbone_dtype: storage dtype of what is frozen.
    eval_batch_size: rows of an evaluation step.
    shared: of the input tokens of a row that is evaluated, the first so many are read once for its group; 0 for none.
    among: rows of such a group.
  """

  model: Any
  trainable: Any
  batch_size: int
  phrasings: int
  inputs: int
  targets: int
  microbatches: int
  model_parallel: int
  backbone_dtype: str
  eval_batch_size: int
  shared: int = 0
  among: int = 1


@dataclasses.dataclass(frozen=True)
class Step:
  """What one compiled step needs, per device.

  Attributes:
    name: 'train', 'eval', 'infer', or 'begin' for the reading of what the rows of a group share.
    examples: examples (train) or rows of all devices.
    parameter_bytes: parameters and optimiser state.
    activation_bytes: everything else that the program holds at its peak; without its machine code for a TPU.
    capacity_bytes: memory of the device, or None where unknown.
    flops: floating-point operations.
    bytes_accessed: bytes read and written in memory.
    collectives: kind -> (operations, bytes sent).
    replicas: copies of the weights, over which the rows are split.
    seconds: time by the roofline, or None where the device's figures are unknown. XLA's count of memory traffic
      includes what stays on the chip, so that a step that is bound by memory may be faster.
    bound: what that time is bound by.
    compile_seconds: time that compilation took.
  """

  name: str
  examples: int
  parameter_bytes: int
  activation_bytes: int
  capacity_bytes: int | None
  flops: float
  bytes_accessed: float
  collectives: dict[str, tuple[int, float]]
  replicas: int
  seconds: float | None
  bound: str
  compile_seconds: float

  @property
  def total_bytes(self) -> int:
    return self.parameter_bytes + self.activation_bytes

  @property
  def fits(self) -> bool | None:
    return None if self.capacity_bytes is None else self.total_bytes <= (1 - RESERVED) * self.capacity_bytes


class OutOfMemory(RuntimeError):
  """The compiler found no way to run a program in the device's memory; the message is its own first line."""


def plan(settings: Settings, topology: str, steps: Sequence[str] = ('train', 'eval', 'infer')) -> list[Step]:
  """Compiles the steps of a run for a topology.

  Args:
    settings: the run.
    topology: a name of topologies.NAMES.
    steps: which steps.

  Returns:
    What each needs.

  Raises:
    topologies.TopologyError: if the topology is unknown or cannot be compiled for here.
    ValueError: if the batch does not divide by the replicas and microbatches.
    OutOfMemory: if a step does not fit.
  """
  from robust_t5x.models import placement as placement_lib
  from robust_t5x.training import step as step_lib

  devices = topologies.devices(topology)
  placement = placement_lib.place(settings.model, settings.model_parallel, devices)
  step_lib.check_batch(settings.batch_size, settings.microbatches, placement.mesh)
  return [_PROGRAMS[name](settings, placement, topology) for name in steps]


def study(settings: Settings, topology: str) -> tuple[Settings, list[Step]] | None:
  """Compiles a study's steps, training and scoring, with the first settings that fit.

  The devices that share the weights are doubled until these leave half of the memory, then microbatches until a step fits.

  Args:
    settings: to begin with.
    topology: a name of topologies.TPUS.

  Returns:
    (the settings that fit, what each step needs there), or None if none do.
  """
  machine = topologies.TPUS[topology]
  import jax

  shapes = settings.model.variable_shapes()[0]
  weights = sum(x.size for x in jax.tree.leaves(shapes)) * jax.numpy.dtype(settings.backbone_dtype).itemsize
  shared = settings.model_parallel
  while weights / shared > machine.device.memory / 2 and shared < machine.devices:
    shared *= 2
  if machine.devices % shared:
    return None
  replicas, parts = machine.devices // shared, settings.microbatches
  while parts > 1 and settings.batch_size % (parts * replicas):
    parts //= 2  # the microbatches of a smaller machine
  return cut_until_it_fits(
    dataclasses.replace(settings, model_parallel=shared, microbatches=parts),
    topology,
    ('train', 'eval', 'begin') if settings.shared else ('train', 'eval'),
  )


def cut_until_it_fits(settings: Settings, topology: str, steps: Sequence[str]) -> tuple[Settings, list[Step]] | None:
  """Compiles steps with twice as many microbatches until they fit; (the settings, the steps), or None if none do."""
  replicas = topologies.TPUS[topology].devices // settings.model_parallel
  while settings.batch_size % (settings.microbatches * replicas) == 0:
    with contextlib.suppress(OutOfMemory):
      compiled = plan(settings, topology, steps)
      if all(s.fits for s in compiled):
        return settings, compiled
    settings = dataclasses.replace(settings, microbatches=2 * settings.microbatches)
  return None


def study_line(topology: str, found: tuple[Settings, list[Step]] | None, train_steps: int, cells: int) -> str:
  """A line of the table of `--study`: hours of a training run and of two evaluations, before and after, and chip-hours."""
  chips = topologies.TPUS[topology].chips
  if found is None:
    return f'| {topology} | {chips} | | | does not fit | | | |'
  settings, steps = found
  train, score, *begin = steps
  hours = [(train.seconds or 0) * train_steps / 3600, 2 * evaluation_seconds(settings, cells, score, *begin) / 3600]
  total = sum(hours)
  return (
    f'| {topology} | {chips} | {settings.model_parallel} | {settings.microbatches} | {hours[0]:.2g} | {hours[1]:.2g} | '
    f'{total:.2g} | {total * chips:.2g} |'
  )


def evaluation_seconds(settings: Settings, cells: int, score: Step, begin: Step | None = None) -> float:
  """What evaluating cells takes by the roofline.

  Args:
    settings: of the steps.
    cells: examples times phrasings.
    score: the step 'eval'.
    begin: the step 'begin'; None where every row is read whole.
  """
  seconds = score.seconds or 0
  if begin is None:
    return math.ceil(cells / score.examples) * seconds
  rows = sum(batch.rows for batch in _behind_shared(settings, score.replicas))
  return math.ceil(cells / settings.among) * ((begin.seconds or 0) + rows / score.examples * seconds)


def _behind_shared(settings: Settings, replicas: int) -> list[Any]:
  """The batches that the runner makes of a group's rows, behind their first tokens; see models.batching."""
  from robust_t5x.models import batching

  batch_size = -(-settings.eval_batch_size // replicas) * replicas
  rest = settings.inputs - settings.shared
  written = OPTIONS * settings.targets
  return batching.plan_batches(
    [rest] * settings.among, batch_size, settings.inputs, replicas, written, behind_shared=True
  )


STUDY_HEAD = (
  '| topology | chips | model parallel | microbatches | train, hours | evaluate twice, hours | together | chip-hours |\n'
  '|---|---|---|---|---|---|---|---|'
)


def _train_program(settings, placement, topology) -> Step:
  import jax

  from robust_t5x.runtime import partitioning
  from robust_t5x.training import step as step_lib

  model = settings.model
  mesh = placement.mesh
  moving, frozen = settings.trainable.split(placement.shapes)
  state = jax.eval_shape(lambda p: step_lib.initial_state(p, model.optimizer_def), moving)
  state = partitioning.placed(state, step_lib.state_shardings(state, model.optimizer_def, placement))
  frozen = placement.placed(frozen, settings.backbone_dtype)
  rows = settings.batch_size
  batch = {
    'encoder_input_tokens': _rows(mesh, rows, settings.phrasings, settings.inputs),
    'decoder_input_tokens': _rows(mesh, rows, settings.targets),
    'decoder_target_tokens': _rows(mesh, rows, settings.targets),
    'decoder_loss_weights': _rows(mesh, rows, settings.targets),
  }
  step = step_lib.compiled_step(model, mesh, settings.microbatches)
  compiled, seconds = _compile(topology, mesh, step, state, frozen, batch)
  # The body of the loop over microbatches is counted once; what stands outside it, the adapter's update, is next to nothing.
  cost = _cost(compiled, settings.microbatches)
  return _step('train', rows, (state, frozen), compiled, cost, mesh, topology, seconds)


def _eval_program(settings, placement, topology) -> Step:
  import jax

  from robust_t5x.runtime import partitioning

  mesh, params = placement.mesh, _all_params(settings, placement)
  rows, length, begun = partitioning.round_up(settings.eval_batch_size, mesh), settings.inputs, None
  if settings.shared:
    batch = _behind_shared(settings, mesh.shape['data'])[0]
    rows, length = batch.rows, batch.length
    begun = jax.eval_shape(settings.model.begin, params, _shared_row(settings, mesh))
  step = settings.model.compiled_score(mesh)
  options = _rows(mesh, rows, OPTIONS, settings.targets)
  compiled, seconds = _compile(topology, mesh, step, params, _rows(mesh, rows, length), options, begun)
  return _step('eval', rows, params, compiled, _cost(compiled), mesh, topology, seconds)


def _begin_program(settings, placement, topology) -> Step:
  mesh, params = placement.mesh, _all_params(settings, placement)
  step = settings.model.compiled_begin(mesh)
  compiled, seconds = _compile(topology, mesh, step, params, _shared_row(settings, mesh))
  return _step('begin', 1, params, compiled, _cost(compiled), mesh, topology, seconds)


def _shared_row(settings, mesh):
  """The tokens that a group shares, which every replica reads."""
  import jax
  import jax.numpy as jnp

  from robust_t5x.models import batching
  from robust_t5x.runtime import partitioning

  length = batching.shared_bucket(settings.shared)
  return jax.ShapeDtypeStruct((1, length), jnp.int32, sharding=partitioning.replicated(mesh))


def _infer_program(settings, placement, topology) -> Step:
  import jax

  from robust_t5x.models import protocol
  from robust_t5x.runtime import partitioning

  model = settings.model
  mesh, params = placement.mesh, _all_params(settings, placement)
  rows = partitioning.round_up(settings.eval_batch_size, mesh)
  tokens = _rows(mesh, rows, settings.inputs)
  decode = model.compiled_decode(mesh)
  compiled, seconds = _compile(topology, mesh, decode, params, tokens, max_length=settings.targets)
  read = jax.jit(lambda p, t: protocol.read(model.module, p, t, model.ids.pad))
  reader, more = _compile(topology, mesh, read, params, tokens)
  # Counted are the pass over the input, the call that makes the cache, and one turn of the loop; a whole output has L turns.
  whole, first = _cost(compiled), _cost(reader)
  cost = tuple(e + (w - e) / 2 * (1 + settings.targets) for w, e in zip(whole, first, strict=True))
  return _step('infer', rows, params, compiled, cost, mesh, topology, seconds + more)


_PROGRAMS = {'train': _train_program, 'eval': _eval_program, 'infer': _infer_program, 'begin': _begin_program}
_STEPS = ('train', 'eval', 'infer')  # that are asked for by name; 'begin' is part of a study with --shared


def _all_params(settings, placement):
  return placement.placed(placement.shapes, settings.model.module.config.dtype)


def _rows(mesh, *shape):
  """Tokens, their first axis split over the replicas."""
  import jax
  import jax.numpy as jnp

  from robust_t5x.runtime import partitioning

  return jax.ShapeDtypeStruct(shape, jnp.int32, sharding=partitioning.by_rows(mesh))


def _compile(topology, mesh, step, *args, **kwargs) -> tuple[tpu_compiler.Program, float]:
  """(what the compiler says of a step, seconds that it took)."""
  began = time.monotonic()
  lowered = step.lower(*args, **kwargs)
  try:
    if topology in topologies.TPUS:
      made = tpu_compiler.laid_out(lowered, topology, [d.id for d in mesh.devices.flat])
    else:
      with quiet.stderr_muted():
        made = tpu_compiler.whole(lowered)
  except Exception as e:
    if 'RESOURCE_EXHAUSTED' in str(e) or 'Ran out of memory' in str(e):
      raise OutOfMemory(str(e).strip().splitlines()[0]) from e
    raise
  return made, time.monotonic() - began


def _cost(made: tpu_compiler.Program, times: int = 1) -> tuple[float, float]:
  """(FLOPs, bytes accessed) of a program on one device."""
  return made.flops * times, made.bytes_accessed * times


def _step(name, examples, held, made, cost, mesh, topology, compile_seconds) -> Step:
  import jax

  from robust_t5x.runtime import hlo

  device = topologies.TPUS[topology].device if topology in topologies.TPUS else None
  parameters = sum(x.dtype.itemsize * math.prod(x.sharding.shard_shape(x.shape)) for x in jax.tree.leaves(held))
  traffic: dict[str, tuple[int, float]] = {}
  for c in hlo.collectives(made.text, mesh.size):
    number, sent = traffic.get(c.kind, (0, 0.0))
    traffic[c.kind] = (number + c.times, sent + c.sent_bytes)
  seconds, bound = None, ''
  if device is not None:
    times = {
      'arithmetic': cost[0] / device.flops,
      'memory': cost[1] / device.memory_bandwidth,
      'links': sum(sent for _, sent in traffic.values()) / device.link_bandwidth,
    }
    bound = max(times, key=times.__getitem__)
    seconds = times[bound]
  capacity = None if device is None else device.memory
  flops, accessed = cost
  return Step(
    name,
    examples,
    parameters,
    max(0, made.memory_bytes - parameters),
    capacity,
    flops,
    accessed,
    traffic,
    mesh.shape['data'],
    seconds,
    bound,
    compile_seconds,
  )


def configured_settings(shared: int = 0, among: int = 1) -> tuple[Settings, str]:
  """The settings of the parsed gin files, and their topology.

  Args:
    shared: see Settings.
    among: see Settings.

  Raises:
    launcher.UsageError: if they do not configure a training run, name no topology, or rows cannot share so much.
  """
  import gin
  from robust_t5x.models import trainable as trainable_lib

  gin_files.configured('train.train')
  # A step's cost depends on which ids pad and end, and on no piece of the vocabulary: it need not be within reach.
  with gin.unlock_config(), contextlib.suppress(ValueError):  # for a model with a vocabulary of another make
    gin.bind_parameter('vocabularies.vocabulary.pieces', False)
  with gin.unlock_config():  # XLA counts the body of a loop once
    gin.bind_parameter('SCAN_LAYERS/gin.macro.value', False)
  run = gin.get_bindings('train.train')
  errors.check_required({'TASK_FEATURE_LENGTHS': run.get('task_feature_lengths')})
  settings = Settings(
    model=run['model'],
    trainable=run.get('trainable') or trainable_lib.Trainable(),
    batch_size=run['batch_size'],
    phrasings=1 + gin_files.macro('NUM_PARAPHRASES', 3),
    inputs=run['task_feature_lengths']['inputs'],
    targets=run['task_feature_lengths']['targets'],
    microbatches=run.get('microbatches', 1),
    model_parallel=run.get('model_parallel', 1),
    backbone_dtype=run.get('backbone_dtype', 'float32'),
    eval_batch_size=gin_files.macro('EVAL_BATCH_SIZE', run['batch_size']),
    shared=shared,
    among=among,
  )
  check_shared(settings)
  topology = gin_files.macro('TOPOLOGY')
  if topology is None:
    raise errors.UsageError('not set: TOPOLOGY; add --topology NAME or a file of gin/topologies/')
  return settings, topology


def check_shared(settings: Settings) -> None:
  """Raises UsageError where rows cannot share what is asked for."""
  least = settings.model.module.least_shared
  if not settings.shared:
    return
  if least is None:
    raise errors.UsageError('--shared: this network reads each input whole; leave the flag out')
  if not least <= settings.shared < settings.inputs:
    raise errors.UsageError(
      f'--shared is {settings.shared}; give {least} to {settings.inputs - 1}: an input has {settings.inputs} tokens '
      '(TASK_FEATURE_LENGTHS), of which one or more are its own'
    )


def as_text(steps: Sequence[Step], topology: str, settings: Settings) -> str:
  """A table for a terminal."""
  devices = topologies.TPUS[topology].devices if topology in topologies.TPUS else None
  config = settings.model.module.config
  lines = [
    f'{topology}' + (f': {devices} devices' if devices else ''),
    f'train: {settings.batch_size} examples of {settings.phrasings} phrasings, {settings.inputs} input and '
    f'{settings.targets} target tokens, in {settings.microbatches} microbatches; eval and infer: '
    f'{settings.eval_batch_size} rows, {OPTIONS} options',
    f'{config.dtype} activations, backbone in {settings.backbone_dtype}, weights over {settings.model_parallel} devices'
    f'{", rematerialised" if config.remat else ""}',
    '',
    f'{"per device":<34}' + ''.join(f'{s.name:>14}' for s in steps),
  ]

  def row(name, cell):
    lines.append(f'{name:<34}' + ''.join(f'{cell(s):>14}' for s in steps))

  row('parameters, optimiser', lambda s: _size(s.parameter_bytes))
  row('activations, buffers', lambda s: _size(s.activation_bytes))
  row('total', lambda s: _size(s.total_bytes))
  if steps[0].capacity_bytes:
    row(f'of {_size(steps[0].capacity_bytes)}', lambda s: 'fits' if s.fits else 'DOES NOT FIT')
  row('arithmetic, TFLOP', lambda s: f'{s.flops / 1e12:.4g}')
  row('memory traffic', lambda s: _size(s.bytes_accessed))
  for kind in sorted({k for s in steps for k in s.collectives}):
    row(f'{kind}: number', lambda s, k=kind: str(s.collectives.get(k, (0, 0))[0]))
    row(f'{kind}: sent', lambda s, k=kind: _size(s.collectives.get(k, (0, 0))[1]))
  if steps[0].seconds:
    row('time by the roofline', lambda s: f'{s.seconds * 1e3:.4g} ms')
    row('bound by', lambda s: s.bound)
    row('examples per second by it', lambda s: f'{s.examples / s.seconds:.4g}')
  row('compiled in', lambda s: f'{s.compile_seconds:.0f} s')
  return '\n'.join(lines)


def _size(n: float) -> str:
  for unit in ('B', 'KiB', 'MiB', 'GiB'):
    if n < 1024 or unit == 'GiB':
      return f'{n:.4g} {unit}'
    n /= 1024
  raise AssertionError


def as_json(steps: Sequence[Step], topology: str, settings: Settings) -> str:
  """The same figures, for programs; bytes, seconds and counts per device."""
  run = {k: v for k, v in vars(settings).items() if k not in ('model', 'trainable')}
  rows = [{**dataclasses.asdict(s), 'total_bytes': s.total_bytes, 'fits': s.fits} for s in steps]
  run['network'] = dataclasses.asdict(settings.model.module.config)
  return json.dumps({'topology': topology, 'settings': run, 'steps': rows}, indent=2)


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status, 1 if a step does not fit."""
  quiet.set_up()
  argv = list(sys.argv[1:] if argv is None else argv)
  try:
    flags = launcher.parse_flags(argv, __doc__.splitlines()[0], 'train', 'robust-t5x plan', _add_flags)
    if flags.study is not None and flags.study < 1:
      raise errors.UsageError(f'--study is {flags.study}; give the number of cells, examples times phrasings')
    if flags.shared < 0 or flags.among < 1 or (flags.shared > 0) != (flags.among > 1):
      raise errors.UsageError(
        '--shared and --among go together: the first tokens that rows have in common, and how many rows of 2 or more'
      )
    if flags.shared and not flags.study:
      raise errors.UsageError('--shared and --among are of a study, which adds up both programs; add --study CELLS')
    if flags.study and flags.topology and flags.topology not in topologies.TPUS:
      raise errors.UsageError(
        f'--study: a study is planned for TPUs; --topology is one of {", ".join(topologies.TPUS)}'
      )
    if flags.study and not flags.topology:
      flags.gin_file.append(f'gin/topologies/{next(iter(topologies.TPUS))}.gin')
    if flags.topology:
      if flags.topology not in topologies.NAMES:
        near = errors.nearest(flags.topology, topologies.NAMES) or f'; use one of {", ".join(topologies.NAMES)}'
        raise topologies.TopologyError(f'--topology: unknown topology {shorten(flags.topology)!r}{near}')
      flags.gin_file.append(f'gin/topologies/{flags.topology}.gin')
    unknown = [name for name in flags.steps.split(',') if name not in _STEPS]
    if unknown:
      raise errors.UsageError(f'--steps: there is no step {shorten(unknown[0])!r}; name some of {",".join(_STEPS)}')
    quiet.import_tensorflow()
    gin_files.parse_gin(flags, all_set=False)
    settings, topology = configured_settings(flags.shared, flags.among)
    if topology in topologies.TPUS:
      import jax

      jax.config.update('jax_platforms', 'cpu')  # the TPU's compiler needs no TPU, and should not look for one
      jax.config.update('jax_enable_compilation_cache', False)  # which cannot be read back without one
    else:
      launcher.enable_compilation_cache()
    if flags.study:
      return _print_study(settings, [topology] if flags.topology else list(topologies.TPUS), flags.study)
    print(f'compiling for {topology}; minutes for a large model', file=sys.stderr)
    steps = plan(settings, topology, flags.steps.split(','))
  except Exception as e:
    return errors.report_error(e)
  print((as_json if flags.json else as_text)(steps, topology, settings))
  return 0 if all(s.fits is not False for s in steps) else 1


def _print_study(settings: Settings, names: Sequence[str], cells: int) -> int:
  """Prints the table of a study as it is made; returns the exit status, 1 if it fits nowhere."""
  train_steps = gin_files.macro('TRAIN_STEPS')
  shared = f', of which {settings.shared} are read once for {settings.among} cells,' if settings.shared else ''
  print(
    f'{train_steps} training steps of {settings.batch_size} examples of {settings.phrasings} phrasings; {cells:,} cells, '
    f'evaluated before and after, each with {settings.inputs} input tokens{shared} and {OPTIONS} options; times by the '
    f'roofline\n\n{STUDY_HEAD}'
  )
  fits = []
  for name in names:
    print(f'compiling for {name}; minutes for a large model', file=sys.stderr)
    found = study(settings, name)
    fits.append(found is not None)
    print(study_line(name, found, train_steps, cells), flush=True)
  return 0 if any(fits) else 1


def _add_flags(parser: argparse.ArgumentParser) -> None:
  parser.add_argument('--topology', help=f'one of {", ".join(topologies.NAMES)}; adds its file of gin/topologies/')
  parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
  parser.add_argument(
    '--study', type=int, metavar='CELLS',
    help='hours and chips of training and of evaluating so many cells before and after, on every TPU or on --topology',
  )  # fmt: skip
  parser.add_argument(
    '--shared', type=int, default=0, metavar='TOKENS',
    help='of an input that is evaluated, the first tokens that are read once for all that begin with them; what evaluation with '
    '--DRY_RUN=True says',
  )  # fmt: skip
  parser.add_argument(
    '--among', type=int, default=1, metavar='CELLS', help='cells that begin with the same --shared tokens'
  )
  parser.add_argument('--steps', default='train,eval,infer', help='which steps to compile, comma-separated')
