"""Trains and evaluates every cell of a grid of settings, into one table of results.

`robust-t5x sweep align_mini --gin_file=gin/adapters/prefix.gin --grid LEARNING_RATE=0.03,0.1 \\
  --grid gin_file=gin/objectives/kl.gin,gin/objectives/likelihood.gin --seeds 0,1,2 --eval mini --out out/sweep`

A finished cell is found and not run again, whatever the grid that it stems from; see docs/sweeps.md.
"""

import argparse
from collections.abc import Sequence
from concurrent import futures
import contextlib
import fcntl
import math
import os
import re
import shlex
import signal
import sys
import threading
from typing import Any

from robust_t5x.runtime import errors, launcher, progress, quiet, recipes
from robust_t5x.sweeps import cell as cell_lib
from robust_t5x.sweeps import check, grid
from seqio_tasks.errors import UserError


def parse_flags(argv: Sequence[str]) -> argparse.Namespace:
  """Parses the command line.

  Returns:
    Namespace with command (as typed), gin_file (the recipe's first), bindings (name -> value), axes (list of sweep_grid.Axis), eval_gin_file, eval_bindings,
    passed (flags for all runs), out, baseline, dry_run, stop_on_error, jobs.

  Raises:
    UsageError: for what cannot be used, with the cure.
  """
  parser = argparse.ArgumentParser(
    prog='robust-t5x sweep', usage='%(prog)s RECIPE [--MACRO=VALUE ...] [--eval RECIPE] [--eval.MACRO=VALUE ...] --out DIR [...]',
    description=__doc__.splitlines()[0], allow_abbrev=False, add_help=False,
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
  add('--dry_run', action='store_true', help='check the grid and print the commands of its cells')
  add('--stop_on_error', action='store_true', help='start nothing after a cell has failed')
  add('--jobs', type=int, default=1, metavar='N', help='cells run together')
  for name in ('gin_search_paths', 'tfds_data_dir', 'seqio_additional_cache_dirs'):
    add(f'--{name}', metavar='DIRS', help='as for robust-t5x train')
  recipe, bindings, rest = launcher.read_settings(argv, 'train')
  eval_bindings, rest = _eval_settings(rest)
  flags = launcher.parse_rest(parser, rest, recipe, 'train')
  if flags.eval:
    flags.eval_gin_file.insert(0, recipes.find('eval', flags.eval).file)
  flags.bindings = {name: grid.normalised(value) for name, value in bindings}
  flags.eval_bindings = eval_bindings
  for kind, given, own in (
    ('gin', flags.bindings, grid.TRAIN_OWN),
    ('eval', flags.eval_bindings, grid.EVAL_OWN),
  ):
    for name in own:
      if name in given:
        raise errors.UsageError(f'--{kind}.{name}: the sweep sets it itself; leave it out')
  if not flags.gin_file:
    raise errors.UsageError('no recipe and no --gin_file; give those of a robust-t5x train, such as align_mini')
  if not flags.eval_gin_file:
    raise errors.UsageError('no --eval and no --eval_gin_file; give those of a robust-t5x eval, such as --eval mini')
  if '://' in flags.out:
    raise errors.UsageError(f'--out {flags.out}: a sweep keeps its records on disk; give a local directory')
  if flags.jobs < 1:
    raise errors.UsageError(f'--jobs {flags.jobs}: give 1 or more')
  flags.command = grid.shell(['sweep', *argv])
  flags.axes = [grid.parse_axis(text) for text in flags.grid]
  if flags.seeds:
    flags.axes.append(grid.parse_seeds(flags.seeds))
  names = ('gin_search_paths', 'tfds_data_dir', 'seqio_additional_cache_dirs')
  flags.passed = [f'--{name}={getattr(flags, name)}' for name in names if getattr(flags, name)]
  return flags


def _eval_settings(argv: Sequence[str]) -> tuple[dict[str, str], list[str]]:
  """Takes the --eval.NAME=VALUE out of a command line: name -> value in gin's writing, and the other arguments."""
  settings, others = {}, []
  for argument in argv:
    match = re.fullmatch(r'--eval\.([^=\s]+)=(.*)', argument, re.DOTALL)
    if match:
      settings[match[1]] = match[2] if match[2][:1] in ('@', '%') else recipes.literal(match[2], f'--eval.{match[1]}')
    elif argument.startswith('--eval.'):
      raise errors.UsageError(f'{argument}: write --eval.NAME=VALUE in one argument, such as --eval.NUM_EXAMPLES=10')
    else:
      others.append(argument)
  return settings, others


def plan(flags: argparse.Namespace) -> tuple[list[cell_lib.CellRun], dict[str, tuple[str, list[str]]]]:
  """Checks the grid: its cells on disk, and the baselines (backbone -> directory and arguments of the evaluation).

  Raises:
    UsageError: if some cell cannot be run.
  """
  cells = grid.cells(flags.gin_file, flags.bindings, flags.axes)
  eval_arguments = grid.command('', flags.eval_gin_file, flags.eval_bindings)[1:]
  described = check.check(cells, eval_arguments, flags.passed)
  runs = [
    cell_lib.CellRun.find(flags.out, cell, description, flags.eval_gin_file, flags.eval_bindings, flags.passed)
    for cell, description in zip(cells, described, strict=True)
  ]
  baselines = {}
  for checkpoint in dict.fromkeys(d['checkpoint'] for d in described):
    if checkpoint is None:
      raise errors.UsageError('INITIAL_CHECKPOINT_PATH is None: a sweep evaluates a backbone; give its path')
    bindings = {**flags.eval_bindings, 'INITIAL_CHECKPOINT_PATH': repr(checkpoint)}
    directory = os.path.join(flags.out, f'baseline-{grid.digest(flags.eval_gin_file, bindings, 6)}')
    own = {'ADAPTER': "'none'", 'LABEL': "'without adapter'", 'OUTPUT_DIR': repr(directory)}
    command = grid.command('eval', flags.eval_gin_file, {**bindings, **own}, flags.passed)
    baselines[checkpoint] = (directory, command)
  return runs, {} if flags.no_baseline else baselines


def sweep(flags: argparse.Namespace) -> int:
  """Runs what is not finished, and writes the results; returns the exit status: 0, 1 if a cell failed, 130 if interrupted."""
  runs, baselines = plan(flags)
  if flags.dry_run:
    for _, command in baselines.values():
      print(grid.shell(command))
    for run in runs:
      print(f'# {", ".join(f"{k}={v}" for k, v in run.record["settings"].items())}: {run.status}')
      print(run.record['train_command'])
      print(run.record['eval_command'])
    return 0
  _warn_of_drift(runs)
  os.makedirs(flags.out, exist_ok=True)
  summaries: dict[str, Any] = {}
  with _only_one(flags.out), _terminable():
    processes = cell_lib.Processes()
    try:
      for directory, command in baselines.values():
        _run_baseline(directory, command, processes)
      places = {checkpoint: directory for checkpoint, (directory, _) in baselines.items()}
      _run_cells(runs, flags, processes, lambda: write(flags, runs, places, summaries))
      interrupted = False
    except (KeyboardInterrupt, cell_lib.Interrupted):
      processes.stop()
      interrupted = True
    places = {c: d for c, (d, _) in baselines.items() if cell_lib.is_evaluated(d)}
    caution = write(flags, runs, places, summaries)
  if caution:
    print(f'warning: {caution}', file=sys.stderr)
  failed = [run for run in runs if run.status == 'failed']
  finished = sum(run.status == 'finished' for run in runs)
  print(f'{finished} of {len(runs)} cells finished, {len(failed)} failed: {os.path.join(flags.out, "sweep.csv")}')
  if interrupted:
    print('interrupted; the same command goes on', file=sys.stderr)
    return 130
  if failed:
    print('the same command tries the failed cells again', file=sys.stderr)
  return 1 if failed else 0


def write(
  flags: argparse.Namespace,
  runs: Sequence[cell_lib.CellRun],
  baselines: dict[str, str],
  summaries: dict[str, Any],
) -> str:
  """Writes the table and the page of what is known so far; arguments as for sweep_table.build.

  Returns:
    why rows of the table may not be compared; '' if they may.
  """
  from robust_t5x.runtime import files
  from robust_t5x.sweeps import page
  from robust_t5x.sweeps import table as table_lib

  axes = {axis.name: axis.shown for axis in flags.axes}
  table = table_lib.build(runs, baselines, list(axes), summaries)
  files.write_atomically(os.path.join(flags.out, 'sweep.parquet'), table.to_parquet(index=False))
  files.write_atomically(os.path.join(flags.out, 'sweep.csv'), table.to_csv(index=False))
  axes.pop(grid.SEED, None)
  page.write(os.path.join(flags.out, 'sweep.html'), table, axes, flags.command)
  return table_lib.caution(table)


def _warn_of_drift(runs: Sequence[cell_lib.CellRun]) -> None:
  """Says which finished cells the gin files of today would train otherwise; they are kept all the same."""
  changes: dict[str, list[str]] = {}
  for run in runs:
    if run.drift:
      changes.setdefault(run.drift, []).append(run.directory)
  for change, directories in changes.items():
    print(
      f'warning: {len(directories)} finished cell{"s" if len(directories) > 1 else ""} of this grid had other settings '
      f'when trained ({change}); delete to train again: {" ".join(shlex.quote(d) for d in directories)}',
      file=sys.stderr,
    )


def _run_baseline(directory: str, command: Sequence[str], processes: cell_lib.Processes) -> None:
  """Evaluates the model without an adapter, first of all: what stops this evaluation would stop those of all cells."""
  if cell_lib.is_evaluated(directory):
    return
  print('evaluating without adapter', file=sys.stderr, flush=True)
  log = f'{directory}.log'
  status = processes.run(command, log)
  if status:
    _show_tail(log)
    raise UserError(
      f'the evaluation without adapter failed, so nothing else was started: {cell_lib.failure(log, status)}'
    )


def _run_cells(runs, flags, processes, write_table) -> None:
  todo = [run for run in runs if not run.finished]
  write_table()
  if not todo:
    return
  print(f'{len(runs)} cells, {len(todo)} of them to run', file=sys.stderr, flush=True)
  halt = threading.Event()

  def work(run):
    if halt.is_set():
      return False
    run.run(processes)
    if run.record['error'] and flags.stop_on_error:
      halt.set()
    return True

  with (
    progress.Progress('sweep', len(runs), len(runs) - len(todo), window=math.inf) as bar,
    futures.ThreadPoolExecutor(flags.jobs) as pool,
  ):
    waiting = {pool.submit(work, run): run for run in todo}
    try:
      for future in futures.as_completed(waiting):
        if not future.result():
          continue
        if waiting[future].record['error']:
          _show_failure(waiting[future])
        write_table()
        bar.advance(1, os.path.basename(waiting[future].directory))
    except BaseException:
      halt.set()
      processes.stop()
      raise


def _show_failure(run: cell_lib.CellRun) -> None:
  error = run.record['error']
  _show_tail(run.log(error['stage']))
  settings = ', '.join(f'{k}={v}' for k, v in run.record['settings'].items())
  print(f'failed: {settings}: {error["stage"]}: {error["message"]}', file=sys.stderr, flush=True)


def _show_tail(log: str) -> None:
  lines = '\n'.join(f'  | {line}' for line in cell_lib.tail(log))
  print(f'the end of {log}:\n{lines}', file=sys.stderr, flush=True)


@contextlib.contextmanager
def _only_one(out: str):
  """Holds the directory, so that no second sweep works on its cells."""
  with open(os.path.join(out, '.lock'), 'w') as lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
      raise errors.UsageError(f'--out: another sweep is at work in {out}; wait for it, or choose another') from e
    yield


@contextlib.contextmanager
def _terminable():
  """Treats SIGTERM as Ctrl-C, so that the runs under way end too."""

  def interrupt(*unused):
    raise KeyboardInterrupt

  before = signal.signal(signal.SIGTERM, interrupt)
  try:
    yield
  finally:
    signal.signal(signal.SIGTERM, before)


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  quiet.set_up()
  try:
    return sweep(parse_flags(sys.argv[1:] if argv is None else argv))
  except KeyboardInterrupt:  # during the check, before anything was written
    return 130
  except Exception as e:
    return errors.report_error(e)
