"""LMentry's instances (Efrat et al. 2022), in the form that arXiv 2401.00595 publishes them: one JSON file a task.

A directory holds `instances/<task>.json`, instances with gold answers and the default templates. The data are not part of
this package.
"""

from __future__ import annotations

from collections.abc import Mapping
import os
import pathlib
from typing import Any

from seqio_tasks import answers
from seqio_tasks.datasets.sources import DatasetError, Example, has_text, read_json
from seqio_tasks.errors import shorten

# The tasks with one right answer: a word, letter, number, yes or no.
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

# Fields of which the two make up the options.
_PAIRS = (('word1', 'word2'), ('n1', 'n2'))


def read_instances(directory: str | os.PathLike[str], task: str) -> list[Example]:
  """Reads all instances of a task, in the file's order.

  A list of words becomes one text, each word in double quotes and the last one after "and" (after
  "or" in any_words_from_category), which is how the default templates' questions read. Templates
  that put the list in brackets want it without that word, and `lmentry_phrasings` has them name the
  field "listed_<name>", which every instance has beside it. (Upstream also shortens the category
  "items of clothing" in the first default template of all_words_from_category; it is not done
  here.)

  Returns:
    examples with example_id ("<task>/<instance>"), fields, gold and options (yes and no, or the
    two words or numbers, or the list's words; empty if answers are open).

  Raises:
    DatasetError: if the file, the gold answer or a field is missing.
  """
  path, content = read_file(directory, task)
  names = field_names(content, path)
  # Asked of the whole task: "no" is also a word, and an answer in less_letters.
  yes_no = all(instance.get('gold') in answers.YES_NO for instance in content['examples'].values())
  lists = [name for name in names if isinstance(next(iter(content['examples'].values()))[name], list)]
  examples: list[Example] = []
  for key, instance in content['examples'].items():
    if task in answers.OPEN_TASKS:
      instance = instance | {'gold': f'{task}: {instance.get(answers.OPEN_TASKS[task])}'}
    missing = [name for name in (*names, 'gold') if not _usable(instance.get(name), name in lists)]
    if missing:
      raise DatasetError(
        f'{path}: instance {key!r} has no {missing[0]!r} that can be used; only tasks with one gold answer can be '
        f'loaded, such as {", ".join(TASKS)}, and each instance must have all fields'
      )
    fields: dict[str, str] = {}
    options: list[str] = []
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
    if options and str(instance['gold']) not in options:
      raise DatasetError(
        f'{path}: instance {key!r}: the answer {shorten(instance["gold"])!r} is not among the options '
        f'{shorten(options)}; mend that instance'
      )
    examples.append(
      {'example_id': f'{task}/{key}', 'fields': fields, 'gold': str(instance['gold']), 'options': options}
    )
  return examples


def read_file(directory: str | os.PathLike[str], task: str) -> tuple[pathlib.Path, Mapping[str, Any]]:
  """The path and content of a task's instances, checked for the parts that are used; DatasetError if there are none."""
  folder = pathlib.Path(directory) / 'instances'
  beside = pathlib.Path(directory) / f'{task}.json'
  if not folder.is_dir() and beside.is_file():
    _check_layout(read_json(str(beside)), beside)
  if not folder.is_dir():
    raise DatasetError(
      f"{folder}: no such directory; name the directory that holds LMentry's instances/ and paraphrases/"
    )
  path = folder / f'{task}.json'
  if not path.is_file():
    found = ', '.join(sorted(p.stem for p in folder.glob('*.json')))
    raise DatasetError(f'{path}: no such file; there are instances of: {found or "no task"}')
  content = read_json(str(path))
  _check_layout(content, path)
  return path, content


def _check_layout(content: Any, path: pathlib.Path) -> None:
  """DatasetError if a file is in another layout than the one that is read."""
  examples = content.get('examples') if isinstance(content, dict) else None
  wanted = "the layout of arXiv 2401.00595, instances/<task>.json with a mapping 'examples' of a field for each part"
  if not isinstance(examples, dict) or not examples or not all(isinstance(e, dict) for e in examples.values()):
    raise DatasetError(f"{path}: has no mapping 'examples' of instances; what is read here is {wanted}")
  if all({'input', 'metadata'} <= set(e) for e in examples.values()):
    raise DatasetError(
      f"{path}: is in LMentry's own layout, examples with 'input' and 'metadata'; what is read here is {wanted}: name "
      'a directory with such files'
    )


def _usable(value: Any, is_list: bool) -> bool:
  """Whether a field's value is a text or number with something in it, or where the field is a list, two such or more."""
  if is_list:
    return isinstance(value, list) and len(value) > 1 and all(_usable(v, False) for v in value)
  return has_text(value)


def field_names(content: Mapping[str, Any], path: pathlib.Path) -> tuple[str, ...]:
  """The names of an instance's fields, in the order of the first instance."""
  first = next(iter(content['examples'].values()))
  names = tuple(name for name in first if name not in ('gold', 'more_info'))
  if not names:
    raise DatasetError(f'{path}: the first instance has no field to fill in; fetch the file anew')
  return names
