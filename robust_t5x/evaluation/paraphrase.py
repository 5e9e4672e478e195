"""Paraphrases that a model drafts of phrasings of a bank, checked, judged and written down for a person to review.

`robust-t5x tasks paraphrase --gin_file=gin/runs/paraphrase.gin ...`. What is asked for differs from draft to draft in form and register,
since outputs are greedy. `seqio_tasks.bank.drafts` refuses what changes the fields or the form of the answer, doubles a phrasing or
comes near one that is for another purpose; what is left the model judges, both ways round. How much its word counts is told by
instructions that differ for certain.
"""

import collections
from collections.abc import Iterable, Mapping, Sequence
import json
import os
import re
import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import numpy as np

from robust_t5x.runtime import errors, files, launcher, progress, records
from seqio_tasks import framing
from seqio_tasks.bank import drafts, likeness, reading, schema
from seqio_tasks.bank.checks import TRAINING_ROLES
from seqio_tasks.bank.instruction import NAME, Instruction
from seqio_tasks.errors import UserError, shorten

if TYPE_CHECKING:
  from robust_t5x.evaluation.subjects import Subject

BANK, RECORD = 'paraphrases.yaml', 'drafts.json'  # in the directory
ROLES = (*TRAINING_ROLES, 'evaluation')
DIFFERS, UNCLEAR = 'the judge says that it means something else', 'the judge says neither yes nor no'

_FORMS = (
  'as a question', 'as a command', 'as a statement that the answer completes', 'as a request to somebody',
  'as a short scene or situation that leads to the question', 'as labels with colons and hardly any words',
  'with what is filled in first and what is asked last', 'with what is asked first and what is filled in last',
)  # fmt: skip
_REGISTERS = ('plain', 'formal', 'chatty', 'as brief as possible', 'with more words than now', 'like an exam or a quiz')
MANNERS = tuple(
  f'{_FORMS[i % len(_FORMS)]}, in this style: {_REGISTERS[(i // len(_FORMS) + i % len(_FORMS)) % len(_REGISTERS)]}'
  for i in range(len(_FORMS) * len(_REGISTERS))
)
# What certainly asks for something else than a phrasing that is to be answered.
_FOREIGN = (
  'Translate the following into French. {}', 'How many letters are there in this? {}', 'Write a short poem about {}',
  'Do not answer, but say who might have written this: {}',
)  # fmt: skip
_LENGTHS = {'inputs': 1024, 'targets': 192}
_VERDICT_LENGTHS = {'inputs': 1024, 'targets': 8}


class _Kept(TypedDict):
  source: str
  manner: str
  likeness: float


class _Refused(TypedDict):
  text: str
  source: str
  manner: str
  reason: str
  detail: str


class _Record(TypedDict):
  model: dict[str, Any]
  command: str
  task: str
  role: str
  sources: dict[str, str]
  kept: dict[str, _Kept]
  refused: list[_Refused]
  judge: str


class _Draft(NamedTuple):
  text: str
  source: Instruction
  manner: str


