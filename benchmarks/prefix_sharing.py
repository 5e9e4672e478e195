"""What it saves that rows' common beginnings are read once: MMLU with five examples, on SmolLM2, a decoder-only model.

  python benchmarks/prefix_sharing.py --data DIR [--harness PYTHON --out out/prefix_sharing.json]

DIR holds mmlu/, whose test questions are all that is used: the first five of a subject are the examples of the others. Counted are
the tokens, the operations (2 for each weight and token, and attention, padding included) and the program shapes of all subjects
under --phrasings. Timed are --items questions of --subject, by our runner with and without sharing and, if PYTHON is given, an
interpreter with lm-eval, torch and transformers, by lm-evaluation-harness's own model `hf`. All have the same tokens and answer
letters. Each system is a process that is told to run in turn, once to warm up and then --rounds times; its own operations
are those of its compiled programs.
"""

import argparse
import contextlib
import json
import os
import pathlib
import sys
import tempfile

from evaluation_peers import compare
import peers
from peers import spread

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

SHOTS, LONGEST = 5, 2048
CHECKPOINT = 'smollm2'


def questions_of(data, phrasings):
  """For each subject of MMLU (name, texts of all questions but the examples, by phrasing)."""
  import dataclasses

  from seqio_tasks import datasets
  from seqio_tasks.bank import layouts, reading

  bank = reading.read_banks(['package'])
  chosen = [i.layout for i in bank.select('multiple_choice', collections=['general_evaluation'])]
  chosen = [layout for layout in chosen if layout.template and '{options}' in layout.template][:phrasings]
  forms = [dataclasses.replace(layout, few_shot=layouts.few_shot_form(layout)) for layout in chosen]
  for dataset in datasets.mmlu(pathlib.Path(data) / 'mmlu', all_subjects=False):
    items = [datasets.item_of(question) for question in dataset.splits['test']()]
    shown, asked = items[:SHOTS], items[SHOTS:]
    yield (
      dataset.name.removeprefix('mmlu_'),
      [[form.render(item, shown).input_text for item in asked] for form in forms],
    )


def operations(config, params, batches):
  """Operations of reading batches, each (rows, length, tokens that stand before all of them)."""
  from robust_t5x.adapters import AdapterConfig

  weights = config.work(params, 1, 1, AdapterConfig()).per_input
  attention = 4 * config.num_layers * config.num_heads * config.head_dim
  return sum(rows * length * (2 * weights + attention * (before + length)) for rows, length, before in batches)


def counted(config, params, subjects, batch_size, cost):
  """Tokens, operations and shapes of all subjects' rows, where a group costs so much."""
  from robust_t5x.models import batching, sharing

  tokens, batches, shapes = 0, [], set()
  for rows in subjects:
    for group in sharing.plan_groups(rows, cost):
      rests = [len(rows[i]) - group.length for i in group.members]
      before = batching.shared_bucket(group.length) if group.length else 0
      tokens += group.length + sum(rests)
      batches += [(1, before, 0)] if before else []
      shapes |= {(1, before, 0)} if before else set()
      plan = batching.plan_batches(rests, batch_size, LONGEST, behind_shared=before > 0)
      made = [(batch.rows, batch.length, before) for batch in plan]
      batches += made
      shapes |= set(made)
  return {'tokens': tokens, 'operations': operations(config, params, batches), 'shapes': len(shapes)}


