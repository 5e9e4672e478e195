"""Tests of what can be had without training, on tables computed by hand."""

import json

import numpy as np
import pandas as pd
import pytest

from robust_t5x.analysis import remedies
from robust_t5x.results.schema import ResultsError


def _table(rows):
  """Of (example, phrasing, gold, scores by option, tokens by option)."""
  return pd.DataFrame(
    {
      'model': 'm',
      'dataset': 'd',
      'group': 'unobserved',
      'example_id': [r[0] for r in rows],
      'instruction_id': [r[1] for r in rows],
      'gold': [r[2] for r in rows],
      'option_scores': [json.dumps(r[3]) for r in rows],
      'option_tokens': [json.dumps(r[4] if len(r) > 4 else []) for r in rows],
      'also_right': '',
      'prediction': '',
      'score': np.nan,
      'tied_options': 0,
    }
  )


def test_per_token_prefers_the_long_option_that_the_sum_punishes():
  table = _table([
    ('0', 'p', 'long', {'short': -3.0, 'long': -4.0}, [1, 2]),  # -3 against -2
    ('1', 'p', 'long', {'short': -2.0, 'long': -4.0}, [1, 2]),  # a tie
  ])  # fmt: skip
  made = remedies.per_token(table)
  assert made['prediction'].tolist() == ['long', 'short']
  assert made['score'].tolist() == [1.0, 0.5] and made['tied_options'].tolist() == [0, 2]
  with pytest.raises(ResultsError, match='option_tokens'):
    remedies.per_token(table.assign(option_tokens=''))
  with pytest.raises(ResultsError, match="example '0' of d .*, some of which have the same text; leave it out"):
    remedies.per_token(table.assign(option_tokens='[1, 1, 1]'))
  with pytest.raises(ResultsError, match="SCORER='rank_likelihood'"):
    remedies.ensemble(table.assign(option_scores=''))


def test_several_right_options_are_refused():
  table = _table([('0', 'p', 'a', {'a': -3.0, 'b': -1.0}, [1, 1])]).assign(prediction='b', score=1.0)
  with pytest.raises(ResultsError, match="example '0' of d has several right options"):
    remedies.per_token(table)
  # Also where only a later phrasing of the ensemble tells.
  wrong = _table(
    [('0', 'o', 'a', {'a': -3.0, 'b': -4.0, 'c': -1.0}), ('0', 'p', 'a', {'a': -3.0, 'b': -1.0, 'c': -2.0})]
  )
  with pytest.raises(ResultsError, match="example '0' of d has several right options"):
    remedies.ensemble(wrong.assign(prediction=['c', 'b'], score=[0.0, 1.0]))


def test_several_right_options_that_are_named_count():
  rows = [
    ('0', 'p', 'a', {'a': -3.0, 'b': -1.0, 'c': -2.0}, [1, 1, 1]),  # b, which is right too
    ('1', 'p', 'a', {'a': -1.0, 'b': -2.0, 'c': -1.0}, [1, 1, 1]),  # a tie of a right one with a wrong one
    ('2', 'p', 'a', {'a': -1.5, 'b': -1.5, 'c': -2.0}, [1, 1, 1]),  # a tie of the right ones
  ]
  table = _table(rows).assign(
    also_right='["b"]', prediction=['b', 'a', 'a'], score=[1.0, 0.5, 1.0], tied_options=[0, 2, 2]
  )
  assert not remedies.counts_another(table).any()
  for way in (
    remedies.per_token,
    remedies.ensemble,
    lambda t: remedies.calibrated(t, t.assign(option_scores='{"a": 0, "b": 0, "c": 0}')),
  ):
    assert way(table)['score'].tolist() == [1.0, 0.5, 1.0]
  # A row of before they were named goes with one that names them.
  both = pd.concat([table[:1].assign(also_right=''), table[:1].assign(instruction_id='q')]).assign(
    prediction='c', score=0.0
  )
  made = remedies.ensemble(both)
  assert made[['prediction', 'score', 'also_right']].to_numpy().tolist() == [['b', 1.0, '["b"]']]
  # Of phrasings that have them in other places there is no mean.
  moved = _table([('0', 'q', 'b', {'b': -3.0, 'c': -1.0, 'a': -2.0})]).assign(also_right='["a"]')
  with pytest.raises(ResultsError, match='its options in other orders'):
    remedies.ensemble(pd.concat([table, moved], ignore_index=True))


