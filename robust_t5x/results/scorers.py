"""The scorers: how a model comes to an answer, how that becomes a score, and what a report calls it. The one table of them.

A scorer either reads the text that the model decodes, or has the model rank the options and takes the one that scores best.
To add one, write its function here and add it to `SCORERS`; the evaluation, the readers of results and the report
follow.
"""

from collections.abc import Callable, Sequence
import dataclasses
import json
import math
from typing import Protocol, TypedDict

import numpy as np

from robust_t5x.runtime.progress import OnDone
from seqio_tasks import answers, extraction
from seqio_tasks.answers import AnswerKey


class Runner(Protocol):
  """What scorers ask of a model: see models.runner.Runner."""

  def generate(self, inputs: Sequence[np.ndarray], on_done: OnDone) -> list[str]:
    """Greedy outputs."""

  def score(self, inputs: Sequence[np.ndarray], options: Sequence[Sequence[str]], on_done: OnDone) -> list[np.ndarray]:
    """Log-likelihood of every option of every input."""

  def score_free_running(
    self, inputs: Sequence[np.ndarray], options: Sequence[Sequence[str]], on_done: OnDone
  ) -> list[np.ndarray]:
    """A number for every option of every input, read off one greedy decode."""

  def count_tokens(self, options: Sequence[Sequence[str]]) -> list[list[int]]:
    """Tokens of every option."""


class Scored(TypedDict):
  """Columns of the results table that tell how a cell was scored."""

  scorer: str
  prediction: str
  gold: str
  score: float
  option_scores: str
  option_tokens: str
  also_right: str
  matched_option: bool
  tied_options: int
  strict_score: float
  extracted_score: float


# Of inputs and their options: a number for each option of each input.
Rank = Callable[[Runner, Sequence[np.ndarray], Sequence[Sequence[str]], OnDone], list[np.ndarray]]
# Of a decoded text and what is right: how right it is, 0 to 1.
Judge = Callable[[str, AnswerKey], float]


def lmentry(output: str, key: AnswerKey) -> float:
  """1.0 if an answer is right by LMentry's rules (`answers.lmentry_score`), otherwise 0.0.

  >>> lmentry('The word "apple".', AnswerKey(('apple',)))
  1.0
  >>> lmentry('Yes, all of them are.', AnswerKey(('yes',), ('yes', 'no'), (0,)))
  1.0
  >>> lmentry('banana', AnswerKey(('starts_with_letter: a',)))
  0.0
  """
  return max(answers.lmentry_score(output, gold, key.options) for gold in key.right)


def extracted(output: str, key: AnswerKey) -> float:
  """1.0 if the answer that a text commits to is right, otherwise 0.0; `extraction` has the rules.

  >>> extracted('I think that the answer is (B).', AnswerKey(('B',), ('A', 'B'), (1,)))
  1.0
  """
  return extraction.score(output, key) or 0.0


def rank_likelihood(
  runner: Runner, inputs: Sequence[np.ndarray], options: Sequence[Sequence[str]], on_done: OnDone
) -> list[np.ndarray]:
  """Log-likelihood of every option of every input, summed over the option's tokens, in nats.

  >>> class Stub:
  ...   def score(self, inputs, options, on_done):
  ...     return [np.array([-2.5, -0.5])]
  >>> rank_likelihood(Stub(), [np.array([8, 1])], [['no', 'yes']], print)
  [array([-2.5, -0.5])]
  """
  return runner.score(inputs, options, on_done)


def paper_logits(
  runner: Runner, inputs: Sequence[np.ndarray], options: Sequence[Sequence[str]], on_done: OnDone
) -> list[np.ndarray]:
  """InstructionEval's number for every option of every input (decoding.score_free_running).

  >>> class Stub:
  ...   def score_free_running(self, inputs, options, on_done):
  ...     return [np.array([3.0, 1.5])]
  >>> paper_logits(Stub(), [np.array([8, 1])], [['no', 'yes']], print)
  [array([3. , 1.5])]
  """
  return runner.score_free_running(inputs, options, on_done)


