"""The grid of a sweep: which values each axis takes, the trials that follow, and how a trial is named and started.

Nothing here reads gin files or runs anything; `check` does the first and `running` the second.
"""

import ast
from collections.abc import Mapping, Sequence
import dataclasses
import hashlib
import itertools
import json
import os
import re

from robust_t5x.runtime import recipes
from robust_t5x.runtime.errors import UsageError
from seqio_tasks.errors import shorten

FILES = 'gin_file'  # the name that makes gin files an axis
NO_FILE = 'none'  # a value of such an axis: no file
SEED = 'SEED'
# Macros that the sweep itself sets.
TRAIN_OWN = ('MODEL_DIR',)
EVAL_OWN = ('OUTPUT_DIR', 'LABEL', 'ADAPTER', 'INITIAL_CHECKPOINT_PATH')


Shown = int | float | str  # a value as tables and pages show it


@dataclasses.dataclass(frozen=True)
class Value:
  """One value of an axis.

  Attributes:
    shown: what tables and pages show: a number, or text.
    files: gin files that it adds.
    binding: its text in gin; None where it adds files.
  """

  shown: Shown
  files: tuple[str, ...] = ()
  binding: str | None = None


@dataclasses.dataclass(frozen=True)
class Axis:
  """A setting that a sweep varies.

  Attributes:
    name: macro, dotted name of a gin parameter, or for gin files the folder that they are in.
    values: what it takes, in the order given.
  """

  name: str
  values: tuple[Value, ...]

  @property
  def shown(self) -> list[Shown]:
    """The values as tables show them: all numbers, or all text, since a column holds one kind."""
    shown = [value.shown for value in self.values]
    return [*map(str, shown)] if any(isinstance(v, str) for v in shown) else shown


@dataclasses.dataclass(frozen=True)
class Trial:
  """One training run and its evaluation.

  Attributes:
    files: gin files of the training run.
    bindings: gin name -> text of its value.
    settings: axis -> value as shown, seed included where it is an axis.
    name: readable, from the settings.
    label: as `name`, without the seed: trials of one label are seeds of one setting.
  """

  files: tuple[str, ...]
  bindings: Mapping[str, str]
  settings: Mapping[str, Shown]
  name: str
  label: str

  @property
  def key(self) -> str:
    """Hash of what the training run is told, whatever the grid that it stems from."""
    return digest(self.files, self.bindings)


def digest(files: Sequence[str], bindings: Mapping[str, str], length: int = 8) -> str:
  """Hash of gin files and bindings, neither of whose order counts."""
  content = [sorted({os.path.normpath(f) for f in files}), sorted(bindings.items())]
  return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:length]


def parse_axis(text: str) -> Axis:
  """Reads the NAME=a,b,c of `--grid`.

  Values are Python literals, gin references (@... or %...), or bare words, which become strings. For NAME `gin_file`
  they are gin files: `a.gin+b.gin` are two files together, `none` is no file.

  Raises:
    UsageError: naming the value that cannot be read.
  """
  name, equals, rest = text.partition('=')
  name = name.strip()
  if not equals or not rest.strip() or not re.fullmatch(r'[A-Za-z_][\w./]{,200}', name):
    raise UsageError(f'--grid {shorten(text)}: write NAME=VALUE,VALUE,..., such as --grid LEARNING_RATE=0.03,0.1')
  if name == SEED:
    raise UsageError(f'--grid {shorten(text)}: seeds have a flag of their own, --seeds {shorten(rest)}')
  if name in TRAIN_OWN:
    raise UsageError(f'--grid {shorten(text)}: the sweep sets {name} itself, below --out')
  parts = _split(rest, f'--grid {shorten(text)}')
  values = [_files(p) for p in parts] if name == FILES else [_value(p, f'--grid {name}') for p in parts]
  shown = [str(v.shown) for v in values]
  double = next((s for s in shown if shown.count(s) > 1), None)
  if double is not None:
    raise UsageError(f'--grid {name}: the value {shorten(double)} stands twice; give each value once')
  return Axis(_folder(values) if name == FILES else name, tuple(values))


def parse_seeds(text: str) -> Axis:
  """Reads the 0,1,2 of `--seeds`; UsageError for what are not different whole numbers."""
  parts = [p.strip() for p in text.split(',')]
  if not all(re.fullmatch('[0-9]{1,10}', p) for p in parts) or len(set(map(int, parts))) != len(parts):
    raise UsageError(f'--seeds {shorten(text)}: write different whole numbers with commas between, such as 0,1,2')
  return Axis(SEED, tuple(Value(int(p), binding=str(int(p))) for p in parts))


