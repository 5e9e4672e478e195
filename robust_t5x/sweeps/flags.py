"""The command line of a sweep: read, checked as far as it can be by itself, and given names."""

from collections.abc import Mapping, Sequence
import dataclasses
import re

from robust_t5x.runtime import errors, launcher, recipes
from robust_t5x.runtime import settings as settings_lib
from robust_t5x.runtime.errors import UsageError
from robust_t5x.sweeps import grid
from seqio_tasks.errors import shorten

_PASSED = ('gin_search_paths', 'tfds_data_dir', 'seqio_additional_cache_dirs')


@dataclasses.dataclass(frozen=True)
class Flags:
  """What a sweep is told.

  Attributes:
    command: as it was typed.
    gin_files: of the training runs.
    bindings: of all training runs, gin name -> value.
    axes: what varies; the seeds, if any, last.
    eval_gin_files: of the evaluations.
    eval_bindings: of all evaluations.
    passed: other flags of all runs.
    out: directory of the sweep.
    baseline: whether the model without an adapter is evaluated.
    dry_run: whether commands are only printed.
    stop_on_error: whether nothing is started after a trial has failed.
    jobs: trials run together.
  """

  command: str
  gin_files: Sequence[str]
  bindings: Mapping[str, str]
  axes: Sequence[grid.Axis]
  eval_gin_files: Sequence[str]
  eval_bindings: Mapping[str, str]
  passed: Sequence[str]
  out: str
  baseline: bool
  dry_run: bool
  stop_on_error: bool
  jobs: int


def parse(argv: Sequence[str], description: str) -> Flags:
  """Parses the command line.

  Args:
    argv: arguments behind the verb.
    description: of the verb, for --help.

  Raises:
    UsageError: for what cannot be used, with the cure.
  """
  parser = errors.Parser(
    prog='robust-t5x sweep', usage='%(prog)s RECIPE [--MACRO=VALUE ...] [--eval RECIPE] [--eval.MACRO=VALUE ...] --out DIR [...]',
    description=description, allow_abbrev=False, add_help=False,
    epilog='Settings of all training runs are given as those of robust-t5x train are, those of all evaluations with '
    '--eval.NAME=VALUE, where VALUE is a Python literal or else a string.',
  )  # fmt: skip
  add = parser.add_argument
  add('-h', '--help', action='store_true', help='behind a recipe: its macros, what they are and are for')
  add('--eval', metavar='RECIPE', help='recipe of the evaluations')
  add('--gin_file', action='append', default=[], metavar='FILE', help='gin file of the training runs; repeatable')
  add('--eval_gin_file', action='append', default=[], metavar='FILE', help='gin file of the evaluations; repeatable')
  add(
    '--grid', action='append', default=[], metavar='NAME=A,B,...',
    help='an axis: values of a macro or, for NAME gin_file, gin files; repeatable',
  )  # fmt: skip
  add('--seeds', metavar='0,1,...', help='seeds of every setting')
  add('--out', required=True, metavar='DIR', help='directory of the sweep')
  add('--no_baseline', action='store_true', help='do not evaluate the model without an adapter')
  add('--dry_run', action='store_true', help='check the grid and print the commands of its trials')
  add('--stop_on_error', action='store_true', help='start nothing after a trial has failed')
  add('--jobs', type=int, default=1, metavar='N', help='trials run together')
  for name in _PASSED:
    add(f'--{name}', metavar='DIRS', help='as for robust-t5x train')
  recipe, settings, rest = launcher.read_settings(argv, 'train')
  eval_bindings, rest = _eval_settings(rest)
  given = launcher.parse_rest(parser, rest, recipe, 'train')
  if given.eval:
    given.eval_gin_file.insert(0, recipes.find('eval', given.eval).file)
  bindings = {'gin': {name: settings_lib.normalised(value) for name, value in settings}, 'eval': eval_bindings}
  for kind, own in (('gin', grid.TRAIN_OWN), ('eval', grid.EVAL_OWN)):
    for name in own:
      if name in bindings[kind]:
        raise UsageError(f'--{kind}.{name}: the sweep sets it itself; leave it out')
  if not given.gin_file:
    raise UsageError('no recipe and no --gin_file; give those of a robust-t5x train, such as align_mini')
  if not given.eval_gin_file:
    raise UsageError('no --eval and no --eval_gin_file; give those of a robust-t5x eval, such as --eval mini')
  if '://' in given.out:
    raise UsageError(f'--out {given.out}: a sweep keeps its records on disk; give a local directory')
  if given.jobs < 1:
    raise UsageError(f'--jobs {given.jobs}: give 1 or more')
  axes = [grid.parse_axis(text) for text in given.grid]
  if given.seeds:
    axes.append(grid.parse_seeds(given.seeds))
  return Flags(
    command=grid.shell(['sweep', *argv]),
    gin_files=given.gin_file,
    bindings=bindings['gin'],
    axes=axes,
    eval_gin_files=given.eval_gin_file,
    eval_bindings=bindings['eval'],
    passed=[f'--{name}={getattr(given, name)}' for name in _PASSED if getattr(given, name)],
    out=given.out,
    baseline=not given.no_baseline,
    dry_run=given.dry_run,
    stop_on_error=given.stop_on_error,
    jobs=given.jobs,
  )


def _eval_settings(argv: Sequence[str]) -> tuple[dict[str, str], list[str]]:
  """Takes the --eval.NAME=VALUE out of a command line: name -> value in gin's writing, and the other arguments."""
  settings, others = {}, []
  for argument in argv:
    match = re.fullmatch(r'--eval\.([^=\s]+)=(.*)', argument, re.DOTALL)
    if match:
      settings[match[1]] = match[2] if match[2][:1] in ('@', '%') else recipes.literal(match[2], f'--eval.{match[1]}')
    elif argument.startswith('--eval.'):
      raise UsageError(f'{shorten(argument)}: write --eval.NAME=VALUE in one argument, such as --eval.NUM_EXAMPLES=10')
    else:
      others.append(argument)
  return settings, others
