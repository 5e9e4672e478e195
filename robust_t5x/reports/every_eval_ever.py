"""Results in every_eval_ever's schema, for its store of evaluations: a file for each run and dataset, and its cells beside it.

An aggregate has, for each group of phrasings, the mean accuracy, the worst phrasing and the spread, then the gap, then the accuracy
under every phrasing, with the intervals that `analysis` gives. The cells point to the result of their phrasing. The schema has no place for
a change between two models.

Source: evaluation and instance schema 0.3.0 of evaleval/every_eval_ever, `every_eval_ever/schemas`.
"""

from collections.abc import Iterator, Sequence
import dataclasses
import datetime
import hashlib
import json
import os
import re
import time
from typing import Any
import uuid

import numpy as np
import pandas as pd

from robust_t5x.analysis.comparison import GAP, Comparison, compare_sources
from robust_t5x.analysis.sources import Source, read_sources
from robust_t5x.analysis.statistics import Interval
from robust_t5x.reports import escaping
from robust_t5x.reports.card import PART
from robust_t5x.reports.inputs import in_order
from robust_t5x.reports.words import scorer_of
from robust_t5x.results.schema import EXAMPLE, Record, counts, num_examples, sample_of
from robust_t5x.results.scorers import SCORERS
from robust_t5x.runtime import files, versions
from seqio_tasks.errors import UserError, shorten

SCHEMA = '0.3.0'
_LEVEL = 0.95
_MEAN = "Clopper and Pearson's at the effective sample size, examples and phrasings as crossed factors"
_ONE = "Clopper and Pearson's at the effective sample size, over examples"
_DRAWN = 'quantiles of draws of the true accuracies of these phrasings, over examples'
_GAP = "Student's, examples and phrasings as crossed factors"
_LIBRARIES = {'lm-eval': 'lm-evaluation-harness', 't5x': 't5x', 'published': 'unknown'}
# Name of a metric of `analysis` -> identifier, name for people, whether lower is better, interval.
_OF_GROUPS = {
  'AvgP': ('accuracy', 'accuracy, mean over phrasings', False, _MEAN),
  'worst phrasing': ('robust_t5x.worst_phrasing', 'accuracy under the worst phrasing', False, _DRAWN),
  'spread': ('robust_t5x.spread', 'accuracy under the best phrasing less that under the worst', True, _DRAWN),
}


class ExportError(UserError):
  """Results that cannot be written so; the message says what to give."""


@dataclasses.dataclass(frozen=True)
class Publisher:
  """Who says so.

  Attributes:
    organisation: that provides the results.
    relationship: of who evaluated to who made the model: first_party, third_party, collaborative or other.
  """

  organisation: str
  relationship: str


def write(paths: Sequence[str], out: str, publisher: Publisher, models: Sequence[str] = ()) -> list[str]:
  """Writes `data/DATASET/ORGANISATION/MODEL/UUID.json` and `UUID_samples.jsonl` for every run and dataset.

  The same results give the same names. Accuracies of phrasings without examples have no samples.

  Args:
    paths: results, as a report takes them.
    out: directory that `data` goes to.
    publisher: who says so.
    models: the name of each model, ORGANISATION/MODEL, in the order of their labels; none where the labels are such names.

  Returns:
    the aggregates' files.

  Raises:
    ExportError: if a model has no such name, or the same results are given twice.
    ResultsError: if a path holds no finished results.
  """
  sources = read_sources(paths)
  names = _names(list(dict.fromkeys(source.label for source in sources)), models)
  parts: dict[str, _Part] = {}
  for source in sources:
    comparison = compare_sources([source])
    for dataset in comparison.datasets:
      part = _Part(source, comparison, dataset, names[source.label])
      before = parts.setdefault(part.id, part)
      if before is not part:
        raise ExportError(f'{before.source.path} and {source.path} have the same results of {dataset}; give them once')
  return [part.write(out, publisher) for part in parts.values()]


def _names(labels: Sequence[str], models: Sequence[str]) -> dict[str, str]:
  """Label -> name of a model."""
  if models and len(models) != len(labels):
    raise ExportError(
      f'--models: {len(models)} names for {len(labels)} models; give one for each of {shorten(", ".join(labels))}, in this order'
    )
  names = dict(zip(labels, models or labels, strict=True))
  for label, name in names.items():
    if not re.fullmatch(f'{PART}/{PART}', name, re.ASCII) or name.startswith('data/') or name.endswith('/data'):
      what = f'{shorten(name)!r} of --models' if models else f'the label {shorten(label)!r}'
      raise ExportError(f'{what} is no name such as ORGANISATION/MODEL; give --models a name for each model')
  return names


