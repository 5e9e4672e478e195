"""Tests of templates: filling in and folding."""

from hypothesis import given
from hypothesis import strategies as st
import pytest

from seqio_tasks.bank import templates


def test_render_knows_field_names_only():
  assert templates.render('a {x}-{y}{x}', {'x': '1', 'y': '{x}'}) == 'a 1-{x}1'
  assert templates.render('no field', {'x': '1'}) == 'no field'
  assert templates.render('{x} + 1', {'x': 1}) == '1 + 1'
  with pytest.raises(ValueError, match="'y', which the example lacks; it has \\['x'\\]"):
    templates.render('{y}', {'x': '1'})
  for template in (
    '{x.__class__}',
    '{x[0]}',
    '{x!r}',
    '{x:>9}',
    '{}',
    '{{x}}',
    '{x',
    'x}',
    '{x}}',
    '{x} {',
    '{x} {x} }',
  ):
    with pytest.raises(ValueError, match='brace'):
      templates.render(template, {'x': '1'})


@given(st.text(), st.text())
def test_values_are_inserted_as_they_are(x, y):
  assert templates.render('<{x}|{y}>', {'x': x, 'y': y}) == f'<{x}|{y}>'


def test_normalise_folds_case_punctuation_and_space():
  expected = 'dont stop {word1} now'
  assert templates.normalise("Don't  stop:\n{word1} - NOW!") == expected
  assert templates.normalise("dont stop '{word1}' now") == expected
  assert templates.normalise('{word1}') != templates.normalise('word1')


def test_templates_are_pairs_of_text_and_field():
  assert templates.parse_template('a {x}b') == [('a ', 'x'), ('b', '')]
  assert templates.parse_template('') == [('', '')]
