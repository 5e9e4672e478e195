"""Evaluates a model under every phrasing of every task of some mixtures.

`python -m robust_t5x.eval --gin_file=gin/runs/eval_mini.gin --gin.OUTPUT_DIR="'out/before'"`

The results are one row per example and phrasing (robust_t5x.results). A finished evaluation is found and not repeated,
an interrupted one goes on with the task at which it stopped.
"""

from collections.abc import Callable, Mapping, Sequence
import json
import os
import sys
from typing import Any

from robust_t5x import launcher, processes

SCORERS = ('exact_match', 'lmentry', 'rank_likelihood', 'paper_logits')
_OPTION_SCORERS = ('rank_likelihood', 'paper_logits')  # answer with the option that scores best


def evaluate(
  loaded: Any,
  output_dir: str | None = None,
  mixtures: Sequence[str] | None = None,
  task_feature_lengths: Mapping[str, int] | None = None,
  register_tasks: Sequence[Callable[..., Any]] = (),
  split: str = 'test',
  scorer: str = 'exact_match',
  batch_size: int = 128,
  label: str | None = None,
) -> Any:
  """Evaluates and writes the results table, and a report of it.

  Args:
    loaded: a loading.Loaded.
    output_dir: where the results go.
    mixtures: evaluation mixtures or tasks (seqio_tasks.registration).
    task_feature_lengths: tokens of 'inputs' and 'targets'; longer inputs are cut, counted and reported.
    register_tasks: calls that register the tasks, each given `vocabulary`.
    split: split of the tasks.
    scorer: 'exact_match' or 'lmentry' on greedy outputs, 'rank_likelihood' or 'paper_logits' over the options.
    batch_size: rows of the greatest length processed together, of shorter ones more.
    label: name of the model in tables and reports; by default says whether there is a prompt.

  Returns:
    The results table; None on all processes but the main one.

  Raises:
    ValueError: naming the setting, task or phrasing that cannot be evaluated, before any evaluation starts.
  """
  import numpy as np

  import gin
  from robust_t5x import progress, report, results, scoring
  from seqio_tasks import registration

  launcher.check_required({'OUTPUT_DIR': output_dir, 'MIXTURES': mixtures})
  if scorer not in SCORERS:
    raise launcher.UsageError(f'SCORER: unknown scorer {scorer!r}; use one of {", ".join(SCORERS)}')
  for register in register_tasks:
    register(vocabulary=loaded.model.input_vocabulary)
  tasks = [
    registration.evaluation_task(name) for mixture in mixtures for name in registration.evaluation_tasks(mixture)
  ]
  if scorer in _OPTION_SCORERS:
    for task in tasks:
      without = registration.example_without_options(task.name, split)
      if without is not None:
        raise launcher.UsageError(
          f'SCORER: {scorer} needs options, which example {without} of {task.name} lacks; use exact_match for this task'
        )
  label = label or ('with prompt' if loaded.identity['prompt'] else 'without prompt')
  identity = fingerprint(loaded, tasks, task_feature_lengths, split, scorer)
  # The main process alone keeps results; the others, whose disks may be their own, follow it.
  run = results.Run.open(output_dir, label=label, fingerprint=identity) if processes.is_main() else None
  open_tasks = np.asarray([run is None or not (run.finished or run.has_shard(task.name)) for task in tasks])
  todo = [task for task, is_open in zip(tasks, processes.from_main(open_tasks), strict=True) if is_open]
  if run is not None and run.finished:
    print(f'{output_dir} holds this evaluation already; nothing to do')
    return run.table()

  runner = scoring.Runner(
    loaded.model, loaded.params, batch_size, task_feature_lengths['targets'], task_feature_lengths['inputs']
  )
  done = len(tasks) - len(todo)
  with progress.Progress(f'evaluating {label}', len(tasks), done) as bar:
    for task in todo:
      rows = read_task(task.name, task_feature_lengths, split)
      table = score_task(runner, rows, task, scorer, label)
      if run is not None:
        run.add_shard(task.name, table)
      bar.advance(1, task.name)
  if run is None:
    return None
  table = run.finish(
    instructions={i.id: i.template for task in tasks for i in task.instructions},
    metadata={
      'model': loaded.identity,
      'gin_config': gin.config_str(),
      'command': launcher.command_line(),
    },
  )
  cut = run.record['truncated_inputs']
  if cut:
    print(
      f'warning: {cut} of {len(table)} inputs were longer than {task_feature_lengths["inputs"]} tokens and were cut; '
      'raise TASK_FEATURE_LENGTHS',
      file=sys.stderr,
    )
  print(f'wrote {len(table)} rows to {os.path.join(output_dir, "results.parquet")}')
  print(report.write([output_dir], output_dir))
  return table


