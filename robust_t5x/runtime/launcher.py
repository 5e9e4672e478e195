"""Command lines of the verbs that read gin files: recipes, macros as plain flags, T5X's flags, and errors that help."""

import argparse
from collections.abc import Callable, Iterable, Sequence
import os
import re
import sys

from robust_t5x.runtime import errors, gin_files, orphans, processes, quiet
from robust_t5x.runtime import recipes as recipes_lib
from seqio_tasks.errors import shorten


def parse_flags(
  argv: Sequence[str],
  description: str,
  recipes: str | None = None,
  prog: str | None = None,
  add_flags: Callable[[argparse.ArgumentParser], None] | None = None,
) -> argparse.Namespace:
  """Parses a recipe's name, macros as plain flags (`--NAME=VALUE`), T5X's flags and a verb's own.

  Args:
    argv: arguments without the program's name and the verb.
    description: first line of the help text.
    recipes: the verb whose recipes may be named; None for none.
    prog: name of the command in its help text; `robust-t5x` and that verb by default.
    add_flags: adds the flags that only this command has.

  Returns:
    Namespace with gin_file (list, the recipe's first), gin_bindings (list of 'NAME = VALUE'), gin_search_paths,
    tfds_data_dir, seqio_additional_cache_dirs, and the verb's own.

  Raises:
    UsageError: for what cannot be used, with the cure.
  """
  parser = errors.Parser(
    prog=prog or f'robust-t5x {recipes}',
    usage=f'%(prog)s {"RECIPE " if recipes else ""}[--MACRO=VALUE ...] [--gin_file=FILE ...] [...]',
    description=description,
    epilog='A macro is set with --NAME=VALUE, where VALUE is a Python literal or else a string; any parameter that gin knows '
    "with --gin.NAME=VALUE, in gin's own writing.",
    allow_abbrev=False,
    add_help=False,
  )
  parser.add_argument(
    '-h', '--help', action='store_true', help='behind a recipe: its macros, what they are and are for'
  )
  if add_flags:
    add_flags(parser)
  parser.add_argument('--gin_file', action='append', default=[], metavar='FILE', help='gin file; repeatable')
  parser.add_argument(
    '--gin_search_paths', default='', metavar='DIRS', help='where gin files are looked for, comma-separated'
  )
  parser.add_argument('--tfds_data_dir', metavar='DIR', help='data directory of tensorflow-datasets')
  parser.add_argument(
    '--seqio_additional_cache_dirs', default='', metavar='DIRS', help='cached SeqIO tasks, comma-separated'
  )
  add_process_flags(parser)
  recipe, bindings, rest = read_settings(argv, recipes)
  flags = parse_rest(parser, rest, recipe, recipes)
  flags.gin_bindings = [f'{name} = {value}' for name, value in bindings]
  if not flags.gin_file:
    raise errors.UsageError(
      f'no recipe and no --gin_file; recipes are {_named(recipes)}' if recipes else 'no --gin_file'
    )
  return flags


def read_settings(
  argv: Sequence[str], recipes: str | None
) -> tuple[recipes_lib.Recipe | None, list[tuple[str, str]], list[str]]:
  """Takes the recipe's name and the settings out of a command line.

  Args:
    argv: arguments.
    recipes: the verb whose recipes may be named, as the first argument; None for none.

  Returns:
    (recipe, settings as gin name and value in gin's writing, all other arguments).

  Raises:
    UsageError: for a recipe that there is not, or a setting that cannot be read.
  """
  rest = list(argv)
  recipe = recipes_lib.find(recipes, rest.pop(0)) if recipes and rest and not rest[0].startswith('-') else None
  settings, others = [], []
  while rest:
    argument = rest.pop(0)
    in_gin = re.fullmatch(r'--gin\.([^=\s]+)=(.*)', argument, re.DOTALL)
    plain = re.fullmatch(rf'--({gin_files.MACRO})(=(.*))?', argument, re.DOTALL)
    if in_gin:
      settings.append((in_gin[1], in_gin[2]))
    elif argument.startswith('--gin.'):
      raise errors.UsageError(
        f'{shorten(argument)}: write --gin.NAME=VALUE in one argument, such as --gin.TRAIN_STEPS=100'
      )
    elif plain:
      if plain[2] is None and not rest:
        raise errors.UsageError(f'{shorten(argument)}: has no value; write {shorten(argument)}=VALUE')
      text = plain[3] if plain[2] else rest.pop(0)
      settings.append((plain[1], recipes_lib.literal(text, f'--{plain[1]}')))
    else:
      others.append(argument)
  return recipe, settings, others


