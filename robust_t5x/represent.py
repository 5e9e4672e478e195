"""Where phrasings lie inside a model: distances between phrasings of the same example, and what they cost.

`robust-t5x represent --gin_file=gin/runs/represent.gin ...`, whose first lines have the whole command

Three places are looked at, without the adapter and, where there is one, with it: the encoder's states, averaged over the
positions that can be attended to (those of the adapter among them, as in objectives.encoder_cosine); the decoder's state at
the first step; and the distribution over the first output token. The canonical place of an example is the mean over its
observed phrasings, for an observed phrasing that of the others; where no phrasing is observed, over all others.

Shape letters: M models (without and with adapter), N examples, k phrasings, D model width, V vocabulary, R resamples.
"""

from collections.abc import Callable, Mapping, Sequence
import os
from typing import Any

import numpy as np

from robust_t5x.analysis import representation as analysis_representation
from robust_t5x.runtime import errors, launcher, processes
from seqio_tasks import suites


def represent(
  loaded: Any,
  output_dir: str | None = None,
  mixtures: Sequence[str] | None = None,
  results_dirs: Sequence[str] = (),
  task_feature_lengths: Mapping[str, int] | None = None,
  register_tasks: Sequence[Callable[..., Any]] = (),
  split: str = 'test',
  max_examples: int = 20,
  batch_size: int = 128,
) -> Any:
  """Measures the distances and writes them, with their correlation to lost accuracy and a map.

  Args:
    loaded: a loading.Loaded; where it has an adapter, the model is looked at without and with it.
    output_dir: where the files go.
    mixtures: evaluation mixtures or tasks.
    results_dirs: finished evaluations of this backbone, without and with the adapter, for the accuracies; none to leave
      correlations out.
    task_feature_lengths: tokens of 'inputs'; longer ones are cut.
    register_tasks: calls that register the tasks, each given `vocabulary`.
    split: split of the tasks.
    max_examples: of each dataset.
    batch_size: inputs processed together.

  Returns:
    A representation_report.Representation; None on all processes but the main one.

  Raises:
    RepresentationError: naming what does not fit, before long work.
  """
  from robust_t5x.analysis import representation as analysis_representation
  from robust_t5x.models.runner import Runner
  from robust_t5x.reports import representation as reports_representation
  from robust_t5x.runtime import progress, versions

  errors.check_required({'OUTPUT_DIR': output_dir, 'MIXTURES': mixtures})
  if max_examples < 1:
    raise analysis_representation.RepresentationError(f'MAX_EXAMPLES is {max_examples}; it must be at least 1')
  tasks = suites.evaluation_tasks(register_tasks, loaded.model.input_vocabulary, mixtures)
  models = {analysis_representation.WITHOUT: (loaded.model, loaded.params)}
  if loaded.identity['adapter']:
    models = {
      analysis_representation.WITHOUT: loaded.model.without_adapter(loaded.params),
      analysis_representation.WITH: (loaded.model, loaded.params),
    }
  accuracies = read_accuracies(results_dirs, loaded.identity, tuple(models))
  runners = {label: Runner(model, params, batch_size) for label, (model, params) in models.items()}
  datasets: dict[str, list[Any]] = {}
  for task in tasks:
    datasets.setdefault(task.dataset, []).append(task)
  collected = analysis_representation.Collector(tuple(models), accuracies)
  with progress.Progress('representations', len(datasets)) as bar:
    for dataset, members in datasets.items():
      frame, inputs = _rows(members, task_feature_lengths, split, max_examples)
      states = {}
      for label, runner in runners.items():
        found = runner.states(inputs)
        shape = (frame['example_id'].nunique(), -1)
        states[label] = analysis_representation.States(*(x.reshape(*shape, x.shape[-1]) for x in found))
      phrasings = frame.drop_duplicates('instruction_id')[['group', 'instruction_id', 'template']]
      collected.add(dataset, phrasings.reset_index(drop=True), states)
      bar.advance(1, dataset)
  if not processes.is_main():
    return None
  found = collected.finish()
  record = {
    'model': loaded.identity, 'split': split, 'max_examples': max_examples, 'results': list(results_dirs),
    'command': launcher.command_line(), 'versions': versions.versions(),
  }  # fmt: skip
  os.makedirs(output_dir, exist_ok=True)
  reports_representation.write(found, output_dir, record)
  print(reports_representation.finding(found))
  print(f'wrote {os.path.join(output_dir, "represent.md")}')
  return found


def read_accuracies(
  directories: Sequence[str], identity: Mapping[str, Any], labels: Sequence[str]
) -> Mapping[str, Any]:
  """Accuracy of each phrasing: label -> series by (dataset, instruction id); labels without an evaluation are left out.

  Raises:
    RepresentationError: if an evaluation is of another backbone or adapter, or two are of the same model.
  """
  from robust_t5x.results import reading

  adapters = {
    analysis_representation.WITHOUT: None,
    analysis_representation.WITH: (identity['adapter'] or {}).get('sha256'),
  }
  found: dict[str, Any] = {}
  for directory in directories:
    table, record = reading.read(directory)
    print_ = record.get('fingerprint', {})
    if print_.get('backbone') != identity['backbone']['sha256']:
      raise analysis_representation.RepresentationError(
        f'RESULTS: {directory} is an evaluation of another backbone; give one of this model'
      )
    label = next((name for name in labels if adapters[name] == print_.get('adapter')), None)
    if label is None:
      raise analysis_representation.RepresentationError(
        f'RESULTS: {directory} is an evaluation with another adapter; set ADAPTER to that adapter, or leave it out'
      )
    if label in found:
      raise analysis_representation.RepresentationError(
        f'RESULTS: {directory} is a second evaluation {label}; give one of each'
      )
    found[label] = table.groupby(['dataset', 'instruction_id'], observed=True)['score'].mean()
  return found


def _rows(tasks, task_feature_lengths, split, max_examples) -> tuple[Any, list[np.ndarray]]:
  """Rows of one dataset, by example and then phrasing: a frame (example_id, group, instruction_id, template), and tokens."""
  import pandas as pd

  from robust_t5x.evaluation import rows as rows_lib

  parts = []
  for task in tasks:
    templates = {i.id: i.template for i in task.instructions}
    rows = rows_lib.read_task(task.name, task_feature_lengths, split)
    parts.append(
      pd.DataFrame(
        {
          'example_id': [row['example_id'] for row in rows],
          'group': task.group,
          'instruction_id': [row['instruction_id'] for row in rows],
          'template': [templates[row['instruction_id']] for row in rows],
          'inputs': [row['inputs'] for row in rows],
        }
      )
    )
  frame = pd.concat(parts, ignore_index=True)
  chosen = list(parts[0]['example_id'].unique()[:max_examples])
  order = {name: i for i, name in enumerate(frame['instruction_id'].unique())}
  frame = frame[frame['example_id'].isin(chosen)]
  frame = frame.assign(e=frame['example_id'].map(chosen.index), i=frame['instruction_id'].map(order))
  frame = frame.sort_values(['e', 'i'], kind='stable').drop(columns=['e', 'i']).reset_index(drop=True)
  if len(frame) != len(chosen) * len(order):
    raise analysis_representation.RepresentationError(
      f'{tasks[0].dataset}: its tasks {", ".join(t.name for t in tasks)} do not have the same examples; name tasks that do'
    )
  return frame, list(frame.pop('inputs'))


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  return launcher.run_configured('represent.represent', argv, __doc__.splitlines()[0])
