"""One alignment step over 1 to 8 devices in four ways: same values, and how much is sent; and what saving memory costs.

  python benchmarks/scaling.py [--out out/scaling.json]
  python benchmarks/scaling.py --memory [--size small] [--topology v5p-8]

The devices are this machine's cores divided, so that seconds would say nothing: what is compared are the values and
what the compiled programs compute and send. Strong scaling keeps the batch, weak scaling what each device gets. The ways
are ours (`training.compiled_step`: one explicit sum), `pmap`, `jit` with shardings alone, and ours over two processes.
With --memory the step is compiled in microbatches and with recomputed activations.
"""

import argparse
import functools
import json
import os
import socket
import subprocess
import sys

os.environ['JAX_PLATFORMS'] = 'cpu'
DEVICES = (1, 2, 4, 8)
EXAMPLES, EXAMPLES_PER_DEVICE, PHRASINGS, INPUTS, TARGETS = 16, 4, 3, 24, 6


def build(width):
  """(model, parameters, rules of what trains); `width` of the MLP tells backbones of different sizes apart."""
  import jax
  import optax

  from robust_t5x import adapters, objectives
  from robust_t5x.models import robust, t5, trainable

  class Vocabulary:
    pad_id, eos_id = 0, 1

  config = t5.T5Config(
    vocab_size=512, emb_dim=32, num_heads=4, head_dim=8, num_encoder_layers=1, num_decoder_layers=1, mlp_dim=width
  )
  # Plain descent, so that parameters tell gradients apart, which Adam's first steps do not.
  model = robust.RobustModel(
    t5.Transformer(config, adapters.AdapterConfig(length=8)), Vocabulary, Vocabulary, optax.sgd(0.5),
    objectives.kl_to_canonical,
  )  # fmt: skip
  return model, jax.jit(model.initial_variables)(jax.random.key(0))['params'], trainable.Trainable()


def batch_of(examples):
  """Rows of different lengths, so that a mean of the devices' means would not be the mean."""
  import numpy as np

  rng = np.random.default_rng(0)
  inputs = rng.integers(3, 500, (examples, PHRASINGS, INPUTS))
  inputs *= np.arange(INPUTS) < rng.integers(4, INPUTS + 1, (examples, PHRASINGS, 1))
  targets = rng.integers(3, 500, (examples, TARGETS)) * (
    np.arange(TARGETS) < rng.integers(1, TARGETS + 1, (examples, 1))
  )
  return {
    'encoder_input_tokens': inputs.astype(np.int32),
    'decoder_target_tokens': targets.astype(np.int32),
    'decoder_input_tokens': np.pad(targets, [(0, 0), (1, 0)])[:, :-1].astype(np.int32),
    'decoder_loss_weights': (targets > 0).astype(np.int32),
  }


@functools.cache
def step(way, devices, examples, width=64):
  """Compiles and takes one step; a row of figures and the adapter after it."""
  import jax
  import numpy as np

  from robust_t5x.runtime import hlo, partitioning
  from robust_t5x.training import step as step_lib

  model, params, rules = build(width)
  moving, frozen = rules.split(params)
  state = step_lib.initial_state(moving, model.optimizer_def)
  batch, of = batch_of(examples), jax.devices()[:devices]
  if way == 'pmap':
    each = {name: x.reshape(devices, -1, *x.shape[1:]) for name, x in batch.items()}
    function = jax.pmap(
      step_lib.make_train_step(model, axis_name='data'), axis_name='data', in_axes=(None, None, 0), devices=of
    )
    compiled = function.lower(state, frozen, each).compile()
    state, metrics = jax.tree.map(lambda x: x[0], function(state, frozen, each))
  else:
    mesh = partitioning.make_mesh(1, of)
    state, frozen = jax.device_put((state, frozen), partitioning.replicated(mesh))
    batch = {name: partitioning.split_rows(rows, mesh) for name, rows in batch.items()}
    function = step_lib.compiled_step(model, mesh)
    if way == 'jit':
      whole = partitioning.replicated(mesh)
      function = jax.jit(step_lib.make_train_step(model), out_shardings=whole)
    compiled = function.lower(state, frozen, batch).compile()
    state, metrics = function(state, frozen, batch)
  sent = hlo.collectives(compiled.as_text(), devices)
  row = {
    'way': way, 'devices': devices, 'examples': examples, 'loss': float(metrics['loss'].compute()),
    'collectives': sum(c.times for c in sent), 'reduced_bytes': sum(c.result_bytes * c.times for c in sent),
    'flops': compiled.cost_analysis()['flops'],
  }  # fmt: skip
  return row, np.asarray(state.params['adapter']['embedding'])


def in_two_processes(examples, devices):
  """The same step of ours over two processes with half of the devices each."""
  with socket.socket() as s:
    s.bind(('localhost', 0))
    port = s.getsockname()[1]
  environment = os.environ | {'XLA_FLAGS': f'--xla_force_host_platform_device_count={devices // 2}'}
  running = [
    subprocess.Popen(
      [sys.executable, os.path.abspath(__file__), '--join', str(port), str(i), str(examples)],
      env=environment, stdout=subprocess.PIPE, text=True,
    )
    for i in range(2)
  ]  # fmt: skip
  outputs = [p.communicate(timeout=600)[0] for p in running]
  if any(p.returncode for p in running):
    raise SystemExit('a process failed')
  return json.loads(outputs[0].strip().splitlines()[-1])


