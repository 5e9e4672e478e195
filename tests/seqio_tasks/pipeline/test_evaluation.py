"""Tests of what an evaluation task holds."""

import pytest

from seqio_tasks.bank.instruction import make_instruction
from seqio_tasks.bank.layouts import Answer, Block, Layout
from seqio_tasks.datasets import DatasetError
from seqio_tasks.pipeline.evaluation import EvaluationTask, content_hash

EXAMPLES = [{'example_id': str(i), 'fields': {'a': 'x'}, 'gold': 'y', 'options': ['y'] * (2 - i)} for i in range(3)]


def _task(*templates, answer=None, **changes):
  instructions = tuple(
    make_instruction('c', 't', f'k{i}', 'evaluation', t, Layout(t, answer=answer)) for i, t in enumerate(templates)
  )
  splits = {'test': lambda: EXAMPLES, 'validation': EXAMPLES[:2]}
  return EvaluationTask(
    **{'name': 'n', 'dataset': 'd', 'group': 'g', 'instructions': instructions, 'splits': splits} | changes
  )


def test_the_hash_is_that_of_examples_and_phrasings():
  task = _task('{a}', 'b {a}')
  same = _task('{a}', 'b {a}', name='m', dataset='e', group='h', splits={'test': EXAMPLES})
  assert task.content_hash('test') == same.content_hash('test')
  others = [_task('{a}'), _task('{a}', 'c {a}'), _task('{a}', 'b {a}', examples=({'a': 'shown'},))]
  hashes = {task.content_hash('test'), task.content_hash('validation'), *(t.content_hash('test') for t in others)}
  assert len(hashes) == 5
  with pytest.raises(DatasetError, match="task n has no split 'train'; choose among test, validation"):
    task.content_hash('train')


def _hash_of_a_list(**changes):
  block, answer = Block('{label}. {option}', **changes), Answer('{label}', **changes)
  layout = Layout('{a} {o}', {'o': block}, answer=answer)
  return content_hash([make_instruction('c', 't', 'k', 'evaluation', '{a} {o}', layout)], [], [])


def test_the_hash_outlives_new_fields_of_layouts():
  """Results on disk go by it; this one was computed before options could be shuffled."""
  assert _hash_of_a_list() == 'b51fe58714d038ed8960a7f467cc10f944145b649751f56a03411f6552ffa468'
  assert len({_hash_of_a_list(), _hash_of_a_list(shuffle=1), _hash_of_a_list(shuffle=2)}) == 3


def test_an_example_that_cannot_be_ranked_is_named():
  assert _task('{a}').unrankable('test') == 'example 2 lacks options'
  assert _task('{a}').unrankable('validation') is None
  assert _task('{a}', answer=Answer(label_space=('y', 'n'))).unrankable('test') is None
  wrong = _task('{a}', splits={'test': [EXAMPLES[0], EXAMPLES[1] | {'gold': 'z', 'example_id': 'e'}]})
  assert wrong.unrankable('test') == 'example e has no right answer among its options'


def test_letters_are_checked_of_all_examples_at_once():
  layout = Layout('{a} {o}', {'o': Block('{label}. {option}')})
  many = [e | {'options': ['y'] * 27} for e in EXAMPLES]
  task = _task(instructions=(make_instruction('c', 't', 'k', 'evaluation', '{a} {o}', layout),), splits={'test': many})
  with pytest.raises(DatasetError, match="n:test: 3 of 3 examples have more than 26 options, the first is '0'"):
    task.check_letters('test')
