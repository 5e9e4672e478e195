"""Where phrasings lie inside a model: distances between phrasings of the same example, and what they cost.

`robust-t5x represent --gin_file=gin/runs/represent.gin ...`, whose first lines have the whole command

Three places are looked at, without the prompt and, where there is one, with it: the encoder's states, averaged over the
positions that can be attended to (those of the prompt among them, as in objectives.encoder_cosine); the decoder's state at
the first step; and the distribution over the first output token. The canonical place of an example is the mean over its
observed phrasings, for an observed phrasing that of the others; where no phrasing is observed, over all others.

Shape letters: M models (without and with prompt), N examples, k phrasings, D model width, V vocabulary, R resamples.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import os
from typing import Any

import numpy as np

from robust_t5x import launcher, processes

ENCODER, DECODER, OUTPUT = 'encoder', 'first decoder step', 'first output token'
COSINE, EUCLIDEAN, JENSEN_SHANNON = 'cosine', 'euclidean', 'Jensen-Shannon'
MEASURES = (
  (ENCODER, COSINE), (ENCODER, EUCLIDEAN), (DECODER, COSINE), (DECODER, EUCLIDEAN), (OUTPUT, JENSEN_SHANNON),
)  # fmt: skip
WITHOUT, WITH = 'without prompt', 'with prompt'
_BUCKET = 16  # input lengths are padded to a multiple of this


class RepresentationError(ValueError):
  """A setting or result that representations cannot be set against; the message names it and the cure."""


@dataclasses.dataclass(frozen=True)
class States:
  """What a model makes of one dataset's inputs.

  Attributes:
    encoder: mean encoder state [N, k, D].
    decoder: decoder state at the first step, before the output layer [N, k, D].
    output: log-probabilities of the first output token [N, k, V].
  """

  encoder: np.ndarray
  decoder: np.ndarray
  output: np.ndarray

  def place(self, name: str) -> np.ndarray:
    """The array of ENCODER, DECODER or OUTPUT."""
    return {ENCODER: self.encoder, DECODER: self.decoder, OUTPUT: self.output}[name]


def distance(a: np.ndarray, b: np.ndarray, measure: str) -> np.ndarray:
  """Distance over the last axis, [...].

  Args:
    a: [..., D]; log-probabilities for JENSEN_SHANNON.
    b: [..., D], broadcast against a.
    measure: COSINE, 1 - cos in [0, 2]; EUCLIDEAN, divided by √D so that models of other widths compare;
      JENSEN_SHANNON, in nats, in [0, ln 2] (Lin 1991).
  """
  if measure == COSINE:
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return 1 - (a * b).sum(-1) / np.maximum(norms, 1e-12)
  if measure == EUCLIDEAN:
    return np.linalg.norm(a - b, axis=-1) / np.sqrt(a.shape[-1])
  middle = np.logaddexp(a, b) - np.log(2)
  return np.maximum(0.5 * ((np.exp(a) * (a - middle)).sum(-1) + (np.exp(b) * (b - middle)).sum(-1)), 0)


def to_canonical(states: np.ndarray, observed: np.ndarray, measure: str) -> np.ndarray:
  """Distance of every phrasing to the canonical place of its example [N, k]; NaN where nothing is left to compare with.

  Args:
    states: [N, k, D]; log-probabilities for JENSEN_SHANNON, which are averaged as probabilities.
    observed: which phrasings are [k].
    measure: see `distance`.
  """
  logs = measure == JENSEN_SHANNON
  values = np.exp(states) if logs else states
  chosen = observed if observed.any() else np.ones_like(observed)
  total, count = values[:, chosen].sum(1, keepdims=True), int(chosen.sum())
  out = np.full(states.shape[:2], np.nan)
  for i, own in enumerate(chosen):
    others = count - int(own)
    if others:
      mean = (total[:, 0] - values[:, i] * own) / others
      out[:, i] = distance(states[:, i], np.log(np.maximum(mean, 1e-30)) if logs else mean, measure)
  return out


def between_phrasings(states: np.ndarray, measure: str) -> np.ndarray:
  """Mean distance over all pairs of phrasings of each example [N]; NaN for a single phrasing."""
  k = states.shape[1]
  if measure == JENSEN_SHANNON:
    return _pairwise_jensen_shannon(states)
  pairs = [distance(states[:, i, None], states[:, i + 1 :], measure) for i in range(k - 1)]
  return np.concatenate(pairs, axis=1).mean(1) if pairs else np.full(len(states), np.nan)


def _pairwise_jensen_shannon(logs: np.ndarray) -> np.ndarray:
  """`between_phrasings` of log-probabilities [N, k, V]: entropy of the pair's mean less the mean of their entropies."""
  p = np.exp(logs)
  own = -(p * logs).sum(-1)  # [N, k]
  k = p.shape[1]
  out = np.zeros(len(p))
  for i in range(k - 1):
    middle = 0.5 * (p[:, i, None] + p[:, i + 1 :])
    entropy = -(middle * np.log(np.maximum(middle, 1e-30))).sum(-1)
    out += (entropy - 0.5 * (own[:, i, None] + own[:, i + 1 :])).sum(1)
  return np.maximum(out, 0) / (k * (k - 1) / 2) if k > 1 else np.full(len(p), np.nan)


