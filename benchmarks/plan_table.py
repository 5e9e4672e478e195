"""Compiles the steps of published models for every TPU topology, and prints the settings that fit as a table.

  python benchmarks/plan_table.py --out out/plan.jsonl                              # Flan-T5, small to XXL
  python benchmarks/plan_table.py --out out/plan.jsonl --models llama_3_1:8b,qwen3:0.6b --topologies v4-8,v5e-4

Hours on two cores. Each cell is written when it is done and not compiled again; --print makes the table from what is
there. Batch 64, 4 phrasings of 512 input and 16 target tokens, a prefix of 16 in every layer that reads the input, bfloat16,
rematerialised. Where a step does not fit, the number of microbatches is doubled, then the number of devices that share
the weights. benchmarks/results/plan.jsonl holds the cells of docs/tpu.md, made with --steps train,eval.
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import os

os.environ['JAX_PLATFORMS'] = 'cpu'

from robust_t5x import adapters, objectives, plan
from robust_t5x.models import families, robust, trainable
from robust_t5x.runtime import quiet, topologies
from robust_t5x.training import optimizers

BATCH, EVAL_BATCH, TRAIN_STEPS = 64, 128, 400
MMLU_CELLS = 14_042 * 40  # questions and phrasings
STUDIED = ('flan_t5:xxl', 'llama_3_1:8b')
FLAN_T5 = ('flan_t5:xl', 'flan_t5:xxl', 'flan_t5:large', 'flan_t5:base', 'flan_t5:small')
# Examples that a replica takes at once to begin with, by the weights' GiB in bfloat16 up to which it does.
AT_ONCE = {8: 1.0, 4: 2.0, 2: 10.0, 1: float('inf')}


class Vocabulary:
  """What a step needs of a vocabulary."""

  pad_id, eos_id = 0, 1


def settings(name, model_parallel, microbatches):
  """The run in question; a model's name is its family and size."""
  config = families.config(*name.split(':'), 'bfloat16', remat=True)
  model = robust.RobustModel(
    config.network(adapters.AdapterConfig(prefix_lengths={'reading': 16})),
    Vocabulary,
    Vocabulary,
    optimizers.adamw(optimizers.warmup_cosine(0.1, TRAIN_STEPS)),
    objectives.kl_to_canonical,
  )
  return plan.Settings(
    model, trainable.Trainable(), BATCH, 4, 512, 16, microbatches, model_parallel, 'bfloat16', EVAL_BATCH
  )


