"""Measures how fast inputs are rendered and tokenised, against what a step takes up on the fastest topologies.

  python benchmarks/input_pipeline.py --data DIR [--out out/input_pipeline.json]

DIR holds mmlu/ and vocab/t5.sentencepiece.model. MMLU's questions stand for training examples, for their lengths. Each
pipeline is read once to warm up and then in turns; what counts is examples per CPU second, over all threads, so that a
busy machine matters little, and the cores that this takes on a host. What a step takes up is read from docs/tpu.md.
"""

import argparse
import itertools
import json
import os
import pathlib
import re
import statistics
import time
import types

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

PHRASINGS, LENGTHS = 4, {'inputs': 512, 'targets': 16}
TABLE = pathlib.Path(__file__).parents[1] / 'docs' / 'tpu.md'


def consumption(column):
  """{size: (rate, topology)}: the fastest of the plan table, examples/s in training or rows/s in evaluation."""
  lines = [[c.strip() for c in line.strip().strip('|').split('|')] for line in TABLE.read_text('utf-8').splitlines()]
  head = next(cells for cells in lines if cells[0] == 'topology')
  fastest = {}
  for cells in lines:
    if len(cells) == len(head) and re.fullmatch(r'\d+', cells[head.index(column)]):
      rate, size = int(cells[head.index(column)]), cells[head.index('size')]
      fastest[size] = max(fastest.get(size, (0, '')), (rate, cells[0]))
  return fastest


def register(data, vocabulary, items):
  """Names of a training task of K phrasings, of an evaluation task, and how many phrasings the latter has."""
  from seqio_tasks import datasets
  from seqio_tasks.bank import reading
  from seqio_tasks.pipeline import phrasings as phrasings_lib
  from seqio_tasks.pipeline import registration

  questions = datasets.mmlu(data / 'mmlu')[-1].splits['test']()[:: max(1, 14042 // items)][:items]
  bank = reading.read_banks(['package'])

  def lettered(collection):
    chosen = bank.select('multiple_choice', collections=[collection])
    return [
      i for i in chosen if i.layout.template and i.layout.render(datasets.item_of(questions[0])).output_text in 'ABCD'
    ]

  canonical, paraphrases = lettered('general_evaluation'), lettered('general_alignment')
  train = registration.register_examples_task(
    'pipeline_train', {'train': questions}, vocabulary, phrasings_lib.stack_phrasings(PHRASINGS, canonical, paraphrases)
  )
  evaluated = canonical[:8]
  flat = registration.register_evaluation_task(
    'pipeline_eval', 'pipeline', 'unobserved', evaluated, {'test': questions}, vocabulary
  )
  return train, flat, len(evaluated)


def main():
  """Prints a table and writes JSON."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--data', required=True, metavar='DIR', type=pathlib.Path)
  parser.add_argument('--items', type=int, default=1000, help='questions')
  parser.add_argument('--rounds', type=int, default=3)
  parser.add_argument('--out', metavar='FILE', type=pathlib.Path)
  arguments = parser.parse_args()

  from robust_t5x.checkpoints import vocabularies
  from robust_t5x.runtime import quiet

  quiet.import_tensorflow()

  from robust_t5x.evaluation.rows import read_task
  from robust_t5x.models import robust
  from robust_t5x.training import data as data_lib

  vocabulary = vocabularies.vocabulary(str(arguments.data / 'vocab' / 't5.sentencepiece.model'))
  task, flat, phrasings = register(arguments.data, vocabulary, arguments.items)
  model = robust.RobustModel(types.SimpleNamespace(adapter=None), vocabulary, vocabulary)

  def training():
    batches = data_lib.data_iterator(model, task, LENGTHS, 64, seed=0, use_cached=False)
    return sum(len(b['encoder_input_tokens']) for b in itertools.islice(batches, arguments.items // 64))

  def evaluation():
    return len(read_task(flat, LENGTHS, 'test'))

  measured = {'training': [], 'evaluation': []}
  for n in range(1 + arguments.rounds):
    for name, read in (('training', training), ('evaluation', evaluation)):
      wall, cpu = time.perf_counter(), time.process_time()
      count = read()
      taken = {'examples': count, 'wall': time.perf_counter() - wall, 'cpu': time.process_time() - cpu}
      if n:
        measured[name].append(taken)
  rows = {}
  print('| pipeline | examples per CPU second | fastest step, size and topology | examples/s | cores |')
  print('|---|---|---|---|---|')
  for name, column, what in (
    ('training', 'examples/s', f'examples of {PHRASINGS} phrasings'), ('evaluation', 'rows/s', 'rows'),
  ):  # fmt: skip
    rates = [m['examples'] / m['cpu'] for m in measured[name]]
    rate = statistics.median(rates)
    rows[name] = {'rate': [min(rates), rate, max(rates)], 'runs': measured[name], 'steps': {}}
    for size, (wanted, topology) in consumption(column).items():
      rows[name]['steps'][size] = {'wanted': wanted, 'topology': topology, 'cores': wanted / rate}
      print(
        f'| {name}, {what} | {rate:.0f} ({min(rates):.0f} to {max(rates):.0f}) | {size}, {topology} | {wanted} | '
        f'{wanted / rate:.1f} |'
      )
  if arguments.out:
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(rows, indent=2) + '\n', encoding='utf-8')


if __name__ == '__main__':
  main()
