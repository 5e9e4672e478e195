"""Kills every verb at random moments, starts it again, and compares what it leaves with what an unkilled run leaves.

`python -m tests.kills --kills 50`; `--command NAME` for one of them. Prints for each command: kills; trials (a directory each, with one to three
kills) that end as the unkilled run does; lost, which do not; processes that outlive a run; files that no unkilled run leaves.
"""

import argparse
from collections.abc import Callable, Mapping
import dataclasses
import json
import multiprocessing
import os
import pathlib
import random
import sys
import tempfile
import time

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
# As in pytest, what tests share is found by its short name.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import tiny_checkpoint  # noqa: E402

from . import commands, running  # noqa: E402


@dataclasses.dataclass
class Count:
  """What came of the kills of one command."""

  kills: int = 0
  trials: int = 0
  equal: int = 0
  lost: int = 0
  orphans: int = 0
  leftovers: int = 0
  seconds: float = 0.0
  bytes: int = 0  # the most that a process of it had in memory

  def plus(self, other: 'Count') -> 'Count':
    """Both together."""
    summed = {field.name: getattr(self, field.name) + getattr(other, field.name) for field in dataclasses.fields(self)}
    return Count(**summed | {'bytes': max(self.bytes, other.bytes)})


def kill_often(
  name: str, kills: int, rng: random.Random, base: pathlib.Path, made: tuple[pathlib.Path, pathlib.Path],
  keep: Callable[[Count], object],
) -> Count:  # fmt: skip
  """Kills a command so often, in as many trials as that takes; `keep` is given what came of all so far, after each."""
  base.mkdir()
  killer = running.Killer(commands.COMMANDS[name], base, *made)
  killer.run(None)  # compiles, for those after it
  killer.clear()
  killer.run(None)
  length = killer.used
  expected = killer.state()
  killer.clear()
  count, start = Count(), time.monotonic()
  while count.kills < kills:
    for _ in range(rng.randint(1, 3)):
      count.kills += killer.run(rng.uniform(0, 1.1 * length), again=True)
    killer.run(None, again=True)
    for _ in range(60):  # what belonged to a killed run ends with it, within its time
      orphans = running.alive(base)
      if not orphans:
        break
      time.sleep(1)
    found = killer.state()
    count.trials += 1
    count.orphans += len(orphans)
    more = sorted({*found} - {*expected})
    lost = sorted(key for key, value in expected.items() if found.get(key) != value)
    count.leftovers += len(more)
    count.lost += bool(lost)
    count.equal += not (lost or more)
    if lost or more or orphans:
      print(f'{name}: lost or other {lost[:5]}, left over {more[:5]}, alive {orphans}; see {killer.log}', flush=True)
    killer.clear()
    count.seconds, count.bytes = time.monotonic() - start, killer.bytes
    keep(count)
  return count


def table(counts: Mapping[str, Count]) -> str:
  """A line for each command."""
  heads = ('kills', 'trials', 'equal', 'lost', 'orphans', 'leftovers', 'time', 'memory')
  lines = [f'{"command":<16}' + ''.join(f'{head:>11}' for head in heads)]
  for name, c in counts.items():
    cells = [
      c.kills,
      c.trials,
      c.equal,
      c.lost,
      c.orphans,
      c.leftovers,
      f'{c.seconds:.0f} s',
      f'{c.bytes / 2**20:.0f} MiB',
    ]
    lines.append(f'{name:<16}' + ''.join(f'{cell:>11}' for cell in cells))
  return '\n'.join(lines)


def main() -> int:
  """Command line; returns the exit status, 1 if anything was lost or left."""
  parser = argparse.ArgumentParser(prog='python -m tests.kills', description=(__doc__ or '').splitlines()[0])
  parser.add_argument('--kills', type=int, default=50, help='of each command')
  parser.add_argument('--command', action='append', choices=[*commands.COMMANDS], help='only this one; repeatable')
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument(
    '--counts', help='file for the counts, as JSON; those that it holds, of other seeds, are added to'
  )
  flags = parser.parse_args()
  multiprocessing.get_context('forkserver').set_forkserver_preload(running.PRELOADED)
  place = pathlib.Path(flags.counts) if flags.counts else None
  before = json.loads(place.read_text(encoding='utf-8')) if place and place.exists() else {}
  counts = {name: Count(**row) for name, row in before.items()}
  with tempfile.TemporaryDirectory(prefix='kills-') as directory:
    base = pathlib.Path(directory)
    checkpoint, evaluated = base / 'tiny', base / 'evaluated'
    tiny_checkpoint.write_vocabulary(base / 'tiny.model')
    tiny_checkpoint.write(checkpoint, str(base / 'tiny.model'))
    names = flags.command or [*commands.COMMANDS]
    if any(commands.COMMANDS[name].reads for name in names):
      first = running.Killer(commands.COMMANDS['eval'], base, checkpoint, evaluated)
      first.run(None)
      first.out.rename(evaluated)
    for name in names:
      rng = random.Random(f'{flags.seed} {name}')
      others = counts.get(name, Count())

      def keep(found: Count, name: str = name, others: Count = others) -> None:
        counts[name] = others.plus(found)
        if place:
          rows = {command: dataclasses.asdict(count) for command, count in counts.items()}
          place.write_text(json.dumps(rows, indent=1) + '\n', encoding='utf-8')

      kill_often(name, flags.kills, rng, base / name.replace(' ', '_'), (checkpoint, evaluated), keep)
      print(table(counts), flush=True)
  return int(any(c.lost or c.orphans or c.leftovers for c in counts.values()))


if __name__ == '__main__':
  sys.exit(main())
