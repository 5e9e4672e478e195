"""An adapter's model card: README.md as the Hugging Face hub reads it, of an adapter's record, an evaluation without it and one with it.

Evaluations of the same training from other seeds may stand beside: the card is of one adapter, and says what the others did.

Metadata stand in YAML before the text, results among them as `model-index`. Nothing is computed here: all numbers are `analysis`'s.

Source: the hub's specification of model cards, huggingface/hub-docs, `modelcard.md`.
"""

import ast
from collections.abc import Mapping, Sequence
import dataclasses
import os
import re
from typing import Any, NotRequired, TypedDict

import yaml

from robust_t5x.adapters import AdapterConfig
from robust_t5x.analysis.comparison import GAP, Comparison, compare_sources
from robust_t5x.analysis.effects import compare_two, effects, notes
from robust_t5x.analysis.sources import Source
from robust_t5x.analysis.statistics import Interval
from robust_t5x.reports import escaping, inputs, words
from robust_t5x.reports.page import render
from robust_t5x.reports.tables import Column, Table
from robust_t5x.results.schema import Record, read_record
from robust_t5x.results.scorers import SCORERS
from robust_t5x.runtime import settings
from seqio_tasks.errors import UserError, shorten

PART = r'[A-Za-z0-9](?:[\w.-]{0,94}[\w-])?'  # of a name on the hub, which is ORGANISATION/MODEL, or of old models MODEL
# Macros of a training run that a reader wants to know, and what they are. Places on the trainer's machine are none of them.
_TOLD = {
  'ALIGNMENT_OBJECTIVE': 'objective',
  'ALIGNMENT_WEIGHT': 'weight of the objective against the likelihood of the answer',
  'MIXTURE_OR_TASK_NAME': 'trained on',
  'TRAIN_STEPS': 'steps',
  'BATCH_SIZE': 'examples in a step',
  'LEARNING_RATE': 'learning rate, at its highest',
  'SEED': 'seed',
  'NUM_PARAPHRASES': 'paraphrases beside the canonical phrasing',
  'NUM_SHOTS': 'examples shown before each',
  'BANKS': 'banks of phrasings',
  'ALIGNMENT_COLLECTIONS': 'collections that are aligned',
  'TASK_FEATURE_LENGTHS': 'tokens of inputs and targets',
  'DTYPE': 'computed in',
}
_GROUPS = {
  'observed': 'of collections that the model was tuned on',
  'unobserved': 'which ask for the same in words that it was not tuned on',
}


class CardError(UserError):
  """A card that cannot be written; the message says what to give instead."""


class TrainingRecord(TypedDict):
  """What `run.json` beside an adapter must hold."""

  seed: int
  backbone: dict[str, str] | None
  tasks: NotRequired[dict[str, str]]  # name -> hash of what was trained on


@dataclasses.dataclass(frozen=True)
class Subject:
  """What a card is of.

  Attributes:
    name: of the model, for people.
    config: of the adapter.
    values: numbers that trained.
    sha256: hash of the adapter's file.
    backbone: hash of the model that it belongs to.
    decoder: whether that is a decoder-only model.
    merged: whether the adapter is in the weights, and not a directory of PEFT's.
    metadata: of the adapter's file.
    record: `run.json` of its training, where that is at hand.
    base_model: the model's name on the hub, or None.
    license: the adapter's, as the hub names it, or None.
  """

  name: str
  config: AdapterConfig
  values: int
  sha256: str
  backbone: str
  decoder: bool
  merged: bool
  metadata: Mapping[str, Any]
  record: TrainingRecord | None
  base_model: str | None
  license: str | None

  @property
  def kind(self) -> str:
    """What the adapter is, in words."""
    if self.config.lora_rank:
      return f'LoRA of rank {self.config.lora_rank}'
    if self.config.length:
      return f'a soft prompt of {self.config.length} vectors'
    return f"a prefix of {dict(self.config.prefix_lengths)['decoder']} key-value pairs in each layer's attention"


