"""The project's gin files: where they are, what they set, how several are read as one configuration."""

import argparse
import ast
from collections.abc import Callable, Iterable, Sequence
import dataclasses
import difflib
import functools
import os
import re
import sys
from typing import Any

from robust_t5x.runtime import errors, gin_errors, limits, quiet
from seqio_tasks import tables
from seqio_tasks.errors import shorten

REQUIRED = '%gin.REQUIRED'  # how gin's own files say that a value must be given
MACRO = r'[A-Z][A-Z0-9_]*'
_MOST_WITHIN, _MOST_FILES = 50, 1000  # files within each other, and in all
_MOST_BYTES = 1 << 18
_INCLUDE = re.compile(r"""^include\s+['"](.+?)['"]""", re.MULTILINE)
# Folders of whose files a run has one: one that is given takes the place of a recipe's.
_ONE_OF = ('adapters', 'models', 'objectives', 'observed', 'topologies')


@dataclasses.dataclass(frozen=True, eq=False)
class GinFile:
  """A gin file as text.

  Attributes:
    name: as it was asked for.
    path: where it is.
    head: lines of the comment that it opens with, without their '#'.
    includes: names of the files that it includes, in its order.
    values: name -> value, on one line, that it sets itself.
    used: macros that it uses.
    comments: macro -> the comment beside the line that sets it, or above.
    referred: all names behind a '%', in small letters too.
  """

  name: str
  path: str
  head: tuple[str, ...]
  includes: tuple[str, ...]
  values: dict[str, str]
  used: frozenset[str]
  comments: dict[str, str]
  referred: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class Setting:
  """A value, and the file that it stands in."""

  value: str
  file: GinFile


def gin_directory() -> str:
  """The project's gin files: beside the package in a checkout, inside it when installed."""
  package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
  checkout = os.path.join(os.path.dirname(package), 'gin')
  return checkout if os.path.isdir(os.path.join(checkout, 'runs')) else os.path.join(package, 'configs', 'gin')


def roots(search_paths: str = '') -> list[str]:
  """Where gin files are looked for: here, in the given places (comma-separated), in the project."""
  paths = [p for p in search_paths.split(',') if p]
  return ['.', *paths, os.path.dirname(gin_directory()), gin_directory()]


def names(folder: str = '') -> list[str]:
  """The project's gin files below a folder of gin/, as gin/FOLDER/NAME.gin."""
  top = os.path.dirname(gin_directory())
  found = (os.path.join(at, n) for at, _, there in os.walk(os.path.join(gin_directory(), folder)) for n in there)
  return sorted(os.path.relpath(path, top) for path in found if path.endswith('.gin'))


def tree(name: str, where: Sequence[str], within: tuple[str, ...] = ()) -> list[GinFile]:
  """A file and all that it includes, what counts for more first; what is not found is left out.

  A file's own settings count for more than those of the files that it includes, and of these the later ones for more.

  Args:
    name: of the file.
    where: where it is looked for.
    within: the files that include this one, from the outermost in.

  Raises:
    UserError: for a file that includes itself, or one that is no text.
  """
  path = _find(name, where)
  if path is None:
    return []
  if name in within or len(within) > _MOST_WITHIN:
    raise errors.UsageError(f'{shorten(name)}: includes itself, by way of {shorten(within[-1])}; leave one include out')
  file = _read(name, path, os.stat(path).st_mtime_ns)
  found = [file]
  for included in reversed(file.includes):
    found += tree(included, where, (*within, name))
    if len(found) > _MOST_FILES:
      raise errors.UsageError(f'{shorten(name)}: includes more than {_MOST_FILES} files; include each once')
  return found


def settings(files: Iterable[GinFile]) -> dict[str, Setting]:
  """Name -> what is set, from the files of a tree."""
  found: dict[str, Setting] = {}
  for file in files:
    for name, value in file.values.items():
      found.setdefault(name, Setting(value, file))
  return found


def merged(of_files: Iterable[dict[str, Setting]]) -> dict[str, Setting]:
  """What several files set together, those that count for more first; one that requires a value takes it from another."""
  found: dict[str, Setting] = {}
  for values in of_files:
    for name, setting in values.items():
      if name not in found or found[name].value == REQUIRED:
        found[name] = setting
  return found


def words(name: str, files: Sequence[GinFile]) -> str:
  """What a macro is for: as said where it is set, or else behind its name at the top of a file."""
  for file in files:
    if name in file.comments:
      return _in_a_sentence(file.comments[name])
  for file in files:
    behind = re.search(rf'\b{name} \(((?:[^()]|\([^()]*\))*)\)', ' '.join(line.strip() for line in file.head))
    if behind:
      return f'a file of {behind[1]}' if re.fullmatch(r'gin/\w+/', behind[1]) else behind[1]
  return ''


