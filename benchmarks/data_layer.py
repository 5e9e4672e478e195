"""Times the data layer on MMLU: reading the bank, registering tasks, rendering and tokenising one phrasing.

`python benchmarks/data_layer.py --mmlu DIR --vocabulary FILE`
"""

import argparse
import os
import time

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')


def main() -> None:
  """Prints a line for each step."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--mmlu', required=True, metavar='DIR', help='MMLU, with the folder test')
  parser.add_argument('--vocabulary', default='bundled', metavar='PATH', help='a SentencePiece file or a checkpoint')
  arguments = parser.parse_args()

  from robust_t5x.checkpoints import vocabularies
  from robust_t5x.runtime import quiet

  quiet.import_tensorflow()
  import seqio

  from seqio_tasks import datasets, suites
  from seqio_tasks.bank import reading
  from seqio_tasks.pipeline import registration

  vocabulary = vocabularies.vocabulary(arguments.vocabulary)

  def timed(what, function):
    began = time.perf_counter()
    result = function()
    print(f'{time.perf_counter() - began:7.2f} s  {what(result)}', flush=True)
    return result

  timed(lambda bank: f'reading and checking a bank of {len(bank)} phrasings', lambda: reading.read_banks(['package']))
  made = datasets.mmlu(arguments.mmlu)
  register = lambda: suites.register(vocabulary, made)  # noqa: E731
  timed(lambda names: f'registering {len(names)} tasks and mixtures', register)
  timed(lambda names: f'registering the same {len(names)} again', register)
  examples = timed(lambda e: f'reading {len(e)} questions', made[-1].splits['test'])
  phrasing = registration.evaluation_task('mmlu_all_eval_unobserved').instructions[0]
  items = [datasets.item_of(e) for e in examples]
  timed(lambda r: f'rendering {len(r)} of them in Python', lambda: [phrasing.layout.render(i) for i in items])
  task = seqio.get_mixture_or_task(f'mmlu_all__{phrasing.collection}_{phrasing.key}')

  def read():
    data = task.get_dataset({'inputs': 1024, 'targets': 16}, split='test', shuffle=False)
    return [len(row['inputs']) for row in data.as_numpy_iterator()]

  timed(lambda n: f'rendering and tokenising {len(n)} of them through SeqIO, {sum(n)} tokens', read)


if __name__ == '__main__':
  main()
