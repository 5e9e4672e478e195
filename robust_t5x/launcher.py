"""Command lines of train, eval and infer: T5X's flags, gin files, and errors that a person can act on."""

import argparse
from collections.abc import Callable, Sequence
import difflib
import os
import re
import sys
from typing import Any

from robust_t5x import processes, quiet


class UsageError(ValueError):
  """A command line or configuration that cannot be used."""


def gin_directory() -> str:
  """The project's gin files: beside the package in a checkout, inside it when installed."""
  package = os.path.dirname(os.path.abspath(__file__))
  checkout = os.path.join(os.path.dirname(package), 'gin')
  return checkout if os.path.isdir(os.path.join(checkout, 'runs')) else os.path.join(package, 'configs')


def parse_flags(argv: Sequence[str], description: str) -> argparse.Namespace:
  """Parses T5X's flags.

  Args:
    argv: arguments without the program's name.
    description: first line of the help text.

  Returns:
    Namespace with gin_file (list), gin_bindings (list of 'NAME = VALUE'), gin_search_paths, tfds_data_dir,
    seqio_additional_cache_dirs.
  """
  parser = argparse.ArgumentParser(
    description=description,
    epilog='Macros are set with --gin.NAME=VALUE, where VALUE is a Python literal: --gin.MODEL_DIR="\'/tmp/run\'".',
    allow_abbrev=False,
  )
  parser.add_argument('--gin_file', action='append', default=[], metavar='FILE', help='gin file; repeatable')
  parser.add_argument(
    '--gin_search_paths', default='', metavar='DIRS', help='where gin files are looked for, comma-separated'
  )
  parser.add_argument('--tfds_data_dir', metavar='DIR', help='data directory of tensorflow-datasets')
  parser.add_argument(
    '--seqio_additional_cache_dirs', default='', metavar='DIRS', help='cached SeqIO tasks, comma-separated'
  )
  add_process_flags(parser)
  rest, bindings = [], []
  for argument in argv:
    match = re.fullmatch(r'--gin\.([^=\s]+)=(.*)', argument, re.DOTALL)
    if match:
      bindings.append(f'{match[1]} = {match[2]}')
    elif argument.startswith('--gin.'):
      raise UsageError(f'{argument}: write --gin.NAME=VALUE in one argument, such as --gin.TRAIN_STEPS=100')
    else:
      rest.append(argument)
  flags = parser.parse_args(rest)
  flags.gin_bindings = bindings
  if not flags.gin_file:
    raise UsageError('no --gin_file; the runs that come with the project are in gin/runs/')
  return flags


def add_process_flags(parser: argparse.ArgumentParser) -> None:
  """Adds T5X's flags for runs of several processes."""
  parser.add_argument(
    '--multiprocess', '--multiprocess_gpu', action='store_true',
    help='this is one of several processes; on Cloud TPU they find each other',
  )  # fmt: skip
  parser.add_argument('--coordinator_address', metavar='HOST:PORT', help='where process 0 is')
  parser.add_argument('--process_count', type=int, metavar='N')
  parser.add_argument('--process_index', type=int, metavar='I')


def start_processes(flags: argparse.Namespace) -> None:
  """Joins this process to the others, where the flags say that there are any."""
  if flags.multiprocess or flags.coordinator_address:
    processes.start(flags.coordinator_address, flags.process_count, flags.process_index)


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
      raise UsageError(f'--gin.{name}: no gin file has a macro of this name{nearest(name, defined)}')
  try:
    gin.parse_config_files_and_bindings(files, flags.gin_bindings)
  except Exception as e:
    unset = re.search(r"No bindings specified for '(\w+)/gin\.macro'", str(e))
    if unset:
      raise UsageError(_unset_macro(unset[1])) from e
    raise UsageError(f'the gin configuration cannot be read: {e}') from e


def command_line() -> str:
  """The command that this process was started by, without the place where the package is installed."""
  program = os.path.basename(sys.argv[0])
  program = 'robust-t5x' if program == '__main__.py' else program
  return ' '.join([program, *sys.argv[1:]])


def check_required(names: dict[str, Any]) -> None:
  """Raises UsageError naming each macro of `names` that is None."""
  missing = [name for name, value in names.items() if value is None]
  if missing:
    flags = ' '.join(f'--gin.{name}=...' for name in missing)
    raise UsageError(f'not set: {", ".join(missing)}; add {flags} or a gin file that sets them')


def run_configured(name: str, argv: Sequence[str] | None, description: str) -> int:
  """Parses flags and gin, then calls the function that gin knows by `name`.

  An error that the user can mend becomes one line on standard error and exit status 2.

  Args:
    name: such as 'train.train'; the gin files must bind it.
    argv: arguments without the program's name; the process's own by default.
    description: first line of the help text.

  Returns:
    The exit status.
  """
  quiet.set_up()
  try:
    flags = parse_flags(sys.argv[1:] if argv is None else argv, description)
    set_environment(flags)
    start_processes(flags)
    quiet.import_tensorflow()
    parse_gin(flags)
    processes.check(macro('TOPOLOGY'))
    configured(name)()
  except Exception as e:
    return report_error(e)
  return 0


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
    raise UsageError(
      f"the gin files do not configure {name}; add the run's file, such as gin/runs/{name.split('.')[0]}.gin"
    ) from e


def set_environment(flags: argparse.Namespace) -> None:
  """Applies flags that other libraries read from the environment, and turns on JAX's compilation cache."""
  if flags.tfds_data_dir:
    os.environ['TFDS_DATA_DIR'] = flags.tfds_data_dir
  if flags.seqio_additional_cache_dirs:
    import seqio

    seqio.add_global_cache_dirs(flags.seqio_additional_cache_dirs.split(','))
  enable_compilation_cache()


def enable_compilation_cache() -> None:
  """Keeps compiled programs in the user's cache directory, unless JAX_COMPILATION_CACHE_DIR says where."""
  import jax

  if not os.environ.get('JAX_COMPILATION_CACHE_DIR'):
    base = os.environ.get('XDG_CACHE_HOME') or os.path.join(os.path.expanduser('~'), '.cache')
    jax.config.update('jax_compilation_cache_dir', os.path.join(base, 'robust_t5x', 'jax'))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 1.0)


def report_error(error: Exception) -> int:
  """Prints one line for an error that this project raised about its input; raises any other again."""
  if not (isinstance(error, ValueError | RuntimeError | OSError) and _raised_here(error)):
    raise error
  # gin appends where in the configuration the call was made.
  text = re.split(r'\s*In call to configurable', str(error))[0]
  print(f'error: {" ".join(text.split())}', file=sys.stderr)
  return 2


def _raised_here(error: Exception) -> bool:
  """Whether the innermost frame that raised is code of this project."""
  frame = error.__traceback__
  while frame.tb_next is not None:
    frame = frame.tb_next
  return frame.tb_frame.f_globals.get('__name__', '').partition('.')[0] in ('robust_t5x', 'seqio_tasks')


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
  raise UsageError(f'--gin_file: no file {file}{nearest(file, known)}')


def nearest(name: str, known: Sequence[str]) -> str:
  close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
  return f'; did you mean {close[0]}?' if close else ''


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
        raise UsageError(
          f'{name} is {before} in {other} and {value} in {file}; give only one of these files'
          + (f', or neither and --gin.{name}=...' if name.isupper() else '')
        )
