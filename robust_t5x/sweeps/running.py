"""Runs the trials of a sweep that are not finished, together or one after another, and keeps its table and page up to date."""

from collections.abc import Callable, Sequence
from concurrent import futures
import math
import os
import shlex
import sys
import threading

from robust_t5x.reports import escaping
from robust_t5x.runtime import locks, progress, signals
from robust_t5x.runtime.errors import UsageError
from robust_t5x.runtime.files import write_atomically
from robust_t5x.sweeps import check, grid, mixed, page
from robust_t5x.sweeps.flags import Flags
from robust_t5x.sweeps.table import Summary, build, caution
from robust_t5x.sweeps.trial import Processes, TrialRun, evaluation_drift, failure, is_evaluated, tail
from seqio_tasks.errors import UserError


def plan(flags: Flags) -> tuple[list[TrialRun], dict[str, tuple[str, list[str]]], str]:
  """Checks the grid.

  Returns:
    its trials on disk; the baselines (backbone -> directory and arguments of the evaluation); the gin configuration of all evaluations.

  Raises:
    UsageError: if some trial cannot be run.
  """
  trials = grid.trials(flags.gin_files, flags.bindings, flags.axes)
  eval_arguments = grid.command('', flags.eval_gin_files, flags.eval_bindings)[1:]
  described, eval_config = check.check(trials, eval_arguments, flags.passed)
  runs = [
    TrialRun.find(flags.out, trial, description, flags.eval_gin_files, flags.eval_bindings, flags.passed)
    for trial, description in zip(trials, described, strict=True)
  ]
  baselines: dict[str, tuple[str, list[str]]] = {}
  for checkpoint in dict.fromkeys(d['checkpoint'] for d in described):
    if checkpoint is None:
      raise UsageError('INITIAL_CHECKPOINT_PATH is None: a sweep evaluates a backbone; give its path')
    bindings = {**flags.eval_bindings, 'INITIAL_CHECKPOINT_PATH': repr(checkpoint)}
    directory = os.path.join(flags.out, f'baseline-{grid.digest(flags.eval_gin_files, bindings, 6)}')
    own = {'ADAPTER': "'none'", 'LABEL': "'without adapter'", 'OUTPUT_DIR': repr(directory)}
    command = grid.command('eval', flags.eval_gin_files, {**bindings, **own}, flags.passed)
    baselines[checkpoint] = (directory, command)
  return runs, baselines if flags.baseline else {}, eval_config


def sweep(flags: Flags) -> int:
  """Runs what is not finished, and writes the results, also when it is interrupted; returns the exit status: 0, 1 if a trial failed."""
  runs, baselines, eval_config = plan(flags)
  if flags.dry_run:
    for _, command in baselines.values():
      print(grid.shell(command))
    for run in runs:
      print(f'# {", ".join(f"{k}={v}" for k, v in run.record["settings"].items())}: {run.status}')
      print(run.record['train_command'])
      print(run.record['eval_command'])
    return 0
  evaluations = [*(directory for directory, _ in baselines.values()), *(run.evaluation for run in runs)]
  _warn_of_changes([(run.drift, run.directory) for run in runs], 'trial', 'trained', 'train')
  _warn_of_changes([(evaluation_drift(d, eval_config), d) for d in evaluations], 'evaluation', 'made', 'evaluate')
  os.makedirs(flags.out, exist_ok=True)
  summaries: dict[str, Summary] = {}
  signals.keeps('the same command goes on')
  interruption: KeyboardInterrupt | None = None
  with locks.held(flags.out, '--out'):
    processes = Processes()
    try:
      for directory, command in baselines.values():
        _run_baseline(directory, command, processes)
      places = {checkpoint: directory for checkpoint, (directory, _) in baselines.items()}
      _run_trials(runs, flags, processes, lambda: write(flags, runs, places, summaries))
    except KeyboardInterrupt as e:
      processes.stop()
      interruption = e
    places = {c: d for c, (d, _) in baselines.items() if is_evaluated(d)}
    warning = write(flags, runs, places, summaries)
  for told in [*([warning] if warning else []), *mixed.warnings(runs, places)]:
    print(f'warning: {told}', file=sys.stderr)
  failed = [run for run in runs if run.status == 'failed']
  finished = sum(run.status == 'finished' for run in runs)
  print(f'{finished} of {len(runs)} trials finished, {len(failed)} failed: {os.path.join(flags.out, "sweep.csv")}')
  if interruption is not None:
    raise interruption
  if failed:
    print('the same command tries the failed trials again', file=sys.stderr)
  return 1 if failed else 0


def write(
  flags: Flags,
  runs: Sequence[TrialRun],
  baselines: dict[str, str],
  summaries: dict[str, Summary],
) -> str:
  """Writes the table and the page of what is known so far; arguments as for table.build.

  Returns:
    why rows of the table may not be compared; '' if they may.
  """
  axes = {axis.name: axis.shown for axis in flags.axes}
  table = build(runs, baselines, list(axes), summaries)
  write_atomically(os.path.join(flags.out, 'sweep.parquet'), table.to_parquet(index=False))
  write_atomically(os.path.join(flags.out, 'sweep.csv'), escaping.spreadsheet(table))
  axes.pop(grid.SEED, None)
  page.write(os.path.join(flags.out, 'sweep.html'), table, axes, flags.command)
  return caution(table)


def _warn_of_changes(drifts: Sequence[tuple[str, str]], what: str, done: str, do: str) -> None:
  """Says what is finished, by its directory, and would be done otherwise by the gin files of today; it is kept all the same."""
  changes: dict[str, list[str]] = {}
  for change, directory in drifts:
    if change:
      changes.setdefault(change, []).append(directory)
  for change, directories in changes.items():
    print(
      f'warning: {len(directories)} finished {what}{"s" if len(directories) > 1 else ""} of this grid had other settings '
      f'when {done} ({change}); delete to {do} again: {" ".join(shlex.quote(d) for d in directories)}',
      file=sys.stderr,
    )


def _run_baseline(directory: str, command: Sequence[str], processes: Processes) -> None:
  """Evaluates the model without an adapter, first of all: what stops this evaluation would stop those of all trials."""
  if is_evaluated(directory):
    return
  print('evaluating without adapter', file=sys.stderr, flush=True)
  log = f'{directory}.log'
  status = processes.run(command, log)
  if status:
    _show_tail(log)
    raise UserError(f'the evaluation without adapter failed, so nothing else was started: {failure(log, status)}')


def _run_trials(
  runs: Sequence[TrialRun], flags: Flags, processes: Processes, write_table: Callable[[], object]
) -> None:
  todo = [run for run in runs if not run.finished]
  write_table()
  if not todo:
    return
  print(f'{len(runs)} trials, {len(todo)} of them to run', file=sys.stderr, flush=True)
  halt = threading.Event()

  def work(run: TrialRun) -> bool:
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
        _show_failure(waiting[future])
        write_table()
        bar.advance(1, os.path.basename(waiting[future].directory))
    except BaseException:
      halt.set()
      processes.stop()
      raise


def _show_failure(run: TrialRun) -> None:
  error = run.record['error']
  if error is None:
    return
  _show_tail(run.log(error['stage']))
  settings = ', '.join(f'{k}={v}' for k, v in run.record['settings'].items())
  print(f'failed: {settings}: {error["stage"]}: {error["message"]}', file=sys.stderr, flush=True)


def _show_tail(log: str) -> None:
  lines = '\n'.join(f'  | {line}' for line in tail(log))
  print(f'the end of {log}:\n{lines}', file=sys.stderr, flush=True)
