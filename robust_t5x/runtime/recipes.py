"""Recipes: gin files in which everything is chosen for one purpose.

`gin/recipes/VERB/NAME.gin` is what `robust-t5x VERB NAME` runs. What is known of a recipe stands in the gin files: its purpose
and its command at its top, what a macro is for in a comment beside or above the line that sets it, or in parentheses behind
its name in the comment that a file opens with.
"""

import ast
from collections.abc import Iterable
import dataclasses
import itertools
import os
import re
import shlex
import shutil
import textwrap

from robust_t5x.runtime import errors, gin_files
from seqio_tasks.errors import shorten

VERBS = ('train', 'eval', 'represent', 'infer')


@dataclasses.dataclass(frozen=True)
class Recipe:
  """A recipe.

  Attributes:
    verb: of the command line.
    name: its name behind the verb.
    purpose: a sentence or two.
    command: the shortest command that runs it, with what must be set.
    notes: what else to know; '' for nothing.
  """

  verb: str
  name: str
  purpose: str
  command: str
  notes: str

  @property
  def file(self) -> str:
    return f'gin/recipes/{self.verb}/{self.name}.gin'


@dataclasses.dataclass(frozen=True)
class Macro:
  """A macro of some gin files.

  Attributes:
    name: of the macro.
    value: its text in gin; None where it must be set.
    words: what it is for; '' where the files do not say.
    file: that sets it; None where none does.
  """

  name: str
  value: str | None
  words: str
  file: gin_files.GinFile | None


def recipes(verb: str) -> list[Recipe]:
  """The recipes of a verb, by name; what stands in a folder shared/ is a part of them."""
  return [_read(file, verb) for file in gin_files.names(f'recipes/{verb}') if '/shared/' not in file]


def find(verb: str, name: str) -> Recipe:
  """The recipe of a verb with a name.

  Raises:
    UsageError: if there is none, with the nearest.
  """
  there = {recipe.name: recipe for recipe in recipes(verb)}
  if name in there:
    return there[name]
  other = next((v for v in VERBS if name in (r.name for r in recipes(v))), None)
  if name.endswith('.gin'):
    cure = f'; for a file write --gin_file={shorten(name)}'
  elif other:
    cure = f'; {other} has one: robust-t5x {other} {name}'
  else:
    cure = errors.nearest(name, there) or f'; choose among {", ".join(there)}'
  raise errors.UsageError(f'{verb} has no recipe {shorten(name)!r}{cure}')


def _read(name: str, verb: str) -> Recipe:
  file = gin_files.tree(name, gin_files.roots())[0]
  lines = file.head[: next(i for i, line in enumerate(file.head) if line.startswith('Provides: '))]
  command = [line.strip().removesuffix('\\').strip() for line in lines if line.startswith('  ')]
  notes = lines[max(i for i, line in enumerate(lines) if line.startswith('  ')) + 1 :]
  return Recipe(
    verb, os.path.basename(name).removesuffix('.gin'), _purpose(file), ' '.join(command), ' '.join(notes)
  )  # fmt: skip


def _purpose(file: gin_files.GinFile) -> str:
  """What a file is for: what stands before its command, or before what it provides."""
  opening = itertools.takewhile(lambda line: not re.match(r'  |Provides: ', line), file.head)
  return ' '.join(opening)


def macros(files: Iterable[gin_files.GinFile]) -> list[Macro]:
  """The macros that gin files use, in the files' order.

  Args:
    files: of a tree, or of several.
  """
  files = list(files)
  found = gin_files.settings(files)
  order = dict.fromkeys(
    [*(name for file in files for name in file.values), *(n for f in files for n in sorted(f.used))]
  )
  made = []
  for name in order:
    if any(name in file.used for file in files):
      setting = found.get(name)
      value = setting.value if setting and setting.value != gin_files.REQUIRED else None
      made.append(Macro(name, value, gin_files.words(name, files), setting.file if setting else None))
  return made


