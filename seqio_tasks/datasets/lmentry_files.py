"""LMentry under many phrasings: instances, phrasings, scoring and evaluation tasks.

Reads the benchmark (Efrat et al., 2022) in the form that Mizrahi et al. (2024, arXiv 2401.00595)
published it with hundreds of phrasings of each task, from a directory laid out as

  instances/<task>.json    instances with gold answers and the default templates
  paraphrases/<task>.csv   phrasings with a human's judgement whether they are correct

The data are not part of this package. Three things about them:
- The published accuracies were taken on 100 samples for each phrasing (column `samples`), but which
  ones is not recorded. `register_lmentry` takes the first ones of the file. A model that gives one
  answer throughout scores 0.56 on all_words_from_category in the published tables, just as on its
  first 100 instances, but 0.53 on any_words_from_category, where they give 0.52: so the published
  sample is close to this one at best, and accuracies agree with it up to sampling only.
- Templates name a field more than once, or leave one out, and are used as they are. A few cannot
  be filled in, since they name what no instance has; `load_phrasings` says which.
- Some phrasings of a task are the same text under several indices; all are kept.

The published scoring matches regular expressions over many ways to put an answer into a sentence.
The scorer `lmentry` here is stricter: the answer must be all that is said; see `score`.

TensorFlow and seqio are imported by `register_lmentry` only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import csv
import dataclasses
import json
import logging
import os
import pathlib
from typing import TYPE_CHECKING, Any

from seqio_tasks import answers
from seqio_tasks.bank import instruction as instruction_lib
from seqio_tasks.bank import templates
from seqio_tasks.errors import UserError

if TYPE_CHECKING:
  pass


COLLECTION = 'lmentry'
_logger = logging.getLogger(__name__)

# The tasks that `score` is made for: one right answer, which is a word, letter, number, yes or no.
TASKS = (
  'all_words_from_category',
  'any_words_from_category',
  'bigger_number',
  'first_alphabetically',
  'first_letter',
  'first_word',
  'last_letter',
  'last_word',
  'less_letters',
  'more_letters',
  'smaller_number',
  'word_after',
  'word_before',
)


GROUPS = ('correct', 'incorrect')


_COLUMNS = ('prompt idx', 'method', 'prompt template', 'correct')
# Fields of which the two make up the options.
_PAIRS = (('word1', 'word2'), ('n1', 'n2'))


class LmentryError(UserError):
  """LMentry's files are not as they should be; the message names file, field and cure."""


@dataclasses.dataclass(frozen=True)
class Phrasing:
  """One phrasing of an LMentry task.

  Attributes:
    instruction: with the id "lmentry/<task>/<index>" and the role "default", "evaluation" or,
      where judged incorrect, "incorrect".
    index: the published "prompt idx", by which published accuracies are listed.
    method: how it was made, e.g. "default", "rephrase".
    correct: whether it was judged a correct paraphrase.
    problem: why it cannot be filled in, "" if it can.
  """

  instruction: instruction_lib.Instruction
  index: int
  method: str
  correct: bool
  problem: str

  @property
  def group(self) -> str:
    """The one of `GROUPS` that it belongs to."""
    return GROUPS[0] if self.correct else GROUPS[1]


def load_instances(directory: str | os.PathLike[str], task: str) -> list[dict[str, Any]]:
  """Reads all instances of a task, in the file's order.

  A list of words becomes one text, each word in double quotes and the last one after "and" (after
  "or" in any_words_from_category), which is how the default templates' questions read. Templates
  that put the list in brackets want it without that word, and `load_phrasings` has them name the
  field "listed_<name>", which every instance has beside it. (Upstream also shortens the category
  "items of clothing" in the first default template of all_words_from_category; it is not done
  here.)

  Returns:
    examples with example_id ("<task>/<instance>"), fields, gold and options (yes and no, or the
    two words or numbers, or the list's words; empty if answers are open).

  Raises:
    LmentryError: if the file, the gold answer or a field is missing.
  """
  path, content = _read_instances(directory, task)
  names = _field_names(content, path)
  # Asked of the whole task: "no" is also a word, and an answer in less_letters.
  yes_no = {instance.get('gold') for instance in content['examples'].values()} <= set(answers.YES_NO)
  examples = []
  for key, instance in content['examples'].items():
    if task in answers.OPEN_TASKS:
      instance = instance | {'gold': f'{task}: {instance.get(answers.OPEN_TASKS[task])}'}
    missing = [name for name in (*names, 'gold') if instance.get(name) in (None, '')]
    if missing:
      raise LmentryError(
        f'{path}: instance {key!r} has no {missing[0]!r}; only tasks with one gold answer can be '
        f'loaded, such as {", ".join(TASKS)}, and each instance must have all fields'
      )
    gold = str(instance['gold'])
    fields, options = {}, []
    for name in names:
      value = instance[name]
      if isinstance(value, list):
        quoted = [f'"{word}"' for word in value]
        final = 'or' if task.startswith('any_words') else 'and'
        fields[name] = f'{", ".join(quoted[:-1])}, {final} {quoted[-1]}'
        fields[f'listed_{name}'] = ', '.join(quoted)
        options = [str(word) for word in value]
      else:
        fields[name] = str(value)
    for pair in _PAIRS:
      if set(pair) <= set(fields):
        options = [fields[name] for name in pair]
    if yes_no:
      options = list(answers.YES_NO)
    examples.append({'example_id': f'{task}/{key}', 'fields': fields, 'gold': gold, 'options': options})
  return examples