def prepare(directory, arguments):
  """Counts, and writes weights in Hugging Face's layout, tokens and options for the systems; returns the counts."""
  import numpy as np

  from robust_t5x import convert
  from robust_t5x.checkpoints import loading
  from robust_t5x.models import sharing
  from seqio_tasks import framing

  model, params = loading.load(CHECKPOINT)

  def encode(texts):
    return [np.asarray(encoded.ids, np.int32) for encoded in framing.inputs(model.input_vocabulary, texts)]

  subjects = {
    name: [encode(texts) for texts in by_phrasing]
    for name, by_phrasing in questions_of(arguments.data, arguments.phrasings)
  }
  rows = [[row for part in parts for row in part] for parts in subjects.values()]
  config = model.module.config
  made = {
    'rows': sum(map(len, rows)),
    'whole': counted(config, params, rows, arguments.batch_size, 1 << 60),
    'shared': counted(config, params, rows, arguments.batch_size, sharing.GROUP_COST),
  }
  inputs = subjects[arguments.subject][0][: arguments.items]
  letters = [framing.answers(model.output_vocabulary, [letter])[0].ids[:1] for letter in 'ABCD']
  items = {'inputs': [row.tolist() for row in inputs], 'options': [[int(i) for i in ids] for ids in letters]}
  (directory / 'items.json').write_text(json.dumps(items), encoding='utf-8')
  if arguments.harness and not (directory / 'model').exists():
    with contextlib.redirect_stdout(sys.stderr):
      convert.main([CHECKPOINT, str(directory / 'model'), '--to', 'huggingface'])
  return made


def ours(directory, items, shares, batch_size):
  """A function that scores all items with our runner, and one that gives the operations of the programs that ran."""
  import numpy as np

  from robust_t5x.checkpoints import loading
  from robust_t5x.models import runner as runner_lib
  from robust_t5x.models import sharing

  del directory
  sharing.GROUP_COST = sharing.GROUP_COST if shares else 1 << 60
  # XLA counts the operations of a loop's body once.
  loaded = loading.load_with_identity(CHECKPOINT, scan_layers=False)
  model, params = loaded.model, loaded.params
  runner = runner_lib.Runner(model, params, batch_size=batch_size, max_input=LONGEST)
  inputs = [np.asarray(row, np.int32) for row in items['inputs']]
  calls = []

  def noting(program):
    return lambda *given: calls.append((program, given)) or program(*given)

  begin, score = noting(model.compiled_begin()), noting(model.compiled_continuations())
  model.compiled_begin, model.compiled_continuations = lambda mesh: begin, lambda mesh: score

  def run():
    calls.clear()
    return np.stack(runner.score_continuations(inputs, [items['options']] * len(inputs)))[..., 0]

  def count():
    return sum(program.lower(*given).compile().cost_analysis()['flops'] for program, given in calls)

  return run, count


def harness(directory, items, batch_size):
  """The same of lm-evaluation-harness's own model; its operations are not counted."""
  from lm_eval.models.huggingface import HFLM
  import numpy as np

  model = HFLM(pretrained=f'{directory}/model', device='cpu', dtype='float32', batch_size=batch_size)
  asked = [(('', ''), row, option) for row in items['inputs'] for option in items['options']]

  def run():
    found = model._loglikelihood_tokens(asked, disable_tqdm=True)
    return np.asarray([score for score, _ in found]).reshape(len(items['inputs']), -1)

  return run, lambda: None


SYSTEMS = {
  'shared': lambda d, i, n: ours(d, i, True, n),
  'whole': lambda d, i, n: ours(d, i, False, n),
  'harness': harness,
}
TOLD = {'shared': 'ours, shared', 'whole': 'ours, row by row', 'harness': 'lm-evaluation-harness, transformers'}


def make(directory, name, batch_size):
  """What a system's process answers "run" and "count" with."""
  items = json.loads(pathlib.Path(directory, 'items.json').read_text(encoding='utf-8'))
  run, count = SYSTEMS[name](directory, items, batch_size)
  return lambda line: {'operations': count()} if line == 'count' else peers.timed(lambda: run().tolist())