def check_names(base_model: str | None, license: str | None) -> None:
  """Raises CardError for what cannot be the name of a model on the hub, or a licence's identifier there."""
  if base_model is not None and not re.fullmatch(rf'{PART}(/{PART})?', base_model, re.ASCII):
    raise CardError(
      f'--base_model: {shorten(base_model)!r} is no name of a model on the hub, such as ORGANISATION/MODEL'
    )
  if license is not None and not re.fullmatch(r'[a-z0-9][a-z0-9.-]*', license):
    raise CardError(f'--license: {shorten(license)!r} is no identifier of the hub, such as apache-2.0, mit or other')


@dataclasses.dataclass(frozen=True)
class Evaluated:
  """What a card reports.

  Attributes:
    own: the model without the adapter, and with it.
    others: the same model, and with the adapter of another seed, for each.
  """

  own: Comparison
  others: tuple[Comparison, ...] = ()


def compared(before: str, after: Sequence[str], subject: Subject) -> Evaluated:
  """The evaluations without and with the adapter, which must be of these very weights, and those of other seeds.

  Args:
    before: OUTPUT_DIR of the model alone.
    after: OUTPUT_DIR of the model with the adapter, and with those of other seeds, in any order.
    subject: the adapter.

  Raises:
    CardError: if one is of other weights, or does not say of which, or none is of the adapter.
    UserError: if one is missing or unfinished, or they must not be compared.
  """
  if not re.fullmatch('[0-9a-f]{64}', subject.backbone):
    raise CardError(
      f'--card: the adapter names its model by {shorten(subject.backbone)!r}, which is no SHA-256; add --backbone CHECKPOINT'
    )
  found = {path: _adapter(path, subject) for path in (before, *after)}
  own = [path for path in after if found[path] == subject.sha256]
  for path, adapter in ((before, None), (own[0] if own else after[0], subject.sha256)):
    if found[path] != adapter:
      raise CardError(
        f'--card: {os.path.join(path, "run.json")} is of {_called(found[path])}, not of {_called(adapter)}; give the evaluation '
        'without the adapter first, then the one with it'
      )
  seen = {subject.sha256: own[0]}
  others = [path for path in after if path != own[0]]
  if len(after) != len(set(after)):
    raise CardError('--card: an evaluation is named twice; name each seed once')
  for path in others:
    adapter = found[path]
    if adapter is None or adapter in seen:
      same = f' as {seen[adapter]} is' if adapter else ''
      raise CardError(
        f'--card: {os.path.join(path, "run.json")} is of {_called(adapter)}{same}; behind the evaluation with the adapter give '
        'those with the adapters of other seeds'
      )
    seen[adapter] = path
  return Evaluated(compare_two(before, own[0]), tuple(compare_two(before, path) for path in others))


def _adapter(path: str, subject: Subject) -> str | None:
  """Hash of the adapter that was evaluated, on the model that the card's adapter belongs to."""
  place = os.path.join(path, 'run.json')
  if not os.path.isfile(place):
    raise CardError(f'--card: {path} has no run.json; give OUTPUT_DIR of a `robust-t5x eval`')
  found = read_record(place).get('fingerprint', {})
  if not found.get('backbone'):
    raise CardError(f'--card: {place} has no hash of the weights; evaluate the checkpoint itself')
  if found['backbone'] != subject.backbone:
    raise CardError(
      f'--card: {place} is of another model (hash {found["backbone"][:12]}) than the adapter was trained on '
      f'({subject.backbone[:12]}); give evaluations of that one'
    )
  return found.get('adapter')


def _called(adapter: str | None) -> str:
  return f'the adapter with the hash {adapter[:12]}' if adapter else 'the model without adapter'


