"""Counts the arithmetic of compiled alignment steps against the floor that it cannot go below.

  python benchmarks/step_cost.py --out out/step_cost.jsonl
  python benchmarks/step_cost.py --out out/step_cost.jsonl --print --json

For T5.1.1's sizes, 1 to 8 phrasings, a soft prompt or a prefix in every layer, and a canonical phrasing that trains
or is fixed, on the CPU's compiler and on the TPU's. Nothing is run, so the figures do not depend on the machine or on
what else it does. The floor is robust_t5x.arithmetic's. Each line is written when it is done and not compiled again;
an hour for all of them on two cores.
"""

import argparse
import concurrent.futures
import itertools
import json
import multiprocessing
import os

os.environ['JAX_PLATFORMS'] = 'cpu'

from robust_t5x import adapters, objectives, plan
from robust_t5x.models import families, robust, t5, trainable
from robust_t5x.runtime import quiet
from robust_t5x.training import arithmetic, optimizers

ADAPTERS = {
  'soft_prompt': adapters.AdapterConfig(length=16),
  'prefix': adapters.AdapterConfig(prefix_lengths={'encoder': 16}),
}
REPLICAS = {'cpu': 1, 'v5p-8': 4}
INPUTS, TARGETS, EXAMPLES = 256, 16, 2  # examples of a replica


class Vocabulary:
  """What a step needs of a vocabulary."""

  pad_id, eos_id = 0, 1


def settings(
  size, phrasings, adapter, canonical_trains, replicas, dtype, remat=False, microbatches=1, examples=EXAMPLES
):
  """The run in question; `examples` of each replica."""
  model = robust.RobustModel(
    t5.Transformer(families.config('t5_1_1', size, dtype, remat=remat), ADAPTERS[adapter]),
    Vocabulary,
    Vocabulary,
    optimizers.adamw(0.1),
    objectives.kl_to_canonical,
    canonical_trains=canonical_trains,
  )
  examples *= replicas
  return plan.Settings(
    model, trainable.Trainable(), examples, phrasings, INPUTS, TARGETS, microbatches, 1, dtype, examples
  )


def count(case):
  """Compiles one case and gives its line."""
  quiet.set_up()
  topology = case['topology']
  dtype = 'float32' if topology == 'cpu' else 'bfloat16'
  run = settings(case['size'], case['phrasings'], case['adapter'], case['canonical_trains'], REPLICAS[topology], dtype)
  shapes, _ = run.model.variable_shapes()
  module = run.model.module
  floor = arithmetic.floor(module.config, module.adapter, shapes, INPUTS, TARGETS)
  least = floor.step(EXAMPLES, case['phrasings'], case['canonical_trains'])
  step = plan.plan(run, topology, ('train',))[0]
  return case | {
    'flops': step.flops,
    'floor': least,
    'ratio': step.flops / least,
    'activation_bytes': step.activation_bytes,
    'parameter_bytes': step.parameter_bytes,
    'parameters': sum(floor.participating),
    'compile_seconds': round(step.compile_seconds, 1),
  }


def cases(arguments):
  """Every case, the quick ones first."""
  for size in arguments.sizes.split(','):
    for topology in arguments.topologies.split(','):
      for phrasings in map(int, arguments.phrasings.split(',')):
        for adapter in arguments.adapters.split(','):
          for canonical_trains in (True, False) if phrasings > 1 else (True,):
            yield {
              'size': size, 'topology': topology, 'phrasings': phrasings, 'adapter': adapter,
              'canonical_trains': canonical_trains,
            }  # fmt: skip


def table(rows):
  """One line for a size, compiler, adapter and way with the canonical phrasing; the ratios side by side."""
  ks = sorted({r['phrasings'] for r in rows})
  head = ['size', 'compiler', 'adapter', 'canonical', *(f'K = {k}' for k in ks), 'GFLOP of one more phrasing']
  lines = [head, ['---'] * len(head)]
  groups = {}
  for r in rows:
    for trains in (True, False) if r['phrasings'] == 1 else (r['canonical_trains'],):
      groups.setdefault((r['size'], r['topology'], r['adapter'], trains), {})[r['phrasings']] = r
  for (size, topology, adapter, trains), by_k in groups.items():
    several = sorted(k for k in by_k if k > 1)
    slopes = [(by_k[b]['flops'] - by_k[a]['flops']) / (b - a) / EXAMPLES for a, b in itertools.pairwise(several)]
    spread = f'{min(slopes) / 1e9:.2f} to {max(slopes) / 1e9:.2f}' if slopes else ''
    cells = [f'{by_k[k]["ratio"]:.3f}' if k in by_k else '' for k in ks]
    lines.append([size, topology, adapter, 'trains' if trains else 'fixed', *cells, spread])
  return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def main():
  """Compiles what is not there yet, then prints."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--out', required=True)
  parser.add_argument('--sizes', default='small,base,large,xl')
  parser.add_argument('--topologies', default='cpu,v5p-8')
  parser.add_argument('--phrasings', default='1,2,4,8')
  parser.add_argument('--adapters', default='soft_prompt,prefix')
  parser.add_argument('--print', action='store_true', help='compile nothing')
  parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
  arguments = parser.parse_args()
  os.makedirs(os.path.dirname(os.path.abspath(arguments.out)), exist_ok=True)
  rows = []
  if os.path.exists(arguments.out):
    with open(arguments.out, encoding='utf-8') as f:
      rows = [json.loads(line) for line in f]
  for case in [] if arguments.print else cases(arguments):
    if any(case.items() <= r.items() for r in rows):
      continue
    # The compiler keeps gigabytes of every program for the life of its process.
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn')) as pool:
      rows.append(pool.submit(count, case).result())
    with open(arguments.out, 'a', encoding='utf-8') as f:
      f.write(json.dumps(rows[-1]) + '\n')
    print(json.dumps(rows[-1]), flush=True)
  print(json.dumps(rows, indent=2) if arguments.json else table(rows))


if __name__ == '__main__':
  main()