def timed(directory, arguments):
  """Runs the systems in turn; returns seconds, ratios to what shares, and whether predictions are the same."""
  pythons = {'shared': sys.executable, 'whole': sys.executable}
  pythons |= {'harness': arguments.harness} if arguments.harness else {}
  shape = ['--batch_size', arguments.batch_size, '--cores', arguments.cores]
  systems = {
    name: peers.Peer(python, ['--data', directory, '--worker', name, *shape]) for name, python in pythons.items()
  }
  with peers.closing(systems):
    taken = {name: [system.ask('run')] for name, system in systems.items()}
    for n in range(arguments.rounds):
      for name in list(systems)[:: -1 if n % 2 else 1]:
        taken[name].append(systems[name].ask('run'))
        print(f'{name}: {taken[name][-1]["cpu"]:.2f} CPU s', file=sys.stderr)
    counts = {name: system.ask('count')['operations'] for name, system in systems.items()}
  made = {}
  for name, runs in taken.items():
    same, difference = compare(runs[-1]['found'], taken['shared'][-1]['found'])
    made[name] = {
      'operations': counts[name],
      'seconds': {k: spread([r[k] for r in runs[1:]]) for k in ('wall', 'cpu')},
      'first': runs[0]['wall'],
      'ratio': peers.ratios(runs[1:], taken['shared'][1:]),
      'same_predictions': same,
      'greatest_difference': difference,
    }
  return made


def counted_table(made):
  """Tokens, operations and shapes, as a table."""
  whole, shared = made['counted']['whole'], made['counted']['shared']
  lines = ['| rows are read | tokens | TFLOP | program shapes |', '|---|---|---|---|']
  for name, of in (('each from its start', whole), ('behind what they share', shared)):
    lines.append(f'| {name} | {of["tokens"]:,} | {of["operations"] / 1e12:,.0f} | {of["shapes"]} |')
  ratios = [f'{whole[what] / shared[what]:.1f}' for what in ('tokens', 'operations')]
  return '\n'.join([*lines, f'| ratio | {" | ".join(ratios)} | |'])


def timed_table(made):
  """Operations and seconds of the systems, as a table."""
  lines = [
    '| system | GFLOP | CPU s | CPU s over ours, shared | wall s over ours, shared | same predictions | greatest difference |',
    '|---|---|---|---|---|---|---|',
  ]
  for name, of in made['timed'].items():
    flops = '' if of['operations'] is None else f'{of["operations"] / 1e9:,.0f}'
    cells = [f'{r["median"]:.1f} ({r["min"]:.1f}, {r["max"]:.1f})' for r in (of['ratio']['cpu'], of['ratio']['wall'])]
    same = f'{of["same_predictions"]:.0%} | {of["greatest_difference"]:.0e}'
    lines.append(f'| {TOLD[name]} | {flops} | {of["seconds"]["cpu"]["median"]:.1f} | {" | ".join(cells)} | {same} |')
  return '\n'.join(lines)


def main():
  """Counts, times, prints two tables and writes JSON."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--worker', choices=SYSTEMS, help=argparse.SUPPRESS)
  parser.add_argument('--data', required=True, metavar='DIR')
  parser.add_argument('--harness', metavar='PYTHON', help='of an environment with lm-eval, torch and transformers')
  parser.add_argument('--phrasings', type=int, default=2)
  parser.add_argument('--subject', default='high_school_geography')
  parser.add_argument('--items', type=int, default=24)
  parser.add_argument('--batch_size', type=int, default=8)
  parser.add_argument('--rounds', type=int, default=3)
  parser.add_argument('--cores', type=int, default=1, help='of each system; 0 for all')
  parser.add_argument('--out', metavar='FILE', type=pathlib.Path)
  arguments = parser.parse_args()
  if arguments.worker:
    peers.serve(lambda: make(arguments.data, arguments.worker, arguments.batch_size), arguments.cores)
    return
  with tempfile.TemporaryDirectory() as directory:
    made = {'counted': prepare(pathlib.Path(directory), arguments)}
    made |= {'load': os.getloadavg()[0], 'cores': arguments.cores, 'items': arguments.items}
    made['timed'] = timed(directory, arguments)
  print(f'{counted_table(made)}\n\n{timed_table(made)}')
  peers.write(arguments.out, made)


if __name__ == '__main__':
  main()