def _in_a_sentence(text: str) -> str:
  """A comment without the capital and the full stop of a sentence of its own."""
  first = text.split(' ')[0]
  text = text if text.endswith('...') else text.removesuffix('.')
  return text[0].lower() + text[1:] if first[1:].islower() or first == 'A' else text


def parse_gin(flags: argparse.Namespace, all_set: bool = True) -> None:
  """Reads the gin files and bindings, and checks that every macro is known and set.

  Args:
    flags: see launcher.parse_flags.
    all_set: whether macros that the files require must have a value; where not, they become None.

  Raises:
    UsageError: for a missing file, an unknown or unset macro (with the nearest name), a value of another kind than the
      files have, or a line that gin cannot read.
  """
  import gin

  where = roots(flags.gin_search_paths)
  for path in where:
    gin.add_config_file_search_path(path)
  for file in flags.gin_file:
    _check_exists(file, where)
  replaced = _replaced(_in_order(flags.gin_file), where)
  files = [name for name, _ in replaced]
  trees = [[file for part in reversed(parts) for file in part.tree] for _, parts in replaced]
  _check_files([file for files in trees for file in files], where)
  each = [settings(files) for files in trees]
  given = _bindings(flags.gin_bindings)
  _check_agreement(dict(zip(files, each, strict=True)), given)
  found = merged(reversed(each))
  known = {*found, *(macro for files in trees for file in files for macro in file.used)}
  for name, value in given.items():
    if re.fullmatch(r'\w+', name):
      if name not in known:
        raise errors.UsageError(f'--{shorten(name)}: no gin file has a macro of this name{_nearest_macro(name, known)}')
      _check_kind(name, value, found.get(name))
  required = {name for values in each for name, setting in values.items() if setting.value == REQUIRED}
  values = {name: found[name].value for name in sorted(required)} | given
  unset = [name for name, value in values.items() if value == REQUIRED]
  if unset and all_set:
    everything = [file for files in trees for file in files]
    said = ', '.join(
      f'{shorten(name)} ({about})' if (about := words(name, everything)) else shorten(name) for name in unset
    )
    raise errors.UsageError(f'not set: {said}; add {" ".join(f"--{shorten(name)}=..." for name in unset)}')
  values |= dict.fromkeys(unset, 'None')
  limits.install(unset)
  try:
    with quiet.logs_muted():
      for part in (part for _, parts in replaced for part in parts):
        if part.is_whole:
          gin.parse_config_file(part.tree[0].name)
        else:
          gin.parse_config(_INCLUDE.sub('', tables.read_text(part.tree[0].path)))
      gin.parse_config_files_and_bindings([], [f'{name} = {value}' for name, value in values.items()])
  except Exception as e:
    if isinstance(e, errors.UserError) and not isinstance(e, limits.LimitError):
      raise
    texts = {file.path: tables.read_text(file.path) for files in trees for file in files}
    if isinstance(e, limits.LimitError):
      flag = '--' if re.fullmatch(MACRO, e.name) else '--gin.'
      place = flag if e.name in given else gin_errors.setting_place(e.name, texts)
      raise errors.UsageError(f'{place}{e}') from e
    if gin_errors.is_ours(e, __file__):
      raise
    undefined = re.search(
      r"No bindings specified for '(\w+)/gin\.macro'|(\w+)/macro.value set to `%gin.REQUIRED`", str(e)
    )
    if undefined:
      raise errors.UsageError(_undefined_macro(undefined[1] or undefined[2])) from e
    raise gin_errors.told(e, values, texts) from e


@dataclasses.dataclass(frozen=True)
class _Part:
  """What gin reads at once: all of a file, or what it sets itself."""

  tree: tuple[GinFile, ...]
  is_whole: bool


def _replaced(files: Sequence[str], where: Sequence[str]) -> list[tuple[str, list[_Part]]]:
  """(file, its parts in the order in which they are read), where a given file of `_ONE_OF` stands for that of a recipe."""
  by_folder: dict[str, list[str]] = {}
  for name in files:
    by_folder.setdefault(_folder(name), []).append(name)
  given = {folder: names[0] for folder, names in by_folder.items() if folder in _ONE_OF and len(names) == 1}
  instead: dict[str, str] = {}
  for name in given.values():
    for file in tree(name, where):
      if _folder(file.name) in _ONE_OF:
        instead.setdefault(_folder(file.name), file.name)
  placed: set[str] = set()

  def parts(name: str) -> list[_Part]:
    whole = tree(name, where)
    if not any(_folder(file.name) in instead for file in whole[1:]):
      return [_Part(tuple(whole), True)]
    found = []
    for included in whole[0].includes:
      folder = _folder(included)
      if folder not in instead:
        found += parts(included)
        continue
      if instead[folder] != included:
        print(f'{instead[folder]} takes the place of {included}, which {name} includes', file=sys.stderr)
      if folder in given and folder not in placed:
        placed.add(folder)
        found.append(_Part(tuple(tree(given[folder], where)), True))
    return [*found, _Part((whole[0],), False)]

  recipes = {name: parts(name) for name in files if 'recipes' in os.path.dirname(name).split('/')}
  others = {name: [_Part(tuple(tree(name, where)), True)] for name in files if name not in recipes}
  return [
    (name, recipes.get(name) or others[name]) for name in files if name not in {given[folder] for folder in placed}
  ]