def test_the_ensemble_weighs_phrasings_alike_however_unlikely_their_answers():
  # log p: first phrasing (log .6, log .4); second, all shifted by -50: (log .1, log .9).
  first, second = np.log([0.6, 0.4]), np.log([0.1, 0.9]) - 50
  table = _table([
    ('0', 'p', 'a', dict(zip('ab', first, strict=True))),
    ('0', 'q', 'A', {'A': second[0], 'B': second[1]}),
  ])  # fmt: skip
  made = remedies.ensemble(table)
  # Means of logs: a (log .6 + log .1) / 2 = -1.407, b (log .4 + log .9) / 2 = -.511: the second, in the first's words.
  assert made[['example_id', 'instruction_id', 'prediction', 'score']].to_numpy().tolist() == [
    ['0', 'ensemble', 'b', 0.0]
  ]
  uneven = pd.concat([table, _table([('0', 'r', 'a', {'a': 0.0})])], ignore_index=True)
  with pytest.raises(ResultsError, match='other numbers of options'):
    remedies.ensemble(uneven)
  with pytest.raises(ResultsError, match='its options in other orders'):
    remedies.ensemble(pd.concat([table, _table([('0', 'r', 'a', {'b': 0.0, 'a': -1.0})])], ignore_index=True))


def test_calibration_takes_off_what_an_option_has_without_a_question():
  table = _table([('0', 'p', 'b', {'a': -1.0, 'b': -2.0})])
  free = _table([('0', 'p', 'b', {'a': -1.0, 'b': -4.0})])
  assert remedies.calibrated(table, free)[['prediction', 'score']].to_numpy().tolist() == [['b', 1.0]]
  with pytest.raises(ResultsError, match='no cell of d, p, example 0'):
    remedies.calibrated(table, free.assign(instruction_id='q'))


def test_batch_calibration_takes_off_the_mean_over_examples_where_options_stay():
  # log p of a: log .9 and log .8; of b: log .1 and log .2. Means: a -.164, b -1.956.
  table = _table([
    ('0', 'p', 'a', {'a': np.log(0.9), 'b': np.log(0.1)}),  # a: +.059, b: -.347
    ('1', 'p', 'b', {'a': np.log(0.8), 'b': np.log(0.2)}),  # a: -.059, b: +.347
    ('0', 'q', 'a', {'a': np.log(0.9), 'b': np.log(0.1)}),  # other options under q: as it was
    ('1', 'q', 'b', {'a': np.log(0.8), 'c': np.log(0.1), 'b': np.log(0.1)}),
  ])  # fmt: skip
  made = remedies.batch_calibrated(table)
  assert made['prediction'].tolist() == ['a', 'b', 'a', 'a'] and made['score'].tolist() == [1.0, 1.0, 1.0, 0.0]


def test_a_phrasing_is_chosen_by_other_examples():
  def scored(rows):
    return _table([(e, p, 'a', {'a': 0.0}) for e, p, _ in rows]).assign(score=[float(s) for _, _, s in rows])

  table = scored([('0', 'p', 1), ('0', 'q', 0)])
  development = scored([('1', 'p', 0), ('2', 'p', 1), ('1', 'q', 1), ('2', 'q', 1)])
  assert remedies.chosen_phrasing(table, development)['instruction_id'].tolist() == ['q']
  with pytest.raises(ResultsError, match='is in both tables'):
    remedies.chosen_phrasing(table, table)
  with pytest.raises(ResultsError, match='p of d was not evaluated'):
    remedies.chosen_phrasing(table, development[development['instruction_id'] == 'q'])


def test_tables_of_several_models_or_of_accuracies_are_refused():
  table = _table([('0', 'p', 'a', {'a': -3.0, 'b': -1.0}, [1, 1])])
  both, accuracies = pd.concat([table, table.assign(model='n')]), table.drop(columns=['example_id', 'option_scores'])
  ways = [
    *remedies.READINGS.values(),
    *(lambda t, f=f: f(t, table) for f in (remedies.calibrated, remedies.chosen_phrasing)),
  ]
  for way in ways:
    with pytest.raises(ResultsError, match=r'the table holds results of 2 models \(m, n\)'):
      way(both)
    with pytest.raises(ResultsError, match='the table holds accuracies of phrasings'):
      way(accuracies)
