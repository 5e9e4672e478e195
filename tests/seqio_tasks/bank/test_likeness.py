"""Likeness: on words, fields aside; the nearest trained phrasing; distributions."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
import pytest

from seqio_tasks.bank import instruction, likeness, reading

_WORDS = st.lists(st.sampled_from(['a', 'b', 'c', 'd', '{x}', '{y}']), max_size=8).map(' '.join)


def _make(key, template, role='alignment', task='more_letters', collection='c'):
  return instruction.make_instruction(collection, task, key, role, template)


def test_likeness_is_that_of_words():
  assert likeness.likeness('Longer, {a} or {b}?', '{b} or {a}: longer') == 1.0
  assert likeness.likeness('one two', 'three four') == 0.0
  assert likeness.likeness('', '') == 1.0
  assert likeness.likeness('', 'one') == 0.0


def test_names_of_fields_play_no_part():
  assert likeness.likeness('Before {word} in {sentence}:', 'before {query} in {text}') == 1.0
  # Five of six words in common on either side, in order: 2 * 5 / 12. Of names of fields, three would be: 2 * 3 / 12.
  value = likeness.likeness('Who is ahead of {word}? {sentence}', 'Who is behind of {query}? {line}')
  assert value == pytest.approx(10 / 12)
  # A field is a word, and the same one wherever it stands: {} or is of 3 and 4 different words.
  assert likeness.likeness('{a} or {b}', '{n1} but {n2}') == pytest.approx(4 / 6)


@given(_WORDS, _WORDS)
def test_the_order_of_the_two_does_not_matter(a, b):
  assert likeness.likeness(a, b) == likeness.likeness(b, a)


@given(_WORDS, st.lists(_WORDS, min_size=1, max_size=6))
def test_what_is_skipped_would_not_have_counted(template, others):
  measured = _make('m', template, 'evaluation')
  trained = [_make(f'k{i}', other) for i, other in enumerate(others)]
  (found,) = likeness.nearest([measured], trained)
  values = {i.id: likeness.likeness(template, i.template) for i in trained}
  assert found.likeness == max(values.values()) == values[found.nearest]
  pairs = {frozenset(pair[:2]): pair[2] for pair in likeness.near_duplicates(trained, 0.6)}
  every = {
    frozenset((a.id, b.id)): likeness.likeness(a.template, b.template) for a, b in itertools.combinations(trained, 2)
  }
  assert pairs == {pair: value for pair, value in every.items() if value >= 0.6}


def test_neighbours_are_of_the_same_task():
  measured = [_make('m', 'longer: {a}', 'evaluation'), _make('n', 'longer: {a}', 'evaluation', task='lonely')]
  trained = [_make('k', 'shorter: {a}'), _make('l', 'longer: {b}', task='mini_more_letters')]
  assert [n[:2] for n in likeness.nearest(measured, trained)] == [('c/more_letters/m', 'c/more_letters/k')]
  (near,) = likeness.nearest(measured, trained, lambda i: i.task.removeprefix('mini_'))
  assert near == ('c/more_letters/m', 'c/mini_more_letters/l', 1.0)


def test_near_duplicates_by_hand():
  a = _make('a', 'Which is longer, {word1} or {word2}?')
  b = _make('b', 'Which is longer, {word2} or {word1}?')  # the same words: 1
  c = _make('c', 'Which one is longer, {word1} or {word2}?')  # 6 of 7 words; ratio 12 / 13
  d = _make('d', 'Count letters. {word1} {word2}')
  e = _make('e', 'Which is longer, {word1} or {word2}?', task='other')
  assert likeness.likeness(a.template, b.template) == 1.0
  assert likeness.likeness(a.template, c.template) == pytest.approx(12 / 13)
  pairs = likeness.near_duplicates([a, b, c, d, e], 0.92)
  assert [pair[:2] for pair in pairs] == [
    ('c/more_letters/a', 'c/more_letters/b'),
    ('c/more_letters/a', 'c/more_letters/c'),
    ('c/more_letters/b', 'c/more_letters/c'),
  ]
  with pytest.raises(ValueError, match='threshold'):
    likeness.near_duplicates([a], 1.5)


def test_distributions_of_a_bank_by_collection_and_role():
  bank = reading.Bank(
    [
      _make('e1', 'longer: {a} {b}', 'evaluation', collection='ours'),
      _make('e2', 'count and compare {a} {b}', 'evaluation', collection='ours'),
      _make('d1', 'count {a} {b}', 'development', collection='dev'),
      _make('a1', 'longer - {x} {y}', collection='train'),
      _make('b1', 'count: {a} {b}', 'default', collection='theirs'),
      _make('i1', 'shorter: {a} {b}', 'incorrect', collection='wrong'),
    ]
  )
  found = likeness.to_trained(bank)
  assert set(found) == {(c, r) for c in ('ours', 'theirs') for r in ('alignment', 'development')} | {
    ('dev', 'alignment')
  }
  assert found['ours', 'alignment'] == (2, pytest.approx((0.5, 1.0, 1.0)), (2, 1, 1))
  with pytest.raises(ValueError, match='no phrasing'):
    likeness.distribution([])