class _Part:
  """The results of one run on one dataset."""

  def __init__(self, source: Source, comparison: Comparison, dataset: str, model: str):
    self.source, self.comparison, self.dataset, self.model = source, comparison, dataset, model
    self.record: Record = source.record
    self.table = source.table[source.table['dataset'] == dataset]
    self.label = comparison.models[0]
    self.fingerprint = self.record.get('fingerprint', {})
    hashes = pd.util.hash_pandas_object(self.table.astype(str), index=False).to_numpy()
    # Of what others wrote it is not known.
    self.when = None if 'launcher' in self.record else self.record.get('finished')
    seconds = '' if self.when is None else f'{int(datetime.datetime.fromisoformat(self.when).timestamp())}-'
    self.id = f'{dataset}/{model}/{seconds}{hashlib.sha256(hashes.tobytes()).hexdigest()[:12]}'
    # The store wants random names; these are the same whenever the same results are written.
    self.uuid = uuid.UUID(bytes=hashlib.sha256(self.id.encode()).digest()[:16], version=4)

  def write(self, out: str, publisher: Publisher) -> str:
    """Writes the files; returns the aggregate's."""
    collection = escaping.file_name(self.dataset)
    place = f'data/{f"{collection}_" if collection == "data" else collection}/{self.model}'
    os.makedirs(os.path.join(out, place), exist_ok=True)
    whole = self.aggregate(publisher)
    if self.source.grain == EXAMPLE:
      path, digest, rows = f'{place}/{self.uuid}_samples.jsonl', hashlib.sha256(), 0
      with files.written_whole(os.path.join(out, path)) as f:
        for row in self.samples():
          line = (
            json.dumps(row, allow_nan=False).encode() + b'\n'
          )  # ASCII: readers may break lines at what Unicode calls one
          digest.update(line)
          f.write(line)
          rows += 1
      whole['detailed_evaluation_results'] = {
        'format': 'jsonl', 'file_path': path, 'hash_algorithm': 'sha256', 'checksum': digest.hexdigest(), 'total_rows': rows,
      }  # fmt: skip
    path = os.path.join(out, place, f'{self.uuid}.json')
    files.write_atomically(path, json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + '\n')
    return path

  def aggregate(self, publisher: Publisher) -> dict[str, Any]:
    """The file of the run, without a reference to its samples."""
    tasks = self.fingerprint.get('tasks', {})
    found = {
      'schema_version': SCHEMA,
      'evaluation_id': self.id,
      'retrieved_timestamp': str(int(time.time())),
      'source_metadata': {
        'source_type': 'evaluation_run' if self.source.grain == EXAMPLE else 'documentation',
        'source_organization_name': publisher.organisation,
        'evaluator_relationship': publisher.relationship,
        'additional_details': {'content_hashes': json.dumps(tasks)} if isinstance(tasks, dict) else {},
      },
      'eval_library': self._library(),
      'model_info': self._model(),
      'evaluation_results': list(self._results()),
    }
    return found if self.when is None else {**found, 'evaluation_timestamp': self.when}

  def samples(self) -> Iterator[dict[str, Any]]:
    """A row for each cell."""
    templates = self.record.get('instructions', {})
    for row in self.table.itertuples():
      name = self._name(row.group, row.instruction_id)
      options = json.loads(row.option_scores) if row.option_scores else None
      yield {
        'schema_version': SCHEMA,
        'evaluation_id': self.id,
        'model_id': self.model,
        'evaluation_name': name,
        'evaluation_result_id': f'{name}/accuracy',
        'sample_id': row.example_id,
        'interaction_type': 'single_turn',
        'input': {
          'raw': templates.get(row.instruction_id, ''),
          'reference': [row.gold],
          **({} if options is None else {'choices': list(options)}),
        },
        'output': {'raw': [row.prediction]},
        'answer_attribution': [
          {
            'turn_idx': 0, 'source': 'output.raw', 'extracted_value': row.prediction, 'extraction_method': row.scorer,
            'is_terminal': True,
          }
        ],
        'evaluation': {'score': row.score, 'is_correct': row.score == 1},
        'metadata': {
          'instruction_id': row.instruction_id, 'group': row.group, 'truncated_tokens': str(row.truncated_tokens),
          'tied_options': str(row.tied_options), 'input.raw': 'the phrasing; its fields are those of the example sample_id',
          **({} if options is None else {'option_scores': row.option_scores}),
        },
      }  # fmt: skip

  def _results(self) -> Iterator[dict[str, Any]]:
    """Of each group its metrics, then the gap, then every phrasing."""
    groups, by_example = self.comparison.datasets[self.dataset], self.source.grain == EXAMPLE
    sample = sample_of(self.record)
    told = {'sample': json.dumps(sample)} if sample else {}
    if by_example:
      told |= {name: str(number) for name, number in counts(self.table).items()}
    for group in in_order(groups):
      scores = groups[group][0]
      cells = scores.shape[-1] * num_examples(self.record, self.dataset, len(scores))
      of_group = {
        **told, 'phrasings': str(scores.shape[-1]), 'cells': str(cells), 'cells_scored': str(int((~np.isnan(scores)).sum())),
      }  # fmt: skip
      for metric, (identifier, said, lower, method) in _OF_GROUPS.items():
        value = self.comparison.interval(self.label, group, metric, self.dataset)
        yield from self._result(self._name(group), identifier, said, value, method, of_group, self._examples, lower)
    if set(GAP) <= set(groups):
      value = self.comparison.contrast(GAP, [(self.label, 1.0)], self.dataset).interval()
      said = 'accuracy under unobserved phrasings less that under observed ones'
      yield from self._result(
        self.dataset, 'robust_t5x.observed_gap', said, value, _GAP, told, self._examples, least=-1.0
      )
    templates = self.record.get('instructions', {})
    for group in in_order(groups):
      for place, phrasing in enumerate(self.comparison.names[self.dataset, group]):
        value = self.comparison.of_phrasing(self.label, self.dataset, group, place)
        own = {'instruction_id': phrasing, 'group': group}
        answered = int((~np.isnan(groups[group][0, :, place])).sum()) if by_example else 0
        yield from self._result(
          self._name(group, phrasing),
          'accuracy',
          'accuracy',
          value,
          _ONE,
          own,
          answered,
          template=templates.get(phrasing),
        )

  def _result(
    self, name: str, identifier: str, said: str, value: Interval, method: str, details: dict[str, str], samples: int,
    lower: bool = False, least: float = 0.0, template: str | None = None,
  ) -> Iterator[dict[str, Any]]:  # fmt: skip
    """A result, where there is a value: a phrasing of a sample may have no cell, as `cells_scored` tells."""
    if not value.is_known:
      return
    scorer = scorer_of(self.record)
    score: dict[str, Any] = {'score': value.estimate, 'details': details}
    if value.has_ends:
      interval = {'lower': value.low, 'upper': value.high, 'confidence_level': _LEVEL, 'method': method}
      score['uncertainty'] = {'confidence_interval': interval} | ({'num_samples': samples} if samples else {})
    yield {
      'evaluation_result_id': f'{name}/{identifier}',
      'evaluation_name': name,
      'source_data': {
        'dataset_name': self.dataset, 'source_type': 'other',
        'additional_details': {'split': str(self.fingerprint.get('split', 'unknown')), 'examples': str(self._examples)},
      },
      'metric_config': {
        'evaluation_description': SCORERS[scorer].words if scorer in SCORERS else scorer,
        'metric_id': identifier, 'metric_name': said, 'metric_kind': 'accuracy', 'metric_unit': 'proportion',
        'lower_is_better': lower, 'score_type': 'continuous', 'min_score': least, 'max_score': 1.0,
      },
      'score_details': score,
      'generation_config': self._generation(scorer, template),
    }  # fmt: skip

  @property
  def _examples(self) -> int:
    """Of the dataset; 0 where they are not known."""
    return len(self.source.places.examples[self.dataset]) if self.source.grain == EXAMPLE else 0

  def _generation(self, scorer: str, template: str | None) -> dict[str, Any]:
    arguments: dict[str, Any] = {} if template is None else {'prompt_template': template}
    if scorer in SCORERS and 'launcher' not in self.record and SCORERS[scorer].rank is None:
      arguments |= {
        'temperature': 0.0,
        'max_tokens': self.fingerprint.get('task_feature_lengths', {}).get('targets', 1),
      }
    return {'generation_args': arguments, 'additional_details': {'scorer': scorer}}

  def _library(self) -> dict[str, Any]:
    made_with = self.record.get('versions', {})
    launcher = self.record.get('launcher')
    name = _LIBRARIES.get(launcher, launcher) if launcher else 'robust_t5x'
    version = made_with.get({'lm-eval': 'lm_eval'}.get(launcher or '', name), 'unknown')
    read_by = {'read_by': f'robust_t5x {versions.versions().get("robust_t5x", "unknown")}'} if launcher else {}
    return {'name': name, 'version': version, 'additional_details': {**made_with, **read_by}}

  def _model(self) -> dict[str, Any]:
    """What is known of the model; weights that were loaded here have a hash, served ones have none."""
    weights = {name: str(self.fingerprint.get(name) or '') for name in ('backbone', 'adapter', 'dtype')}
    loaded = bool(re.fullmatch('[0-9a-f]{64}', weights['backbone']))
    details = {f'{name}_sha256': weights[name] for name in ('backbone', 'adapter') if loaded and weights[name]}
    details |= {'dtype': weights['dtype']} if loaded and weights['dtype'] else {}
    return {
      'name': self.label,
      'id': self.model,
      'developer': self.model.split('/')[0],
      'additional_details': {
        'deployment_type': 'self_deployed' if loaded else 'unknown', 'model_availability': 'unknown', **details,
      },
    }  # fmt: skip

  def _name(self, group: str, phrasing: str | None = None) -> str:
    return '.'.join([self.dataset, group, *([] if phrasing is None else [phrasing])])