@dataclasses.dataclass(frozen=True)
class Scorer:
  """A scorer.

  Attributes:
    name: in settings, tables and records.
    words: what the score is, for people.
    judge: how right a decoded text is; not asked where there is `rank`.
    rank: numbers by which the model chooses among the options; None where its decoded text is the answer.
    needs_options: whether every example must have options.
  """

  name: str
  words: str
  judge: Judge = answers.exact_match
  rank: Rank | None = None
  needs_options: bool = False

  def of_output(self, output: str, key: AnswerKey) -> Scored:
    """A cell whose answer is decoded text.

    >>> SCORERS['exact_match'].of_output('Yes!', AnswerKey(('yes',), ('yes', 'no'), (0,)))['score']
    1.0

    Args:
      output: the text.
      key: what is right.
    """
    committed = extraction.score(output, key)
    score = self.judge(output, key)
    return Scored(
      scorer=self.name,
      prediction=output,
      gold=key.right[0],
      score=score,
      option_scores='',
      option_tokens='',
      also_right='',
      matched_option=answers.is_an_option(output, key.options),
      tied_options=0,
      strict_score=answers.exact_match(output, key) if self.judge is extracted else score,
      extracted_score=math.nan if committed is None else committed,
    )

  def of_ranking(self, scores: Sequence[float] | np.ndarray, key: AnswerKey, tokens: Sequence[int] = ()) -> Scored:
    """A cell whose answer is the option with the highest number; right if that option is a right one, by its place.

    Where several options have it, the score is the share of them that is right, and the first stands for them.

    >>> key = AnswerKey(('no',), ('no', 'yes'), (0,))
    >>> cell = SCORERS['rank_likelihood'].of_ranking([-2.5, -0.5], key)
    >>> cell['prediction'], cell['score'], cell['option_scores']
    ('yes', 0.0, '{"no": -2.5, "yes": -0.5}')
    >>> SCORERS['rank_likelihood'].of_ranking([-1.0, -1.0], key)['score']
    0.5

    Args:
      scores: the number of each option.
      key: what is right.
      tokens: how many each option has; empty where that is not known.

    Raises:
      UserError: if a number is not finite.
    """
    best = answers.best_options([float(s) for s in scores])
    others = list(dict.fromkeys(key.options[i] for i in key.right_options if key.options[i] != key.right[0]))
    return Scored(
      scorer=self.name,
      prediction=key.options[best[0]],
      gold=key.right[0],
      score=answers.ranking_score(best, key.right_options),
      option_scores=json.dumps({o: round(float(s), 5) for o, s in zip(key.options, scores, strict=True)}),
      # Options of the same text have one score between them, which the number of these tells.
      option_tokens=json.dumps(list(tokens)) if tokens or len(set(key.options)) < len(key.options) else '',
      also_right=json.dumps(others, ensure_ascii=False) if others else '',
      matched_option=True,
      tied_options=len(best) if len(best) > 1 else 0,
      strict_score=math.nan,
      extracted_score=math.nan,
    )


SCORERS = {
  scorer.name: scorer
  for scorer in (
    Scorer('exact_match', 'exact match of the greedy output with a right answer, but for case, space and outer punctuation'),
    Scorer('extracted', 'whether the answer that the greedy output commits to is right', judge=extracted),
    Scorer('lmentry', "LMentry's own rules on the greedy output", judge=lmentry),
    Scorer(
      'rank_likelihood', 'whether the option with the highest log-likelihood is right',
      rank=rank_likelihood, needs_options=True,
    ),
    Scorer(
      'paper_logits',
      "InstructionEval's number, the options' pieces read off one greedy decode, which is not a likelihood",
      rank=paper_logits, needs_options=True,
    ),
  )
}  # fmt: skip