def load_phrasings(directory: str | os.PathLike[str], task: str) -> list[Phrasing]:
  """Reads the phrasings of a task from its CSV, or its default templates where it has none.

  Raises:
    LmentryError: if the directory, the instances, a column or a cell is missing or malformed.
  """
  instances_path, content = _read_instances(directory, task)
  path = pathlib.Path(directory) / 'paraphrases' / f'{task}.csv'
  lists = [name for name, value in next(iter(content['examples'].values())).items() if isinstance(value, list)]
  names = {*_field_names(content, instances_path), *(f'listed_{name}' for name in lists)}
  if path.exists():
    rows = read_phrasing_rows(path)
  else:
    defaults = content.get('more_info', {}).get('input_templates')
    if not defaults:
      raise LmentryError(
        f'{instances_path}: has no more_info.input_templates, and there is no {path}; supply one of them'
      )
    rows = [(i + 1, 'default', template, True) for i, template in enumerate(defaults)]
  phrasings = []
  for index, method, template, correct in rows:
    for name in lists:
      template = template.replace(f'[{{{name}}}]', f'[{{listed_{name}}}]')
    phrasings.append(_phrasing(task, index, method, template, correct, names))
  return phrasings


def _read_instances(directory: str | os.PathLike[str], task: str) -> tuple[pathlib.Path, Mapping[str, Any]]:
  """The path and content of a task's instances, checked for the parts that are used."""
  folder = pathlib.Path(directory) / 'instances'
  if not folder.is_dir():
    raise LmentryError(
      f"{folder}: no such directory; name the directory that holds LMentry's instances/ and paraphrases/"
    )
  path = folder / f'{task}.json'
  if not path.is_file():
    found = ', '.join(sorted(p.stem for p in folder.glob('*.json')))
    raise LmentryError(f'{path}: no such file; there are instances of: {found or "no task"}')
  try:
    content = json.loads(path.read_text(encoding='utf-8'))
  except ValueError as e:
    raise LmentryError(f'{path}: is not JSON ({e}); fetch the file anew') from e
  if not isinstance(content, dict) or not content.get('examples'):
    raise LmentryError(f"{path}: has no 'examples'; fetch the file anew")
  return path, content


def _field_names(content: Mapping[str, Any], path: pathlib.Path) -> tuple[str, ...]:
  """The names of an instance's fields, in the order of the first instance."""
  first = next(iter(content['examples'].values()))
  names = tuple(name for name in first if name not in ('gold', 'more_info'))
  if not names:
    raise LmentryError(f'{path}: the first instance has no field to fill in; fetch the file anew')
  return names


def read_phrasing_rows(
  path: pathlib.Path, bad_row: Callable[[str, str], None] | None = None
) -> list[tuple[int, str, str, bool]]:
  """(index, method, template, correct) of each row of a CSV of phrasings.

  Args:
    path: the file.
    bad_row: called with the index and what is wrong with a row, which is then left out; by default that is an error.

  Raises:
    LmentryError: naming file, row and cure.
  """
  with path.open(newline='', encoding='utf-8-sig') as f:
    reader = csv.DictReader(f)
    missing = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
      raise LmentryError(f'{path}: has no column {missing}; the columns needed are {", ".join(_COLUMNS)}')
    rows, seen = [], set()
    for row in reader:
      index, method, template, correct = (row[column] for column in _COLUMNS)
      fault = None
      if not (index and index.isdigit()) or index in seen:
        fault = 'must be a whole number that stands once; mend that row'
      elif correct not in ('0', '1'):
        fault = f"column 'correct' is {correct!r}; it must be 0 or 1"
      elif not template:
        fault = "column 'prompt template' is empty; supply the template"
      if fault is None:
        seen.add(index)
        rows.append((int(index), method, template, correct == '1'))
      elif bad_row is None:
        where = f'{path}: prompt idx {index!r}'
        raise LmentryError(f'{where}: {fault}')
      else:
        bad_row(str(index), fault)
  if not rows:
    raise LmentryError(f'{path}: has no phrasing; supply at least one row')
  return rows


def _phrasing(task: str, index: int, method: str, template: str, correct: bool, names: set[str]) -> Phrasing:
  """A phrasing, with what keeps it from being filled in."""
  role = 'incorrect'
  if correct:
    role = 'default' if method == 'default' else 'evaluation'
  fields, problem = (), ''
  try:
    fields = tuple(dict.fromkeys(name for _, name in templates.parse_template(template) if name))
  except ValueError as e:
    problem = str(e)
  unknown = [name for name in fields if name not in names]
  if unknown:
    problem = f'the template names the fields {unknown}, but instances have {sorted(names)}'
  id_ = f'{COLLECTION}/{task}/{index}'
  instruction = instruction_lib.Instruction(id_, task, role, COLLECTION, template, fields)
  return Phrasing(instruction, index, method, correct, problem)
