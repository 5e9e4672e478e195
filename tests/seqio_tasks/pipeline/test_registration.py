"""Tests of task and mixture registration, with a generator of examples of their own."""

import json

import pytest
import seqio

from seqio_tasks.bank import instruction as instruction_lib
from seqio_tasks.bank import reading
from seqio_tasks.pipeline import phrasings, registration
from seqio_tasks.suites import mini

LENGTHS = {'inputs': 16, 'targets': 4}
SHAPES = [
  (('mini_tuning', 'evaluation'), 2),
  (('mini_heldout', 'evaluation'), 3),
  (('mini_alignment', 'alignment'), 4),
  (('mini_development', 'development'), 1),
]
TEMPLATES = {'first_word': '{sentence}', 'bigger_number': '{n1} {n2}'}


def _generate(task, split, num_examples, seed):
  examples = []
  for i in range(num_examples):
    n1, n2 = str(i + seed), str(2 * i + 1 + seed)
    fields = {'sentence': f'{split} sentence {i}'} if task == 'first_word' else {'n1': n1, 'n2': n2}
    gold = split if task == 'first_word' else n2
    options = [] if task == 'first_word' else [n1, n2]
    examples.append({'example_id': f'{task}-{split}-{i}', 'fields': fields, 'gold': gold, 'options': options})
  return examples


def _bank(templates=TEMPLATES, shapes=SHAPES):
  return reading.Bank(
    instruction_lib.make_instruction(collection, task, f'{collection[5]}{i}', role, f'{collection} {i}: {template}')
    for task, template in templates.items()
    for (collection, role), count in shapes
    for i in range(count)
  )


@pytest.fixture
def vocabulary(tiny_vocabulary_path):
  return seqio.SentencePieceVocabulary(tiny_vocabulary_path, extra_ids=0)


@pytest.fixture(autouse=True)
def clean_registries():
  """Takes away what other tests of this process, and this one, registered."""
  for registry in (seqio.TaskRegistry, seqio.MixtureRegistry):
    registry.reset()
  yield
  for registry in (seqio.TaskRegistry, seqio.MixtureRegistry):
    registry.reset()


def _register(vocabulary, **kwargs):
  kwargs = {
    'num_paraphrases': 2,
    'bank': _bank(),
    'num_train_examples': 30,
    'num_eval_examples': 5,
    'seed': 4,
    'generate': _generate,
  } | kwargs
  return mini.register_mini_suite(vocabulary, **kwargs)


def _read(name, split, shuffle=False, **kwargs):
  dataset = seqio.get_mixture_or_task(name).get_dataset(
    LENGTHS, split=split, shuffle=shuffle, seed=0, num_epochs=1, **kwargs
  )
  return list(dataset.as_numpy_iterator())


def test_the_names_of_the_mini_suite(vocabulary):
  names = _register(vocabulary)
  expected = set()
  for task in TEMPLATES:
    kinds = ('tuning', 'alignment', 'resampling', 'eval_observed', 'eval_unobserved', 'eval_development')
    expected |= {f'mini_{task}_{kind}' for kind in kinds}
    expected |= {f'mini_{task}__{key}' for key in ('t0', 't1', 'h0', 'h1', 'h2', 'd0')}
  expected |= {
    'mini_tuning',
    'mini_alignment',
    'mini_resampling',
    'mini_eval_observed',
    'mini_eval_unobserved',
    'mini_eval_development',
  }
  assert set(names) == expected and len(names) == len(expected)
  registered = {*seqio.TaskRegistry.names(), *seqio.MixtureRegistry.names()}
  assert expected <= registered


def test_registering_again_is_nothing_and_otherwise_an_error(vocabulary):
  names = _register(vocabulary)
  task = seqio.TaskRegistry.get('mini_first_word_tuning')
  assert _register(vocabulary) == names
  assert seqio.TaskRegistry.get('mini_first_word_tuning') is task
  for change in ({'num_paraphrases': 1}, {'seed': 5}, {'num_eval_examples': 6}):
    with pytest.raises(registration.RegistrationError, match='already registered with other'):
      _register(vocabulary, **change)


def test_a_name_taken_by_somebody_else_is_an_error(vocabulary):
  _register(vocabulary)
  with pytest.raises(registration.RegistrationError, match="'mini_tuning' is already registered"):
    registration.register_mixture('mini_tuning', ['mini_first_word_tuning'])
  with pytest.raises(registration.RegistrationError, match="'mini_tuning' is already registered"):
    registration.register_examples_task(
      'mini_tuning', {'test': []}, vocabulary, phrasings.expand_phrasings(list(_bank())[:1])
    )


