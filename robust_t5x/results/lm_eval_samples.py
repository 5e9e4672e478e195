"""Reads a file of samples that lm-evaluation-harness wrote: the answer to every document of a task, and its score.

`lm_eval run --log_samples` writes `samples_TASK_DATE.jsonl`, a line for each document and filter: the document, what was
asked and answered, and the value of every metric.
"""

from collections.abc import Collection, Mapping, Sequence
import dataclasses
import hashlib
import json
import re
from typing import Any, NamedTuple, NotRequired, TypedDict

from robust_t5x.results.scorers import SCORERS, Scored
from robust_t5x.runtime import records
from seqio_tasks import tables
from seqio_tasks.answers import AnswerKey, best_options
from seqio_tasks.errors import UserError, shorten

# Fields of a document that tell which of several prompts it holds: those of the harness's SCORE tasks.
PROMPT_FIELDS = ('prompt_id', 'always_same_option')
_OF_PROMPT = (*PROMPT_FIELDS, 'prompt', 'options_format')
# Metrics of SCORE tasks, which have a name for each prompt, and say more of a document than a number.
_NUMBERED = re.compile(r'(\d+|per_option)(_macro)?_accuracy(_.+)?')
_NO_FILTER = 'none'


class SamplesError(UserError):
  """Samples that cannot be read as results; the message names file, line and cure."""


class Line(TypedDict):
  """A line of the file; beside these it has a value for each metric."""

  doc_id: int | str
  resps: list[Any]
  filtered_resps: list[Any]
  target: NotRequired[Any]
  doc: NotRequired[Any]
  arguments: NotRequired[dict[str, Any] | list[Any]]
  filter: NotRequired[str]
  metrics: NotRequired[list[str]]
  doc_hash: NotRequired[str]


class Choice(NamedTuple):
  """Which number of several is the score: names of a metric and a filter, empty for the first that can be one."""

  metric: str = ''
  filter: str = ''


FIRST = Choice()


class Sample(NamedTuple):
  """An answer.

  Attributes:
    example: name of the document, the same under each of its prompts.
    prompt: which of the prompts that the task's documents hold; empty where they hold none.
    wording: of that prompt, where the document has it.
    cell: how it was scored.
  """

  example: str
  prompt: str
  wording: str
  cell: Scored


@dataclasses.dataclass(frozen=True)
class Samples:
  """The answers to a task.

  Attributes:
    task: its name.
    metric: that the scores are of.
    filter: that the answers went through.
    others: other metrics and filters that the file has, in words.
    samples: the answers.
    named: whether each document is known by more than its number, so that it can be told from those of other tasks.
  """

  task: str
  metric: str
  filter: str
  others: tuple[str, ...]
  samples: tuple[Sample, ...]
  named: bool

  @property
  def content(self) -> frozenset[tuple[str, str]]:
    """Names and right answers of the documents: tasks with the same are prompts of one dataset."""
    return frozenset((s.example, s.cell['gold']) for s in self.samples)


