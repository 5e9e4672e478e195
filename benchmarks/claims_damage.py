"""The tables of what came of damaged inputs (`python -m tests.fuzz`), of kills (`python -m tests.kills`) and of faults in the code
(`mutation.py`), for `claims_sources`."""

from __future__ import annotations

import json
import pathlib

import mutation_counts

ROOT = pathlib.Path(__file__).resolve().parents[1]
_RESULTS = ROOT / 'benchmarks/results'
_FAULTS = ('wrong', 'unclear', 'traceback', 'hang', 'memory')


def fuzz_table() -> tuple[list[str], str, str]:
  """All readers together."""
  path = _RESULTS / 'fuzz.json'
  rows = json.loads(path.read_text(encoding='utf-8')).values()
  counts = [sum(row[key] for row in rows) for key in ('fine', 'clear', *_FAULTS)]
  cells = [len(rows), sum(counts), *counts]
  most = max(row['bytes'] for row in rows) / 2**20
  lines = [
    '| readers | inputs | read | refused in a line | read as something else | unclear message | traceback | hang | out of memory '
    '| longest | most memory |',
    '|---' * 11 + '|',
    f'| {" | ".join(map(str, cells))} | {max(row["seconds"] for row in rows):.1f} s | {most:.0f} MiB |',
  ]
  return lines, 'measured', str(path.relative_to(ROOT))


def kills_table() -> tuple[list[str], str, str]:
  """A row for each command that was killed."""
  path = _RESULTS / 'kills.json'
  counts = json.loads(path.read_text(encoding='utf-8'))
  lines = [
    '| command | kills | trials | ends as an unkilled run does | something lost | orphans | leftovers |',
    '|---' * 7 + '|',
  ]
  for name, of_one in counts.items():
    numbers = (of_one[c] for c in ('kills', 'trials', 'equal', 'lost', 'orphans', 'leftovers'))
    lines.append(f'| {name} | ' + ' | '.join(map(str, numbers)) + ' |')
  return lines, 'measured', str(path.relative_to(ROOT))


def mutation_table() -> tuple[list[str], str, str]:
  """A row for each core module, and all together."""
  path = _RESULTS / 'mutation.json'
  lines = mutation_counts.table(json.loads(path.read_text(encoding='utf-8')))
  return lines, 'measured', str(path.relative_to(ROOT))