def test_training_tasks_stack_phrasings_of_their_roles(vocabulary):
  _register(vocabulary)
  tuning = _read('mini_bigger_number_tuning', 'train', shuffle=True)
  assert len(tuning) == 30
  assert {e['inputs'].shape for e in tuning} == {(1, 16)}
  assert {e['inputs_pretokenized'][0].split(b':')[0] for e in tuning} == {
    b'mini_tuning 0',
    b'mini_tuning 1',
  }
  assert sorted(e['targets_pretokenized'] for e in tuning) == sorted(
    e['gold'].encode() for e in _generate('bigger_number', 'train', 30, 4)
  )
  assert [e['targets_pretokenized'] for e in tuning] != [
    e['gold'].encode() for e in _generate('bigger_number', 'train', 30, 4)
  ]
  for e in _read('mini_bigger_number_alignment', 'train'):
    first, *rest = (t.split(b' ')[0] for t in e['inputs_pretokenized'])
    assert first == b'mini_tuning' and rest == [b'mini_alignment'] * 2


def test_resampling_draws_one_of_all_training_phrasings_for_each_example(vocabulary):
  _register(vocabulary)
  rows = _read('mini_bigger_number_resampling', 'train', shuffle=True)
  assert {e['inputs'].shape for e in rows} == {(1, 16)} and len(rows) == 30
  drawn = {e['inputs_pretokenized'][0].split(b':')[0] for e in rows}
  assert drawn == {b'mini_tuning %d' % i for i in range(2)} | {b'mini_alignment %d' % i for i in range(4)}


def test_held_tasks_are_trained_on_under_observed_phrasings_alone(vocabulary):
  shapes = [(('mini_tuning', 'evaluation'), 4), *SHAPES[1:]]
  tasks = {'alignment_tasks': ['first_word'], 'held_tasks': ['bigger_number']}
  _register(vocabulary, bank=_bank(shapes=shapes), **tasks)
  for task, expected in (('first_word', b'mini_alignment'), ('bigger_number', b'mini_tuning')):
    for e in _read(f'mini_{task}_alignment', 'train'):
      first, *rest = (t.split(b':')[0] for t in e['inputs_pretokenized'])
      assert first in (b'mini_tuning 0', b'mini_tuning 1') or task == 'first_word'
      assert {t.split(b' ')[0] for t in rest} == {expected}
      assert first not in rest and len(set(rest)) == 2
  assert len(seqio.MixtureRegistry.get('mini_alignment').tasks) == 2


def test_tasks_to_align_and_to_hold_are_checked(vocabulary):
  for wrong, message in (
    ({'alignment_tasks': ['second_word']}, 'alignment_tasks: the mini suite has no task second_word'),
    ({'held_tasks': ['second_word']}, 'held_tasks: the mini suite has no task second_word'),
    ({'held_tasks': ['first_word']}, 'held_tasks: first_word is aligned too'),
  ):
    with pytest.raises(registration.RegistrationError, match=message):
      _register(vocabulary, **wrong)


def test_mixtures_mix_all_tasks(vocabulary):
  _register(vocabulary)
  assert {e['inputs'].shape for e in _read('mini_alignment', 'train')} == {(3, 16)}
  mixture = seqio.MixtureRegistry.get('mini_alignment')
  assert {t.name for t in mixture.tasks} == {
    'mini_first_word_alignment',
    'mini_bigger_number_alignment',
  }
  assert {mixture.get_rate(t) for t in mixture.tasks} == {1.0}
  assert mixture.num_input_examples('train') == 60


def test_evaluation_tasks_hold_every_example_under_every_phrasing(vocabulary):
  _register(vocabulary)
  rows = _read('mini_bigger_number_eval_unobserved', 'test')
  assert len(rows) == 5 * 3
  assert {(r['example_id'], r['instruction_id']) for r in rows} == {
    (f'bigger_number-test-{i}'.encode(), f'mini_heldout/bigger_number/h{j}'.encode())
    for i in range(5)
    for j in range(3)
  }
  assert json.loads(rows[3]['options']) == ['5', '7']  # example 1: 1 + seed, 3 + seed
  assert rows[3]['targets_pretokenized'] == b'7'
  (only,) = {r['instruction_id'] for r in _read('mini_first_word__h2', 'validation')}
  assert only == b'mini_heldout/first_word/h2'
  assert seqio.TaskRegistry.get('mini_first_word__h2').num_input_examples('test') == 5