def read(
  path: str,
  task: str,
  choice: Choice = FIRST,
  own_scorer: str = '',
  losses: Collection[str] = (),
  target: object = None,
) -> Samples | str:
  """Reads the samples of a task.

  Args:
    path: the file.
    task: name of the task.
    choice: which metric and filter.
    own_scorer: of results.scorers.SCORERS; a task that this package exported is scored by it, from the answers.
    losses: metrics that are better the lower they are, such as brier_score, and so no scores.
    target: the task's `doc_to_target`, which may be the field of the document with the right answer.

  Returns:
    the samples; or why they have no score, such as for a task of perplexities.

  Raises:
    SamplesError: if the file is damaged.
  """
  lines = _lines(path)
  by_filter: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
  for number, line in lines:
    by_filter.setdefault(line.get('filter') or _NO_FILTER, []).append((number, line))
  name = choice.filter or next(iter(by_filter))
  if name not in by_filter:
    return f'it has no filter {name!r}, only {", ".join(by_filter)}'
  chosen = by_filter[name]
  found = _metrics(chosen)
  values = {metric: column for metric, column in found.items() if metric not in losses}
  usable = [m for m, column in values.items() if None not in column and len(column) == len(chosen)]
  if own_scorer:
    metric = own_scorer
  elif (choice.metric or (usable or [''])[0]) in usable:
    metric = choice.metric or usable[0]
  else:
    wanted = f'no metric {choice.metric!r} from 0 to 1' if choice.metric else 'no metric from 0 to 1 for each document'
    return f'it has {wanted}; its metrics are {", ".join(found) or "none"}'
  scores = values.get(metric, [])
  samples = []
  seen: set[tuple[str, str]] = set()
  for place, (number, line) in enumerate(chosen):
    try:
      cell = _own_cell(line, own_scorer) if own_scorer else _cell(line, metric, name, scores[place] or 0.0, target)
      sample = Sample(*(_own_identity(line) if own_scorer else _identity(line)), cell)
    except (UserError, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as e:
      raise SamplesError(f'{path}: line {number}: not a sample ({shorten(repr(e))}); run the task again') from e
    if sample[:2] in seen:
      raise SamplesError(f'{path}: line {number}: a second sample of document {line["doc_id"]}; run the task again')
    seen.add(sample[:2])
    samples.append(sample)
  others = [f'metric {m}' for m in usable if m != metric] + [f'filter {f}' for f in by_filter if f != name]
  named = all(line.get('doc') is not None or line.get('doc_hash') for _, line in chosen)
  return Samples(task, metric, '' if name == _NO_FILTER else name, tuple(others), tuple(samples), named)


def _lines(path: str) -> Sequence[tuple[int, Mapping[str, Any]]]:
  try:
    lines = tables.read_jsonl(path)
  except tables.TableError as e:
    raise SamplesError(f'{e}; run the task again') from e
  if not lines:
    raise SamplesError(f'{path}: holds no sample; run the task again')
  for number, line in lines:
    fault = records.fault(line, Line)
    if fault:
      raise SamplesError(f'{path}: line {number}: not a sample of lm-evaluation-harness ({fault}); run the task again')
  return lines


def _metrics(lines: Sequence[tuple[int, Mapping[str, Any]]]) -> dict[str, list[float | None]]:
  """Metric -> the score of each line that has it, None where the value is no score."""
  found: dict[str, list[float | None]] = {}
  for _, line in lines:
    names = line.get('metrics') or [k for k in line if k not in Line.__annotations__ and not k.endswith('_hash')]
    for name in names:
      # How far a document's prompts agree is computed here from their answers.
      if name in line and not name.endswith('consistency_rate'):
        numbered = _NUMBERED.fullmatch(name)
        value = _of_prompt(line[name]) if numbered else line[name]
        found.setdefault('accuracy' if numbered else name, []).append(_score(value))
  return found


def _score(value: object) -> float | None:
  """A score from 0 to 1 of what a metric says of a document; None where it is none.

  Lists are none: they are what a metric of all documents together is made of, such as right and given answer for F1.

  >>> _score(True), _score(12.5), _score([0, 1])
  (1.0, None, None)
  """
  if isinstance(value, bool | int | float) and 0 <= value <= 1:
    return float(value)
  return None


def _of_prompt(value: object) -> object:
  """What a metric of SCORE says of a document: question, prompt, answer, right answer, or prompt and whether it is right.

  Without a right answer it says nothing.

  >>> _of_prompt([7, 0, 'A', 'B', 'physics']), _of_prompt([0, 1]), _of_prompt([7, 0, 'A', None])
  (False, 1, None)
  """
  if isinstance(value, list) and len(value) >= 4:
    return None if value[3] is None else value[2] == value[3]
  return value[1] if isinstance(value, list) and len(value) == 2 else value


def _own_identity(line: Mapping[str, Any]) -> tuple[str, str, str]:
  return line['doc']['example_id'], '', ''


def _identity(line: Mapping[str, Any]) -> tuple[str, str, str]:
  """Names of the document and of the prompt that it holds, and the prompt's wording."""
  doc = line.get('doc')
  held = [f for f in PROMPT_FIELDS if isinstance(doc, dict) and f in doc]
  if held and isinstance(doc, dict):
    rest = doc['question_id'] if 'question_id' in doc else {k: v for k, v in doc.items() if k not in _OF_PROMPT}
    name = str(rest) if isinstance(rest, str | int) else _digest(rest)[:8]
    return name, str(doc[held[0]]), str(doc.get('prompt', ''))
  digest = line.get('doc_hash') or ('' if doc is None else _digest(doc))
  return f'{line["doc_id"]}:{digest[:8]}' if digest else str(line['doc_id']), '', ''


def _digest(value: object) -> str:
  return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _arguments(line: Mapping[str, Any]) -> list[list[Any]]:
  """What was asked, for each request of the document: context, and continuation or settings."""
  arguments = line.get('arguments') or []
  requests = list(arguments.values()) if isinstance(arguments, dict) else arguments
  return [list(r.values()) if isinstance(r, dict) else list(r) for r in requests]


def _options(line: Mapping[str, Any]) -> tuple[str, ...]:
  """The options that were ranked; empty where the answer is not one of several.

  They are what the requests do not share: continuations of one context, or contexts of one continuation.
  """
  requests = [r for r in _arguments(line) if len(r) > 1 and isinstance(r[1], str)]
  if len(requests) < 2:
    return ()
  # Behind the options may stand the same without a context, for a metric that needs them.
  half = len(requests) // 2
  if any(r[0].strip() for r in requests[:half]) and not any(r[0].strip() for r in requests[half:]):
    requests = requests[:half]
  continuations = [r[1].strip() for r in requests]
  return tuple(r[0] for r in requests) if len(set(continuations)) == 1 else tuple(continuations)


def _likelihoods(line: Mapping[str, Any], count: int) -> list[float]:
  """Log-likelihood of each option, in nats; the harness writes numbers as texts."""
  return [float(r[0]) for r in line['filtered_resps'][:count]]


def _cell(line: Mapping[str, Any], metric: str, filter_name: str, score: float, target: object) -> Scored:
  """A cell with the harness's own score."""
  scorer = f'lm-eval {metric}' + ('' if filter_name == _NO_FILTER else f', filter {filter_name}')
  options = _options(line)
  told = next((v for k, v in line.items() if _NUMBERED.fullmatch(k) and isinstance(v, list) and len(v) >= 4), None)
  extracted = line.get('consistency_rate')  # question, answer
  likelihoods = _likelihoods(line, len(options))
  if options:
    weights = [1.0 if metric != 'acc_norm' else len(o) for o in options]
    weights = [float(len(o.encode())) for o in options] if metric == 'acc_bytes' else weights
    # Behind them, for this metric, those of the options without their context.
    alone = [float(r[0]) for r in line['filtered_resps'][len(options) :]] if metric == 'acc_mutual_info' else []
    numbers = [ll - other for ll, other in zip(likelihoods, alone, strict=True)] if alone else likelihoods
    best = best_options([number / max(w, 1.0) for number, w in zip(numbers, weights, strict=True)])
    prediction, tied = options[best[0]], len(best) if len(best) > 1 else 0
  else:
    prediction, tied = _answer(line), 0
    if isinstance(extracted, list) and len(extracted) == 2:
      prediction = str(extracted[1])
    if told:
      prediction = str(told[2])
  right = [str(told[3])] if told else _right(line, options, target)
  return Scored(
    scorer=scorer,
    prediction=prediction,
    gold=' | '.join(right),
    score=score,
    option_scores=json.dumps({o: round(s, 5) for o, s in zip(options, likelihoods, strict=True)}) if options else '',
    option_tokens='[]' if len(set(options)) < len(options) else '',  # as `Scorer.of_ranking` has it
    also_right=json.dumps(right, ensure_ascii=False) if options and len(right) > 1 else '',
    matched_option=True,
    tied_options=tied,
    strict_score=float('nan'),
    extracted_score=float('nan'),
  )


def _right(line: Mapping[str, Any], options: Sequence[str], field: object) -> list[str]:
  """The right answer, or several right options, in words. The harness writes options by number, as texts.

  A document's field that is a text is an option itself, also where it reads like a number.
  """
  text = '' if line.get('target') is None else str(line['target'])
  doc = line.get('doc')
  if isinstance(doc, dict) and isinstance(field, str) and isinstance(doc.get(field), str) and text in options:
    return [text]
  numbers = re.fullmatch(r'\[(\d+(?:, \d+)*)\]|(\d+)', text)
  places = [int(n) for n in (numbers[1] or numbers[2]).split(', ')] if numbers else []
  right = [options[place] for place in dict.fromkeys(places) if place < len(options)]
  return right if right and len(right) == len(set(places)) else [text]


def _answer(line: Mapping[str, Any]) -> str:
  """The text that was generated, the first of several; of one likelihood, the continuation if it was the likeliest."""
  first = line['filtered_resps'][0]
  while isinstance(first, list) and first and isinstance(first[0], list):
    first = first[0]
  if isinstance(first, list) and len(first) == 2 and str(first[1]) in ('True', 'False'):
    return str(_arguments(line)[0][1]).strip() if str(first[1]) == 'True' else ''
  return str(first[0]) if isinstance(first, list) and first else str(first)


def _own_cell(line: Mapping[str, Any], scorer: str) -> Scored:
  """A cell of a task that this package exported, scored from what the document says is right."""
  doc = line['doc']
  fault = records.fault(doc, OwnDocument)
  if fault:
    raise SamplesError(fault)
  key = AnswerKey(tuple(doc['answers']), tuple(doc['options']), tuple(doc['right']), tuple(doc['option_texts']))
  if SCORERS[scorer].rank is None:
    return SCORERS[scorer].of_output(_answer(line).strip(), key)
  return SCORERS[scorer].of_ranking(_likelihoods(line, len(key.options)), key)


class OwnDocument(TypedDict):
  """A document of a task that this package exported for the harness.

  Attributes:
    example_id: of the example.
    text: what the model reads.
    answers: the right answers, the first the one that tables show.
    options: what may be answered; empty for an open question.
    right: the numbers of those that are right.
    option_texts: what the options say, where they are labels.
  """

  example_id: str
  text: str
  answers: list[str]
  options: list[str]
  right: list[int]
  option_texts: list[str]
