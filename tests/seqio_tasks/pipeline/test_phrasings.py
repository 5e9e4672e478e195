"""Tests of the TensorFlow side of phrasings: rendering, stacking, expansion, checkpoints."""

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest
import seqio
import tensorflow as tf

from seqio_tasks.bank import instruction, layouts
from seqio_tasks.bank import templates as templates_lib
from seqio_tasks.pipeline import phrasings

LENGTHS = {'inputs': 24, 'targets': 4}


@pytest.fixture(scope='module')
def vocabulary(tiny_vocabulary_path):
  return seqio.SentencePieceVocabulary(tiny_vocabulary_path, extra_ids=0)


def _instructions(role, *templates, task='first_word'):
  return [instruction.make_instruction('c', task, f'{role}{i}', role, template) for i, template in enumerate(templates)]


CANONICAL = _instructions('evaluation', 'first word: {sentence}', '{sentence}\nfirst word:')
PARAPHRASES = _instructions('alignment', 'name {sentence}', 'write {sentence} down', '{sentence}?', 'which, {sentence}')


LABELLED = instruction.make_instruction(
  'c',
  't',
  'k',
  'alignment',
  '{sentence}{options}',
  layouts.Layout('{sentence}{options}', {'options': layouts.STYLES['letters']}),
)


def _examples(*sentences):
  return tf.data.Dataset.from_tensor_slices(
    {
      'example_id': [str(i) for i in range(len(sentences))],
      'golds': [[s.split()[0]] for s in sentences],
      'options': [['[]']] * len(sentences),
      'option_list': [['']] * len(sentences),
      'alternatives': [['[]']] * len(sentences),
      'right_options': [['[]']] * len(sentences),
      'right_list': [['']] * len(sentences),
      'option_texts': [['[]']] * len(sentences),
      'fields/sentence': list(sentences),
    }
  )


def _apply(preprocessor, dataset, vocabulary, lengths=LENGTHS, rank=2, seed=7):
  features = {
    'inputs': seqio.Feature(vocabulary, rank=rank),
    'targets': seqio.Feature(vocabulary),
  }
  preprocessor = dataclasses.replace(preprocessor, sequence_length=lengths, output_features=features)
  with seqio.map_seed_manager(seed):
    return preprocessor(dataset)


@settings(max_examples=30, deadline=None)
@given(
  st.lists(
    st.text(alphabet=st.characters(exclude_characters='{}\x00', exclude_categories=['Cs'])),
    min_size=1,
    max_size=4,
  ),
  st.text(alphabet=st.characters(exclude_characters='\x00', exclude_categories=['Cs'])),
)
def test_tables_render_just_as_the_bank_does(literals, value):
  fields = {'x': value, 'y': '{x}'}
  templates = [
    '{x}'.join(literals),
    '{y}'.join(literals) + '{x}',
    '{x}{y}' + ''.join(literals),
    literals[0],
  ]
  table = phrasings.compile_templates(templates)
  values = {name: tf.constant(fields[name]) for name in table.field_names}
  got = table.render(values, tf.constant([3, 1, 0, 2, 1]))
  expected = [templates_lib.render(templates[i], fields) for i in (3, 1, 0, 2, 1)]
  assert [g.decode('utf-8') for g in got.numpy()] == expected


def test_stacked_phrasings_have_the_stated_features(vocabulary):
  preprocessor = phrasings.stack_phrasings(3, CANONICAL, PARAPHRASES)
  sentences = ['the cat {sat}', 'a dog']
  dataset = _apply(preprocessor, _examples(*sentences), vocabulary)
  assert dataset.element_spec['inputs'].shape == (3, 24)
  templates = [i.template for i in CANONICAL + PARAPHRASES]
  for sentence, example in zip(sentences, dataset.as_numpy_iterator(), strict=True):
    assert set(example) == {
      'inputs',
      'targets',
      'inputs_pretokenized',
      'targets_pretokenized',
      'instruction_index',
      'truncated_tokens',
    }
    assert example['inputs'].dtype == example['targets'].dtype == np.int32
    indices = example['instruction_index']
    assert indices[0] in (0, 1) and set(indices[1:]) <= {2, 3, 4, 5} and len(set(indices)) == 3
    for row, index, text in zip(example['inputs'], indices, example['inputs_pretokenized'], strict=True):
      rendered = templates_lib.render(templates[index], {'sentence': sentence})
      assert text.decode() == rendered
      ids = vocabulary.encode(rendered) + [1]
      assert row.tolist() == ids + [0] * (24 - len(ids))
    gold = sentence.split()[0]
    assert example['targets'].tolist() == vocabulary.encode(gold) + [1]
    assert example['targets_pretokenized'].decode() == gold
    assert example['truncated_tokens'].tolist() == [0, 0, 0]


def test_every_phrasing_is_drawn_and_draws_follow_the_seed(vocabulary):
  preprocessor = phrasings.stack_phrasings(3, CANONICAL, PARAPHRASES)

  def draws(seed):
    dataset = _apply(preprocessor, _examples('a dog').repeat(60), vocabulary, seed=seed)
    return np.stack([e['instruction_index'] for e in dataset.as_numpy_iterator()])

  first = draws(1)
  assert set(first[:, 0]) == {0, 1} and set(first[:, 1]) == set(first[:, 2]) == {2, 3, 4, 5}
  assert (np.diff(first[:, 1:]) != 0).all()
  np.testing.assert_array_equal(first, draws(1))
  assert (first != draws(2)).any()


