"""Reads what lm-evaluation-harness wrote as a results table: `lm_eval run --output_path DIR --log_samples`.

The harness knows tasks and documents, and several ways of asking one question in several wordings: tasks in a group or with
a tag, tasks whose documents hold a prompt each (SCORE's `prompt_id`), tasks that differ in `doc_to_text` alone. All but the
second leave tasks with the same documents and right answers, which are taken for phrasings of one dataset where no group
parts them; a document that holds a prompt tells its phrasing itself. The record's `taken` says what was taken for what.

A directory may be followed by `#METRIC` or `#METRIC,FILTER`, for other than the first of each.
"""

from collections.abc import Mapping, Sequence
import hashlib
import json
import os
import re
from typing import Any, NamedTuple, NotRequired, TypedDict

import pandas as pd

from robust_t5x.results.lm_eval_samples import Choice, Samples, SamplesError
from robust_t5x.results.lm_eval_samples import read as read_samples
from robust_t5x.results.schema import COLUMNS, LeftOut, Record, counts
from robust_t5x.results.scorers import SCORERS
from robust_t5x.runtime import records

_DATE = r'(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?)'
_SAMPLES = re.compile(rf'samples_(.+)_{_DATE}\.jsonl')
_RESULTS = re.compile(rf'.+_{_DATE}\.json')
_LOSSES = (
  'perplexity',
  'word_perplexity',
  'byte_perplexity',
  'bits_per_byte',
  'brier_score',
  'ter',
)  # if no results say so
_GROUP = 'all'  # the harness does not know which phrasings a model has seen


class Own(TypedDict):
  """What a task that this package exported says of itself in its metadata."""

  dataset: str
  instruction_id: str
  group: str
  template: str
  scorer: str


class _Metadata(TypedDict, total=False):
  robust_t5x: Own


class _Config(TypedDict, total=False):
  doc_to_text: Any
  doc_to_target: Any
  metadata: _Metadata | None


class _Count(TypedDict):
  effective: NotRequired[int]


# Such names are none of Python's.
_Numbers = TypedDict(
  '_Numbers', {'n-shot': NotRequired[dict[str, int | None]], 'n-samples': NotRequired[dict[str, _Count]]}
)


class Results(_Numbers):
  """What `results_DATE.json` says; older versions say less."""

  results: dict[str, Any]
  configs: NotRequired[dict[str, _Config]]
  group_subtasks: NotRequired[dict[str, list[str]]]
  higher_is_better: NotRequired[dict[str, dict[str, bool | None]]]
  config: NotRequired[dict[str, Any]]
  model_name: NotRequired[str | None]
  chat_template: NotRequired[str | dict[str, str] | None]
  system_instruction: NotRequired[str | None]
  lm_eval_version: NotRequired[str]


class _Task(NamedTuple):
  """A task that was read: its samples, and what the results say of it."""

  samples: Samples
  shots: int
  group: str
  template: str
  own: Own | None

  @property
  def fold(self) -> object:
    """Tasks with the same are phrasings of one dataset."""
    s = self.samples
    if self.own:
      return self.own['dataset']
    return (s.content, s.metric, s.filter, self.shots, self.group) if s.named else s.task


def split(path: str) -> tuple[str, Choice]:
  """A directory and the choice behind it.

  >>> split('out/run#exact_match,strict')
  ('out/run', Choice(metric='exact_match', filter='strict'))
  """
  directory, _, choice = path.partition('#') if not os.path.exists(path) else (path, '', '')
  metric, _, name = choice.partition(',')
  return directory, Choice(metric.strip(), name.strip())


def is_run(path: str) -> bool:
  """Whether a path is a directory with samples of the harness, or one that has such directories."""
  return bool(_directories(split(path)[0]))


def read_models(path: str) -> list[tuple[str, str, pd.DataFrame, Record]]:
  """Reads the runs of each model in a directory.

  Args:
    path: `--output_path` of the harness, or one of the folders in it, which are named after models; see `split`.

  Returns:
    for each model: its name, its folder, its results table, and a record like that of run.json, with `taken`.

  Raises:
    SamplesError: if a file is damaged, or no task has a score from 0 to 1.
  """
  directory, choice = split(path)
  suffix = path.removeprefix(directory)
  found = []
  for folder in _directories(directory):
    table, record = _read(folder, choice)
    found.append((record['label'], folder + suffix, table, record))
  return found


