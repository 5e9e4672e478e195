"""Reading in Python gives what SeqIO's pipelines give, token by token."""

import numpy as np
import pytest
import seqio

from seqio_tasks.bank import layouts
from seqio_tasks.bank.instruction import make_instruction
from seqio_tasks.datasets import DatasetError
from seqio_tasks.pipeline import phrasings, registration
from seqio_tasks.pipeline.reading import Reader

pytestmark = pytest.mark.usefixtures('empty_registries')

LABELLED = layouts.Layout('{a}{options}', {'options': layouts.STYLES['letters']})
FREE = [
  make_instruction('c', 't', f'k{i}', 'evaluation', text) for i, text in enumerate(('{a}', 'which one, {a}?', '{a}{b}'))
]
LETTERED = make_instruction('c', 't', 'l', 'evaluation', LABELLED.template, LABELLED)
EXAMPLES = [
  {
    'example_id': str(i),
    'fields': {'a': text, 'b': ' {a} and more'},
    'gold': 'dog',
    'options': ['cat', 'dog'],
  }
  for i, text in enumerate(('the cat sat', 'é {b}', 'one two three four five six seven eight nine ten'))
]


@pytest.mark.parametrize('lengths', [{'inputs': 64, 'targets': 8}, {'inputs': 6, 'targets': 2}])
def test_rows_are_those_of_the_pipeline(vocabulary, lengths):
  instructions = [*FREE, LETTERED]
  registration.register_evaluation_task('flat', 'd', 'observed', instructions, {'test': EXAMPLES}, vocabulary)
  task = seqio.get_mixture_or_task('flat')
  actual = list(task.made_of.reader('test', lengths).rows())
  expected = list(task.get_dataset(lengths, split='test', shuffle=False).as_numpy_iterator())
  assert len(actual) == len(expected) == 12
  for row, wanted in zip(actual, expected, strict=True):
    assert row.keys() == wanted.keys()
    for name, value in wanted.items():
      np.testing.assert_array_equal(row[name], value.decode() if isinstance(value, bytes) else value, err_msg=name)
  assert any(row['truncated_tokens'] for row in actual) == (lengths['inputs'] == 6)


@pytest.mark.parametrize('lengths', [{'inputs': 64, 'targets': 8}, {'inputs': 6, 'targets': 2}])
def test_stacks_are_those_of_the_pipeline(vocabulary, lengths):
  """Of every phrasing that the pipeline draws; twice, since what was tokenised is kept."""
  preprocessor = phrasings.stack_phrasings(2, FREE[:1], FREE[1:])
  registration.register_examples_task('stacked', {'train': EXAMPLES}, vocabulary, preprocessor)
  task = seqio.get_mixture_or_task('stacked')
  reader = task.made_of.reader('train', lengths)
  pipeline = task.get_dataset(lengths, split='train', shuffle=False, seed=0)
  for _ in range(2):
    for example, wanted in enumerate(pipeline.as_numpy_iterator()):
      found = reader.stack(example, wanted['instruction_index'].tolist())
      for tokens, row in zip(found.inputs, wanted['inputs'], strict=True):
        assert row.tolist() == tokens.tolist() + [0] * (lengths['inputs'] - len(tokens))
      assert found.targets.tolist() == wanted['targets'].tolist()
      assert found.truncated_tokens == wanted['truncated_tokens'].tolist()


def test_faults_are_named(vocabulary):
  flat = phrasings.expand_phrasings(FREE).flat
  with pytest.raises(DatasetError, match='t:test has no example'):
    Reader('t:test', [], flat, vocabulary, None)
  lacking = [EXAMPLES[0] | {'fields': {'a': 'x'}}]
  with pytest.raises(DatasetError, match=r"t:test: example '0': the templates name the fields \['b'\]"):
    Reader('t:test', lacking, flat, vocabulary, None).stack(0, [0])