def fingerprint(loaded, tasks, task_feature_lengths, split, scorer) -> dict[str, Any]:
  """What makes two evaluations the same: weights, prompt, data, phrasings and scorer, as hashes and settings."""
  from seqio_tasks import registration

  return {
    'backbone': loaded.identity['backbone']['sha256'],
    'prompt': (loaded.identity['prompt'] or {}).get('sha256'),
    'dtype': loaded.model.module.config.dtype,
    'scorer': scorer,
    'split': split,
    'task_feature_lengths': dict(task_feature_lengths),
    'tasks': {task.name: registration.content_hash(task.name, split) for task in tasks},
  }


def read_task(name: str, task_feature_lengths: Mapping[str, int], split: str) -> list[dict[str, Any]]:
  """The rows of a flat evaluation task, tokenised.

  Raises:
    launcher.UsageError: if the task has no such split or no rows.
  """
  import seqio

  task = seqio.get_mixture_or_task(name)
  if split not in task.splits:
    raise launcher.UsageError(f'SPLIT: task {name} has no split {split!r}, only {", ".join(task.splits)}')
  ds = task.get_dataset(dict(task_feature_lengths), split=split, shuffle=False)
  rows = []
  for row in ds.as_numpy_iterator():
    rows.append({k: v.decode() if isinstance(v, bytes) else v for k, v in row.items()})
  if not rows:
    raise launcher.UsageError(f'task {name} has no examples in split {split!r}')
  return rows


def score_task(runner, rows, task, scorer, label) -> Any:
  """Scores the rows of one task: a results table."""
  import numpy as np
  import pandas as pd

  from robust_t5x import scoring
  from seqio_tasks import lmentry

  inputs = [row['inputs'] for row in rows]
  golds = [row['targets_pretokenized'] for row in rows]
  options = [json.loads(row['options']) for row in rows]
  right = [[gold, *json.loads(row['alternatives'])] for gold, row in zip(golds, rows, strict=True)]
  option_scores = [''] * len(rows)
  if scorer in _OPTION_SCORERS:
    score_options = runner.score if scorer == 'rank_likelihood' else runner.score_free_running
    ranked = score_options(inputs, options)
    predictions = [o[int(s.argmax())] for o, s in zip(options, ranked, strict=True)]
    option_scores = [
      json.dumps({o: round(float(x), 5) for o, x in zip(os_, s, strict=True)})
      for os_, s in zip(options, ranked, strict=True)
    ]
  else:
    predictions = runner.generate(inputs)
  if scorer == 'lmentry':
    scores = [max(lmentry.score(p, g, o) for g in r) for p, r, o in zip(predictions, right, options, strict=True)]
  else:
    scores = [scoring.matches_any(p, r) for p, r in zip(predictions, right, strict=True)]
  matched = [scoring.is_an_option(p, o) for p, o in zip(predictions, options, strict=True)]
  return pd.DataFrame(
    {
      'model': label,
      'dataset': task.dataset,
      'example_id': [row['example_id'] for row in rows],
      'instruction_id': [row['instruction_id'] for row in rows],
      'group': task.group,
      'scorer': scorer,
      'prediction': predictions,
      'gold': golds,
      'score': np.asarray(scores, np.float64),
      'option_scores': option_scores,
      'matched_option': matched,
      'truncated_tokens': [int(row['truncated_tokens']) for row in rows],
    }
  )


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  return launcher.run_configured('eval.evaluate', argv, __doc__.splitlines()[0])


if __name__ == '__main__':
  from robust_t5x import eval as _eval

  sys.exit(_eval.main())