def literal(text: str, where: str) -> str:
  """The text in gin of a value that was typed without quotes: a Python literal, or else a string.

  Args:
    text: as typed.
    where: the flag, for the error.

  Raises:
    UsageError: for what looks like a literal and is none.
  """
  try:
    written = repr(ast.literal_eval(text))
  except (ValueError, SyntaxError, MemoryError, RecursionError):
    written = ''
  if written:
    try:
      ast.literal_eval(written)
    except ValueError as e:  # Python has no literal for them
      raise errors.UsageError(f'{where}: {shorten(text)} holds a number that is not finite; give one that is') from e
    return written
  if text.lower() in ('true', 'false'):
    raise errors.UsageError(f'{where}: {shorten(text)} is no Python literal; write {text.capitalize()}')
  if text[:1] in ('[', '(', '{', '"', "'"):
    raise errors.UsageError(
      f"{where}: {shorten(text)} is no Python literal; strings within brackets need quotes, such as \"['a', 'b']\""
    )
  return repr(text)


def quoted(text: str) -> str:
  """A word for a shell, quoted if need be, in double quotes where that is enough."""
  safe = shlex.quote(text)
  return safe if safe == text or re.search(r'["$`\\!]', text) else f'"{text}"'


def help_text(recipe: Recipe) -> str:
  """What a recipe does, and what can be set: each macro, its value and what it is for; first what must be set."""
  everything = gin_files.tree(recipe.file, gin_files.roots())
  known = macros(everything)
  lines = [*_wrapped(recipe.purpose, 0), '', f'  {recipe.command}', '']
  lines += [*_wrapped(recipe.notes, 0), ''] if recipe.notes else []
  lines.append('must be set:')
  for macro in sorted((m for m in known if m.value is None), key=lambda m: m.file is None):
    lines += _entry(_flag(macro), macro.words)
  for file in dict.fromkeys(everything):
    here = [m for m in known if m.value is not None and m.file is file]
    if here:
      about = 'the recipe itself' if file.name == recipe.file else _purpose(file)
      lines += ['', *_wrapped(f'{file.name}: {about}', 0, 2)]
    for macro in here:
      if not is_part(macro):
        lines += _entry(_flag(macro), macro.words)
  return '\n'.join(lines)


def is_part(macro: Macro) -> bool:
  """Whether another file is needed for another value, as for a model or an objective."""
  return bool(re.match(r'\[?@', macro.value or '')) and (not macro.words or bool(_folder(macro)))


def _folder(macro: Macro) -> str | None:
  """The folder that has files that set it, where the words name one."""
  named = re.search(r'a file of (gin/\w+/)', macro.words)
  return named[1] if named else None


def _flag(macro: Macro) -> str:
  """A macro and its value as a person would type them in a shell."""
  if macro.value is None and macro.file is None and _folder(macro):
    return f'--gin_file={_folder(macro)}...'
  if macro.value is None or macro.value.startswith('@'):
    return f'--{macro.name}=...'
  content = ast.literal_eval(macro.value)
  bare = isinstance(content, str) and _reads_back(content)
  return f'--{macro.name}={quoted(content if bare else macro.value)}'


def _reads_back(text: str) -> bool:
  try:
    return literal(text, '') == repr(text)
  except errors.UsageError:
    return False


def list_text(verb: str) -> str:
  """The recipes of a verb, each with its command and purpose."""
  lines = []
  for recipe in recipes(verb):
    lines += [f'  {recipe.command}', *_wrapped(recipe.purpose, 6)]
  return '\n'.join(lines)


def _entry(flag: str, words: str) -> list[str]:
  column = 32
  lines = _wrapped(words, column)
  if len(flag) > column - 4:
    return [f'  {flag}', *lines]
  return [f'  {flag:<{column - 2}}{lines[0].lstrip() if lines else ""}'.rstrip(), *lines[1:]]


def _wrapped(text: str, indent: int, further: int = 0) -> list[str]:
  """Lines of a text, each after an indent, those after the first after a further one."""
  width = min(shutil.get_terminal_size((120, 24)).columns, 120)
  return textwrap.wrap(
    text, width, initial_indent=' ' * indent, subsequent_indent=' ' * (indent + further), break_long_words=False,
    break_on_hyphens=False,
  )  # fmt: skip
