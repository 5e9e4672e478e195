"""Many damaged inputs for every reader, and a table of what came of them.

`python -m tests.fuzz --tries 20000 --seed 0`; `python -m tests.fuzz --reader NAME --seed N` makes one input again, reads
it in this process, and shows what happens.
"""

import argparse
import collections
from collections.abc import Iterable
import dataclasses
import json
import os
import pathlib
import sys
import tempfile

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
# As in pytest, what tests share is found by its short name.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from . import running  # noqa: E402


def table(results: Iterable[running.Result]) -> str:
  """Reader by outcome, with the longest time and the most memory."""
  counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
  seconds: dict[str, float] = collections.defaultdict(float)
  needed: dict[str, int] = collections.defaultdict(int)
  for result in results:
    for name in (result.reader, 'all'):
      counts[name][result.outcome] += 1
      seconds[name] = max(seconds[name], result.seconds)
      needed[name] = max(needed[name], result.bytes)
  names = [*sorted(name for name in counts if name != 'all'), 'all']
  heads = ('tries', *running.OUTCOMES, 'longest', 'most memory')
  lines = [f'{"reader":<28}' + ''.join(f'{head:>12}' for head in heads)]
  for name in names:
    cells = [counts[name].total(), *(counts[name][outcome] for outcome in running.OUTCOMES)]
    ends = [f'{seconds[name]:.2f} s', f'{needed[name] / 2**20:.0f} MiB']
    lines.append(f'{name:<28}' + ''.join(f'{cell:>12}' for cell in [*cells, *ends]))
  return '\n'.join(lines)


def again(reader: str, seed: int) -> int:
  """Makes one input again and reads it here."""
  directory = pathlib.Path(tempfile.mkdtemp(prefix='fuzz-'))
  call = running.made(reader, seed, directory, running.readers())
  print(f'{reader}, seed {seed}: in {directory}')
  print('read:', repr(call())[:500])
  return 0


def main() -> int:
  """Command line; returns the exit status, 1 if there was a fault."""
  parser = argparse.ArgumentParser(prog='python -m tests.fuzz', description=(__doc__ or '').splitlines()[0])
  parser.add_argument('--tries', type=int, help='damaged inputs in all')
  parser.add_argument('--seed', type=int, default=0, help='of the first input of each reader')
  parser.add_argument('--reader', action='append', help='only this one; repeatable')
  parser.add_argument('--out', help='file for the faults, as JSON Lines')
  flags = parser.parse_args()
  if flags.tries is None:
    if not flags.reader:
      parser.error('give --tries, or --reader and --seed')
    return again(flags.reader[0], flags.seed)
  names = flags.reader or sorted(running.readers())
  jobs = [(name, flags.seed + i) for name in names for i in range(-(-flags.tries // len(names)))]
  results, faults = [], []
  for result in running.run(jobs):
    results.append(result)
    if result.outcome in running.FAULTS:
      faults.append(result)
      detail = ' '.join((result.detail.strip().splitlines() or [''])[-1].split())[:200]
      print(f'{result.outcome}: --reader {result.reader} --seed {result.seed}: {detail}', flush=True)
  print(table(results))
  if flags.out:
    lines = [json.dumps(dataclasses.asdict(result)) + '\n' for result in faults]
    pathlib.Path(flags.out).write_text(''.join(lines), encoding='utf-8')
  return bool(faults)


if __name__ == '__main__':
  sys.exit(main())
