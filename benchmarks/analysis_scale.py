"""Times the analysis of a large synthetic results table, from the file on disk to every metric with its interval.

`python benchmarks/analysis_scale.py [--datasets 20 --phrasings 500 --examples 1000] [--dir DIR]`
"""

import argparse
import json
import os
import resource
import tempfile
import time

import numpy as np
import pandas as pd


def write(directory: str, datasets: int, phrasings: int, examples: int) -> None:
  """Writes a finished evaluation of a Rasch model with four options; half of the phrasings are unobserved."""
  import pyarrow as pa
  import pyarrow.parquet as pq

  rng = np.random.default_rng(0)
  os.makedirs(directory, exist_ok=True)
  file, rows = None, 0
  instruction_ids = [f'collection/{i}' for i in range(phrasings)]
  for d in range(datasets):
    logits = rng.normal(0, 1.5, (examples, 1)) + rng.normal(0.5, 0.4, (1, phrasings))
    right = (rng.random((examples, phrasings)) < 1 / (1 + np.exp(-logits))).ravel()
    gold = np.repeat(rng.integers(4, size=examples), phrasings)
    answer = np.where(right, gold, (gold + rng.integers(1, 4, size=len(gold))) % 4)
    group = np.where(np.arange(phrasings) % 2, 'observed', 'unobserved')

    def text(codes, names):
      return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), names)

    constant = np.zeros(len(right), np.int32)
    table = pa.table(
      {
        'model': text(constant, ['synthetic']),
        'dataset': text(constant, [f'dataset_{d}']),
        'example_id': text(np.repeat(np.arange(examples), phrasings), [f'd{d}/{e}' for e in range(examples)]),
        'instruction_id': text(np.tile(np.arange(phrasings), examples), instruction_ids),
        'group': text(np.tile(group == 'unobserved', examples).astype(np.int32), ['observed', 'unobserved']),
        'scorer': text(constant, ['rank_likelihood']),
        'prediction': text(answer, list('ABCD')),
        'gold': text(gold, list('ABCD')),
        'score': right.astype(float),
        'option_scores': text(constant, ['']),
        'matched_option': np.ones(len(right), bool),
        'truncated_tokens': constant,
      }
    )
    # As robust-t5x eval writes them: plain text columns.
    table = pa.Table.from_pandas(table.to_pandas().astype({c: str for c in _TEXT}), preserve_index=False)
    file = file or pq.ParquetWriter(os.path.join(directory, 'results.parquet'), table.schema)
    file.write_table(table)
    rows += len(right)
  file.close()
  record = {
    'label': 'synthetic', 'finished': 'now', 'fingerprint': {}, 'instructions': {}, 'rows': rows, 'truncated_inputs': 0,
  }  # fmt: skip
  with open(os.path.join(directory, 'run.json'), 'w') as f:
    json.dump(record, f)


_TEXT = ('model', 'dataset', 'example_id', 'instruction_id', 'group', 'scorer', 'prediction', 'gold', 'option_scores')


def measure(directory: str) -> None:
  """Prints the time so far after each step, on the clock and of all cores, and the greatest memory."""
  from robust_t5x.analysis.comparison import compare

  start, spent_before = time.perf_counter(), time.process_time()

  def step(what):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    spent = time.process_time() - spent_before
    print(f'{time.perf_counter() - start:7.1f} s  {spent:6.1f} s of CPU  {peak:5.2f} GiB at most  {what}', flush=True)

  comparison = compare([directory])
  step(f'read and placed {len(comparison.sources[0].table)} rows')
  values = {
    (group, metric): comparison.interval('synthetic', group, metric)
    for group in comparison.groups
    for metric in comparison.metric_names
  }
  step(f'{len(values)} metrics with intervals')
  comparison.gap('synthetic')
  step('gap')
  agreement = {group: comparison.answer_agreement('synthetic', group) for group in comparison.groups}
  step(f'agreement: {sum(map(len, agreement.values()))} metrics with intervals')
  print(pd.DataFrame({k: vars(v) for k, v in values.items()}).T.round(4).to_string())


def main() -> None:
  """Writes the table in a process of its own, so that its memory does not count, and measures."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--datasets', type=int, default=20)
  parser.add_argument('--phrasings', type=int, default=500)
  parser.add_argument('--examples', type=int, default=1000)
  parser.add_argument('--dir', help='kept and used again where given')
  arguments = parser.parse_args()
  with tempfile.TemporaryDirectory() as temporary:
    directory = arguments.dir or os.path.join(temporary, 'evaluation')
    if not os.path.isfile(os.path.join(directory, 'run.json')):
      pid = os.fork()
      if not pid:
        write(directory, arguments.datasets, arguments.phrasings, arguments.examples)
        os._exit(0)
      if os.waitpid(pid, 0)[1]:
        raise SystemExit('writing the table failed')
    measure(directory)


if __name__ == '__main__':
  main()