def paraphrase(
  loaded: 'Subject',
  output_dir: str,
  task: str,
  banks: Sequence[str] = ('package',),
  sources: Sequence[str] | None = None,
  role: str = 'alignment',
  collection: str = 'paraphrases',
  num_drafts: int = 48,
  batch_size: int = 16,
) -> str:
  """Drafts paraphrases and writes a bank file of those that are kept, and a record of all.

  Args:
    loaded: the model: a loading.Loaded, or a served one (served.serving).
    output_dir: where the files go.
    task: of the bank, whose phrasings are paraphrased.
    banks: "package" for the phrasings that come with it, and bank files or directories of them.
    sources: ids of the phrasings; by default all of the task with the role. They must have the role, so that nothing that is
      trained on descends from what is reported on.
    role: what the paraphrases are for: one of `ROLES`.
    collection: of the paraphrases.
    num_drafts: that are asked for, at most one for each source and manner.
    batch_size: texts that a loaded model answers together.

  Returns:
    what came of it, in lines.

  Raises:
    UserError: naming the setting that cannot be used.
  """
  errors.check_required({'OUTPUT_DIR': output_dir, 'TASK': task})
  if role not in ROLES:
    raise errors.UsageError(f'ROLE: {role!r} is none of {", ".join(ROLES)}')
  if not NAME.fullmatch(collection):
    raise errors.UsageError(f'COLLECTION: {shorten(repr(collection))} must be one word of letters, digits and _')
  path = os.path.join(output_dir, BANK)
  if os.path.exists(path):
    raise errors.UsageError(f'{path} is there already; name another OUTPUT_DIR, or move the file')
  bank = reading.read_banks(banks)
  chosen = _sources(bank, task, sources, role)
  if not 1 <= num_drafts <= len(chosen) * len(MANNERS):
    raise errors.UsageError(
      f'NUM_DRAFTS is {num_drafts}; with {len(chosen)} phrasings to paraphrase ask for 1 to {len(chosen) * len(MANNERS)}'
    )
  asked = [_asked(chosen, i) for i in range(num_drafts)]
  outputs = _answers(loaded, [_request(*pair) for pair in asked], _LENGTHS, batch_size, output_dir, 'drafting')
  made = [_Draft(drafts.tidied(text, pair[0]), *pair) for text, pair in zip(outputs, asked, strict=True)]
  found = drafts.Drafts(bank, task, role, collection)
  faults = {draft: fault for draft in made if (fault := found.fault(draft.text, draft.source))}
  to_judge = [draft for draft in made if draft not in faults]
  foreign = [text.format(', '.join(f'{{{name}}}' for name in chosen[0].fields)) for text in _FOREIGN]
  pairs = [(chosen[0].template, text) for text in foreign] + [(d.source.template, d.text) for d in to_judge]
  verdicts = _judged(loaded, pairs, batch_size, output_dir)
  taken = sum(verdict is None for verdict in verdicts[: len(foreign)])
  judge = f'of {len(foreign)} instructions that certainly ask for something else the judge took {taken} for the same'
  faults |= {d: (v, '') for d, v in zip(to_judge, verdicts[len(foreign) :], strict=True) if v is not None}
  kept: dict[str, _Kept] = {}
  for draft in made:
    fault = faults.get(draft) or found.fault(draft.text, draft.source)  # again, beside those that were kept
    if fault is None:
      alike = likeness.likeness(draft.text, draft.source.template)
      key = found.keep(draft.text, draft.source).key
      kept[key] = {'source': draft.source.id, 'manner': draft.manner, 'likeness': round(alike, 4)}
    else:
      faults[draft] = fault
  record: _Record = {
    'model': loaded.identity, 'command': launcher.command_line(), 'task': task, 'role': role,
    'sources': {source.id: source.template for source in chosen}, 'kept': kept,
    'refused': [_refused(draft, *faults[draft]) for draft in made if draft in faults], 'judge': judge,
  }  # fmt: skip
  os.makedirs(output_dir, exist_ok=True)
  files.write_atomically(os.path.join(output_dir, RECORD), json.dumps(record, indent=2, ensure_ascii=False) + '\n')
  if kept:
    heading = (
      f'# Drafts by {shorten(loaded.label, 80)}, which nobody has reviewed yet: delete or mend what does not ask for the same.\n'
      f'# `robust-t5x tasks paraphrase --review DIR` shows each beside its source. As a check of the judge: {judge}.\n'
    )
    files.write_atomically(
      path, heading + schema.file_text('paraphrases', found.kept, collection=collection, role=role)
    )
    reading.read_banks([path])
  return '\n'.join([*_told(record, taken > 0), f'wrote {path if kept else os.path.join(output_dir, RECORD)}'])


def _sources(bank: Iterable[Instruction], task: str, wanted: Sequence[str] | None, role: str) -> list[Instruction]:
  """The phrasings to paraphrase."""
  bank = list(bank)
  of_task = {i.id: i for i in bank if i.task == task and i.layout.template is not None}
  if not of_task:
    tasks = list(dict.fromkeys(i.task for i in bank))
    raise errors.UsageError(
      f'TASK: the banks have no phrasing of {task!r}{errors.nearest(task, tasks)}; set BANKS or TASK'
    )
  chosen = [i for i in of_task.values() if i.role == role] if wanted is None else []
  for id_ in wanted or ():
    if id_ not in of_task:
      raise errors.UsageError(f'SOURCES: the banks have no phrasing {id_!r} of {task}{errors.nearest(id_, of_task)}')
    if of_task[id_].role != role:
      raise errors.UsageError(
        f'SOURCES: {id_} has the role {of_task[id_].role}, and paraphrases of it cannot have the role {role}: what is trained or '
        'chosen on must not descend from what is reported on; name phrasings of that role, or set ROLE'
      )
    chosen.append(of_task[id_])
  if not chosen:
    raise errors.UsageError(
      f'the banks have no phrasing of {task} with the role {role} to paraphrase; write one into a bank file and add that to BANKS, '
      'or set ROLE'
    )
  return chosen


def _asked(sources: Sequence[Instruction], number: int) -> tuple[Instruction, str]:
  """The source and the manner of a draft: sources take turns, each of them with other manners in every round."""
  turn, place = divmod(number, len(sources))
  return sources[place], MANNERS[(turn + place) % len(MANNERS)]


def _request(source: Instruction, manner: str) -> str:
  """What a model is asked for a draft."""
  fields = ', '.join(f'{{{name}}}' for name in source.fields)
  return (
    'Below is an instruction. Write another instruction that asks for exactly the same thing in other words. '
    f'Write it {manner}.\n'
    + (f'Text in braces is filled in later: {fields} must stand in it, in braces, once each.\n' if fields else '')
    + 'The answers to both must be the same, in the same form. Do not answer it. Write the new instruction and nothing else.\n\n'
    f'Instruction:\n{source.template}\n\nNew instruction:'
  )


