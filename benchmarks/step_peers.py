"""Times one training step of ours, of T5X's trainer and of PEFT's prompt tuning, side by side.

  python benchmarks/step_peers.py --peer-python PYTHON_WITH_T5X_AND_PEFT --out out/step_peers.json

All have the same random weights, adapter and batch, T5.1.1-small's shape and float32, each in a process of its own that
takes its turn of two steps, of which the second is timed, so that what else the machine does meets all alike. The first
losses must agree. Reported are the least, median and greatest seconds of a step, the processor's seconds, and the memory
that the compiled program needs (for PEFT the process's growth). With --cores 1 each process keeps to one core: the
fairer figure on a busy machine, where PEFT's threads wait for each other. With --huge-pages all processes ask the
allocator for large pages.

PEFT has no alignment objective, so it is compared on the likelihood of one phrasing. T5X's trainer runs our model with
the same objective, whole and in microbatches: as gin/t5x/align.gin sets it up, where the model stops the gradient at
what is frozen, and unaided, where only the optimiser leaves that as it is, which is T5X's own way.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile

import peers

SHAPE = {'vocab_size': 32128, 'emb_dim': 512, 'num_heads': 6, 'head_dim': 64, 'num_encoder_layers': 8,
         'num_decoder_layers': 8, 'mlp_dim': 1024}  # fmt: skip
ADAPTER, INPUTS, TARGETS, LEARNING_RATE = 16, 256, 16, 0.01

# Name -> (whose step, examples, phrasings, microbatches).
CONTESTANTS = {
  'ours, one phrasing': ('ours', 8, 1, 1),
  'PEFT, one phrasing': ('peft', 8, 1, 1),
  'ours, alignment': ('ours', 4, 2, 1),
  'T5X, alignment': ('t5x', 4, 2, 1),
  'ours, 4 microbatches': ('ours', 4, 2, 4),
  'T5X, 4 microbatches': ('t5x', 4, 2, 4),
  'T5X unaided, alignment': ('t5x_unaided', 4, 2, 1),
  'T5X unaided, 4 microbatches': ('t5x_unaided', 4, 2, 4),
}
RATIOS = (
  ('PEFT, one phrasing', 'ours, one phrasing'),
  ('T5X, alignment', 'ours, alignment'),
  ('T5X, 4 microbatches', 'ours, 4 microbatches'),
  ('T5X unaided, alignment', 'ours, alignment'),
  ('T5X unaided, 4 microbatches', 'ours, 4 microbatches'),
)


def make_batch(examples, phrasings):
  """Random tokens without padding."""
  import numpy as np

  rng = np.random.default_rng(0)
  targets = rng.integers(3, 32000, (examples, TARGETS)).astype(np.int32)
  return {
    'encoder_input_tokens': rng.integers(3, 32000, (examples, phrasings, INPUTS)).astype(np.int32),
    'decoder_target_tokens': targets,
    'decoder_input_tokens': np.pad(targets, [(0, 0), (1, 0)])[:, :-1],
    'decoder_loss_weights': np.ones_like(targets),
  }


def make_model(optimizer, **options):
  """Our model, and its parameters from a fixed key."""
  import jax

  from robust_t5x import adapters, objectives
  from robust_t5x.models import robust, t5

  class Vocabulary:
    pad_id, eos_id = 0, 1

  module = t5.Transformer(t5.T5Config(**SHAPE), adapters.AdapterConfig(length=ADAPTER))
  model = robust.RobustModel(module, Vocabulary, Vocabulary, optimizer, objectives.kl_to_canonical, **options)
  return model, jax.jit(model.initial_variables)(jax.random.key(0))['params']


def program_bytes(compiled):
  """What a compiled program holds at its peak, its arguments included."""
  m = compiled.memory_analysis()
  return m.argument_size_in_bytes + m.output_size_in_bytes - m.alias_size_in_bytes + m.temp_size_in_bytes


def ours(examples, phrasings, microbatches, directory):
  """(a function that takes a step and gives its loss, bytes)."""
  del directory
  import jax

  from robust_t5x.models import trainable as trainable_lib
  from robust_t5x.runtime import partitioning as partitioning_lib
  from robust_t5x.training import optimizers
  from robust_t5x.training import step as step_lib

  model, params = make_model(optimizers.adamw(LEARNING_RATE))
  moving, frozen = trainable_lib.Trainable().split(params)
  state = step_lib.initial_state(moving, model.optimizer_def)
  batch = make_batch(examples, phrasings)
  step = step_lib.compiled_step(model, partitioning_lib.make_mesh(), microbatches)
  compiled = step.lower(state, frozen, batch).compile()

  def run():
    nonlocal state
    state, metrics = compiled(state, frozen, batch)
    jax.block_until_ready(state)
    return float(metrics['loss'].compute())

  return run, program_bytes(compiled)


def t5x(examples, phrasings, microbatches, directory, stops_gradient=True):
  """Likewise, of T5X's trainer with our model, objective and optimiser."""
  del directory
  import jax
  import numpy as np
  from t5x import partitioning, trainer, utils

  from robust_t5x.models import trainable as trainable_lib
  from robust_t5x.training import optimizers, t5x_support

  trainable = trainable_lib.Trainable()
  optimizer = t5x_support.frozen_optimizer(optimizers.adamw(LEARNING_RATE), trainable)
  model, _ = make_model(optimizer, trainable=trainable if stops_gradient else None, summed_parts=microbatches)
  partitioner = partitioning.PjitPartitioner(
    num_partitions=1, logical_axis_rules=partitioning.standard_logical_axis_rules(additional_rules=(('adapter', None),))
  )
  batch = make_batch(examples, phrasings)
  initializer = utils.TrainStateInitializer(
    optimizer, model.get_initial_variables, {k: v.shape for k, v in batch.items()},
    partitioner, {k: v.dtype for k, v in batch.items()},
  )  # fmt: skip
  state = initializer.from_scratch(jax.random.PRNGKey(0))
  run_by = trainer.Trainer(
    model, state, partitioner, [], None, initializer.train_state_axes, jax.random.PRNGKey(0),
    learning_rate_fn=lambda step: LEARNING_RATE, num_microbatches=microbatches,
  )  # fmt: skip
  compiled = partitioner.compile(run_by._partitioned_train_step, state, batch)

  def run():
    nonlocal state
    state, metrics = compiled(state, batch)
    jax.block_until_ready(state)
    return float(np.asarray(metrics['loss'].compute()))

  return run, program_bytes(compiled)


