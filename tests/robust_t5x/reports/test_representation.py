"""A representation written, read again, and as a section of a report."""

import numpy as np
import pandas as pd
import pytest

from robust_t5x.analysis.representation import WITH, WITHOUT, Collector, States
from robust_t5x.reports import representation
from robust_t5x.results.schema import ResultsError


@pytest.fixture(scope='module')
def found():
  """Of random states, whose phrasings lie closer together with the adapter."""
  rng = np.random.default_rng(0)
  phrasings = pd.DataFrame(
    {
      'group': ['observed'] * 3 + ['unobserved'] * 4,
      'instruction_id': [f'i{i}' for i in range(7)],
      'template': 'Say {x}',
    }
  )
  keys = pd.MultiIndex.from_product([['d'], phrasings['instruction_id']])
  accuracies = pd.Series(rng.random(7), keys)
  collected = Collector((WITHOUT, WITH), {WITHOUT: accuracies, WITH: accuracies})
  examples = rng.normal(size=(5, 1, 6))
  states = {}
  for model, width in ((WITHOUT, 1.0), (WITH, 0.1)):
    hidden = examples + width * rng.normal(size=(5, 7, 6))
    states[model] = States(
      hidden,
      hidden,
      hidden - np.log(np.exp(hidden).sum(-1, keepdims=True)),
      np.stack([examples + 0 * hidden, hidden], axis=2),
    )
  collected.add('d', phrasings, states)
  return collected.finish()


def test_what_is_written_is_read_again(found, tmp_path):
  representation.write(found, str(tmp_path), {'split': 'test'})
  again = representation.read(str(tmp_path))
  for name in ('distances', 'correlations', 'phrasings'):
    pd.testing.assert_frame_equal(getattr(again, name), getattr(found, name))
  assert again.shares == found.shares
  text = (tmp_path / 'represent.md').read_text()
  assert representation.finding(found) in text and representation.map_note(found) in text
  assert (tmp_path / 'map.png').read_bytes().startswith(b'\x89PNG')
  (tmp_path / 'represent.json').unlink()
  with pytest.raises(ResultsError, match='has no represent.json'):
    representation.read(str(tmp_path))


def test_the_section_has_distances_changes_and_correlations(found):
  section = representation.section(found)
  assert [table.name for table in section.tables] == [
    'distances',
    'distance_change',
    'distances_by_layer',
    'distance_correlations',
  ]
  change = section.tables[1].frame()
  assert (change['change of between phrasings'] < 0).all()
  layers = section.tables[2].frame()
  assert layers['layer'].tolist() == [1, 1, 2, 2]
  # Before the second layer the phrasings are not told apart; behind it they are, less so with the adapter.
  assert (layers['between phrasings'][:2].abs() < 1e-9).all() and (layers['between phrasings'][2:] > 1e-3).all()
  assert layers['between phrasings'][3] < layers['between phrasings'][2]
  (chart,) = section.charts
  assert chart.count('map of the phrasings, with adapter') == 2
  assert chart.count('<use class="pt ') == 2 * 2 * 7


@pytest.mark.parametrize(
  ('name', 'old', 'new', 'message'),
  [
    ('distances.csv', 'estimate', 'estimated', r"distances.csv: line 1: has no column .'estimate'"),
    ('phrasings.csv', 'Say {x},', 'Say {x},,', r'phrasings.csv: line 2: has \d+ cells where there are'),
    ('correlations.csv', 'cosine,', 'cosine,x', "correlations.csv: line 2: rho is 'x.*', not a number"),
    ('represent.json', '"shares": {', '"shares": {"place": "x", ', 'represent.json: shares.place is .*; run'),
    ('represent.json', '"shares"', '"share"', 'represent.json: it has no shares; run'),
  ],
)
def test_a_damaged_file_is_named(found, tmp_path, name, old, new, message):
  representation.write(found, str(tmp_path), {})
  path = tmp_path / name
  assert old in path.read_text()
  path.write_text(path.read_text().replace(old, new))
  with pytest.raises(ResultsError, match=message):
    representation.read(str(tmp_path))
