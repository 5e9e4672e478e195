"""What wording costs, from tables written for it; floors and ceilings."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from robust_t5x.analysis import sensitivity
from robust_t5x.analysis.comparison import compare


def _table(tmp_path, accuracies, examples=50, options=0, tokens=None):
  """An evaluation with the given accuracy of each phrasing, group/id -> accuracy."""
  rows = []
  for name, accuracy in accuracies.items():
    group, _, instruction = name.partition('/')
    for e in range(examples):
      scores = json.dumps({f'o{o}': -1.0 - o for o in range(options)}) if options else ''
      rows.append(
        {
          'model': 'm', 'dataset': 'd', 'example_id': str(e), 'instruction_id': instruction, 'group': group,
          'scorer': 'rank_likelihood' if options else 'exact_match', 'score': float(e < accuracy * examples),
          'option_scores': scores, 'option_tokens': (json.dumps([2] * options) if options else '') if tokens is None else tokens,
        }
      )  # fmt: skip
  path = tmp_path / 't.csv'
  pd.DataFrame(rows).to_csv(path, index=False)
  return compare([str(path)])


def test_drop_rate_and_phrasings_needed(tmp_path):
  comparison = _table(tmp_path, {'observed/a': 0.8, 'observed/b': 0.8, 'unobserved/c': 0.2, 'unobserved/d': 0.6})
  assert sensitivity.drop_rate(comparison, 'm', 'unobserved', 'observed') == pytest.approx(0.5)
  assert sensitivity.phrasings_needed(comparison, 'm', 'observed', 0.02, 0.05) == {'d': 1}
  assert sensitivity.phrasings_needed(comparison, 'm', 'unobserved', 0.02, 0.05) == {'d': 2}
  assert sensitivity.phrasings_needed(comparison, 'm', 'unobserved', 0.21, 0.05) == {'d': 1}
  assert sensitivity.posix(comparison, 'm', 'observed') is None


def test_posix_by_hand(tmp_path):
  likelihoods = {
    ('e1', 'i'): ({'yes': -1.0, 'no': -3.0}, [1, 2]),  # the answer is yes
    ('e1', 'j'): ({'yes': -2.0, 'no': -0.5}, [1, 2]),  # no
    ('e1', 'k'): ({'A': -2.0, 'B': -0.5}, [1, 1]),  # other options: no pair
    ('e2', 'i'): ({'yes': -1.0, 'no': -3.0}, [1, 2]),
    ('e2', 'j'): ({'A': -1.0, 'B': -3.0}, [1, 1]),
  }
  rows = [
    {
      'dataset': 'd', 'example_id': e, 'instruction_id': i, 'group': 'all', 'scorer': 'rank_likelihood', 'score': 1,
      'option_scores': json.dumps(scores), 'option_tokens': json.dumps(tokens),
    }
    for (e, i), (scores, tokens) in likelihoods.items()
  ]  # fmt: skip
  pd.DataFrame(rows).to_csv(tmp_path / 't.csv', index=False)
  found = sensitivity.posix(compare([str(tmp_path / 't.csv')]), 't', 'all')
  # |log p(no|i) - log p(no|j)| / 2 = 2.5 / 2, and |log p(yes|j) - log p(yes|i)| / 1 = 1; their mean.
  assert found.value == pytest.approx((2.5 / 2 + 1) / 2)
  assert (found.examples, found.left_out) == (1, 1)


@pytest.mark.parametrize(
  ('accuracies', 'options', 'place'),
  [
    ([0.0, 0.02], 0, 'floor'),
    ([0.0, 0.04], 0, None),
    ([0.98, 1.0], 0, 'ceiling'),
    ([0.96, 1.0], 0, None),
    ([0.5, 0.6], 2, 'floor'),
    ([0.5, 0.76], 2, None),
    ([0.5, 0.6], 4, None),
    ([0.22, 0.3], 4, 'floor'),
    ([1.0, 1.0], 2, 'ceiling'),
  ],
)
def test_floor_and_ceiling(accuracies, options, place, tmp_path):
  comparison = _table(tmp_path, {f'unobserved/{i}': a for i, a in enumerate(accuracies)}, options=options)
  assert sensitivity.without_room(comparison, 'm', 'unobserved') == ({'d': place} if place else {})


@pytest.mark.parametrize('tokens', ['', '[]'])  # none are told; nor of options some of which had the same text
@pytest.mark.parametrize(('accuracies', 'place'), [([0.22, 0.3], 'floor'), ([0.5, 0.6], None)])
def test_options_without_numbers_of_tokens_have_a_floor_and_no_posix(accuracies, place, tokens, tmp_path):
  """As the results of lm-evaluation-harness are: four options are told by their scores."""
  accuracies = {f'unobserved/{i}': a for i, a in enumerate(accuracies)}
  comparison = _table(tmp_path, accuracies, options=4, tokens=tokens)
  assert sensitivity.without_room(comparison, 'm', 'unobserved') == ({'d': place} if place else {})
  assert sensitivity.posix(comparison, 'm', 'unobserved') is None


def test_a_floor_is_judged_by_the_cells_that_were_evaluated(tmp_path):
  """Three of five right of two options are chance, though the dataset has 100 examples."""
  rows = []
  for i in range(2):
    for e in range(100):
      there = e < 5 if i == 0 else e < 100
      if there:
        rows.append(
          {
            'dataset': 'd', 'example_id': e, 'instruction_id': i, 'group': 'g', 'scorer': 'rank_likelihood',
            'score': float(e % 5 < 3) if i == 0 else float(e % 2), 'option_scores': '{"a": -1, "b": -2}', 'option_tokens': '[1, 1]',
          }
        )  # fmt: skip
  pd.DataFrame(rows).to_csv(tmp_path / 't.csv', index=False)
  # P(3 or more of 5) = 16/32, P(60 or more of 100) = 0.028 / 2 phrasings: 0.025 is the bound.
  assert sensitivity.without_room(compare([str(tmp_path / 't.csv')]), 't', 'g') == {'d': 'floor'}
  for row in rows[:5]:
    row['score'] = 1.0  # P(5 of 5) = 1/32 is above 0.025
  pd.DataFrame(rows).to_csv(tmp_path / 't.csv', index=False)
  assert sensitivity.without_room(compare([str(tmp_path / 't.csv')]), 't', 'g') == {'d': 'floor'}
  for e in range(5, 7):  # P(7 of 7) = 1/128
    rows.append({**rows[0], 'example_id': e})
  pd.DataFrame(rows).to_csv(tmp_path / 't.csv', index=False)
  assert sensitivity.without_room(compare([str(tmp_path / 't.csv')]), 't', 'g') == {}


def test_a_phrasing_without_cells_leaves_the_drop_rate(tmp_path):
  rows = [('d', 'observed', 'a', 1, 0.8), ('e', 'observed', 'a', 1, 0.4)]
  rows += [('d', 'unobserved', 'b', 1, 0.2), ('e', 'unobserved', 'b', 1, 0.4)]
  pd.DataFrame(rows, columns=['dataset', 'group', 'instruction_id', 'example_id', 'score']).to_csv(
    tmp_path / 't.csv', index=False
  )
  comparison = compare([str(tmp_path / 't.csv')])
  wider = np.concatenate([comparison.datasets['d']['unobserved'], np.full((1, 1, 1), np.nan)], axis=-1)
  datasets = {**comparison.datasets, 'd': {**comparison.datasets['d'], 'unobserved': wider}}
  sampled = dataclasses.replace(comparison, datasets=datasets)
  # 1 - mean(0.2, 0.4) / mean(0.8, 0.4)
  assert sensitivity.drop_rate(sampled, 't', 'unobserved', 'observed') == pytest.approx(0.5)