def t5x_unaided(examples, phrasings, microbatches, directory):
  """Likewise, of T5X's trainer where the model says nothing of what is frozen."""
  return t5x(examples, phrasings, microbatches, directory, stops_gradient=False)


def peft(examples, phrasings, microbatches, directory):
  """Likewise, of PEFT's prompt tuning from the weights in `directory`; its bytes are not known from a program."""
  del phrasings, microbatches
  import numpy as np
  import peft as library
  import torch
  import transformers

  torch.set_num_threads(len(os.sched_getaffinity(0)))
  network = transformers.T5ForConditionalGeneration.from_pretrained(directory, dtype=torch.float32)
  config = library.PromptTuningConfig(
    task_type=library.TaskType.SEQ_2_SEQ_LM, num_virtual_tokens=ADAPTER, num_transformer_submodules=1
  )
  model = library.get_peft_model(network, config)
  with torch.no_grad():
    model.prompt_encoder['default'].embedding.weight.copy_(torch.tensor(np.load(f'{directory}/adapter.npy')))
  model.train()
  trained = [p for p in model.parameters() if p.requires_grad]
  optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.0)
  batch = make_batch(examples, 1)
  inputs = torch.tensor(batch['encoder_input_tokens'][:, 0]).long()
  labels = torch.tensor(batch['decoder_target_tokens']).long()
  mask = torch.ones_like(inputs)

  def run():
    loss = model(input_ids=inputs, attention_mask=mask, labels=labels).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return float(loss)

  return run, 0


def make(name, directory):
  """What a contestant's process answers with: what it holds, when it has compiled, or a step."""
  os.environ['JAX_PLATFORMS'] = 'cpu'
  os.environ['HF_HUB_OFFLINE'] = '1'
  kind, examples, phrasings, microbatches = CONTESTANTS[name]
  run, size = globals()[kind](examples, phrasings, microbatches, directory)
  before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

  def answer(line):
    if line == 'held':
      return {'bytes': size}
    run()  # brings back what the others' turns drove out of the caches and of memory
    turn = peers.timed(run)
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return {'seconds': turn['wall'], 'cpu_seconds': turn['cpu'], 'loss': turn['found'], 'growth': growth}

  return answer