def between_examples(states: np.ndarray, measure: str) -> float:
  """Mean distance over neighbouring examples under the same phrasing; NaN for a single example.

  What distances between phrasings are to be set against: a model that makes everything alike has both small.
  """
  if len(states) < 2:
    return float('nan')
  return float(distance(states, np.roll(states, 1, axis=0), measure).mean())


def rank_correlation(
  distances: Sequence[np.ndarray], losses: Sequence[np.ndarray], replicates: int = 1000, seed: int = 0
) -> np.ndarray:
  """Spearman's ρ over phrasings, mean over datasets: of the data, then of each resample of phrasings, [1 + R].

  Args:
    distances: for each dataset a value per phrasing [k].
    losses: the accuracy that each phrasing loses [k].
    replicates: R; phrasings are drawn with replacement within each dataset.
    seed: of the resampling.

  Returns:
    NaN where no dataset has three phrasings or more with different values.
  """
  import scipy.stats

  rng = np.random.default_rng(seed)
  values = []
  for x, y in zip(distances, losses, strict=True):
    k = len(x)
    if k < 3:
      continue
    drawn = np.concatenate([np.arange(k)[None], rng.integers(k, size=(replicates, k))])
    ranks = [scipy.stats.rankdata(v[drawn], axis=1) for v in (x, y)]
    a, b = (r - r.mean(1, keepdims=True) for r in ranks)
    scale = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    values.append(np.divide((a * b).sum(1), scale, out=np.full(len(drawn), np.nan), where=scale > 0))
  if not values:
    return np.full(1 + replicates, np.nan)
  known = ~np.isnan(values)
  return np.divide(np.nansum(values, 0), known.sum(0), out=np.full(1 + replicates, np.nan), where=known.any(0))


def principal_components(points: np.ndarray, fitted_on: np.ndarray, count: int = 2) -> tuple[np.ndarray, np.ndarray]:
  """Coordinates on the first principal components.

  Args:
    points: [..., D].
    fitted_on: points [n, D] that centre and components are taken from.
    count: components.

  Returns:
    ([..., count]; the share of the variance of `fitted_on` that each component has [count]).
  """
  centre = fitted_on.mean(0)
  _, values, rows = np.linalg.svd(fitted_on - centre, full_matrices=False)
  shares = values**2 / max((values**2).sum(), 1e-30)
  return (points - centre) @ rows[:count].T, shares[:count]