def _judged(loaded: 'Subject', pairs: Sequence[tuple[str, str]], batch_size: int, directory: str) -> list[str | None]:
  """For each pair of phrasings why they are not equivalent; None where the judge says that they are, both ways round."""
  texts = [_question(*side) for a, b in pairs for side in ((a, b), (b, a))]
  outputs = _answers(loaded, texts, _VERDICT_LENGTHS, batch_size, directory, 'judging')
  said = [
    found[0].lower() if (found := re.match(r'(?<!\w)(yes|no)\b', text.lstrip(' \n"\'*(.'), re.I)) else ''
    for text in outputs
  ]
  verdicts: list[str | None] = []
  for both in zip(said[::2], said[1::2], strict=True):
    verdicts.append(DIFFERS if 'no' in both else UNCLEAR if '' in both else None)
  return verdicts


def _question(first: str, second: str) -> str:
  return (
    'Here are two instructions. Text in braces is filled in later, alike in both.\n\n'
    f'First instruction:\n{first}\n\nSecond instruction:\n{second}\n\n'
    'Do both ask for the same answer, in the same form? Reply with yes or no.'
  )


def _answers(
  loaded: 'Subject', texts: Sequence[str], lengths: Mapping[str, int], batch_size: int, directory: str, label: str
) -> list[str]:
  """Greedy outputs."""
  encoded = framing.inputs(loaded.vocabulary, texts, loaded.lengths(lengths)['inputs'])
  for text, tokens in zip(texts, encoded, strict=True):
    if tokens.cut:
      raise UserError(
        f'{shorten(repr(text))} is too long for the model by {tokens.cut} tokens; leave its phrasing out of SOURCES'
      )
  runner = loaded.runner(batch_size, lengths, directory)
  with progress.Progress(label, len(texts)) as bar:
    return runner.generate([np.asarray(tokens.ids) for tokens in encoded], bar.advance)


def _refused(draft: _Draft, reason: str, detail: str) -> _Refused:
  return {
    'text': draft.text, 'source': draft.source.id, 'manner': draft.manner, 'reason': reason, 'detail': detail
  }  # fmt: skip


def _told(record: _Record, judge_errs: bool) -> list[str]:
  """How many drafts were refused and why, and how alike those that were kept are to their sources."""
  kept, refused = record['kept'], record['refused']
  count = len(record['sources'])
  lines = [
    f'{len(kept) + len(refused)} drafts of {count} phrasing{"s" if count > 1 else ""}: {len(kept)} kept, {len(refused)} refused'
  ]
  lines += [f'  {n:4}  {reason}' for reason, n in collections.Counter(r['reason'] for r in refused).most_common()]
  if kept:
    found = likeness.distribution([entry['likeness'] for entry in kept.values()])
    median, high, most = found.quantiles
    lines.append(
      f'likeness to what they paraphrase: median {median:.2f}, 90% {high:.2f}, most {most:.2f} (1 is the same words)'
    )
  lines.append(f'{"warning: " if judge_errs else ""}{record["judge"]}')
  return lines


def review(directory: str, width: int = 120) -> str:
  """The paraphrases of a directory beside what they paraphrase, and what was refused and why.

  Args:
    directory: that `paraphrase` wrote; the bank file may have been edited since.
    width: of the text, in letters.

  Raises:
    UserError: if it holds no drafts, or the bank file is faulty.
  """
  path = os.path.join(directory, RECORD)
  cure = 'name an OUTPUT_DIR of `robust-t5x tasks paraphrase`'
  if not os.path.isfile(path):
    raise UserError(f'{directory} has no {RECORD}; {cure}')
  record: _Record = records.read(path, _Record, cure)
  bank = os.path.join(directory, BANK)
  there = {i.key: i for i in reading.read_banks([bank])} if os.path.exists(bank) else {}
  half = (width - 3) // 2

  def column(text: str) -> list[str]:
    return [part for line in text.split('\n') for part in textwrap.wrap(line, half) or ['']]

  lines = []
  for key, instruction in there.items():
    source = record['sources'].get(instruction.source, '')
    alike = likeness.likeness(instruction.template, source)
    lines.append(f'--- {key}, of {instruction.source or "nothing named"}, likeness {alike:.2f}')
    left, right = column(source), column(instruction.template)
    for i in range(max(len(left), len(right))):
      a, b = (side[i] if i < len(side) else '' for side in (left, right))
      lines.append(f'{a:<{half}} | {b}'.rstrip())
  removed = [key for key in record['kept'] if key not in there]
  if removed:
    lines.append(f'removed since they were drafted: {", ".join(removed)}')
  by_reason: dict[str, list[_Refused]] = {}
  for refused in record['refused']:
    by_reason.setdefault(refused['reason'], []).append(refused)
  for reason, members in sorted(by_reason.items(), key=lambda item: -len(item[1])):
    lines.append(f'--- refused, {len(members)}: {reason}')
    lines += [f'  {shorten(r["text"], width)!r}' + (f' ({r["detail"]})' if r['detail'] else '') for r in members]
  return '\n'.join([*lines, record['judge']])