def macro(name: str, default: Any = None) -> Any:
  """The value of a macro of the parsed gin files, or the default where none sets it."""
  import gin

  try:
    return gin.query_parameter(f'{name}/macro.value')
  except ValueError:
    return default


def configured(name: str) -> Callable[..., Any]:
  """The function that gin knows by a name; UsageError if the gin files do not configure it."""
  import gin

  try:
    return gin.get_configurable(name)
  except ValueError as e:
    fitting = next((f', such as {file}' for file in [*names('runs'), *names('tasks')] if _configures(file, name)), '')
    raise errors.UsageError(f'the gin files do not configure {name}; add one that does{fitting}') from e


def kind(value: Any) -> str | None:
  """The kind of a value, for comparison; None where anything may stand in its place."""
  kinds = {
    bool: 'truth value', int: 'whole number', float: 'number', str: 'string', list: 'list', tuple: 'list', dict: 'mapping'
  }  # fmt: skip
  return kinds.get(type(value))


def fits(value: Any, before: Any) -> bool:
  """Whether a value may stand where there is another: of its kind, a whole number for a number, or None."""
  return (
    value is None or kind(before) in (None, kind(value)) or (kind(before), kind(value)) == ('number', 'whole number')
  )


def _check_kind(name: str, value: str, setting: Setting | None) -> None:
  if setting is None:
    return
  try:
    now, before = ast.literal_eval(value), ast.literal_eval(setting.value)
  except (ValueError, SyntaxError, MemoryError, RecursionError):
    return  # a reference, or for gin to complain about
  if not fits(now, before):
    raise errors.UsageError(
      f'--{name}: {shorten(value)} is no {kind(before)}; {setting.file.name} has {shorten(setting.value)} there'
    )


def _configures(file: str, name: str) -> bool:
  """Whether a file of the project, with those that it includes, gives arguments to a function."""
  return any(setting.startswith(f'{name}.') for setting in settings(tree(file, roots())))


def _undefined_macro(name: str) -> str:
  """What to do about a macro that no file sets."""
  folders: dict[str, list[str]] = {}
  values = []
  for file in names():
    folder, stem = os.path.split(file)
    own = tree(file, roots())[0].values.get(name, REQUIRED)
    if own != REQUIRED and not folder.startswith('gin/recipes'):
      folders.setdefault(folder, []).append(stem.removesuffix('.gin'))
      values.append(own)
  cures = [f'--gin_file with a file of {folder}/ ({", ".join(stems)})' for folder, stems in folders.items()]
  if not values or not all(value.startswith('@') for value in values):  # references are for files to make
    cures.insert(0, f'--{shorten(name)}=...')
  return f'not set: {shorten(name)}; add {", or ".join(cures)}'


def _bindings(given: Iterable[str]) -> dict[str, str]:
  """Name -> value of the command line's settings; of a name that is given twice the last counts, and that is said."""
  found: dict[str, str] = {}
  for binding in given:
    name, value = binding.split(' = ', 1)
    if found.get(name, value) != value:
      print(f'warning: --{shorten(name)} is given twice; {shorten(value)} counts', file=sys.stderr)
    found[name] = value
  return found


def _check_files(files: Sequence[GinFile], where: Sequence[str]) -> None:
  """Raises UsageError for a file that includes what is not there, or misspells a macro; warns of one that nothing uses."""
  for file in files:
    for name in file.includes:
      if _find(name, where) is None:
        raise errors.UsageError(
          f'{file.path}: includes {shorten(name)}, which is not there{errors.nearest(name, names())}'
        )
  own = [file for file in files if not file.path.startswith(os.path.realpath(gin_directory()) + os.sep)]
  if not own:
    return
  ours = [file for name in names() for file in tree(name, roots())[:1]]
  known = {name for file in ours for name in (*file.values, *file.used)}
  here = {name for file in files for name in file.referred} | {
    n for file in files if file not in own for n in file.values
  }
  for file in own:
    for name in file.values:
      if re.fullmatch(r'\w+', name) and name not in here:
        meant = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.85)
        if name not in known and meant:
          raise errors.UsageError(f'{file.path}: nothing uses a macro {shorten(name)}; did you mean {meant[0]}?')
        print(f'warning: {file.path}: nothing uses the macro {shorten(name)}', file=sys.stderr)