def parse_rest(
  parser: argparse.ArgumentParser, argv: Sequence[str], recipe: recipes_lib.Recipe | None, recipes: str | None
) -> argparse.Namespace:
  """Parses what `read_settings` leaves; prints the help text and exits if that is asked for.

  Args:
    parser: with --help and --gin_file.
    argv: the arguments left.
    recipe: what was named; its file becomes the first.
    recipes: the verb whose recipes the help text lists.

  Raises:
    UsageError: for an argument that is unknown, with the nearest.
  """
  if {'-h', '--help'} & {*argv}:  # whatever else is lacking
    print(_help(parser, recipe, recipes))
    sys.exit(0)
  flags, unknown = parser.parse_known_args(argv)
  flags.gin_file = [*([recipe.file] if recipe else []), *flags.gin_file]
  if unknown:
    known = [option for action in parser._actions for option in action.option_strings]
    raise errors.UsageError(_unknown(unknown[0], known, flags.gin_file))
  return flags


def _help(parser: argparse.ArgumentParser, recipe: recipes_lib.Recipe | None, recipes: str | None) -> str:
  if recipe:
    return f'{recipes_lib.help_text(recipe)}\n\n`{parser.prog} --help` has the other flags.'
  listed = f'\nrecipes of {recipes}:\n{recipes_lib.list_text(recipes)}\n' if recipes else ''
  return parser.format_help() + listed


def _unknown(argument: str, known: Iterable[str], files: Sequence[str]) -> str:
  """What to say of an argument that nothing knows."""
  if not argument.startswith('-'):
    return (
      f'{shorten(argument)!r} is not expected there; the name of a recipe comes first, a macro is set with --NAME=VALUE'
    )
  name = argument.split('=')[0]
  everything = [file for name in files for file in gin_files.tree(name, gin_files.roots())]
  macros = {f'--{macro.name}'.lower(): f'--{macro.name}' for macro in recipes_lib.macros(everything)}
  near = errors.nearest(name.lower(), [*known, *macros])
  for lower, macro in macros.items():
    near = near.replace(f' {lower}?', f' {macro}?')
  return f'there is no flag {shorten(name)}{near}'


def _named(recipes: str) -> str:
  names = ', '.join(recipe.name for recipe in recipes_lib.recipes(recipes))
  return f'{names}; `robust-t5x recipes` says what each is for'


def add_process_flags(parser: argparse.ArgumentParser) -> None:
  """Adds T5X's flags for runs of several processes."""
  parser.add_argument(
    '--multiprocess', '--multiprocess_gpu', action='store_true',
    help='this is one of several processes; on Cloud TPU they find each other',
  )  # fmt: skip
  parser.add_argument('--coordinator_address', metavar='HOST:PORT', help='where process 0 is')
  parser.add_argument('--process_count', type=int, metavar='N')
  parser.add_argument('--process_index', type=int, metavar='I')


def start_processes(flags: argparse.Namespace, stops_together: bool = False) -> None:
  """Joins this process to the others, where the flags say that there are any; see `processes.start`."""
  if flags.multiprocess or flags.coordinator_address:
    processes.start(flags.coordinator_address, flags.process_count, flags.process_index, stops_together)


def command_line() -> str:
  """The command that this process was started by, without the place where the package is installed."""
  program = os.path.basename(sys.argv[0])
  program = 'robust-t5x' if program == '__main__.py' else program
  return ' '.join([program, *sys.argv[1:]])


def run_configured(name: str, argv: Sequence[str] | None, description: str) -> int:
  """Parses flags and gin, then calls the function that gin knows by `name`.

  An error that the user can mend becomes one line on standard error and exit status 2.

  Args:
    name: such as 'train.train', of which the verb is the first part; the gin files must bind it.
    argv: arguments without the program's name; the process's own by default.
    description: first line of the help text.

  Returns:
    The exit status.
  """
  quiet.set_up()
  orphans.end_with_parent()
  try:
    flags = parse_flags(sys.argv[1:] if argv is None else argv, description, recipes=name.split('.')[0])
    set_environment(flags)
    start_processes(flags, stops_together=name == 'train.train')
    gin_files.parse_gin(flags)
    processes.check(gin_files.macro('TOPOLOGY'))
    gin_files.configured(name)()
  except Exception as e:
    return errors.report_error(processes.explained(e))
  return 0


def forget() -> None:
  """Forgets configuration and tasks of what has run, so that another command may run in this process."""
  import gin

  gin.clear_config(clear_constants=True)
  if 'seqio' in sys.modules:  # without it there are none
    import seqio

    seqio.TaskRegistry.reset()
    seqio.MixtureRegistry.reset()


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