def text(subject: Subject, evaluated: Evaluated) -> str:
  """The card.

  Args:
    subject: the adapter.
    evaluated: see `compared`.
  """
  comparison = evaluated.own
  told = inputs.of_comparison(comparison)
  record = comparison.records[comparison.models[1]]
  found = record.get('fingerprint', {})
  card = render(
    'card.md',
    {
      'metadata': yaml.safe_dump(metadata(subject, comparison), sort_keys=False, allow_unicode=True, width=120),
      'subject': subject,
      'auto_class': 'AutoModelForCausalLM' if subject.decoder else 'AutoModelForSeq2SeqLM',
      'training': _training(subject),
      'tasks': sorted(subject.record.get('tasks', {})) if subject.record else [],
      'labels': comparison.models,
      'scorers': [SCORERS[s].words if s in SCORERS else s for s in _list(found.get('scorer', 'not recorded'))],
      'split': found.get('split', 'not recorded'),
      'dtypes': [comparison.records[m].get('fingerprint', {}).get('dtype', 'not recorded') for m in comparison.models],
      'framing': _framing(subject, record),
      'groups': [(g, _GROUPS.get(g, ''), table) for g, table in tables(comparison).items()],
      'gap': _gap(comparison),
      'num_seeds': 1 + len(evaluated.others),
      'seeds': seeds_table(evaluated),
      'interval_note': words.intervals_note(told),
      'warnings': words.warnings(told, places=False),
      'notes': notes(*(comparison.records[model] for model in comparison.models)),
      'version': record.get('versions', {}).get('robust_t5x', 'not recorded'),
      'finished': str(record.get('finished'))[:10],
    },
  )
  return card + '\n'


def _framing(subject: Subject, record: Record) -> str:
  """What a decoder-only model read around texts, by the settings of its evaluation; empty where that is not known."""
  found = settings.read(record.get('gin_config', ''))
  if not subject.decoder or 'CHAT_TEMPLATE' not in found:
    return ''
  template, system = (found.get(name, "'own'") for name in ('CHAT_TEMPLATE', 'SYSTEM_MESSAGE'))
  told = {"'own'": "in the model's own chat template, where it has one", "'none'": 'without a chat template'}
  around = {"'own'": '', "'none'": ', without a system turn'}.get(system, f', with the system message {system}')
  return f'Texts were read {told.get(template, "in another chat template than its own")}{around}.'


def metadata(subject: Subject, comparison: Comparison) -> dict[str, Any]:
  """What stands before the text: a mapping as the hub reads it."""
  config = subject.config
  tag = 'lora' if config.lora_rank else 'prompt-tuning' if config.length else 'prefix-tuning'
  found: dict[str, Any] = {'library_name': 'transformers' if subject.merged else 'peft'}
  if subject.base_model:
    found |= {'base_model': subject.base_model, 'base_model_relation': 'finetune' if subject.merged else 'adapter'}
  if subject.license:
    found['license'] = subject.license
  return found | {
    'pipeline_tag': 'text-generation',
    'tags': ['robust_t5x', 'prompt-robustness', tag],
    'metrics': ['accuracy'],
    'model-index': [{'name': escaping.line(subject.name), 'results': _results(comparison)}],
  }


def _results(comparison: Comparison) -> list[dict[str, Any]]:
  """An entry for each dataset: of every group the mean over phrasings and the worst one, as shares."""
  model = comparison.models[1]
  split = comparison.records[model].get('fingerprint', {}).get('split')
  results = []
  for dataset, groups in comparison.datasets.items():
    metrics = []
    for group, scores in groups.items():
      k = scores.shape[-1]
      for metric, said in (('AvgP', f'mean over {k}'), ('worst phrasing', f'worst of {k}')):
        value = round(comparison.value(model, group, metric, dataset), 5)
        metrics.append(
          {'type': 'accuracy', 'value': value, 'name': f'accuracy, {said} {escaping.line(group)} phrasings'}
        )
    name = escaping.line(dataset)
    told = {'type': name, 'name': name} | ({'split': escaping.line(split)} if split else {})
    results.append({'task': {'type': 'text-generation'}, 'dataset': told, 'metrics': metrics})
  return results


