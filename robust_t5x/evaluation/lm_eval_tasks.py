"""Writes evaluation tasks for lm-evaluation-harness: a task for each phrasing, a group for each of ours, data beside them.

The data hold the text as a model reads it, options and right answers, so that nothing is left for the harness to fill in.
What a task was made of stands in its metadata, by which `results.lm_eval` reads the harness's samples back.
"""

from collections.abc import Iterable, Mapping, Sequence
import json
import os
import re
from typing import Any

import yaml

from robust_t5x.evaluation.rows import Row, read_task
from robust_t5x.results.lm_eval import Own
from robust_t5x.results.lm_eval_samples import OwnDocument
from robust_t5x.results.scorers import Scorer
from robust_t5x.runtime import files
from robust_t5x.runtime.errors import UsageError
from seqio_tasks.answers import AnswerKey
from seqio_tasks.pipeline.registration import EvaluationTask

_LENGTHS = {'inputs': 512, 'targets': 16}  # of tokens that are not used; texts are not cut
_SPLIT = 'test'  # what the harness is told
_LONGEST = 200  # letters of a name, of which a file's has 255 bytes


def export(
  mixtures: Mapping[str, Sequence[EvaluationTask]],
  out: str,
  scorer: Scorer,
  split: str,
  end_token: str,
  delimiter: str,
  max_output: int,
) -> None:
  """Writes the tasks of some mixtures.

  Args:
    mixtures: names and the tasks to write; a task may go by its own name.
    out: directory for `NAME.yaml` and `NAME.jsonl` of each phrasing, and `NAME.yaml` of each task and mixture, which are
      groups.
    scorer: how answers are scored: by the likelihoods of options, or of greedy outputs.
    split: of the tasks.
    end_token: what the model puts behind an answer, which then counts among the tokens of an option, such as '</s>'; may be
      empty.
    delimiter: between the text and an option: a space for a decoder, nothing for an encoder-decoder.
    max_output: most tokens of an output.

  Raises:
    UsageError: if a task has options that cannot be ranked, or no such split.
  """
  os.makedirs(out, exist_ok=True)
  tasks = {task.name: task for members in mixtures.values() for task in members}
  for task in tasks.values():
    fault = task.unrankable(split) if scorer.needs_options else None
    if fault is not None:
      raise UsageError(f'--scorer: {scorer.name} ranks options, but of {task.name} {fault}; use exact_match')
  taken = [*tasks, *mixtures]  # by groups
  for task in tasks.values():
    names = _export(task, out, taken, scorer, split, end_token, delimiter, max_output)
    taken += names
    _write(out, task.name, _group(task.name, names, scorer))
  for name, members in mixtures.items():
    if name not in tasks:
      _write(out, name, _group(name, [task.name for task in members], scorer))


def _export(
  task: EvaluationTask, out: str, taken: Sequence[str], scorer: Scorer, split: str, end_token: str, delimiter: str,
  max_output: int,
) -> list[str]:  # fmt: skip
  """Writes a task for each phrasing, under names that are not taken; returns them."""
  names: dict[str, str] = {}
  for instruction in task.instructions:
    names[instruction.id] = _unused(f'{task.name}__{instruction.id}', [*taken, *names.values()])
  documents: dict[str, list[OwnDocument]] = {i.id: [] for i in task.instructions}
  for row in read_task(task.name, _LENGTHS, split):
    documents[row['instruction_id']].append(_document(row))
  for instruction in task.instructions:
    name, own = names[instruction.id], documents[instruction.id]
    data = os.path.abspath(os.path.join(out, f'{name}.jsonl'))
    lines = (json.dumps(d | _choices(d, end_token), ensure_ascii=False) + '\n' for d in own)
    files.write_atomically(data, ''.join(lines))
    about = Own(
      dataset=task.dataset, instruction_id=instruction.id, group=task.group, template=instruction.template,
      scorer=scorer.name,
    )  # fmt: skip
    config = {
      'task': name, 'dataset_path': 'json', 'dataset_kwargs': {'data_files': {_SPLIT: data}}, 'test_split': _SPLIT,
      'num_fewshot': 0, 'doc_to_text': 'text', **_asked(own, scorer, delimiter, max_output),
      'metadata': {'version': 1.0, 'robust_t5x': dict(about)},
    }  # fmt: skip
    _write(out, name, config)
  return list(names.values())


def _group(name: str, members: Sequence[str], scorer: Scorer) -> Mapping[str, Any]:
  metric = 'exact_match' if scorer.rank is None else 'acc'
  return {
    'group': name, 'task': list(members), 'aggregate_metric_list': [{'metric': metric, 'weight_by_size': False}],
    'metadata': {'version': 1.0},
  }  # fmt: skip


def _document(row: Row) -> OwnDocument:
  key = AnswerKey.of_features(row)
  return OwnDocument(
    example_id=row['example_id'],
    text=row['inputs_pretokenized'],
    answers=list(key.right),
    options=list(key.options),
    right=list(key.right_options),
    option_texts=list(key.option_texts),
  )


def _choices(document: OwnDocument, end_token: str) -> dict[str, list[str]]:
  """The options as the harness scores them."""
  return {'choices': [option + end_token for option in document['options']]}


def _asked(documents: Iterable[OwnDocument], scorer: Scorer, delimiter: str, max_output: int) -> Mapping[str, Any]:
  """What the harness asks of the model, and how it scores that by itself."""
  if scorer.rank is not None:
    return {
      'output_type': 'multiple_choice', 'target_delimiter': delimiter, 'doc_to_choice': 'choices',
      'doc_to_target': 'right' if any(len(d['right']) > 1 for d in documents) else '{{right[0]}}',
      'metric_list': [{'metric': m, 'aggregation': 'mean', 'higher_is_better': True} for m in ('acc', 'acc_norm')],
    }  # fmt: skip
  return {
    'output_type': 'generate_until',
    'doc_to_target': 'answers' if any(len(d['answers']) > 1 for d in documents) else '{{answers[0]}}',
    'generation_kwargs': {'until': [], 'max_gen_toks': max_output, 'do_sample': False},
    'metric_list': [
      {
        'metric': 'exact_match', 'aggregation': 'mean', 'higher_is_better': True, 'ignore_case': True,
        'ignore_punctuation': True,
      }
    ],
  }  # fmt: skip


def _unused(name: str, taken: Iterable[str]) -> str:
  """A name for a task and its files: letters, digits, - and _, not too long for one; numbered where another has it."""
  plain = made = re.sub(r'[^A-Za-z0-9_-]+', '_', name)[:_LONGEST]
  number = 1
  used = {other.lower() for other in taken}  # some systems take names that differ in case for one
  while made.lower() in used:
    number += 1
    made = f'{plain}_{number}'
  return made


def _write(out: str, name: str, config: Mapping[str, Any]) -> None:
  text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True, width=120)
  files.write_atomically(os.path.join(out, f'{name}.yaml'), text)
