"""Where phrasings lie inside a model: distances between phrasings of the same example, and what they cost.

`robust-t5x represent mini --OUTPUT_DIR=out/represent`

Three places are looked at, without the adapter and, where there is one, with it: the states that the input was read to,
averaged over positions as in objectives.encoder_cosine; the state at the answer's first step; and the distribution over the
first output token. Of the first one distances are given behind each layer, too. The canonical place of an example is the mean over its
observed phrasings, for an observed phrasing that of the others; where no phrasing is observed, over all others.

Shape letters: M models (without and with adapter), N examples, k phrasings, D model width, V vocabulary, R resamples.
"""

from collections.abc import Callable, Mapping, Sequence
import functools
import os
from typing import TYPE_CHECKING, Any

from robust_t5x.runtime import errors, launcher, processes
from seqio_tasks import suites

if TYPE_CHECKING:
  from robust_t5x.analysis.representation import Representation
  from robust_t5x.checkpoints.loading import Loaded


def represent(
  loaded: 'Loaded',
  output_dir: str,
  mixtures: Sequence[str],
  task_feature_lengths: Mapping[str, int],
  results_dirs: Sequence[str] = (),
  register_tasks: Sequence[Callable[..., Any]] = (),
  split: str = 'test',
  max_examples: int = 20,
  batch_size: int = 128,
) -> 'Representation | None':
  """Measures the distances and writes them, with their correlation to lost accuracy and a map.

  Args:
    loaded: a loading.Loaded; where it has an adapter, the model is looked at without and with it.
    output_dir: where the files go.
    mixtures: evaluation mixtures or tasks.
    task_feature_lengths: tokens of 'inputs'; longer ones are cut.
    results_dirs: finished evaluations of this backbone, without and with the adapter, for the accuracies; none to leave
      correlations out.
    register_tasks: calls that register the tasks, each given `vocabulary`.
    split: split of the tasks.
    max_examples: of each dataset.
    batch_size: inputs processed together.

  Returns:
    An analysis.representation.Representation; None on all processes but the main one.

  Raises:
    UserError: naming what does not fit, before long work.
  """
  from robust_t5x.analysis.representation import WITH, WITHOUT, Collector, States, read_accuracies
  from robust_t5x.evaluation.rows import read_grid
  from robust_t5x.models.runner import Runner
  from robust_t5x.reports.representation import finding, write
  from robust_t5x.runtime import files, progress, versions

  errors.check_required({'OUTPUT_DIR': output_dir, 'MIXTURES': mixtures})
  if max_examples < 1:
    raise errors.UsageError(f'MAX_EXAMPLES is {max_examples}; it must be at least 1')
  if processes.is_main():
    files.check_writable(os.path.join(output_dir, 'represent.md'))
  tasks = suites.evaluation_tasks(register_tasks, loaded.model.input_vocabulary, mixtures)
  models = {WITHOUT: (loaded.model, loaded.params)}
  if loaded.identity['adapter']:
    models = {
      WITHOUT: loaded.model.without_adapter(loaded.params),
      WITH: (loaded.model, loaded.params),
    }
  backbone, adapter = loaded.identity['backbone']['sha256'], (loaded.identity['adapter'] or {}).get('sha256')
  accuracies = read_accuracies(results_dirs, backbone, adapter, tuple(models))
  runners = {label: Runner(model, params, batch_size) for label, (model, params) in models.items()}
  datasets: dict[str, list[Any]] = {}
  for task in tasks:
    datasets.setdefault(task.dataset, []).append(task)
  collected = Collector(tuple(models), accuracies)
  cut = 0
  with progress.Progress('representations', len(datasets)) as bar:
    for dataset, members in datasets.items():
      frame, inputs = read_grid(members, task_feature_lengths, split, max_examples)
      cut += int((frame['truncated_tokens'] > 0).sum())
      states = {}
      for label, runner in runners.items():
        read = runner.states(inputs, functools.partial(bar.advance_of, len(inputs) * len(runners), note=dataset))
        shape = (frame['example_id'].nunique(), -1)
        states[label] = States(*(x.reshape(*shape, *x.shape[1:]) for x in read))
      phrasings = frame.drop_duplicates('instruction_id')[['group', 'instruction_id', 'template']]
      collected.add(dataset, phrasings.reset_index(drop=True), states)
  if not processes.is_main():
    return None
  found = collected.finish()
  if cut:
    progress.log(
      f'warning: {cut} inputs were longer than {task_feature_lengths["inputs"]} tokens and were cut, so that phrasings seem more alike than '
      'they are; raise TASK_FEATURE_LENGTHS'
    )
  record = {
    'model': loaded.identity, 'split': split, 'max_examples': max_examples, 'results': list(results_dirs),
    'task_feature_lengths': dict(task_feature_lengths), 'truncated_inputs': cut,
    'command': launcher.command_line(), 'versions': versions.versions(),
  }  # fmt: skip
  write(found, output_dir, record)
  print(finding(found))
  print(f'wrote {os.path.join(output_dir, "represent.md")}')
  return found


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  return launcher.run_configured('represent.represent', argv, __doc__.splitlines()[0])