def _nearest_macro(name: str, known: Iterable[str]) -> str:
  """A half-sentence that suggests the known macro most like this name, in whatever case that is written."""
  macros = {macro for macro in known if re.fullmatch(MACRO, macro)}
  return f'; did you mean {name.upper()}?' if name.upper() in macros else errors.nearest(name.upper(), macros)


def _check_exists(file: str, where: Sequence[str]) -> None:
  if _find(file, where) is None:
    raise errors.UsageError(f'--gin_file: no file {shorten(file)}{errors.nearest(file, names())}')


def _find(name: str, where: Sequence[str]) -> str | None:
  return next((p for p in (os.path.join(root, name) for root in where) if os.path.isfile(p)), None)


def _in_order(files: Sequence[str]) -> list[str]:
  """Ablations come last, since they override what the other files say; the order of the others does not matter."""
  return sorted(files, key=_is_ablation)


def _is_ablation(file: str) -> bool:
  return _folder(file) == 'ablations'


def _folder(file: str) -> str:
  return os.path.basename(os.path.dirname(file))


@functools.lru_cache(maxsize=512)
def _read(name: str, path: str, changed: int) -> GinFile:
  del changed  # part of the key, so that a changed file is read anew
  if os.path.getsize(path) > _MOST_BYTES:
    raise errors.UsageError(
      f'{path}: is longer than the {_MOST_BYTES} bytes that a gin file may have; name another file'
    )
  lines = tables.read_text(path).splitlines()
  head = next((i for i, line in enumerate(lines) if not line.startswith('#')), len(lines))
  text = '\n'.join(_parts(line)[0] for line in lines)
  settings = re.findall(r'^([\w./]+)\s*=\s*(.*(?:\n(?:[ \t].*|[\])}].*))*)', text, re.MULTILINE)
  includes = list(_INCLUDE.finditer(text))
  first = re.search(r'^[\w./]+\s*=', text, re.MULTILINE)
  if includes and first and includes[-1].start() > first.start():
    raise errors.UsageError(
      f'{path}: includes {shorten(includes[-1][1])} below settings, which that file would set anew; put includes first'
    )
  values: dict[str, str] = {}
  for key, value in settings:
    value = ' '.join(value.split())
    if values.setdefault(key, value) != value:
      raise errors.UsageError(
        f'{path}: {shorten(key)} is {shorten(values[key])} and further down {shorten(value)}; leave one out'
      )
  return GinFile(
    name,
    os.path.realpath(path),
    head=tuple(line[1:].removeprefix(' ') for line in lines[:head]),
    includes=tuple(include[1] for include in includes),
    values=values,
    used=frozenset(re.findall(rf'%({MACRO})', text)),
    comments=_comments(lines[head:]),
    referred=frozenset(re.findall(r'%(\w+)', text)),
  )


def _comments(lines: Sequence[str]) -> dict[str, str]:
  found: dict[str, str] = {}
  above: list[str] = []
  for line in lines:
    code, comment = _parts(line)
    set_here = re.match(rf'({MACRO})\s*=', code)
    if set_here and (comment or above):
      found[set_here[1]] = comment or ' '.join(above)
    above = [*above, comment] if comment and not code else []
  return found


def _parts(line: str) -> tuple[str, str]:
  """A line without its comment, and the comment."""
  match = re.fullmatch(r"""((?:[^'"#]|'[^']*'|"[^"]*"|['"])*?)(?:#\s*(.*))?""", line)
  code, comment = match.groups() if match else (line, '')
  return code.rstrip(), (comment or '').strip()


def _check_agreement(trees: dict[str, dict[str, Setting]], decided: Iterable[str]) -> None:
  """Raises UsageError if two files that may stand in any order set a name to different values.

  Args:
    trees: file -> what it and the files that it includes set.
    decided: names that the command line sets itself.
  """
  seen: dict[str, tuple[str, Setting]] = {}
  for file, values in trees.items():
    if _is_ablation(file):
      continue
    for name, setting in values.items():
      if name in decided or setting.value == REQUIRED:
        continue
      other, before = seen.setdefault(name, (file, setting))
      # Two files that each make a thing of a kind, such as an adapter, may do so in the same words.
      made_twice = name.isupper() and setting.value.startswith('@') and setting.file.path != before.file.path
      if setting.value != before.value or made_twice:
        choice = f', or say which with --{name if name.isupper() else "gin." + name}=...' if not made_twice else ''
        raise errors.UsageError(
          f'{name} is {before.value} in {_place(other, before)} and {setting.value} in {_place(file, setting)}; give only '
          f'one of these files{choice}'
        )


def _place(file: str, setting: Setting) -> str:
  return file if file == setting.file.name else f'{setting.file.name} (which {file} includes)'