def joined(port, index, examples):
  """One of the two processes."""
  from robust_t5x.runtime import processes

  processes.start(f'localhost:{port}', 2, index)
  import jax

  row, adapter = step('ours', len(jax.devices()), examples)
  print(json.dumps([row | {'way': 'two processes'}, adapter.tolist()]), flush=True)


def compare():
  """The rows of all ways, each with its difference from one device."""
  import numpy as np

  rows = []
  for scaling in ('strong', 'weak'):
    for devices in DEVICES:
      examples = EXAMPLES if scaling == 'strong' else EXAMPLES_PER_DEVICE * devices
      alone, expected = step('ours', 1, examples)
      before = np.asarray(build(64)[1]['adapter']['embedding'])
      ways = ('ours', 'pmap', 'jit') if scaling == 'strong' else ('ours',)
      found = [step(way, devices, examples) for way in ways]
      if scaling == 'strong' and devices == DEVICES[-1]:
        found.append(in_two_processes(examples, devices))
      for row, adapter in found:
        moved, off = np.abs(expected - before).max(), np.abs(np.asarray(adapter) - expected).max()
        compared = {'scaling': scaling, 'difference': float(off / moved), 'flops_of_one': row['flops'] / alone['flops']}
        rows.append(row | compared | {'loss_difference': abs(row['loss'] / alone['loss'] - 1)})
  for width in (64, 1024):  # the exchange does not know of the backbone's size
    alone, expected = step('ours', 1, EXAMPLES, width)
    row, adapter = step('ours', DEVICES[-1], EXAMPLES, width)
    moved = np.abs(expected - np.asarray(build(width)[1]['adapter']['embedding'])).max()
    compared = {'scaling': f'MLP of {width}', 'flops_of_one': row['flops'] / alone['flops']}
    compared['difference'] = float(np.abs(adapter - expected).max() / moved)
    rows.append(row | compared | {'loss_difference': abs(row['loss'] / alone['loss'] - 1)})
  return rows


def memory(size, topology):
  """Rows of the training step in microbatches and with recomputed activations."""
  import step_cost

  from robust_t5x import plan

  rows = []
  for remat in (False, True):
    for microbatches in (1, 2, 4, 8):
      dtype = 'float32' if topology == 'cpu' else 'bfloat16'
      run = step_cost.settings(
        size, 4, 'soft_prompt', True, step_cost.REPLICAS[topology], dtype, remat, microbatches, examples=8
      )
      found = plan.plan(run, topology, ('train',))[0]
      rows.append({'recomputed': remat, 'microbatches': microbatches, 'flops': found.flops,
                   'activation_bytes': found.activation_bytes, 'parameter_bytes': found.parameter_bytes})  # fmt: skip
  return rows


def table(rows):
  """For a terminal and for the documentation."""
  if 'recomputed' in rows[0]:
    lines = [
      '| activations | microbatches | memory besides parameters, MiB | arithmetic |',
      '| --- | --- | --- | --- |',
    ]
    for r in rows:
      kept = 'recomputed' if r['recomputed'] else 'kept'
      share = r['flops'] / rows[0]['flops']
      lines.append(f'| {kept} | {r["microbatches"]} | {r["activation_bytes"] / 2**20:.0f} | {share:.2f} |')
    return '\n'.join(lines)
  lines = ['| scaling | way | devices | examples | adapter off by | loss off by | reductions | bytes reduced | arithmetic of a '
           'device |', '| --- ' * 9 + '|']  # fmt: skip
  for r in rows:
    lines.append(
      f'| {r["scaling"]} | {r["way"]} | {r["devices"]} | {r["examples"]} | {r["difference"]:.0e} | '
      f'{r["loss_difference"]:.0e} | {r["collectives"]} | {r["reduced_bytes"]} | {r["flops_of_one"]:.3f} |'
    )
  return '\n'.join(lines)


def main():
  """Runs what is asked for."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--out', help='where the JSON goes')
  parser.add_argument('--memory', action='store_true')
  parser.add_argument('--size', default='small')
  parser.add_argument('--topology', default='cpu', choices=('cpu', 'v5p-8'))
  parser.add_argument('--join', nargs=3, type=int, help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.join:
    joined(*arguments.join)
    return
  if not arguments.memory:
    os.environ['XLA_FLAGS'] = f'--xla_force_host_platform_device_count={DEVICES[-1]}'
  rows = memory(arguments.size, arguments.topology) if arguments.memory else compare()
  if arguments.out:
    os.makedirs(os.path.dirname(os.path.abspath(arguments.out)), exist_ok=True)
    with open(arguments.out, 'w', encoding='utf-8') as f:
      json.dump(rows, f, indent=2)
  print(table(rows))


if __name__ == '__main__':
  main()