def write_weights(directory):
  """The common weights and adapter in Hugging Face's layout."""
  import jax
  import numpy as np

  from robust_t5x.checkpoints import huggingface

  model, params = make_model(None)
  params = jax.tree.map(np.asarray, params)
  huggingface.save(directory, model.module.config, params)
  np.save(f'{directory}/adapter.npy', params['adapter']['embedding'])


def contest(arguments):
  """Runs the contestants in turn; name -> its steps."""
  with tempfile.TemporaryDirectory() as directory:
    command = [os.path.abspath(__file__), '--weights', directory]
    subprocess.run([sys.executable, *command], check=True)
    contestants, steps = {}, {}
    environment = dict(os.environ)
    if arguments.huge_pages:
      environment['GLIBC_TUNABLES'] = 'glibc.malloc.hugetlb=1'
    for name in arguments.contestants or CONTESTANTS:
      python = sys.executable if CONTESTANTS[name][0] == 'ours' else arguments.peer_python
      command = ['--worker', name, '--weights', directory, '--cores', arguments.cores]
      contestants[name] = peers.Peer(python, command, environment)
      steps[name] = [contestants[name].ask('held')]  # one after another, since compiling takes cores
    with peers.closing(contestants):
      for _ in range(arguments.rounds + 1):
        for name, contestant in contestants.items():
          steps[name].append(contestant.ask('step'))
  return steps


def summary(steps):
  """What is reported: the first turn is warm-up."""
  rows = {}
  for name, (held, first, *rest) in steps.items():
    seconds = sorted(s['seconds'] for s in rest)
    rows[name] = {
      'seconds': [seconds[0], statistics.median(seconds), seconds[-1]],
      'cpu_seconds': statistics.median(s['cpu_seconds'] for s in rest),
      'bytes': held['bytes'] or rest[-1]['growth'],
      'first_loss': first['loss'],
    }
  ratios = []
  for theirs, mine in RATIOS:
    if theirs in rows and mine in rows:
      a, b = rows[theirs], rows[mine]
      if abs(a['first_loss'] / b['first_loss'] - 1) > 1e-4:
        raise SystemExit(f'{theirs} and {mine} do not compute the same: {a["first_loss"]}, {b["first_loss"]}')
      turns = [x['seconds'] / y['seconds'] for x, y in zip(steps[theirs][2:], steps[mine][2:], strict=True)]
      ratios.append(
        {
          'of': theirs,
          'to': mine,
          'time': [min(turns), statistics.median(turns), max(turns)],
          'cpu_time': a['cpu_seconds'] / b['cpu_seconds'],
          'memory': a['bytes'] / b['bytes'],
        }  # fmt: skip
      )
  return {'rows': rows, 'ratios': ratios}


def table(result):
  """For a terminal and for the documentation."""
  lines = ['| step | seconds: least, median, greatest | processor seconds | MiB |', '| --- | --- | --- | --- |']
  for name, r in result['rows'].items():
    seconds = ', '.join(f'{s:.2f}' for s in r['seconds'])
    lines.append(f'| {name} | {seconds} | {r["cpu_seconds"]:.2f} | {r["bytes"] / 2**20:.0f} |')
  lines += [
    '',
    '| ratio, turn by turn | least, median, greatest | processor time | memory |',
    '| --- | --- | --- | --- |',
  ]
  for r in result['ratios']:
    time_ = ', '.join(f'{t:.2f}' for t in r['time'])
    lines.append(f'| {r["of"]} / {r["to"]} | {time_} | {r["cpu_time"]:.2f} | {r["memory"]:.2f} |')
  return '\n'.join(lines)


def main():
  """Runs the contest, or one of its processes."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--peer-python', default=sys.executable, help='a Python that has t5x, peft and this project')
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--cores', type=int, default=os.cpu_count())
  parser.add_argument('--huge-pages', action='store_true')
  parser.add_argument('--contestants', nargs='*', choices=CONTESTANTS, metavar='NAME')
  parser.add_argument('--out', help='where the JSON goes')
  parser.add_argument('--worker', help=argparse.SUPPRESS)
  parser.add_argument('--weights', help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.worker:
    peers.serve(lambda: make(arguments.worker, arguments.weights), arguments.cores)
  elif arguments.weights:
    write_weights(arguments.weights)
  else:
    steps = contest(arguments)
    result = summary(steps) | {'cores': arguments.cores, 'huge_pages': arguments.huge_pages, 'rounds': arguments.rounds}
    peers.write(arguments.out, result | {'steps': steps})
    print(table(result))


if __name__ == '__main__':
  main()