def _directories(path: str) -> list[str]:
  """The path itself or the folders in it, those that hold samples."""
  if not os.path.isdir(path):
    return []
  folders = [path, *sorted(entry.path for entry in os.scandir(path) if entry.is_dir())]
  return [f for f in folders if any(_SAMPLES.fullmatch(name) for name in os.listdir(f))]


def _read(folder: str, choice: Choice) -> tuple[pd.DataFrame, Record]:
  results = _results(folder)
  newest: dict[str, str] = {}
  left_out: list[LeftOut] = []
  files = sorted(_sample_files(folder), reverse=True)
  label = _label(folder, results.get(files[0][0]))
  for date, task, name in files:
    if (other := _label(folder, results.get(date))) != label:
      left_out.append(_left(os.path.join(folder, name), f'it is of {other}, newer ones of {label}'))
    elif task in newest:
      left_out.append(_left(os.path.join(folder, name), f'there is a newer run of {task}'))
    else:
      newest[task] = date
  tasks: list[_Task] = []
  for task, date in sorted(newest.items()):
    file = os.path.join(folder, f'samples_{task}_{date}.jsonl')
    read = _task(file, task, results.get(date), choice)
    if isinstance(read, str):
      left_out.append(_left(file, read))
    else:
      tasks.append(read)
  if not tasks:
    raise SamplesError(f'{folder}: no task can be used: {left_out[-1]["file"]}: {left_out[-1]["reason"]}')
  table, instructions, taken = _fold(
    tasks, {g: t for r in results.values() for g, t in r.get('group_subtasks', {}).items()}
  )
  table = table.assign(model=label)[list(COLUMNS)]
  record: Record = {
    'label': label,
    'fingerprint': {'scorer': sorted(set(table['scorer'])), 'tasks': _hashes(table, instructions)},
    'instructions': instructions,
    'rows': len(table),
    **counts(table),
    'launcher': 'lm-eval',
    'gin_config': '',
    'finished': 'by lm-evaluation-harness',
    'versions': {'lm_eval': ', '.join(sorted({str(r.get('lm_eval_version', 'unknown')) for r in results.values()}))},
    'sources': [folder],
    'left_out': left_out,
    'taken': taken,
  }
  return table, record


def _sample_files(folder: str) -> list[tuple[str, str, str]]:
  """(date, task, name) of the files of samples."""
  matches = [m for m in map(_SAMPLES.fullmatch, sorted(os.listdir(folder))) if m]
  return [(m[2], m[1], m[0]) for m in matches]


def _results(folder: str) -> dict[str, Results]:
  """Date -> what the harness wrote of a run as a whole."""
  found = {}
  for match in filter(None, map(_RESULTS.fullmatch, sorted(os.listdir(folder)))):
    path = os.path.join(folder, match[0])
    try:
      found[match[1]] = records.read(path, Results, 'run the tasks again')
    except records.RecordError as e:
      raise SamplesError(str(e)) from e
  return found


def _task(file: str, task: str, results: Results | None, choice: Choice) -> _Task | str:
  known: Mapping[str, Any] = results or {}
  config = known.get('configs', {}).get(task, {})
  own = (config.get('metadata') or {}).get('robust_t5x')
  if own is not None and own['scorer'] not in SCORERS:
    raise SamplesError(f'{file}: the task was exported with the scorer {own["scorer"]!r}; export it again')
  losses = (
    _LOSSES
    if results is None
    else [m for m, higher in known.get('higher_is_better', {}).get(task, {}).items() if higher is False]
  )
  scorer = own['scorer'] if own and not any(choice) else ''
  samples = read_samples(file, task, choice, scorer, losses, config.get('doc_to_target'))
  if isinstance(samples, str):
    return samples
  documents = known.get('n-samples', {}).get(task, {}).get('effective', 0)
  if len(samples.samples) < documents:
    raise SamplesError(
      f'{file}: holds {len(samples.samples):,} of the {documents:,} documents that the results have; copy the file again, or run the '
      'task again'
    )
  template = own['template'] if own else config.get('doc_to_text')
  groups = [g for g, members in known.get('group_subtasks', {}).items() if task in members]
  return _Task(
    samples=samples,
    shots=known.get('n-shot', {}).get(task) or 0,
    group=min(groups, key=lambda g: len(known['group_subtasks'][g])) if groups else '',
    template=template if isinstance(template, str) else '',
    own=own,
  )