class Runner:
  """A model with its program for states, compiled once for each length of inputs."""

  def __init__(self, model: Any, params: Any, batch_size: int):
    """Args: a models.RobustT5, its parameters, inputs processed together."""
    import jax
    import jax.numpy as jnp

    from robust_t5x import partitioning

    self._params, self._mesh = params, partitioning.mesh_of(params)
    self._batch_size = partitioning.round_up(batch_size, self._mesh) if self._mesh else batch_size
    module = model.module

    def run(params, tokens):
      variables = {'params': params}
      encoded, mask = module.apply(variables, tokens, method=module.encode)
      weights = mask[..., None].astype(jnp.float32)
      mean = (encoded.astype(jnp.float32) * weights).sum(1) / jnp.maximum(weights.sum(1), 1.0)
      logits, kept = module.apply(
        variables, encoded, mask, jnp.zeros((len(tokens), 1), jnp.int32), method=module.decode,
        capture_intermediates=lambda part, _: part.name == 'decoder_norm', mutable=['intermediates'],
      )  # fmt: skip
      state = kept['intermediates']['decoder']['decoder_norm']['__call__'][0]
      return mean, state[:, 0].astype(jnp.float32), jax.nn.log_softmax(logits[:, 0], axis=-1)

    self._run = jax.jit(run, out_shardings=None if self._mesh is None else partitioning.replicated(self._mesh))

  def __call__(self, inputs: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Mean encoder states [n, D], first decoder states [n, D] and log-probabilities [n, V] of inputs.

    Args:
      inputs: token ids of each input, end token included, unpadded.
    """
    from robust_t5x import partitioning

    out: list[Any] = [None] * len(inputs)
    order = np.argsort([len(x) for x in inputs], kind='stable')
    for start in range(0, len(order), self._batch_size):
      rows = order[start : start + self._batch_size]
      tokens = np.zeros((self._batch_size, -(-max(len(inputs[i]) for i in rows) // _BUCKET) * _BUCKET), np.int32)
      for j, i in enumerate(rows):
        tokens[j, : len(inputs[i])] = inputs[i]
      placed = tokens if self._mesh is None else partitioning.split_rows(tokens, self._mesh)
      found = [np.asarray(x) for x in self._run(self._params, placed)]
      for j, i in enumerate(rows):
        out[i] = tuple(x[j] for x in found)
    return tuple(np.stack(x) for x in zip(*out, strict=True))


def without_prompt(model: Any, params: Any) -> tuple[Any, Any]:
  """The same backbone with no prompt."""
  from robust_t5x import models, network

  plain = models.RobustT5(network.Transformer(model.module.config), model.input_vocabulary, model.output_vocabulary)
  return plain, {name: value for name, value in params.items() if name != 'prompt'}


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
    loaded: a loading.Loaded; where it has a prompt, the model is looked at without and with it.
    output_dir: where the files go.
    mixtures: evaluation mixtures or tasks.
    results_dirs: finished evaluations of this backbone, without and with the prompt, for the accuracies; none to leave
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
  from robust_t5x import progress, representation_report
  from robust_t5x import results as results_lib
  from seqio_tasks import registration

  launcher.check_required({'OUTPUT_DIR': output_dir, 'MIXTURES': mixtures})
  if max_examples < 1:
    raise RepresentationError(f'MAX_EXAMPLES is {max_examples}; it must be at least 1')
  for register in register_tasks:
    register(vocabulary=loaded.model.input_vocabulary)
  tasks = [registration.evaluation_task(n) for mixture in mixtures for n in registration.evaluation_tasks(mixture)]
  models = {WITHOUT: (loaded.model, loaded.params)}
  if loaded.identity['prompt']:
    models = {WITHOUT: without_prompt(loaded.model, loaded.params), WITH: (loaded.model, loaded.params)}
  accuracies = read_accuracies(results_dirs, loaded.identity, tuple(models))
  runners = {label: Runner(model, params, batch_size) for label, (model, params) in models.items()}
  datasets: dict[str, list[Any]] = {}
  for task in tasks:
    datasets.setdefault(task.dataset, []).append(task)
  collected = representation_report.Collector(tuple(models), accuracies)
  with progress.Progress('representations', len(datasets)) as bar:
    for dataset, members in datasets.items():
      frame, inputs = _rows(members, task_feature_lengths, split, max_examples)
      states = {}
      for label, runner in runners.items():
        found = runner(inputs)
        shape = (frame['example_id'].nunique(), -1)
        states[label] = States(*(x.reshape(*shape, x.shape[-1]) for x in found))
      phrasings = frame.drop_duplicates('instruction_id')[['group', 'instruction_id', 'template']]
      collected.add(dataset, phrasings.reset_index(drop=True), states)
      bar.advance(1, dataset)
  if not processes.is_main():
    return None
  found = collected.finish()
  record = {
    'model': loaded.identity, 'split': split, 'max_examples': max_examples, 'results': list(results_dirs),
    'command': launcher.command_line(), 'versions': results_lib.versions(),
  }  # fmt: skip
  os.makedirs(output_dir, exist_ok=True)
  representation_report.write(found, output_dir, record)
  print(representation_report.finding(found))
  print(f'wrote {os.path.join(output_dir, "represent.md")}')
  return found


def read_accuracies(
  directories: Sequence[str], identity: Mapping[str, Any], labels: Sequence[str]
) -> Mapping[str, Any]:
  """Accuracy of each phrasing: label -> series by (dataset, instruction id); labels without an evaluation are left out.

  Raises:
    RepresentationError: if an evaluation is of another backbone or prompt, or two are of the same model.
  """
  from robust_t5x import results

  prompts = {WITHOUT: None, WITH: (identity['prompt'] or {}).get('sha256')}
  found: dict[str, Any] = {}
  for directory in directories:
    table, record = results.read(directory)
    print_ = record.get('fingerprint', {})
    if print_.get('backbone') != identity['backbone']['sha256']:
      raise RepresentationError(f'RESULTS: {directory} is an evaluation of another backbone; give one of this model')
    label = next((name for name in labels if prompts[name] == print_.get('prompt')), None)
    if label is None:
      raise RepresentationError(
        f'RESULTS: {directory} is an evaluation with another prompt; set PROMPT to that prompt, or leave it out'
      )
    if label in found:
      raise RepresentationError(f'RESULTS: {directory} is a second evaluation {label}; give one of each')
    found[label] = table.groupby(['dataset', 'instruction_id'], observed=True)['score'].mean()
  return found


def _rows(tasks, task_feature_lengths, split, max_examples) -> tuple[Any, list[np.ndarray]]:
  """Rows of one dataset, by example and then phrasing: a frame (example_id, group, instruction_id, template), and tokens."""
  import pandas as pd

  from robust_t5x import eval as eval_lib

  parts = []
  for task in tasks:
    templates = {i.id: i.template for i in task.instructions}
    rows = eval_lib.read_task(task.name, task_feature_lengths, split)
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
    raise RepresentationError(
      f'{tasks[0].dataset}: its tasks {", ".join(t.name for t in tasks)} do not have the same examples; name tasks that do'
    )
  return frame, list(frame.pop('inputs'))


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  return launcher.run_configured('representation.represent', argv, __doc__.splitlines()[0])


if __name__ == '__main__':
  import sys

  from robust_t5x import representation as _representation

  sys.exit(_representation.main())
