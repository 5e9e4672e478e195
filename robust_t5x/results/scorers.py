"""The scorers: how a model comes to an answer, how that becomes a score, and what a report calls it. The one table of them.

A scorer either reads the text that the model decodes, or has the model rank the options and takes the one that scores best.
To add one, write its function here and add it to `SCORERS`; the evaluation, the readers of results and the report
follow.
"""

from collections.abc import Callable, Sequence
import dataclasses
import json
from typing import Protocol, TypedDict

import numpy as np

from seqio_tasks import answers


class Runner(Protocol):
  """What scorers ask of a model: see models.runner.Runner."""

  def generate(self, inputs: Sequence[np.ndarray]) -> list[str]:
    """Greedy outputs."""

  def score(self, inputs: Sequence[np.ndarray], options: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """Log-likelihood of every option of every input."""

  def score_free_running(self, inputs: Sequence[np.ndarray], options: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """A number for every option of every input, read off one greedy decode."""


class Scored(TypedDict):
  """Columns of the results table that tell how a cell was scored."""

  scorer: str
  prediction: str
  gold: str
  score: float
  option_scores: str
  matched_option: bool


# Of inputs and their options: a number for each option of each input.
Rank = Callable[[Runner, Sequence[np.ndarray], Sequence[Sequence[str]]], list[np.ndarray]]
# Of an answer, the right answers and the options: how right it is, 0 to 1.
Judge = Callable[[str, Sequence[str], Sequence[str]], float]


def exact_match(answer: str, right: Sequence[str], options: Sequence[str] = ()) -> float:
  """1.0 if an answer is a right one after `answers.normalise`, which folds case and punctuation; otherwise 0.0.

  >>> exact_match('Paris.', ['paris', 'the city of Paris'])
  1.0
  >>> exact_match('It is Paris', ['Paris'])
  0.0
  """
  del options
  return answers.matches_any(answer, right)


def lmentry(answer: str, right: Sequence[str], options: Sequence[str] = ()) -> float:
  """1.0 if an answer is right by LMentry's rules (`answers.lmentry_score`), otherwise 0.0.

  >>> lmentry('The word "apple".', ['apple'])
  1.0
  >>> lmentry('Yes, all of them are.', ['yes'], ['yes', 'no'])
  1.0
  >>> lmentry('banana', ['starts_with_letter: a'])
  0.0
  """
  return max(answers.lmentry_score(answer, gold, options) for gold in right)


def rank_likelihood(runner: Runner, inputs: Sequence[np.ndarray], options: Sequence[Sequence[str]]) -> list[np.ndarray]:
  """Log-likelihood of every option of every input, summed over the option's tokens, in nats.

  >>> class Stub:
  ...   def score(self, inputs, options):
  ...     return [np.array([-2.5, -0.5])]
  >>> rank_likelihood(Stub(), [np.array([8, 1])], [['no', 'yes']])
  [array([-2.5, -0.5])]
  """
  return runner.score(inputs, options)


def paper_logits(runner: Runner, inputs: Sequence[np.ndarray], options: Sequence[Sequence[str]]) -> list[np.ndarray]:
  """InstructionEval's number for every option of every input (decoding.score_free_running).

  >>> class Stub:
  ...   def score_free_running(self, inputs, options):
  ...     return [np.array([3.0, 1.5])]
  >>> paper_logits(Stub(), [np.array([8, 1])], [['no', 'yes']])
  [array([3. , 1.5])]
  """
  return runner.score_free_running(inputs, options)


@dataclasses.dataclass(frozen=True)
class Scorer:
  """A scorer.

  Attributes:
    name: in settings, tables and records.
    words: what the score is, for people.
    judge: how right an answer is: the decoded text or, where there is `rank`, an option.
    rank: numbers by which the model chooses among the options; None where its decoded text is the answer.
    needs_options: whether every example must have options.
  """

  name: str
  words: str
  judge: Judge = exact_match
  rank: Rank | None = None
  needs_options: bool = False

  def of_output(self, output: str, right: Sequence[str], options: Sequence[str]) -> Scored:
    """A cell whose answer is decoded text.

    >>> SCORERS['exact_match'].of_output('Yes!', ['yes'], ['yes', 'no'])['score']
    1.0

    Args:
      output: the text.
      right: right answers; the first is the one that tables show.
      options: of the example; none for an open question.
    """
    return Scored(
      scorer=self.name,
      prediction=output,
      gold=right[0],
      score=self.judge(output, right, options),
      option_scores='',
      matched_option=answers.is_an_option(output, options),
    )

  def of_ranking(
    self, scores: Sequence[float] | np.ndarray, options: Sequence[str], gold: str, right: Sequence[float]
  ) -> Scored:
    """A cell whose answer is the option with the highest number, the first of them where several have it.

    >>> cell = SCORERS['rank_likelihood'].of_ranking([-2.5, -0.5], ['no', 'yes'], 'no', right=[1, 0])
    >>> cell['prediction'], cell['score'], cell['option_scores']
    ('yes', 0.0, '{"no": -2.5, "yes": -0.5}')

    Args:
      scores: the number of each option.
      options: of the example.
      gold: the right answer that tables show.
      right: how right each option is.
    """
    best = int(np.argmax(scores))
    return Scored(
      scorer=self.name,
      prediction=options[best],
      gold=gold,
      score=float(right[best]),
      option_scores=json.dumps({o: round(float(s), 5) for o, s in zip(options, scores, strict=True)}),
      matched_option=True,
    )


SCORERS = {
  scorer.name: scorer
  for scorer in (
    Scorer('exact_match', 'exact match of the greedy output with a right answer, case and punctuation folded'),
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
