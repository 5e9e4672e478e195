"""Evaluates a model under every phrasing of every task of some mixtures.

`robust-t5x eval mini --OUTPUT_DIR=out/before`; `robust-t5x eval --help` lists the recipes.

The results are one row per example and phrasing (see results). A finished evaluation is found and not repeated,
an interrupted one goes on with the task, or with STOP_WIDTH the round, at which it stopped, or writes the report that it lacks.
"""

from collections.abc import Callable, Mapping, Sequence
import functools
import os
import sys
from typing import TYPE_CHECKING, Any

from robust_t5x.runtime import errors, launcher, locks, processes, signals
from seqio_tasks import suites
from seqio_tasks.datasets import readings

if TYPE_CHECKING:
  import pandas as pd

  from robust_t5x.evaluation.subjects import Subject
  from robust_t5x.results.schema import Fingerprint, Record
  from robust_t5x.runtime.costs import Cost
  from seqio_tasks.pipeline.registration import EvaluationTask


def evaluate(
  loaded: 'Subject',
  output_dir: str,
  mixtures: Sequence[str],
  task_feature_lengths: Mapping[str, int],
  register_tasks: Sequence[Callable[..., Any]] = (),
  split: str = 'test',
  scorer: str = 'exact_match',
  batch_size: int = 128,
  label: str | None = None,
  cell_budget: int | float | None = None,
  cell_seed: int = 0,
  stop_width: int | float | None = None,
  dry_run: bool = False,
) -> 'pd.DataFrame | None':
  """Evaluates and writes the results table, and a report of it.

  Args:
    loaded: the model: a loading.Loaded, or a served one (served.serving).
    output_dir: where the results go.
    mixtures: evaluation mixtures or tasks; `seqio_tasks.suites.registrar` names them.
    task_feature_lengths: tokens of 'inputs' and 'targets'; longer inputs are cut, counted and reported.
    register_tasks: calls that register the tasks, each given `vocabulary`.
    split: split of the tasks.
    scorer: name of one of results.scorers.SCORERS.
    batch_size: rows of the greatest length processed together, of shorter ones more.
    label: name of the model in tables and reports; by default its own, or whether there is an adapter.
    cell_budget: how many cells (an example under a phrasing) of each task are evaluated, a number or a share below 1;
      None evaluates all. They are sampled evenly, and analysis.prompteval estimates the accuracy under every phrasing.
    cell_seed: of the sample, or of the order of the cells.
    stop_width: evaluates cells in rounds until the mean accuracy of each group of phrasings over all cells is known to ± so
      many points, by an interval that holds whenever one stops (evaluation.stopping); None evaluates all.
    dry_run: whether only to print what the evaluation takes, in requests and tokens.

  Returns:
    The results table; None on all processes but the main one, and of a dry run.

  Raises:
    ValueError: naming the setting, task or phrasing that cannot be evaluated, before any evaluation starts.
    UsageError: if another process works in the directory.
  """
  import numpy as np

  import gin
  from robust_t5x.evaluation import checks, stopping
  from robust_t5x.evaluation.cells import sample_cells
  from robust_t5x.evaluation.rows import read_task
  from robust_t5x.evaluation.scorers import cost_of, score_task, score_tasks
  from robust_t5x.results.runs import Run
  from robust_t5x.results.scorers import SCORERS
  from robust_t5x.runtime import progress

  errors.check_required({'OUTPUT_DIR': output_dir, 'MIXTURES': mixtures})
  tasks = suites.evaluation_tasks(register_tasks, loaded.vocabulary, mixtures)
  checks.check(tasks, split=split, scorer=scorer, cell_budget=cell_budget, stop_width=stop_width)
  label = label or loaded.label
  lengths = loaded.lengths(task_feature_lengths)
  identity = fingerprint(loaded, tasks, task_feature_lengths, split, scorer)
  if cell_budget is not None:
    identity['cells'] = {'budget': cell_budget, 'seed': cell_seed}
  if stop_width is not None:
    identity['cells'] = {'width': stop_width, 'seed': cell_seed}
  if dry_run:
    runner = loaded.runner(batch_size, task_feature_lengths, output_dir)
    counted = {
      task.name: cost_of(
        runner,
        sample_cells(read_task(task.name, lengths, split), task.name, cell_budget, cell_seed),
        SCORERS[scorer],
      )
      for task in tasks
    }
    print(_told(counted, stop_width is not None))
    return None
  with locks.held(output_dir, 'OUTPUT_DIR'):
    # The main process alone keeps results; the others, whose disks may be their own, follow it.
    run = Run.open(output_dir, label=label, fingerprint=identity) if processes.is_main() else None
    if run is not None:
      run.check_groups({(task.dataset, i.id): task.group for task in tasks for i in task.instructions})
    open_tasks = np.asarray([run is None or not (run.finished or run.has_shard(task.name)) for task in tasks])
    todo = [task for task, is_open in zip(tasks, processes.from_main(open_tasks), strict=True) if is_open]
    finished = bool(processes.from_main(np.asarray(run is not None and run.finished)))
    if finished and run is None:
      return None
    if run is not None and finished:
      table = run.table()
      lacking = [name for name in _products(run.record) if not os.path.exists(os.path.join(output_dir, name))]
      print(
        f'{output_dir} holds this evaluation already; '
        + (f'only {", ".join(lacking)} had not been written' if lacking else 'nothing to do')
      )
      if 'results.csv' in lacking:
        run.write_csv(table)
      if lacking:
        _write_products(run.record, output_dir, task_feature_lengths)
      return table

    runner = loaded.runner(batch_size, task_feature_lengths, output_dir)
    stopped, table = None, None
    if stop_width is not None:
      every = [(task, read_task(task.name, lengths, split)) for task in tasks]
      found = stopping.evaluate(
        every,
        stop_width / 100,
        cell_seed,
        lambda parts, on_done: score_tasks(runner, parts, SCORERS[scorer], label, on_done),
        run,
        label,
      )
      table, stopped = found or (None, None)
    else:
      done = len(tasks) - len(todo)
      signals.keeps(_kept(done, len(tasks), output_dir))
      with progress.Progress(f'evaluating {label}', len(tasks), done) as bar:
        for task in todo:
          rows = read_task(task.name, lengths, split)
          sampled = sample_cells(rows, task.name, cell_budget, cell_seed)
          on_done = functools.partial(bar.advance_of, len(sampled), note=task.name)
          shard = score_task(runner, sampled, task, SCORERS[scorer], label, on_done)
          if run is not None:
            run.add_shard(task.name, shard)
          done += 1
          signals.keeps(_kept(done, len(tasks), output_dir))
    if run is None:
      return None
    metadata: Record = {
      'model': loaded.identity, 'gin_config': gin.config_str(), 'command': launcher.command_line(), 'data': readings(),
      'examples': _examples(tasks, split),
    }  # fmt: skip
    if runner.shared_tokens:
      metadata['shared_tokens'] = runner.shared_tokens
    if stopped is not None:
      metadata['stopped'] = stopped
      print('\n'.join(stopping.in_words(stopped)))
    table = run.finish({i.id: i.template for task in tasks for i in task.instructions}, metadata, table)
    print(f'wrote {len(table)} rows to {os.path.join(output_dir, "results.parquet")}')
    _write_products(run.record, output_dir, task_feature_lengths)
    return table


