"""Features of phrasings and the accuracy that goes with them."""

import numpy as np
import pandas as pd
import pytest

from robust_t5x.analysis import wording
from robust_t5x.analysis.comparison import compare


@pytest.mark.parametrize(
  ('template', 'expected'),
  [
    ('Answer: {q}', {'10 words more': 0.1}),
    ('Could you say which? {q}', {'10 words more': 0.4, 'a question': 1, 'polite': 1}),
    ("{options}\nWhat is '{q}'?", {'10 words more': 0.2, 'a question': 1, 'quotes around a field': 1, 'lists the options': 1, 'options before the rest': 1}),
    ('{q}\n{options_letters}', {'lists the options': 1}),
    ('{options}', {'lists the options': 1}),
    ('thank the host {"json": {q}}', {'10 words more': 0.4, 'polite': 1}),
  ],
)  # fmt: skip
def test_features(template, expected):
  found = wording.features(template)
  assert {name: value for name, value in found.items() if value} == pytest.approx(expected)


def test_slopes_are_least_squares_with_a_level_for_each_place_and_the_jackknife():
  rng = np.random.default_rng(0)
  place = np.repeat(np.arange(5), 12)
  clusters = np.tile(np.arange(12), 5)
  x, y = rng.normal(size=(60, 2)), rng.normal(size=60) + place
  levels = (place[:, None] == np.arange(5)).astype(float)
  full = np.linalg.lstsq(np.concatenate([x, levels], axis=1), y, rcond=None)[0][:2]
  centre = lambda v: v - levels @ (levels.T @ v / 12)  # noqa: E731
  found = wording.slopes(centre(x), centre(y), clusters)
  assert [slope.estimate for slope, _ in found] == pytest.approx(full)
  without = [np.linalg.lstsq(centre(x)[clusters != c], centre(y)[clusters != c], rcond=None)[0] for c in range(12)]
  error = np.sqrt(11 / 12 * ((np.array(without) - full) ** 2).sum(0))
  assert [(i.high - i.low) / 2 for i, _ in found] == pytest.approx(2.200985 * error)


def _table(path, effect, seed=0, phrasings=24, datasets=4):
  """Accuracies of phrasings, those that are questions better by an effect; half of the phrasings are polite."""
  rng = np.random.default_rng(seed)
  own = rng.normal(0, 0.03, phrasings)
  rows = [
    ('m', f'd{d}', 'unobserved', f'i{i}', f'{"Please s" if i % 4 < 2 else "S"}ay it{"?" if i % 2 else "."} {"word " * (i % 3)}{{x}}',
     0.3 + 0.1 * d + effect * (i % 2) + own[i] + rng.normal(0, 0.02))
    for d in range(datasets) for i in range(phrasings)
  ]  # fmt: skip
  table = pd.DataFrame(rows, columns=['model', 'dataset', 'group', 'instruction_id', 'instruction', 'score'])
  table.to_csv(path, index=False)
  comparison = compare([str(path)])
  texts = dict(zip(table['instruction_id'], table['instruction'], strict=True))
  comparison.phrasings['template'] = comparison.phrasings['instruction_id'].map(texts)
  return comparison


def test_an_effect_is_found_and_what_has_none_is_not(tmp_path):
  found = {e.feature: e for e in wording.effects(_table(tmp_path / 't.csv', 0.1), 'm')}
  assert set(found) == {'10 words more', 'a question', 'polite'}
  question = found['a question']
  assert question.alone.low < 0.1 < question.alone.high and question.p_adjusted < 0.01
  assert question.together.low < 0.1 < question.together.high
  assert found['polite'].p_adjusted > 0.05
  assert (question.phrasings, question.differing) == (24, 24)


def test_nothing_is_found_too_often_where_there_is_nothing():
  rng = np.random.default_rng(1)
  clusters = np.tile(np.arange(15), 6)
  below = 0
  for _ in range(400):
    x = np.tile((rng.permutation(15) < 4).astype(float), 6)
    y = rng.normal(0, 1, 15)[clusters] + rng.normal(0, 0.5, 90)
    ((_, p),) = wording.slopes((x - x.mean())[:, None], y - y.mean(), clusters)
    below += p < 0.05
  assert below / 400 <= 0.08


def test_likeness_is_to_observed_phrasings_of_the_same_dataset():
  frame = pd.DataFrame(
    [('a', 'observed', 'Say it {x}'), ('a', 'unobserved', 'Say it {y}'), ('a', 'unobserved', 'Other words {x}'), ('b', 'unobserved', 'Say it {x}')],
    columns=['dataset', 'group', 'template'],
  )  # fmt: skip
  found = wording._likeness(frame)
  assert np.isnan(found[0]) and found[1] == 1.0 and 0 < found[2] < 0.5 and np.isnan(found[3])
  frame.loc[1, 'template'] = 'Say {"x": 1}'
  assert np.isnan(wording._likeness(frame)[1])


def test_too_few_phrasings_tell_nothing(tmp_path):
  assert wording.effects(_table(tmp_path / 't.csv', 0.1, phrasings=6), 'm') == []
  comparison = _table(tmp_path / 't.csv', 0.1)
  comparison.phrasings['template'] = None
  assert wording.effects(comparison, 'm') == []