def test_which_tasks_evaluate_a_mixture(vocabulary):
  _register(vocabulary)
  flat = [f'mini_{task}_eval_{group}' for group in ('observed', 'unobserved', 'development') for task in TEMPLATES]
  assert registration.evaluation_tasks('mini_alignment') == flat
  assert registration.evaluation_tasks('mini_tuning') == flat
  assert registration.evaluation_tasks('mini_eval_unobserved') == flat[2:4]
  assert registration.evaluation_tasks(flat[0]) == flat[:1]
  with pytest.raises(registration.RegistrationError, match="'nonesuch'"):
    registration.evaluation_tasks('nonesuch')
  task = registration.evaluation_task('mini_first_word_eval_unobserved')
  assert (task.dataset, task.group) == ('mini_first_word', 'unobserved')
  assert [i.id for i in task.instructions] == [f'mini_heldout/first_word/h{i}' for i in range(3)]
  assert registration.evaluation_task('mini_first_word__d0').group == 'development'
  with pytest.raises(registration.RegistrationError, match="'mini_tuning'"):
    registration.evaluation_task('mini_tuning')


def test_content_hash(vocabulary):
  _register(vocabulary)
  name = 'mini_first_word_eval_unobserved'
  hashes = {registration.content_hash(name, split) for split in ('validation', 'test')}
  hashes.add(registration.content_hash('mini_first_word_eval_observed', 'test'))
  assert len(hashes) == 3
  assert registration.content_hash(name, 'test') in hashes
  with pytest.raises(registration.RegistrationError, match="no split 'train'"):
    registration.content_hash(name, 'train')


def test_groups_without_phrasings_are_left_out(vocabulary):
  names = _register(vocabulary, bank=_bank(shapes=SHAPES[:1]))
  assert {n for n in names if '__' not in n} == {
    'mini_tuning',
    'mini_eval_observed',
    'mini_first_word_tuning',
    'mini_bigger_number_tuning',
    'mini_first_word_eval_observed',
    'mini_bigger_number_eval_observed',
  }


def test_faults_of_the_bank(vocabulary):
  with pytest.raises(instruction_lib.BankError, match="mini_tuning/first_word/t0: unknown field 'word'"):
    _register(vocabulary, bank=_bank({'first_word': '{sentence} {word}'}))
  with pytest.raises(registration.RegistrationError, match='no phrasing of the collection'):
    _register(vocabulary, bank=_bank(shapes=SHAPES[1:]))
  clash = [
    *_bank(),
    instruction_lib.make_instruction('mini_heldout', 'first_word', 't0', 'evaluation', 'again {sentence}'),
  ]
  with pytest.raises(instruction_lib.BankError, match='its key is also that of mini_tuning/first_word/t0'):
    _register(vocabulary, bank=reading.Bank(clash))
  with pytest.raises(ValueError, match="num_phrasings is 6.*'first_word' has 4 paraphrases"):
    _register(vocabulary, num_paraphrases=5)


def test_evaluation_by_seqio_scores_gold_answers_as_right(vocabulary):
  _register(vocabulary)
  task = seqio.TaskRegistry.get('mini_first_word__t0')
  example = _read(task.name, 'test')[0]
  target = task.postprocess_fn('ignored', example=example, is_target=True)
  assert target == 'test'
  prediction = task.postprocess_fn(' Test', example=example, is_target=False)
  (metric,) = task.predict_metric_fns
  assert metric([target, target], [prediction, 'none']) == {'exact_match': 0.5}


def test_faults_of_examples_are_named(vocabulary):
  instruction = instruction_lib.make_instruction('c', 't', 'k', 'evaluation', '{a}')
  good = {'example_id': '0', 'fields': {'a': 'x'}, 'gold': 'y', 'options': []}
  other = good | {'example_id': '1', 'fields': {'b': 'x'}}
  for name, examples, message in (
    ('empty', [], 'empty:test has no example'),
    ('mixed', [good, other], "example '1': the templates name the fields"),
  ):
    registration.register_examples_task(name, {'test': examples}, vocabulary, phrasings.expand_phrasings([instruction]))
    with pytest.raises(registration.RegistrationError, match=message):
      _read(name, 'test')


def test_lists_of_examples_are_compared_by_content(vocabulary):
  preprocessor = phrasings.expand_phrasings([instruction_lib.make_instruction('c', 't', 'k', 'evaluation', '{a}')])

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


def test_our_phrasings_are_observed_only_by_models_tuned_on_them(vocabulary):
  mini.register_mini_suite(vocabulary, num_eval_examples=2, observed_collections=[])
  for name in registration.evaluation_tasks('mini_eval_observed'):
    assert registration.evaluation_task(name).group == 'unobserved'
