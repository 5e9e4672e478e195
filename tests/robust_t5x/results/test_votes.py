"""Tests of a model's own answers, read from an evaluation."""

import json

import pandas as pd
import pytest

from robust_t5x.results import votes
from robust_t5x.results.schema import ResultsError


@pytest.fixture
def evaluated(monkeypatch):
  """(example, phrasing, scores of its options) of dataset d."""
  rows = [
    ('0', 'p', {'a': -1.0, 'b': -2.0}),
    ('0', 'q', {'A': -3.0, 'B': -2.0}),
    ('0', 'r', {'a': -1.0, 'b': -4.0}),
    ('1', 'p', {'a': -1.0, 'b': -2.0}),
    ('1', 'q', {'A': -2.0, 'B': -1.0}),
    ('1', 'r', {'a': -1.0, 'b': -1.0}),
  ]
  table = pd.DataFrame(rows, columns=['example_id', 'instruction_id', 'scores']).assign(model='m', dataset='d')
  table['gold'] = table['scores'].map(lambda s: next(iter(s)))
  table['option_tokens'] = table['scores'].map(lambda s: json.dumps([1] * len(s)))
  table['option_scores'] = table.pop('scores').map(json.dumps)
  monkeypatch.setattr(votes, 'read', lambda directory: (table, {}))
  return table


def test_most_phrasings_decide_and_ties_are_left_out_and_counted(evaluated, capsys):
  assert votes.votes('out') == {'d': {'0': 0}}  # two for the first option; one for each and a tie that has no vote
  assert 'out: 1 examples have an answer, 1 are ties and left out' in capsys.readouterr().err


def test_one_phrasing_decides_alone(evaluated):
  assert votes.votes(None) is None
  assert votes.votes('out', ['q']) == {'d': {'0': 1, '1': 1}}
  with pytest.raises(ResultsError, match='out: has no phrasing z'):
    votes.votes('out', ['z'])


def test_decoded_answers_are_no_votes(evaluated):
  evaluated.loc[0, 'option_scores'] = ''
  with pytest.raises(ResultsError, match="SCORER='rank_likelihood'"):
    votes.votes('out')


def test_several_models_and_accuracies_of_phrasings_have_no_votes(evaluated, monkeypatch):
  evaluated.loc[0, 'model'] = 'n'
  with pytest.raises(ResultsError, match=r'out holds results of 2 models \(n, m\)'):
    votes.votes('out')
  accuracies = evaluated.assign(model='m').drop(columns=['example_id', 'option_scores'])
  monkeypatch.setattr(votes, 'read', lambda directory: (accuracies, {}))
  with pytest.raises(ResultsError, match='out holds accuracies of phrasings'):
    votes.votes('out')


def test_options_of_the_same_text_hide_the_places_behind_them(evaluated, capsys):
  """Of the options x, x and y a table has two scores, and the second is that of the third option."""
  evaluated.loc[[0, 2], 'option_scores'] = json.dumps({'x': -3.0, 'y': -1.0})
  evaluated.loc[[0, 2], 'option_tokens'] = '[1, 1, 1]'
  assert votes.votes('out') == {'d': {'0': 1}}  # by the letters of q alone
  assert votes.votes('out', ['p', 'r']) == {'d': {'1': 0}}
  assert '1 examples have an answer, 1 are ties and left out' in capsys.readouterr().err


def test_options_in_another_order_are_not_counted_by_place(evaluated):
  evaluated.loc[1, ['option_scores', 'gold']] = [json.dumps({'B': -1.0, 'A': -3.0}), 'A']
  with pytest.raises(ResultsError, match="out: q has the options of example '0' of d in another order than p"):
    votes.votes('out')
  assert votes.votes('out', ['p', 'r'])['d']['0'] == 0