def test_one_phrasing_is_a_canonical_one(vocabulary):
  dataset = _apply(phrasings.stack_phrasings(1, CANONICAL), _examples('a dog'), vocabulary)
  example = next(dataset.as_numpy_iterator())
  assert example['inputs'].shape == (1, 24)
  assert example['instruction_index'].shape == (1,)


def test_long_inputs_are_cut_before_eos(vocabulary):
  sentence = 'the cat sat on the mat while the dog chased a ball'
  preprocessor = phrasings.stack_phrasings(1, CANONICAL[:1])
  dataset = _apply(preprocessor, _examples(sentence), vocabulary, {'inputs': 6, 'targets': 1})
  example = next(dataset.as_numpy_iterator())
  ids = vocabulary.encode('first word: ' + sentence)
  assert example['inputs'].tolist() == [[*ids[:5], 1]]
  assert example['truncated_tokens'].tolist() == [len(ids) - 5]
  assert example['targets'].tolist() == [1]


def test_without_lengths_nothing_is_cut(vocabulary):
  dataset = _apply(phrasings.stack_phrasings(2, CANONICAL, PARAPHRASES), _examples('a dog'), vocabulary, None)
  example = next(dataset.as_numpy_iterator())
  longest = max(len(vocabulary.encode(t.decode())) for t in example['inputs_pretokenized'])
  assert example['inputs'].shape == (2, longest + 1)


def test_a_saved_iterator_goes_on_where_it_stood(vocabulary, tmp_path):
  preprocessor = phrasings.stack_phrasings(3, CANONICAL, PARAPHRASES)

  def iterator():
    dataset = _apply(preprocessor, _examples('a dog', 'the cat').repeat(), vocabulary)
    return iter(dataset.shuffle(4, seed=1))

  def take(it, n):
    return [next(it)['inputs'].numpy().tolist() for _ in range(n)]

  it = iterator()
  take(it, 5)
  path = tf.train.Checkpoint(it=it).write(str(tmp_path / 'it'))
  expected = take(it, 6)
  again = iterator()
  tf.train.Checkpoint(it=again).read(path)
  assert take(again, 6) == expected


def test_expansion_goes_through_every_phrasing_of_each_example(vocabulary):
  preprocessor = phrasings.expand_phrasings(CANONICAL, group='unobserved')
  dataset = _apply(preprocessor, _examples('the cat', 'a dog'), vocabulary, rank=1)
  examples = list(dataset.as_numpy_iterator())
  assert [(e['example_id'], e['instruction_id']) for e in examples] == [
    (b'0', b'c/first_word/evaluation0'),
    (b'0', b'c/first_word/evaluation1'),
    (b'1', b'c/first_word/evaluation0'),
    (b'1', b'c/first_word/evaluation1'),
  ]
  assert [e['inputs_pretokenized'] for e in examples] == [
    b'first word: the cat',
    b'the cat\nfirst word:',
    b'first word: a dog',
    b'a dog\nfirst word:',
  ]
  for e in examples:
    assert e['inputs'].tolist() == vocabulary.encode(e['inputs_pretokenized'].decode()) + [1]
    assert e['targets'].tolist() == vocabulary.encode(e['targets_pretokenized'].decode()) + [1]
    assert e['options'] == b'[]' and e['truncated_tokens'] == 0 and e['group'] == b'unobserved'
  assert examples[3]['targets_pretokenized'] == b'a'


def test_expansion_says_how_much_was_cut(vocabulary):
  dataset = _apply(
    phrasings.expand_phrasings(CANONICAL[:1]),
    _examples('the cat'),
    vocabulary,
    {'inputs': 3, 'targets': 4},
    rank=1,
  )
  example = next(dataset.as_numpy_iterator())
  ids = vocabulary.encode('first word: the cat')
  assert example['inputs'].tolist() == [*ids[:2], 1]
  assert example['truncated_tokens'] == len(ids) - 2


def test_more_phrasings_than_the_input_length_are_refused(vocabulary):
  preprocessor = phrasings.stack_phrasings(3, CANONICAL, PARAPHRASES)
  with pytest.raises(ValueError, match="num_phrasings is 3 but sequence_length.'inputs'. is 2"):
    _apply(preprocessor, _examples('a dog'), vocabulary, {'inputs': 2, 'targets': 4})


def test_a_field_that_the_data_lack_is_named(vocabulary):
  other = _instructions('evaluation', 'after {word}: {sentence}')
  with pytest.raises(ValueError, match=r"fields \['word'\].*they have \['sentence'\]"):
    _apply(phrasings.expand_phrasings(other), _examples('a dog'), vocabulary, rank=1)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ((2, CANONICAL), 'has 0 paraphrases; choose 1 to 1'),
    ((6, CANONICAL, PARAPHRASES), 'has 4 paraphrases; choose 1 to 5'),
    ((0, CANONICAL), 'num_phrasings is 0'),
    ((1, []), 'no canonical'),
    ((2, CANONICAL, CANONICAL), 'stand twice'),
    ((2, CANONICAL, [LABELLED]), 'answer in two forms'),
  ],
)
def test_what_cannot_be_stacked(arguments, message):
  with pytest.raises(ValueError, match=message):
    phrasings.stack_phrasings(*arguments)


def test_nothing_cannot_be_expanded_or_compiled():
  with pytest.raises(ValueError, match='at least one'):
    phrasings.expand_phrasings([])
  with pytest.raises(ValueError, match='at least one'):
    phrasings.compile_templates([])
