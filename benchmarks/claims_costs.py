"""What the pages say of costs, from the files that the benchmarks of costs write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[1]
RESULTS = ROOT / 'benchmarks/results'


def made_by(script: str, file: str, function: str = 'table') -> Callable[[], tuple[list[str], str, str]]:
  """The table that a benchmark's function makes of its own results."""

  def lines() -> tuple[list[str], str, str]:
    path = RESULTS / file
    text = path.read_text(encoding='utf-8')
    rows = [json.loads(line) for line in text.splitlines()] if path.suffix == '.jsonl' else json.loads(text)
    return getattr(__import__(script), function)(rows).splitlines(), 'measured', str(path.relative_to(ROOT))

  return lines


def evaluation_cost_table() -> tuple[list[str], str, str]:
  path = RESULTS / 'evaluation_cost.json'
  lines = ['| scorer | GFLOP a question | floor | ratio |', '|---|---|---|---|']
  for name, used, needed in json.loads(path.read_text(encoding='utf-8'))['programs']:
    lines.append(f'| {name} | {used / 1e9:.2f} | {needed / 1e9:.2f} | {used / needed:.2f} |')
  return lines, 'measured', str(path.relative_to(ROOT))


def padding_table() -> tuple[list[str], str, str]:
  path = RESULTS / 'evaluation_cost.json'
  lines = ['| batches | padding | shapes |', '|---|---|---|']
  for name, share, shapes in json.loads(path.read_text(encoding='utf-8'))['padding']:
    lines.append(f'| {name} | {share:.1%} | {shapes or "as many as lengths"} |')
  return lines, 'measured', str(path.relative_to(ROOT))


def pipeline_table() -> tuple[list[str], str, str]:
  path = RESULTS / 'input_pipeline.json'
  lines = ['| pipeline | size, topology | a second | cores that takes |', '|---|---|---|---|']
  for name, rows in json.loads(path.read_text(encoding='utf-8')).items():
    words = 'training, 4 phrasings' if name == 'training' else name
    for size, step in rows['steps'].items():
      lines.append(f'| {words} | {size}, {step["topology"]} | {step["wanted"]:,} | {step["cores"]:.1f} |')
  return lines, 'measured', str(path.relative_to(ROOT))


def step(phrasings: int, canonical_trains: bool) -> dict[str, float]:
  """What T5.1.1-small's step was counted to take."""
  wanted = {'size': 'small', 'topology': 'cpu', 'phrasings': phrasings, 'canonical_trains': canonical_trains}
  for line in (RESULTS / 'step_cost.jsonl').read_text(encoding='utf-8').splitlines():
    row = json.loads(line)
    if wanted.items() <= row.items():
      return row
  raise KeyError(wanted)


def pipeline_steps() -> Iterator[dict[str, float]]:
  for rows in json.loads((RESULTS / 'input_pipeline.json').read_text(encoding='utf-8')).values():
    yield from rows['steps'].values()


def decoder_share() -> float:
  """Of the least that ranking four letters takes, what the five decoder positions take, in %: the floors differ by four."""
  programs = json.loads((RESULTS / 'evaluation_cost.json').read_text(encoding='utf-8'))['programs']
  ranked, one_step = programs[0][2], programs[1][2]
  return 100 * 5 / 4 * (ranked - one_step) / ranked


def slopes_differ() -> float:
  """By how much, in %, the cost of one more phrasing of T5.1.1-small differs at most, from K = 2 to K = 8."""
  slopes = [
    (step(b, trains)['flops'] - step(a, trains)['flops']) / (b - a)
    for trains in (True, False)
    for a, b in ((2, 4), (4, 8))
  ]
  return 100 * (max(slopes) / min(slopes) - 1)


def _prompteval() -> list[dict[str, float]]:
  return json.loads((RESULTS / 'prompteval_error.json').read_text(encoding='utf-8'))


def prompteval_table() -> tuple[list[str], str, str]:
  columns = {
    'mean of the cells': 'cells alone', 'filled in': 'filled in', 'filled in, words': 'filled in, with words',
    'distribution': 'drawn', 'distribution, words': 'drawn, with words',
  }  # fmt: skip
  lines = ['| phrasings per example | share of the cells | ' + ' | '.join(columns.values()) + ' |', '|---' * 7 + '|']
  for row in _prompteval():
    numbers = ' | '.join(f'{row[f"W1 {name}"]:.3f}' for name in columns)
    lines.append(f'| {row["per example"]} | {row["share"]:.1%} | {numbers} |')
  return lines, 'measured', 'benchmarks/results/prompteval_error.json'