def _examples(tasks: 'Sequence[EvaluationTask]', split: str) -> dict[str, int]:
  """How many examples each dataset has, whether they are evaluated or not."""
  found: dict[str, set[str]] = {}
  for task in tasks:
    found.setdefault(task.dataset, set()).update(task.example_ids(split))
  return {dataset: len(ids) for dataset, ids in found.items()}


def _kept(done: int, tasks: int, output_dir: str) -> str:
  return f'{done} of {tasks} tasks are kept in {output_dir}; the same command goes on with the others'


def _told(counted: 'Mapping[str, Cost]', stops: bool) -> str:
  """What an evaluation takes, task by task and together, in words; at most so much where it stops early."""
  total = functools.reduce(lambda a, b: a.plus(b), counted.values())
  lines = [
    f'{name}: {c.requests:,} requests, about {c.input_tokens:,} tokens read and {c.output_tokens:,} or fewer written'
    + (f'; {c.shared_tokens:,} more are read with those of rows that begin alike' if c.shared_tokens else '')
    + (f'; {c.known:,} answers are at hand' if c.known else '')
    for name, c in (*counted.items(), ('together', total))
  ]
  if total.groups:
    # The first row of a group reads what the others do not.
    alike = round(total.shared_tokens / (total.sharing - total.groups))
    lines.append(
      f'{total.sharing:,} of these begin alike in {total.groups:,} groups; `robust-t5x plan --study CELLS` counts so with --shared {alike} '
      f'--among {round(total.sharing / total.groups)}'
    )
  most = ['all of this at most: it stops where STOP_WIDTH is reached'] if stops else []
  return '\n'.join([*lines, *most, 'dry run: nothing was asked'])


