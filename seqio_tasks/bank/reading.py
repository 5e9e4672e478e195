"""Reads the instruction bank: files of phrasings, all of whose faults are reported.

A bank file is YAML and holds one collection of phrasings of one role:

    family: mini
    collection: mini_tuning
    role: evaluation
    instructions:
      first_word:
        t01: 'What is the first word of: {sentence}'

The id of an instruction is "<collection>/<task>/<key>". A template holds named fields in braces
and no other braces; there is no escape, since T5's vocabulary has no braces anyway. A phrasing that
lists options, or asks for its answer in another form, is a mapping instead of a text, see
`schema`. Reading a bank reports every fault that it finds in one `BankError`, so that a file is
mended in one go.

Imports neither TensorFlow nor seqio.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator, Mapping, Sequence
import functools
import os
import pathlib

import yaml

from seqio_tasks import tables
from seqio_tasks.bank import checks, schema, yaml_files
from seqio_tasks.bank.checks import Tokenizer
from seqio_tasks.bank.instruction import NAME, ROLES, BankError, Instruction, make_instruction
from seqio_tasks.errors import UserError, shorten

_FILE_KEYS = ('family', 'collection', 'role', 'instructions', 'verbatim', 'blocks', 'derived')
_REQUIRED_KEYS = ('family', 'collection', 'role', 'instructions')

# Of the bank files that come with the package, those that "package" stands for; the mini suite brings its own.
_PACKAGE_FAMILIES = ('general', 'bbl', 'bbh', 'bigbench', 'lmentry', 'niv2')
_BANKS_DIRECTORY = pathlib.Path(__file__).parents[1] / 'banks'


class Bank:
  """An ordered collection of instructions with unique ids."""

  def __init__(self, instructions: Iterable[Instruction]):
    """Takes instructions in order; BankError if an id stands twice or a role is unknown."""
    self._instructions = tuple(instructions)
    counts = collections.Counter(i.id for i in self._instructions)
    problems = [
      f'{id_}: the id stands {n} times; give each phrasing a key of its own' for id_, n in counts.items() if n > 1
    ]
    problems += [
      f'{i.id}: unknown role {i.role!r}; use one of {", ".join(ROLES)}'
      for i in self._instructions
      if i.role not in ROLES
    ]
    if problems:
      raise BankError(problems)

  @classmethod
  def from_files(
    cls,
    paths: Iterable[str | os.PathLike[str]],
    fields: Mapping[str, Iterable[str]] | None = None,
  ) -> Bank:
    """Reads and validates bank files, in the order given.

    Args:
      paths: YAML files.
      fields: the fields of every task; where given, each template must hold each field of its
        task exactly once.

    Raises:
      BankError: with every fault of every file, see `validate`.
    """
    return validate(paths, fields)

  @classmethod
  def from_package(cls, family: str, fields: Mapping[str, Iterable[str]] | None = None) -> Bank:
    """Reads the files seqio_tasks/banks/<family>.yaml and <family>_*.yaml, sorted by name."""
    paths = package_files(family)
    if not paths:
      families = sorted({path.stem.split('_')[0] for path in _BANKS_DIRECTORY.glob('*.yaml')})
      raise BankError([f'no bank file of the family {family!r} in {_BANKS_DIRECTORY}; there are {families}'])
    return cls.from_files(paths, fields)

  def select(
    self,
    task: str | None = None,
    roles: Iterable[str] | None = None,
    collections: Iterable[str] | None = None,
  ) -> Bank:
    """The instructions of a task, of some roles and of some collections, in order."""
    roles = None if roles is None else set(roles)
    collections = None if collections is None else set(collections)
    return Bank(
      i
      for i in self._instructions
      if (task is None or i.task == task)
      and (roles is None or i.role in roles)
      and (collections is None or i.collection in collections)
    )

  @property
  def tasks(self) -> tuple[str, ...]:
    """The tasks in order of first appearance."""
    return tuple(dict.fromkeys(i.task for i in self._instructions))

  def __iter__(self) -> Iterator[Instruction]:
    return iter(self._instructions)

  def __len__(self) -> int:
    return len(self._instructions)

  def __getitem__(self, id_: str) -> Instruction:
    for instruction in self._instructions:
      if instruction.id == id_:
        return instruction
    raise KeyError(id_)

  def __eq__(self, other: object) -> bool:
    return isinstance(other, Bank) and self._instructions == other._instructions

  def __hash__(self) -> int:
    return hash(self._instructions)


def package_files(family: str) -> list[pathlib.Path]:
  """The bank files of a family that come with the package, sorted by name."""
  found = {
    *_BANKS_DIRECTORY.glob(f'{family}.yaml'),
    *_BANKS_DIRECTORY.glob(f'{family}_*.yaml'),
  }
  return sorted(found)


def read_banks(banks: Sequence[str]) -> Bank:
  """The phrasings of the package ("package"), of bank files and of directories of them.

  Raises:
    BankError: if one is missing or faulty.
  """
  paths: list[pathlib.Path] = []
  for entry in banks:
    if entry == 'package':
      paths += [path for family in _PACKAGE_FAMILIES for path in package_files(family)]
    elif os.path.isdir(entry):
      found = tables.entries(entry, '*.yaml')
      if not found:
        raise BankError([f'{entry}: holds no .yaml file; name a directory of bank files'])
      paths += found
    else:
      paths.append(pathlib.Path(entry))
  return _read_files(tuple(map(str, paths)), tuple(p.stat().st_mtime_ns if p.is_file() else 0 for p in paths))


@functools.lru_cache(maxsize=8)
def _read_files(paths: tuple[str, ...], times: tuple[int, ...]) -> Bank:
  del times  # part of the key, so that a changed file is read anew
  return Bank.from_files(paths)


def validate(
  paths: Iterable[str | os.PathLike[str]],
  fields: Mapping[str, Iterable[str]] | None = None,
  vocabulary: Tokenizer | None = None,
) -> Bank:
  """Reads bank files and reports all their faults.

  Faults are: a file that cannot be read; unknown, missing or repeated keys; unknown roles; braces
  that are not a field's; two phrasings of one bank that are the same but for case, punctuation and
  space, whatever their tasks; above all an evaluation phrasing that also stands in a role that is
  trained on (`TRAINING_ROLES`).

  Args:
    paths: YAML files that together make one bank.
    fields: the fields of every task; if given, a template must hold each of its task's fields
      exactly once and no other, and the task must be among them.
    vocabulary: if given, phrasings that it encodes to the same ids are faults, too.

  Returns:
    the bank.

  Raises:
    BankError: naming file, id, field and cure of every fault.
  """
  problems: list[str] = []
  read: list[tuple[str, Instruction]] = []  # (file, instruction)
  for path in paths:
    read.extend((str(path), i) for i in _read_file(str(path), fields, problems))
  if not read and not problems:
    problems.append('no bank file was given; name at least one')
  problems.extend(checks.clashes(read))
  if vocabulary is not None:
    problems.extend(checks.token_clashes(read, vocabulary))
  if problems:
    raise BankError(problems)
  return Bank(i for _, i in read)


def check_fields(bank: Iterable[Instruction], fields: Mapping[str, Iterable[str]]) -> None:
  """BankError unless each template holds each of its task's fields once and no other.

  Instructions of tasks that `fields` does not name are passed over.
  """
  problems = [
    f'{i.id}: {fault}' for i in bank if i.task in fields for fault in checks.field_faults(i, tuple(fields[i.task]))
  ]
  if problems:
    raise BankError(problems)


def _read_file(path: str, fields, problems: list[str]) -> list[Instruction]:
  """Reads one file and appends its faults to `problems`."""
  try:
    content, node = yaml_files.read(path)
  except UserError as e:
    problems.append(str(e))
    return []
  if not isinstance(content, dict):
    problems.append(f'{path}: holds no mapping; it must have the keys {", ".join(_REQUIRED_KEYS)}')
    return []
  problems.extend(f'{path}: {problem}' for problem in _repeated_keys(node))
  for key in content:
    if key not in _FILE_KEYS:
      problems.append(f'{path}: unknown key {shorten(repr(key))}; the keys are {", ".join(_FILE_KEYS)}')
  for key in ('family', 'collection', 'role'):
    if key not in content and key != 'family' and _all_entries_have(key, content.get('instructions')):
      continue
    if not (isinstance(content.get(key), str) and NAME.fullmatch(content[key])):
      problems.append(f'{path}: key {key!r} must be one word of letters, digits and _')
      content[key] = '?'
  defaults = {'collection': content.get('collection'), 'role': content.get('role')}
  shared = schema.shared_parts(content, lambda problem: problems.append(f'{path}: {problem}'))
  tasks = content.get('instructions')
  if not isinstance(tasks, dict) or not tasks:
    problems.append(f"{path}: key 'instructions' must map each task to its phrasings")
    return []
  instructions = []
  for task, entries in tasks.items():
    where = f'{path}: {shorten(defaults["collection"] or content["family"])}/{shorten(task)}'
    if not isinstance(entries, dict) or not entries:
      problems.append(f'{where}: must map at least one key to a template')
      continue
    if fields is not None and task not in fields:
      problems.append(f'{where}: unknown task; the tasks are {", ".join(fields)}')
      continue
    for key, entry in entries.items():
      faults, instruction = _read_entry(task, key, entry, defaults, shared)
      if instruction is not None and fields is not None:
        faults.extend(checks.field_faults(instruction, tuple(fields[task])))
      elif instruction is not None:
        faults.extend(checks.form_faults(instruction))
      problems.extend(f'{where}/{shorten(key)}: {fault}' for fault in faults)
      if instruction is not None:
        instructions.append(instruction)
  return instructions


def _all_entries_have(key: str, tasks: object) -> bool:
  """Whether every phrasing gives a key itself, so that the file need not."""
  entries = [e for t in tasks.values() if isinstance(t, dict) for e in t.values()] if isinstance(tasks, dict) else []
  return bool(entries) and all(isinstance(e, dict) and key in e for e in entries)


def _read_entry(
  task: object, key: object, entry: object, defaults: Mapping[str, str | None], shared: schema.SharedParts
) -> tuple[list[str], Instruction | None]:
  """What is wrong with an entry, and the instruction if it can be made."""
  for name, value in (('task', task), ('key', key)):
    if not (isinstance(value, str) and NAME.fullmatch(value)):
      return [f'{name} {shorten(repr(value))} must be one word of letters, digits and _; quote yes, no, numbers'], None
  task, key = str(task), str(key)
  faults: list[str] = []
  if not isinstance(entry, dict):
    entry = {'template': entry}
  values: dict[str, str] = {}
  for name in ('collection', 'role'):
    value = entry.get(name, defaults[name])
    values[name] = str(value)
    if not isinstance(value, str) or (value != '?' and not NAME.fullmatch(value)):
      faults.append(f'key {name!r} must be one word of letters, digits and _')
  if not faults and values['role'] not in (*ROLES, '?'):
    faults.append(f'unknown role {shorten(values["role"])!r}; use one of {", ".join(ROLES)}')
  source = entry.get('source', '')
  if not isinstance(source, str):
    faults.append(f"key 'source' is {shorten(repr(source))}; it must be text, in quotes")
    source = ''
  layout = schema.read_layout(entry, shared, faults.append)
  if layout is None or faults:
    return faults, None
  if '?' in values.values():
    return faults, None
  return faults, make_instruction(
    values['collection'], task, key, values['role'], layout.template, layout, source, shared.verbatim
  )


def _repeated_keys(node: yaml.Node | None, prefix: str = '') -> Iterator[str]:
  """Keys that stand twice in a mapping, which YAML loaders pass over in silence."""
  if not isinstance(node, yaml.MappingNode):
    return
  seen = set()
  for key_node, value_node in node.value:
    key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else repr(key_node.start_mark.index)
    if key in seen:
      yield (
        f'{shorten(prefix + key)}: duplicate id, the key stands again in line '
        f'{key_node.start_mark.line + 1}; give it a key of its own'
      )
    seen.add(key)
    yield from _repeated_keys(value_node, f'{prefix}{key}/')
