"""Times the data layer on MMLU: reading the bank, registering tasks, rendering and tokenising one phrasing.

`python benchmarks/data_layer.py --mmlu DIR --vocabulary FILE --out benchmarks/results/data_layer.json`
"""

import argparse
import json
import os
import pathlib
import time

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')


def table(rows: list[dict]) -> str:
  """For a terminal and for the documentation."""
  lines = [f'| {row["what"]} | {row["seconds"]:.2f} |' for row in rows]
  return '\n'.join(['| step | seconds |', '|---|---|', *lines])


def main() -> None:
  """Prints a table of the steps."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--mmlu', required=True, metavar='DIR', help='MMLU, with the folder test')
  parser.add_argument('--vocabulary', default='bundled', metavar='PATH', help='a SentencePiece file or a checkpoint')
  parser.add_argument('--out', type=pathlib.Path, metavar='FILE', help='where the JSON goes')
  arguments = parser.parse_args()

  from robust_t5x.checkpoints import vocabularies
  from robust_t5x.runtime import quiet

  quiet.import_tensorflow()
  import seqio

  from seqio_tasks import datasets, suites
  from seqio_tasks.bank import reading
  from seqio_tasks.pipeline import registration

  vocabulary = vocabularies.vocabulary(arguments.vocabulary)

  rows: list[dict] = []

  def timed(what, function):
    began = time.perf_counter()
    result = function()
    rows.append({'what': what(result), 'seconds': time.perf_counter() - began})
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
  print(table(rows))
  if arguments.out:
    arguments.out.write_text(json.dumps(rows, indent=2) + '\n', encoding='utf-8')


if __name__ == '__main__':
  main()
