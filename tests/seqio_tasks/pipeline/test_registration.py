"""Tests of registering tasks and mixtures one by one."""

import pytest
import seqio

from seqio_tasks.bank.instruction import make_instruction
from seqio_tasks.datasets import DatasetError
from seqio_tasks.pipeline import phrasings, registration

pytestmark = pytest.mark.usefixtures('empty_registries')


LENGTHS = {'inputs': 16, 'targets': 4}


def _read(name, split, shuffle=False, **kwargs):
  dataset = seqio.get_mixture_or_task(name).get_dataset(
    LENGTHS, split=split, shuffle=shuffle, seed=0, num_epochs=1, **kwargs
  )
  return list(dataset.as_numpy_iterator())


def test_faults_of_examples_are_named(vocabulary):
  instruction = make_instruction('c', 't', 'k', 'evaluation', '{a}')
  good = {'example_id': '0', 'fields': {'a': 'x'}, 'gold': 'y', 'options': []}
  other = good | {'example_id': '1', 'fields': {'b': 'x'}}
  for name, examples, message in (
    ('empty', [], 'empty:test has no example'),
    ('mixed', [good, other], "example '1': the templates name the fields"),
  ):
    registration.register_examples_task(name, {'test': examples}, vocabulary, phrasings.expand_phrasings([instruction]))
    with pytest.raises(DatasetError, match=message):
      _read(name, 'test')


def test_lists_of_examples_are_compared_by_content(vocabulary):
  preprocessor = phrasings.expand_phrasings([make_instruction('c', 't', 'k', 'evaluation', '{a}')])

  def examples(value):
    return {'test': [{'example_id': '0', 'fields': {'a': value}, 'gold': 'y', 'options': []}]}

  def register(value):
    return registration.register_examples_task('listed', examples(value), vocabulary, preprocessor)

  assert register('x') == register('x') == 'listed'
  with pytest.raises(registration.RegistrationError, match="'listed' is already registered"):
    register('z')


def test_a_mixture_needs_tasks():
  with pytest.raises(registration.RegistrationError, match="mixture 'm' has no task"):
    registration.register_mixture('m', [])


def test_a_task_in_another_group_is_another(vocabulary):
  def register(group):
    examples = {'test': [{'example_id': '0', 'fields': {'a': 'x'}, 'gold': 'y', 'options': []}]}
    instructions = [make_instruction('c', 't', 'k', 'evaluation', '{a}')]
    return registration.register_evaluation_task('flat', 'd', group, instructions, examples, vocabulary)

  assert register('observed') == register('observed') == 'flat'
  with pytest.raises(registration.RegistrationError, match="'flat' is already registered with other content"):
    register('unobserved')
  assert registration.evaluation_task('flat').group == 'observed'