def _products(record: 'Record') -> list[str]:
  """What is made of a finished table."""
  from robust_t5x.results.schema import sample_of

  report = ['metrics.csv', 'phrasings.csv', 'tables', 'report.html', 'report.md']
  return ['results.csv', *report, *(['estimates.csv'] if sample_of(record) else [])]


def _write_products(record: 'Record', output_dir: str, lengths: Mapping[str, int]) -> None:
  """Writes the report, and the estimates of a sample; says what of the evaluation is not as one would think."""
  from robust_t5x.reports import page

  for warning in _warnings(record, lengths):
    print(f'warning: {warning}', file=sys.stderr)
  print(page.write([output_dir], output_dir))
  if 'estimates.csv' in _products(record):
    _write_estimates(output_dir)


def _warnings(record: Mapping[str, object], lengths: Mapping[str, int]) -> list[str]:
  """What of an evaluation is not as one would think."""
  return [
    f'{record[name]} of {record["rows"]} {text}'
    for name, text in (
      ('truncated_inputs', f'inputs were longer than {lengths["inputs"]} tokens and were cut; raise TASK_FEATURE_LENGTHS'),
      ('cut_answers', f'right answers are longer than the {lengths["targets"]} tokens of an output and cannot be given; raise '
       "TASK_FEATURE_LENGTHS for 'targets'"),
      ('ties', 'rankings are ties, of options that are the same to the vocabulary or score alike; each counts as the share of '
       'its best options that is right'),
    )
    if record[name]
  ]  # fmt: skip


def _write_estimates(output_dir: str) -> None:
  """Writes `estimates.csv`, and prints what the sampled cells say of all phrasings."""
  from robust_t5x.analysis.comparison import compare
  from robust_t5x.analysis.prompteval import estimates
  from robust_t5x.reports import escaping
  from robust_t5x.runtime import files

  table = estimates(compare([output_dir]))
  files.write_atomically(os.path.join(output_dir, 'estimates.csv'), escaping.spreadsheet(table))
  for group, rows in table.groupby('group', sort=False):
    values = rows[['mean', 'worst', 'best']].mean() * 100
    print(
      f'estimated for all {group} phrasings from {rows["evaluated"].sum()} of {rows["cells"].sum()} cells: mean '
      f'{values["mean"]:.1f}%, worst {values["worst"]:.1f}%, best {values["best"]:.1f}%, means over tasks; estimates.csv '
      'has each task with its intervals'
    )


def fingerprint(
  loaded: 'Subject', tasks: 'Sequence[EvaluationTask]', task_feature_lengths: Mapping[str, int], split: str, scorer: str
) -> 'Fingerprint':
  """What makes two evaluations the same: weights, adapter, vocabulary, data, phrasings and scorer, as hashes and settings."""
  return {
    'backbone': loaded.weights['backbone'] or '',
    'adapter': loaded.weights['adapter'],
    'dtype': loaded.weights['dtype'] or '',
    'vocabulary': loaded.weights['vocabulary'] or '',
    'scorer': scorer,
    'split': split,
    'task_feature_lengths': dict(task_feature_lengths),
    'tasks': {task.name: task.content_hash(split) for task in tasks},
  }


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  return launcher.run_configured('eval.evaluate', argv, __doc__.splitlines()[0])
