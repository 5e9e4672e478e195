"""What `mutation.py --out` kept, counted: a row for each module, for the tool and for the table of CONTRIBUTING.md."""

from __future__ import annotations

from collections.abc import Mapping
import pathlib
from typing import Any

import yaml

HEAD = '| module | mutants | tried | killed | as good as the original | not seen |\n|---|---|---|---|---|---|'
_EQUIVALENT = pathlib.Path(__file__).parent / 'mutation_equivalent.yaml'


def equivalent(module: str) -> dict[str, str]:
  """Change -> why it is as good as the original, of a module's mutants that were read."""
  by_reason = (yaml.safe_load(_EQUIVALENT.read_text(encoding='utf-8')) or {}).get(module, {})
  return {change: why for why, changes in by_reason.items() for change in changes}


def row(name: str, found: Mapping[str, Mapping[str, Any]]) -> str:
  """The row of some modules together."""
  mutants, tried, killed = (sum(one[key] for one in found.values()) for key in ('mutants', 'tried', 'killed'))
  as_good = sum(one['change'] in equivalent(module) for module in found for one in found[module]['survived'])
  return f'| {name} | {mutants} | {tried} | {killed} | {as_good} | {tried - killed - as_good} |'


def table(kept: Mapping[str, Mapping[str, Any]]) -> list[str]:
  """All modules, and their sum."""
  return [HEAD, *(row(f'`{module}`', {module: found}) for module, found in kept.items()), row('all', kept)]
