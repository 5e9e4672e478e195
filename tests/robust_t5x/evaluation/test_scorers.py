"""Rows of a task scored by every scorer, with a runner that stands in for a model."""

import types

import numpy as np
import pytest

from robust_t5x.evaluation.scorers import score_task
from robust_t5x.results.schema import COLUMNS
from robust_t5x.results.scorers import SCORERS

TASK = types.SimpleNamespace(dataset='d', group='unobserved')
ROWS = [
  {'inputs': np.array([7, 1]), 'targets_pretokenized': 'cat', 'options': '["dog", "cat"]', 'alternatives': '["Felis"]',
   'right_options': '[1]', 'option_texts': '[]', 'cut_answer_tokens': np.int32(0),
   'example_id': 'e1', 'instruction_id': 'i1', 'truncated_tokens': np.int32(3)},
  {'inputs': np.array([8, 9, 1]), 'targets_pretokenized': 'dog', 'options': '["dog", "cat"]', 'alternatives': '[]',
   'right_options': '[0]', 'option_texts': '[]', 'cut_answer_tokens': np.int32(2),
   'example_id': 'e2', 'instruction_id': 'i1', 'truncated_tokens': np.int32(0)},
]  # fmt: skip


class Stand:
  """Says 'felis' and 'The word "dog"', and finds cats likelier than dogs."""

  def generate(self, inputs, on_done):
    on_done(len(inputs))
    return ['felis', 'The word "dog"'][: len(inputs)]

  def score(self, inputs, options, on_done):
    on_done(len(inputs))
    return [np.float32([-2.0, -0.5]) for _ in options]

  def count_tokens(self, options):
    return [[len(text) for text in row] for row in options]

  def score_free_running(self, inputs, options, on_done):
    on_done(len(inputs))
    return [np.float32([4.0, 1.0]) for _ in options]


@pytest.mark.parametrize(
  ('name', 'predictions', 'scores', 'matched'),
  [
    ('exact_match', ['felis', 'The word "dog"'], [1, 0], [False, False]),
    ('extracted', ['felis', 'The word "dog"'], [0, 1], [False, False]),
    ('lmentry', ['felis', 'The word "dog"'], [1, 1], [False, False]),
    ('rank_likelihood', ['cat', 'cat'], [1, 0], [True, True]),
    ('paper_logits', ['dog', 'dog'], [0, 1], [True, True]),
  ],
)
def test_every_scorer_fills_the_table(name, predictions, scores, matched):
  done = []
  table = score_task(Stand(), ROWS, TASK, SCORERS[name], 'model', done.append)
  assert done == [2]
  assert list(table.columns) == list(COLUMNS)
  assert table['prediction'].tolist() == predictions
  assert table['score'].tolist() == scores and table['score'].dtype == np.float64
  assert table['matched_option'].tolist() == matched
  assert table['gold'].tolist() == ['cat', 'dog']
  assert table['truncated_tokens'].tolist() == [3, 0]
  assert table['cut_answer_tokens'].tolist() == ([0, 0] if SCORERS[name].rank else [0, 2])
  assert set(table['scorer']) == {name} and set(table['model']) == {'model'} and set(table['group']) == {'unobserved'}
  assert table['option_scores'].tolist() == [
    {'rank_likelihood': '{"dog": -2.0, "cat": -0.5}', 'paper_logits': '{"dog": 4.0, "cat": 1.0}'}.get(name, '')
  ] * 2  # fmt: skip
  assert table['option_tokens'].tolist() == ['[3, 3]' if SCORERS[name].rank else ''] * 2