def trials(files: Sequence[str], bindings: Mapping[str, str], axes: Sequence[Axis]) -> list[Trial]:
  """All combinations of the axes' values, those of the last axis next to each other.

  Args:
    files: gin files that all trials share.
    bindings: gin name -> value, that all trials share.
    axes: what varies; the seeds, if any, last.

  Raises:
    UsageError: if an axis stands twice, or is also set for all trials.
  """
  names = [axis.name for axis in axes]
  for name in names:
    if names.count(name) > 1:
      raise UsageError(f'--grid {name} stands twice; put all its values into one')
    if name in bindings:
      raise UsageError(f'{name} is set by --gin.{name} and varies in the grid; leave one of them out')
  found = []
  for values in itertools.product(*(axis.values for axis in axes)):
    settings = {a.name: a.shown[a.values.index(v)] for a, v in zip(axes, values, strict=True)}
    own = {a.name: v.binding for a, v in zip(axes, values, strict=True) if v.binding is not None}
    parts = {name: f'{_short(name)}={value}' for name, value in settings.items()}
    found.append(
      Trial(
        files=tuple(dict.fromkeys([*files, *(f for value in values for f in value.files)])),
        bindings={**bindings, **own},
        settings=settings,
        name=', '.join(parts.values()) or 'run',
        label=', '.join(part for name, part in parts.items() if name != SEED) or 'trained',
      )
    )
  return found


def directory_name(trial: Trial) -> str:
  """Readable, and unambiguous by its hash."""
  readable = re.sub(r'[^\w.=,+-]+', '_', trial.name.replace(', ', ',')).strip('_')
  return f'{readable[:100]}-{trial.key}'


def command(verb: str, files: Sequence[str], bindings: Mapping[str, str], flags: Sequence[str] = ()) -> list[str]:
  """Arguments of `robust-t5x`."""
  return [verb, *(f'--gin_file={f}' for f in files), *(f'--gin.{k}={v}' for k, v in bindings.items()), *flags]


def shell(arguments: Sequence[str]) -> str:
  """The command as a person would type it."""
  return 'robust-t5x ' + ' '.join(_quoted(a) for a in arguments)


def _quoted(argument: str) -> str:
  match = re.fullmatch(r'(--[\w./]+=)(.*)', argument, re.DOTALL)
  return match[1] + recipes.quoted(match[2]) if match else recipes.quoted(argument)


def _short(name: str) -> str:
  return name.rpartition('.')[2] if '.' in name else name


def _split(text: str, where: str) -> list[str]:
  """Splits at commas outside of quotes and brackets."""
  parts, depth, quote = [''], 0, ''
  for character in text:
    if quote:
      quote = '' if character == quote else quote
    elif character in '\'"':
      quote = character
    elif character in '([{':
      depth += 1
    elif character in ')]}':
      depth -= 1
    if character == ',' and not depth and not quote:
      parts.append('')
    else:
      parts[-1] += character
  if depth or quote:
    raise UsageError(f'{where}: a {"quote" if quote else "bracket"} has no partner')
  parts = [p.strip() for p in parts]
  if '' in parts:
    raise UsageError(f"{where}: a value is empty; for an empty string write ''")
  return parts


def _value(text: str, where: str) -> Value:
  if re.fullmatch(r'[@%][\w./]+(\(\))?', text):
    return Value(text, binding=text)
  try:
    literal = ast.literal_eval(text)
    repr(literal)
  except (ValueError, SyntaxError, MemoryError, RecursionError):
    # What looks like a number, a bracket or a truth value is more likely mistyped than meant as a string.
    if text.lower() in ('true', 'false'):
      raise UsageError(f'{where}: {text} is no Python literal; write {text.capitalize()}') from None
    if not re.fullmatch(r'[A-Za-z_~/.][\w./:~-]*', text) or re.match(r'\.\d', text):
      raise UsageError(
        f'{where}: {shorten(text)} is no Python literal; write a number, or a string in quotes, such as "\'{shorten(text)}\'"'
      ) from None
    literal = text
  shown = literal if isinstance(literal, int | float | str) and not isinstance(literal, bool) else repr(literal)
  return Value(shown, binding=repr(literal))


def _files(text: str) -> Value:
  if text == NO_FILE:
    return Value(NO_FILE)
  files = tuple(f.strip() for f in text.split('+'))
  return Value('+'.join(os.path.basename(f).removesuffix('.gin') for f in files), files=files)


def _folder(values: Sequence[Value]) -> str:
  folders = {os.path.basename(os.path.dirname(f)) for value in values for f in value.files[:1]}
  return folders.pop() if len(folders) == 1 and '' not in folders else FILES
