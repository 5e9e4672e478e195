"""How near LMentry's published phrasings come to those that we train on, by `seqio_tasks.bank.likeness`.

`python benchmarks/published_likeness.py DIR` writes benchmarks/results/likeness_lmentry.csv. DIR is laid out as arXiv 2401.00595
publishes LMentry: instances/ and paraphrases/. Published phrasings are taken without the "Q:" and "A:" around them.
"""

import argparse
from collections.abc import Mapping
import pathlib
import re

import pandas as pd

from seqio_tasks.bank import likeness, reading
from seqio_tasks.bank.instruction import Instruction, make_instruction
from seqio_tasks.datasets import lmentry_phrasings
from seqio_tasks.datasets.lmentry_instances import TASKS
from seqio_tasks.mini import suite

OUT = pathlib.Path(__file__).parent / 'results/likeness_lmentry.csv'


def published(directory: pathlib.Path) -> dict[Instruction, bool]:
  """The published phrasings of all tasks, and whether they are evaluated: judged correct, and possible to fill in."""
  found = {}
  for path in sorted((directory / 'instances').glob('*.json')):
    for phrasing in lmentry_phrasings.read_phrasings(directory, path.stem):
      made = phrasing.instruction
      key = make_instruction('published', path.stem, str(phrasing.index), made.role, bare(made.template))
      found[key] = phrasing.correct and not phrasing.problem
  return found


def bare(template: str) -> str:
  """A published template without "Q:" and "A:" around it, and without braces that are no field's."""
  template = re.sub(r'^\s*(Q|Question)\s*:|\b(A|Answer)\s*:\s*$', ' ', template, flags=re.IGNORECASE)
  return re.sub(r'\{(\w+)\}|[{}]', lambda brace: f'{{{brace[1]}}}' if brace[1] else ' ', template)


def _task(instruction: Instruction) -> str:
  return instruction.task.removeprefix('lmentry_')


def rows(phrasings: Mapping[Instruction, bool]) -> pd.DataFrame:
  """Distributions for the tasks that the bundled model is asked, and for all tasks, by what they are set beside."""
  banks = reading.read_banks(['package', *map(str, reading.package_files('mini'))])
  mini = [i for i in banks if i.role == 'alignment' and i.collection.startswith('mini_')]
  ours = [i for i in banks if i.collection == 'lmentry_alignment']
  own = [i for i in banks if i.collection == 'lmentry_evaluation']
  asked = [i for i, evaluated in phrasings.items() if evaluated and i.task in TASKS and i.task in suite.TASKS]
  many = [task for task in dict.fromkeys(i.task for i in asked) if sum(i.task == task for i in asked) > 10]
  few = {i.task for i in asked} - {*many}
  parts = [
    *((task.replace('_', ' '), 'the suite’s paraphrases', [i for i in asked if i.task == task], mini) for task in many),
    (f'the {len(few)} other tasks of the suite', 'the suite’s paraphrases', [i for i in asked if i.task in few], mini),
    (
      'our `lmentry_evaluation`, tasks of the suite',
      'the suite’s paraphrases',
      [i for i in own if _task(i) in suite.TASKS],
      mini,
    ),
    (f'all {len({i.task for i in phrasings})} tasks', '`lmentry_alignment`', [*phrasings], ours),
  ]
  made = []
  for task, against, measured, trained in parts:
    found = likeness.distribution([n.likeness for n in likeness.nearest(measured, trained, _task)])
    made.append((task, against, found.phrasings, *found.quantiles, *found.at_least))
  columns = ['task', 'against', 'phrasings', 'median', 'high', 'most', 'half', 'near', 'very_near']
  return pd.DataFrame(made, columns=columns)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('directory', type=pathlib.Path, help='with instances/ and paraphrases/')
  table = rows(published(parser.parse_args().directory))
  OUT.parent.mkdir(exist_ok=True)
  table.to_csv(OUT, index=False, float_format='%.4f')
  print(table.to_string(index=False))


if __name__ == '__main__':
  main()
