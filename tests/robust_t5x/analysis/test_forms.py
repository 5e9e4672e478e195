"""Answers in several forms, made comparable."""

import json

import numpy as np
import pandas as pd
import pytest

from robust_t5x.analysis import agreement
from robust_t5x.analysis.sources import Source

TEXTS = ('Oslo', 'Paris', 'Rome')
FORMS = {
  'letters': ('A', 'B', 'C'),
  'numbers': ('1', '2', '3'),
  'texts': TEXTS,
  'more': TEXTS,
  'moved': ('Rome', 'Oslo', 'Paris'),
}


def _source(chosen, right, forms, ranked=True):
  """Of options by their place [N, k]; the place of the right one [N]; and the form of each phrasing."""
  rows = []
  for e, places in enumerate(chosen):
    for i, (form, place) in enumerate(zip(forms, places, strict=True)):
      names = FORMS[form]
      answer, gold = (TEXTS[p] if TEXTS[p] in names else names[p] for p in (place, right[e]))
      rows.append(
        {
          'dataset': 'd', 'group': 'g', 'example_id': f'e{e}', 'instruction_id': f'{form}{i}', 'score': 0.0, 'prediction': answer,
          'gold': gold, 'option_scores': json.dumps(dict.fromkeys(names, -1.0)) if ranked else '',
        }
      )  # fmt: skip
  return Source('place', 'm', pd.DataFrame(rows), {'instructions': {}})


def _consistency(*settings):
  return float(agreement.consistency_rate(_source(*settings).answers()['d']['g']))


def test_ranked_answers_are_the_same_where_the_option_is():
  chosen = [[0, 0, 0], [1, 1, 2], [2, 2, 2]]
  forms = ('letters', 'numbers', 'texts')
  assert _source(chosen, [0, 1, 2], forms).answers()['d']['g'].tolist() == chosen
  # Of nine pairs of phrasings seven have the same option.
  assert _consistency(chosen, [0, 1, 2], forms) == pytest.approx(7 / 9)


def test_a_phrasing_with_its_options_in_another_order_is_left_out():
  chosen = [[0, 0, 0], [1, 1, 1]]
  found = _source(chosen, [0, 1], ('letters', 'texts', 'moved')).answers()['d']['g']
  assert found.tolist() == [[0, 0, -1], [1, 1, -1]]


def test_of_decoded_answers_the_commonest_form_is_compared():
  chosen = [[0, 0, 0, 1], [1, 1, 1, 1]]
  found = _source(chosen, [0, 1], ('letters', 'texts', 'more', 'texts'), False).answers()['d']['g']
  assert (found[:, 0] == -1).all() and (found[:, 1] == found[:, 2]).all()
  assert _consistency(chosen, [0, 1], ('letters', 'texts', 'more', 'texts'), False) == pytest.approx(4 / 6)
  # One phrasing of each form leaves no pair.
  assert np.isnan(_consistency([[0, 0]], [0], ('letters', 'texts'), False))


def test_answers_in_one_form_are_compared_as_texts():
  found = _source([[0, 1], [2, 2]], [0, 1], ('texts', 'more')).answers()['d']['g']
  assert found[0, 0] != found[0, 1] and found[1, 0] == found[1, 1]
