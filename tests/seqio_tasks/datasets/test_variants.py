"""Tests of datasets that are made from others."""

import functools

import pytest

from seqio_tasks.datasets import variants
from seqio_tasks.datasets.sources import Dataset, DatasetError
from seqio_tasks.pipeline.examples import identity


def _read():
  return (
    {'example_id': '0', 'fields': {'question': 'q', 'more': 'm'}, 'gold': 'b', 'gold_index': 1, 'options': ['a', 'b', 'a']},
    {'example_id': '1', 'fields': {'question': 'r', 'more': 'n'}, 'gold': 'a', 'options': ['a', 'b'], 'alternatives': ['b']},
  )  # fmt: skip


def _dataset():
  return Dataset('d', 'x', ('t',), {'train': _read, 'test': _read}, sizes={'train': 2, 'test': 2})


def test_content_free_examples_keep_options_and_right_answers():
  made = variants.content_free(_read, 'N/A')()
  assert [e['fields'] for e in made] == [{'question': 'N/A', 'more': 'N/A'}] * 2
  assert [(e['gold'], e['options']) for e in made] == [('b', ['a', 'b', 'a']), ('a', ['a', 'b'])]


def test_own_answers_take_the_place_of_right_ones_in_the_split_to_train_on():
  made = variants.answered(_dataset(), {'0': 2}, 'train')
  (only,) = made.splits['train']()
  assert (only['example_id'], only['gold'], only['gold_index']) == ('0', 'a', 2)
  assert 'alternatives' not in variants.answered(_dataset(), {'1': 0}, 'train').splits['train']()[0]
  assert made.splits['test']() == _read() and made.sizes == {'test': 2}
  with pytest.raises(DatasetError, match='has 2 options, and option 3 was chosen'):
    variants.answered(_dataset(), {'1': 2}, 'train').splits['train']()
  with pytest.raises(DatasetError, match="d has no split 'dev' to give answers to; it has train, test"):
    variants.answered(_dataset(), {}, 'dev')


def test_equal_variants_are_the_same_content_to_a_registry():
  first, again = (variants.answered(_dataset(), {'0': 2}, 'train').splits['train'] for _ in range(2))
  other = variants.answered(_dataset(), {'0': 1}, 'train').splits['train']
  assert isinstance(first, functools.partial) and identity(first) == identity(again) != identity(other)