def first_guess(model, topology):
  """(devices that share the weights, microbatches) to begin with."""
  gib = topology.device.memory / (1 << 30)
  shapes = settings(model, 1, 1).model.variable_shapes()[0]
  weights = 2 * sum(x.size for x in trainable.flatten(shapes).values()) / (1 << 30)
  at_once = next(n for n, limit in AT_ONCE.items() if weights <= limit)
  model_parallel = 1
  while weights / model_parallel > 0.45 * gib:
    model_parallel *= 2
  replicas = topology.devices // model_parallel
  return model_parallel, max(1, BATCH // max(replicas, 1) // (at_once * model_parallel))


def fit(model, name, steps):
  """Compiles with more and more frugal settings until everything fits; None if nothing does."""
  topology = topologies.TPUS[name]
  model_parallel, microbatches = first_guess(model, topology)
  while model_parallel <= topology.devices:
    found = plan.cut_until_it_fits(settings(model, model_parallel, microbatches), name, steps)
    if found:
      return model_parallel, found[0].microbatches, found[1]
    model_parallel *= 2
    microbatches = max(1, BATCH * model_parallel // topology.devices // 4)
  return None


def in_a_process_of_its_own(function, *arguments):
  """The compiler keeps gigabytes of every program for the life of its process."""
  context = multiprocessing.get_context('spawn')
  with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
    return pool.submit(function, *arguments).result()


def main():
  """Compiles what is not there yet, then prints."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--out', required=True)
  parser.add_argument('--print', action='store_true')
  parser.add_argument('--models', default=','.join(FLAN_T5), help='FAMILY:SIZE, comma-separated; see models.families')
  parser.add_argument('--topologies', default='v4-8,v5e-4,v5p-8,v3-8,v6e-8,v4-32,v5e-16,v3-32,v2-8')
  parser.add_argument('--steps', default='train')
  arguments = parser.parse_args()
  quiet.set_up()
  os.makedirs(os.path.dirname(os.path.abspath(arguments.out)), exist_ok=True)
  rows = []
  if os.path.exists(arguments.out):
    with open(arguments.out, encoding='utf-8') as f:
      rows = [json.loads(line) for line in f]
  done = {(r['model'], r['topology'], r['steps']) for r in rows}
  for model in arguments.models.split(','):
    for name in arguments.topologies.split(','):
      if arguments.print or (model, name, arguments.steps) in done:
        continue
      found = in_a_process_of_its_own(fit, model, name, arguments.steps.split(','))
      row = {'model': model, 'topology': name, 'steps': arguments.steps, 'fits': found is not None}
      if found:
        row |= {'model_parallel': found[0], 'microbatches': found[1]}
        row['figures'] = [{**vars(s), 'total_bytes': s.total_bytes} for s in found[2]]
      rows.append(row)
      with open(arguments.out, 'a', encoding='utf-8') as f:
        f.write(json.dumps(row) + '\n')
      print(json.dumps(row), flush=True)
  print(table(rows))


def table(rows):
  """One line for each topology and model, from the rows of both steps."""
  head = ('topology', 'model', 'model parallel', 'microbatches', 'train: memory', 'TFLOP', 'time', 'examples/s',
          'eval: memory', 'rows/s')  # fmt: skip
  lines = [head, ('---',) * len(head)]
  cells = {(r['topology'], r['model'], step): r for r in rows for step in r['steps'].split(',')}
  for name, topology in topologies.TPUS.items():
    gib = f'of {topology.device.memory / 2**30:.0f} GiB'
    for model in dict.fromkeys(r['model'] for r in rows):
      train, score = (_figures(cells.get((name, model, step)), step) for step in ('train', 'eval'))
      if train is None:
        continue
      row, f = train
      lines.append(
        (
          name, model, row['model_parallel'], row['microbatches'], f'{f["total_bytes"] / 2**30:.1f} {gib}',
          f'{f["flops"] / 1e12:.1f}', f'{f["seconds"] * 1e3:.0f} ms ({f["bound"]})',
          f'{f["examples"] / f["seconds"]:.0f}',
          f'{score[1]["total_bytes"] / 2**30:.1f}' if score else '',
          f'{score[1]["examples"] / score[1]["seconds"]:.0f}' if score else '',
        )
      )  # fmt: skip
  return '\n'.join(f'| {" | ".join(map(str, line))} |' for line in lines)


def decoders_table(rows):
  """The same for decoder-only models alone."""
  return table([r for r in rows if r['model'].partition(':')[0] != 'flan_t5'])


def study_table(rows):
  """What a study of MMLU costs on each topology: `plan.study_line` of the compiled steps."""
  lines = [line + more for line, more in zip(('| model ', '|---'), plan.STUDY_HEAD.splitlines(), strict=True)]
  for model in STUDIED:
    for name, topology in topologies.TPUS.items():
      row = next((r for r in rows if (r['model'], r['topology'], r['steps']) == (model, name, 'train,eval')), None)
      if row is None:
        continue
      found = None
      if row['fits']:
        replicas = topology.devices // row['model_parallel']
        figures = [{'replicas': replicas} | f for f in row['figures']]
        steps = [plan.Step(**{k: v for k, v in f.items() if k != 'total_bytes'}) for f in figures]
        found = settings(model, row['model_parallel'], row['microbatches']), steps
      lines.append(f'| {model} {plan.study_line(name, found, TRAIN_STEPS, MMLU_CELLS)}')
  return '\n'.join(lines)


def _figures(row, step):
  """(row, figures of a step), or None where it was not compiled or fits in no way."""
  if row is None or not row['fits']:
    return None
  return row, next(f for f in row['figures'] if f['name'] == step)


if __name__ == '__main__':
  main()
