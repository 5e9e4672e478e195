"""The project's gin files: where they are, how several are read as one configuration."""

import argparse
from collections.abc import Callable, Sequence
import os
import re
from typing import Any

from robust_t5x.runtime import errors


def gin_directory() -> str:
  """The project's gin files: beside the package in a checkout, inside it when installed."""
  package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
  checkout = os.path.join(os.path.dirname(package), 'gin')
  return checkout if os.path.isdir(os.path.join(checkout, 'runs')) else os.path.join(package, 'configs')


def parse_gin(flags: argparse.Namespace) -> None:
  """Reads the gin files and bindings, and checks that every macro is known and set.

  Raises:
    UsageError: for a missing file, an unknown or unset macro (with the nearest name), or a line that gin cannot read.
  """
  import gin

  paths = [p for p in flags.gin_search_paths.split(',') if p]
  for path in ['.', *paths, os.path.dirname(gin_directory()), gin_directory()]:
    gin.add_config_file_search_path(path)
  roots = ['', *paths, os.path.dirname(gin_directory()), gin_directory()]
  for file in flags.gin_file:
    _check_exists(file, roots)
  files = _in_order(flags.gin_file)
  settings = {file: _settings(file, roots) for file in files}
  _check_agreement(settings)
  defined = {name for values in settings.values() for name in values}
  for binding in flags.gin_bindings:
    name = binding.split(' = ')[0]
    if re.fullmatch(r'[A-Z][A-Z0-9_]*', name) and name not in defined:
      raise errors.UsageError(f'--gin.{name}: no gin file has a macro of this name{errors.nearest(name, defined)}')
  try:
    gin.parse_config_files_and_bindings(files, flags.gin_bindings)
  except Exception as e:
    unset = re.search(r"No bindings specified for '(\w+)/gin\.macro'", str(e))
    if unset:
      raise errors.UsageError(_unset_macro(unset[1])) from e
    raise errors.UsageError(f'the gin configuration cannot be read: {e}') from e


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
    raise errors.UsageError(
      f"the gin files do not configure {name}; add the run's file, such as gin/runs/{name.split('.')[0]}.gin"
    ) from e


def _unset_macro(name: str) -> str:
  """What to do about a macro that no file sets."""
  files = []
  for root, _, names in os.walk(gin_directory()):
    for file in names:
      with open(os.path.join(root, file), encoding='utf-8') as f:
        if re.search(rf'^{name}\s*=', f.read(), re.MULTILINE):
          files.append(os.path.relpath(os.path.join(root, file), os.path.dirname(gin_directory())))
  cure = f'add --gin.{name}=...'
  if files:
    cure += f', or --gin_file with a file that sets it ({", ".join(sorted(files)[:5])})'
  return f'not set: {name}; {cure}'


def _check_exists(file: str, roots: Sequence[str]) -> None:
  if _find(file, roots):
    return
  known = []
  for root, _, names in os.walk(gin_directory()):
    relative = os.path.relpath(root, os.path.dirname(gin_directory()))
    known += [os.path.join(relative, n) for n in names if n.endswith('.gin')]
  raise errors.UsageError(f'--gin_file: no file {file}{errors.nearest(file, known)}')


def _find(file: str, roots: Sequence[str]) -> str | None:
  return next((os.path.join(r, file) for r in roots if os.path.isfile(os.path.join(r, file))), None)


def _in_order(files: Sequence[str]) -> list[str]:
  """Ablations come last, since they override what the other files say; the order of the others does not matter."""
  return sorted(files, key=_is_ablation)


def _is_ablation(file: str) -> bool:
  return os.path.basename(os.path.dirname(file)) == 'ablations'


def _settings(file: str, roots: Sequence[str]) -> dict[str, str | None]:
  """What a file and the files that it includes set, as text; None for macros that they only use.

  A file's own settings count for more than those of the files that it includes.
  """
  found = _find(file, roots)
  if found is None:
    return {}
  with open(found, encoding='utf-8') as f:
    text = re.sub(r'#.*', '', f.read())
  values: dict[str, str | None] = dict.fromkeys(re.findall(r'%([A-Z][A-Z0-9_]*)', text))
  for included in re.findall(r"""^include\s+['"](.+?)['"]""", text, re.MULTILINE):
    values |= {k: v for k, v in _settings(included, roots).items() if v is not None or k not in values}
  for name, value in re.findall(r'^([\w./]+)\s*=\s*(.*(?:\n(?:[ \t].*|[\])}].*))*)', text, re.MULTILINE):
    values[name] = ' '.join(value.split())
  return values


def _check_agreement(settings: dict[str, dict[str, str | None]]) -> None:
  """Raises UsageError if two files that may stand in any order set a name to different values."""
  seen: dict[str, tuple[str, str]] = {}
  for file, values in settings.items():
    if _is_ablation(file):
      continue
    for name, value in values.items():
      if value is None:
        continue
      other, before = seen.setdefault(name, (file, value))
      if before != value:
        raise errors.UsageError(
          f'{name} is {before} in {other} and {value} in {file}; give only one of these files'
          + (f', or neither and --gin.{name}=...' if name.isupper() else '')
        )
