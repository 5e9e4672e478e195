"""Many damaged inputs for every reader, and a table of what came of them.

`python -m tests.fuzz --tries 20000 --seed 0`; `python -m tests.fuzz --reader NAME --seed N` makes one input again, reads
it in this process, and shows what happens.
"""

import argparse
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

Counts = dict[str, dict[str, float]]


def counted(results: Iterable[running.Result], before: Counts) -> Counts:
  """How often each reader came to each outcome, its longest time in seconds and its most memory in bytes, with those of parts before."""
  counts = {name: dict(row) for name, row in before.items()}
  for result in results:
    row = counts.setdefault(result.reader, dict.fromkeys((*running.OUTCOMES, 'seconds', 'bytes'), 0))
    row[result.outcome] += 1
    row['seconds'] = max(row['seconds'], round(result.seconds, 2))
    row['bytes'] = max(row['bytes'], result.bytes)
  return dict(sorted(counts.items()))


def table(counts: Counts) -> str:
  """Reader by outcome, with the longest time and the most memory."""
  heads = ('tries', *running.OUTCOMES, 'longest', 'most memory')
  lines = [f'{"reader":<28}' + ''.join(f'{head:>12}' for head in heads)]
  together = {key: sum(row[key] for row in counts.values()) for key in running.OUTCOMES}
  together |= {key: max((row[key] for row in counts.values()), default=0) for key in ('seconds', 'bytes')}
  for name, row in (*counts.items(), ('all', together)):
    cells = [sum(row[outcome] for outcome in running.OUTCOMES), *(row[outcome] for outcome in running.OUTCOMES)]
    ends = [f'{row["seconds"]:.2f} s', f'{row["bytes"] / 2**20:.0f} MiB']
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
  parser.add_argument(
    '--counts', help='file for the counts, as JSON; those that it holds, of other seeds, are added to'
  )
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
  place = pathlib.Path(flags.counts) if flags.counts else None
  counts = counted(results, json.loads(place.read_text(encoding='utf-8')) if place and place.exists() else {})
  print(table(counts))
  if place:
    place.write_text(json.dumps(counts, indent=1) + '\n', encoding='utf-8')
  if flags.out:
    lines = [json.dumps(dataclasses.asdict(result)) + '\n' for result in faults]
    pathlib.Path(flags.out).write_text(''.join(lines), encoding='utf-8')
  return bool(faults)


if __name__ == '__main__':
  sys.exit(main())