def _label(folder: str, results: Results | None) -> str:
  """The model's name, and what else changes its answers: an adapter of ours, a chat template, a system instruction."""
  if results is None:
    return os.path.basename(os.path.abspath(folder))
  parts = [results.get('model_name') or os.path.basename(os.path.abspath(folder))]
  adapter = (results.get('config', {}).get('robust_t5x') or {}).get('adapter')
  if adapter:
    parts.append(f'adapter {adapter["path"]}')
  if results.get('chat_template'):
    parts.append('chat template')
  instruction = results.get('system_instruction')
  if instruction:
    parts.append(f'system instruction {_digest(instruction)[:6]}')
  return ', '.join(parts)


def _fold(
  tasks: Sequence[_Task], groups: Mapping[str, Sequence[str]]
) -> tuple[pd.DataFrame, dict[str, str], list[str]]:
  """The tasks as one table, templates of the phrasings, and what was taken for what."""
  folds: dict[object, list[_Task]] = {}
  for task in tasks:
    folds.setdefault(task.fold, []).append(task)
  rows: list[dict[str, Any]] = []
  instructions: dict[str, str] = {}
  taken = []
  datasets: set[str] = set()
  for members in folds.values():
    first = members[0]
    names = [t.samples.task for t in members]
    dataset = (
      first.own['dataset']
      if first.own
      else _dataset(names, groups) + (f', shots: {first.shots}' if first.shots else '')
    )
    if dataset in datasets:  # tasks of other documents have a name that begins so, too
      dataset = ' + '.join(names)
    datasets.add(dataset)
    for task in members:
      for sample in task.samples.samples:
        instruction = f'{task.samples.task}/{sample.prompt}' if sample.prompt else task.samples.task
        instruction = task.own['instruction_id'] if task.own else instruction
        instructions.setdefault(instruction, sample.wording or task.template)
        group = task.own['group'] if task.own else _GROUP
        rows.append(
          {
            'dataset': dataset,
            'example_id': sample.example,
            'instruction_id': instruction,
            'group': group,
            'truncated_tokens': 0,
            'cut_answer_tokens': 0,
            **sample.cell,
          }  # fmt: skip
        )
    taken.append(_told(dataset, members))
  return pd.DataFrame(rows), instructions, taken


def _dataset(names: Sequence[str], groups: Mapping[str, Sequence[str]]) -> str:
  """What tasks are called together: their group, if it has no other, or what their names begin with alike."""
  for group, members in groups.items():
    if len(names) > 1 and set(members) == set(names):
      return group
  prefix = (
    re.sub(r'[\W_]+(prompt|p|v|variant)?[\W_]*$', '', os.path.commonprefix(names)) if len(names) > 1 else names[0]
  )
  return prefix or ' + '.join(names)


def _told(dataset: str, members: Sequence[_Task]) -> str:
  """What was taken for a dataset and its phrasings, in words."""
  first = members[0].samples
  prompts = {s.prompt for s in first.samples}
  names = ', '.join(t.samples.task for t in members[:4]) + (f' and {len(members) - 4} more' if len(members) > 4 else '')
  if members[0].own:
    told = f'{dataset}: {len(members)} tasks that were exported from it, a phrasing each'
  elif prompts != {''}:
    told = f'{dataset}: the {len(prompts)} prompts that its documents hold are phrasings'
    told += f', of each of the tasks {names}' if len(members) > 1 else ''
  elif len(members) > 1:
    how = f'group {members[0].group}' if members[0].group else 'no group'
    told = f'{dataset}: the tasks {names} ({how}) have the same documents and right answers, and are phrasings of one dataset'
  else:
    told = f'{dataset}: a task by itself, one phrasing'
  told += f'; score: {first.metric}{f", filter {first.filter}" if first.filter else ""}'
  return told + (f' (there are also {", ".join(first.others)}).' if first.others else '.')


def _left(file: str, reason: str) -> LeftOut:
  return {'file': file, 'row': 0, 'reason': reason, 'content': {}}


def _hashes(table: pd.DataFrame, instructions: Mapping[str, str]) -> dict[str, str]:
  """Dataset -> a hash of its phrasings and their templates."""
  return {
    str(dataset): _digest(json.dumps(sorted((i, instructions[i]) for i in rows['instruction_id'].unique())))
    for dataset, rows in table.groupby('dataset', sort=False)
  }


def _digest(text: str) -> str:
  return hashlib.sha256(text.encode()).hexdigest()