def tables(comparison: Comparison) -> dict[str, Table]:
  """Group -> a row for each dataset, and their mean."""
  a, b = comparison.models
  columns = (
    Column('dataset'), Column('phrasings', 'count'), Column('examples', 'count'), Column(f'{a}: mean', 'percent'),
    Column(f'{b}: mean', 'percent'), Column('change, points', 'points'), Column('so it is'), Column(f'{a}: spread', 'percent'),
    Column(f'{b}: spread', 'percent'), Column(f'{a}: worst', 'percent'), Column(f'{b}: worst', 'percent'),
  )  # fmt: skip
  found, out = effects(comparison), {}
  for group in inputs.in_order(comparison.groups):
    rows = []
    for r in found[found['group'] == group].itertuples():
      dataset = None if r.dataset == 'all' else r.dataset
      own = [g[group] for d, g in comparison.datasets.items() if group in g and dataset in (None, d)]
      means = (comparison.interval(m, group, 'AvgP', dataset) for m in (a, b))
      extremes = (comparison.value(m, group, name, dataset) for name in ('spread', 'worst phrasing') for m in (a, b))
      rows.append(
        (
          dataset or 'mean of all', own[0].shape[-1] if dataset else None, sum(s.shape[-2] for s in own), *means,
          Interval(r.difference, r.low, r.high), r.verdict, *extremes,
        )
      )  # fmt: skip
    out[group] = Table(f'card_{group}', '', columns, rows[1:] + rows[:1] if len(rows) > 2 else rows[1:])
  return out


def _gap(comparison: Comparison) -> Table | None:
  """Both models' gaps and the change; None where there is none."""
  if not comparison.has_gap:
    return None
  a, b = comparison.models
  row = (comparison.gap(a), comparison.gap(b), comparison.gap_change(b))
  names = (f'{a}: gap, points', f'{b}: gap, points', 'change, points')
  return Table('card_gap', '', tuple(Column(name, 'points') for name in names), [row])


def seeds_table(evaluated: Evaluated) -> Table | None:
  """The change by this adapter and by those of all seeds, for each group and dataset; None where there is one seed."""
  if not evaluated.others:
    return None
  runs = (evaluated.own, *evaluated.others)
  a, b = evaluated.own.models
  alike = [Source(run.sources[1].path, b, run.sources[1].table, run.sources[1].record) for run in runs]
  together = compare_sources([evaluated.own.sources[0], *alike])

  def row(group: str, dataset: str | None, weights: Mapping[str, float]) -> tuple[Any, ...]:
    single = [_change(run, weights, dataset).estimate for run in runs]
    return group, dataset or 'mean of all', single[0], _change(together, weights, dataset), min(single), max(single)

  rows = []
  for group in inputs.in_order(together.groups):
    own = [dataset for dataset, groups in together.datasets.items() if group in groups]
    rows += [row(group, dataset, {group: 1.0}) for dataset in (*own, *([None] if len(own) > 1 else []))]
  if together.has_gap:
    rows.append(row('gap', None, GAP))
  columns = (
    Column('phrasings'), Column('dataset'), Column('this adapter', 'points'),
    Column(f'mean of {len(runs)} seeds', 'points'), Column('lowest', 'points'), Column('highest', 'points'),
  )  # fmt: skip
  return Table('card_seeds', '', columns, rows)


def _change(comparison: Comparison, weights: Mapping[str, float], dataset: str | None) -> Interval:
  """The second model less the first, in a mean accuracy or the gap."""
  a, b = comparison.models
  return comparison.contrast(weights, [(b, 1.0), (a, -1.0)], dataset).interval()


def _training(subject: Subject) -> Table | None:
  """How it was trained; None where the adapter's file does not say."""
  config = subject.metadata.get('gin_config')
  if not isinstance(config, str):
    return None
  found = settings.read(config)
  rows = [(said, _plain(name, found[name])) for name, said in _TOLD.items() if found.get(name, 'None') != 'None']
  # What an objective that has settings is made of.
  rows += [(name, _resolved(value, found)) for name, value in found.items() if name.startswith('objectives.')]
  return Table('card_training', '', (Column('setting'), Column('value')), rows)


def _plain(name: str, value: str) -> str:
  """A setting's value without gin's marks, quotes around a text, or directories of files."""
  try:
    read = ast.literal_eval(value)
  except (ValueError, SyntaxError):
    return value.replace('@objectives.', '')
  if name == 'BANKS' and isinstance(read, list | tuple):
    read = [os.path.basename(str(path).rstrip('/')) for path in read]
  return read if isinstance(read, str) else repr(read)


def _resolved(value: str, found: Mapping[str, str]) -> str:
  """A value with the values of the macros in it."""
  return re.sub(r'%(\w+)', lambda m: found.get(m.group(1), m.group(0)), value).replace('@objectives.', '')


def _list(value: str | list[str]) -> list[str]:
  return [value] if isinstance(value, str) else value
