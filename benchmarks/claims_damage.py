"""The table of what came of damaged inputs (`python -m tests.fuzz`), for `claims_sources`."""

from __future__ import annotations

import json
import pathlib

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
