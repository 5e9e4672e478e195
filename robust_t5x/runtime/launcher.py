"""Command lines of train, eval and infer: T5X's flags, gin files, and errors that a person can act on."""

import argparse
from collections.abc import Sequence
import os
import re
import sys

from robust_t5x.runtime import errors, gin_files, processes, quiet


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
      raise errors.UsageError(f'{argument}: write --gin.NAME=VALUE in one argument, such as --gin.TRAIN_STEPS=100')
    else:
      rest.append(argument)
  flags = parser.parse_args(rest)
  flags.gin_bindings = bindings
  if not flags.gin_file:
    raise errors.UsageError('no --gin_file; the runs that come with the project are in gin/runs/')
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


def command_line() -> str:
  """The command that this process was started by, without the place where the package is installed."""
  program = os.path.basename(sys.argv[0])
  program = 'robust-t5x' if program == '__main__.py' else program
  return ' '.join([program, *sys.argv[1:]])


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
    gin_files.parse_gin(flags)
    processes.check(gin_files.macro('TOPOLOGY'))
    gin_files.configured(name)()
  except Exception as e:
    return errors.report_error(e)
  return 0


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
