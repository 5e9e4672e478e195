"""Tests of the registrar: names, mixtures, what is refused."""

import dataclasses
import json
import time

import pytest
import seqio

from seqio_tasks import datasets, suites
from seqio_tasks.bank.instruction import BankError, make_instruction
from seqio_tasks.bank.reading import Bank
from seqio_tasks.pipeline import phrasings, registration

TASKS = ('first_word', 'bigger_number')

pytestmark = pytest.mark.usefixtures('empty_registries')


def test_training_mixtures_are_evaluated_by_every_group_once(vocabulary, banks, quiz):
  suites.register(vocabulary, quiz, banks, ['seen'], num_paraphrases=2)
  assert registration.evaluation_tasks('quiz_alignment') == [
    'quiz_eval_observed', 'quiz_eval_unobserved', 'quiz_eval_incorrect'
  ]  # fmt: skip


def test_tuning_counts_datasets_by_their_size(vocabulary, banks, quiz):
  made = [
    datasets.Dataset(
      name, 'many', ('quiz',), {'train': lambda n=n: quiz[0].splits['train']()[:n]}, fields=('question',)
    )
    for name, n in (('small', 5), ('large', 20))
  ]
  suites.register(vocabulary, made, banks, ['seen'], num_paraphrases=2, max_tuning_rate=10)
  mixture = seqio.MixtureRegistry.get('many_tuning')
  assert {t.name: mixture.get_rate(t) for t in mixture.tasks} == {'small_tuning': 5, 'large_tuning': 10}


def test_registering_again_does_nothing_and_other_content_is_refused(vocabulary, banks, quiz):
  first = suites.register(vocabulary, quiz, banks)
  assert suites.register(vocabulary, quiz, banks) == first
  with pytest.raises(registration.RegistrationError, match='already registered with other content'):
    suites.register(vocabulary, quiz, banks, num_examples=3)


def test_errors_name_the_cure(vocabulary, banks, quiz):
  with pytest.raises(registration.RegistrationError, match="no collections .'sean'.; they have .*'seen'"):
    suites.register(vocabulary, quiz, banks, collections=['sean'])
  with pytest.raises(
    registration.RegistrationError, match='no phrasing of the banks serves quiz, .* with the fields question'
  ):
    suites.register(vocabulary, quiz, banks[-1:])
  with pytest.raises(registration.RegistrationError, match="alignment_collections: .*no collections .'sean'."):
    suites.register(vocabulary, quiz, banks, alignment_collections=['sean'])
  with pytest.raises(
    registration.RegistrationError, match='has 60 examples to show, not 99|has .* examples to show, not 99'
  ):
    suites.register(vocabulary, quiz, banks, num_shots=99)


def test_own_answers_are_trained_on_and_a_dataset_without_is_refused(vocabulary, banks, quiz):
  wanted = quiz[0].splits['train']()[3]
  wrong = 1 - wanted['options'].index(wanted['gold'])
  answers = {'quiz': {str(wanted['example_id']): wrong}}
  suites.register(vocabulary, quiz, banks, ['seen'], num_paraphrases=2, answers=answers)
  task = next(n for n in seqio.TaskRegistry.names() if n.startswith('quiz_alignment'))
  ds = seqio.get_mixture_or_task(task).get_dataset({'inputs': 64, 'targets': 8}, 'train', shuffle=False)
  golds = [vocabulary.decode(row['targets'].tolist()) for row in ds.as_numpy_iterator()]
  assert golds == [wanted['options'][wrong]]
  with pytest.raises(registration.RegistrationError, match='there are none for quiz, only for other'):
    suites.register(vocabulary, quiz, banks, answers={'other': {}})


def test_a_dataset_without_training_needs_no_answers(vocabulary, banks, quiz):
  evaluated = dataclasses.replace(quiz[0], splits={'test': quiz[0].splits['test']}, sizes={})
  names = suites.register(vocabulary, [evaluated], banks, ['seen'], answers={'other': {}})
  assert 'quiz_eval_observed' in names and 'quiz_alignment' not in names


def test_content_free_tasks_ask_nothing_and_show_examples_as_they_are(vocabulary, banks, quiz):
  suites.register(vocabulary, quiz, banks, ['seen'], num_shots=2)
  shown = registration.evaluation_task('quiz_2shot_eval_observed')
  assert len(shown.examples) == 2
  for registry in (seqio.TaskRegistry, seqio.MixtureRegistry):
    registry.reset()
  suites.register(vocabulary, quiz, banks, ['seen'], num_shots=2, content_free='N/A')
  task = registration.evaluation_task('quiz_2shot_eval_observed')
  assert task.examples == shown.examples
  for blank, asked in zip(task.splits['test'](), shown.splits['test'](), strict=True):
    assert blank == {**asked, 'fields': {'question': 'N/A'}}
  assert 'doubled' not in datasets.readings().get('quiz, split test', {})


def test_ten_thousand_tasks(vocabulary, banks, quiz):
  """Registration reads no data and is not quadratic: twice the tasks take about twice the steps."""
  many = [datasets.Dataset(f'd{i}', 'many', ('quiz',), quiz[0].splits, fields=('question',)) for i in range(700)]
  began = time.process_time()
  names = suites.register(vocabulary, many, banks, ['seen'], num_paraphrases=2)
  assert len(names) > 10_000
  assert time.process_time() - began < 60  # seconds where it is well below 10; a step quadratic in tasks takes minutes


def test_the_names_of_the_mini_suite(register_suite):
  names = register_suite()
  expected = set()
  for task in TASKS:
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


def test_registering_again_is_nothing_and_otherwise_an_error(register_suite):
  names = register_suite()
  task = seqio.TaskRegistry.get('mini_first_word_tuning')
  assert register_suite() == names
  assert seqio.TaskRegistry.get('mini_first_word_tuning') is task
  for change in ({'num_paraphrases': 1}, {'seed': 5}, {'num_eval_examples': 6}):
    with pytest.raises(registration.RegistrationError, match='already registered with other'):
      register_suite(**change)


def test_a_name_taken_by_somebody_else_is_an_error(vocabulary, register_suite, suite_bank):
  register_suite()
  with pytest.raises(registration.RegistrationError, match="'mini_tuning' is already registered"):
    registration.register_mixture('mini_tuning', ['mini_first_word_tuning'])
  with pytest.raises(registration.RegistrationError, match="'mini_tuning' is already registered"):
    registration.register_examples_task(
      'mini_tuning', {'test': []}, vocabulary, phrasings.expand_phrasings(list(suite_bank())[:1])
    )


def test_mixtures_mix_all_tasks(register_suite, read):
  register_suite()
  assert {e['inputs'].shape for e in read('mini_alignment', 'train', inputs=16)} == {(3, 16)}
  mixture = seqio.MixtureRegistry.get('mini_alignment')
  assert {t.name for t in mixture.tasks} == {
    'mini_first_word_alignment',
    'mini_bigger_number_alignment',
  }
  assert {mixture.get_rate(t) for t in mixture.tasks} == {1.0}
  assert mixture.num_input_examples('train') == 60


def test_which_tasks_evaluate_a_mixture(register_suite):
  register_suite()
  flat = [f'mini_{task}_eval_{group}' for group in ('observed', 'unobserved', 'development') for task in TASKS]
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


def test_groups_without_phrasings_are_left_out(register_suite, suite_bank, shapes):
  names = register_suite(bank=suite_bank(shapes=shapes[:1]))
  assert {n for n in names if '__' not in n} == {
    'mini_tuning',
    'mini_eval_observed',
    'mini_first_word_tuning',
    'mini_bigger_number_tuning',
    'mini_first_word_eval_observed',
    'mini_bigger_number_eval_observed',
  }


def test_faults_of_the_bank(register_suite, suite_bank, shapes):
  with pytest.raises(BankError, match="mini_tuning/first_word/t0: unknown field 'word'"):
    register_suite(bank=suite_bank({'first_word': '{sentence} {word}'}))
  with pytest.raises(registration.RegistrationError, match='no phrasing of the collection'):
    register_suite(bank=suite_bank(shapes=shapes[1:]))
  clash = [
    *suite_bank(),
    make_instruction('mini_heldout', 'first_word', 't0', 'evaluation', 'again {sentence}'),
  ]
  with pytest.raises(BankError, match='its key is also that of mini_tuning/first_word/t0'):
    register_suite(bank=Bank(clash))
  with pytest.raises(ValueError, match="num_phrasings is 6.*'first_word' has 4 paraphrases"):
    register_suite(num_paraphrases=5)


def test_calls_of_gin_files_are_made(vocabulary, banks, quiz):
  calls = [lambda vocabulary: suites.register(vocabulary, quiz, banks), lambda vocabulary: ['other']]
  names = suites.register_all(calls, vocabulary)
  assert names[-1] == 'other' and 'quiz_eval_unobserved' in names
  tasks = suites.evaluation_tasks(calls, vocabulary, ['quiz_eval_incorrect', 'quiz__unseen_k0'])
  assert [(t.name, t.group) for t in tasks] == [('quiz_eval_incorrect', 'incorrect'), ('quiz__unseen_k0', 'unobserved')]
  with pytest.raises(registration.RegistrationError, match="'quiz_eval_nonesuch'"):
    suites.evaluation_tasks(calls, vocabulary, ['quiz_eval_nonesuch'])


def test_nothing_is_evaluated_twice(vocabulary, banks, quiz):
  calls = [lambda vocabulary: suites.register(vocabulary, quiz, banks)]
  twice = ['quiz_eval_incorrect', 'quiz_eval_unobserved', 'quiz_eval_incorrect']
  assert [t.name for t in suites.evaluation_tasks(calls, vocabulary, twice)] == twice[:2]
  for other in ('quiz_eval_unseen', 'quiz__unseen_k0'):
    with pytest.raises(
      registration.RegistrationError,
      match=f'MIXTURES: quiz_eval_unobserved and {other} both have the phrasing unseen/quiz/k0, .*name mixtures that',
    ):
      suites.evaluation_tasks(calls, vocabulary, ['quiz_eval_unobserved', other])


def test_a_rate_of_its_own_counts_for_more_than_the_size(vocabulary, banks, quiz):
  made = [
    datasets.Dataset(
      name, 'many', ('quiz',), {'train': quiz[0].splits['train']}, fields=('question',), tuning_rate=rate
    )
    for name, rate in (('rated', 2.5), ('counted', None))
  ]
  suites.register(vocabulary, made, banks, ['seen'], num_paraphrases=2, max_tuning_rate=10)
  mixture = seqio.MixtureRegistry.get('many_tuning')
  assert {t.name: mixture.get_rate(t) for t in mixture.tasks} == {'rated_tuning': 2.5, 'counted_tuning': 10}


def test_training_mixtures_are_evaluated_group_by_group(vocabulary, banks, quiz):
  made = [datasets.Dataset(n, 'many', ('quiz',), quiz[0].splits, fields=('question',)) for n in ('one', 'two')]
  suites.register(vocabulary, made, banks, ['seen'], num_paraphrases=2)
  assert registration.evaluation_tasks('many_alignment') == [
    f'{dataset}_eval_{group}' for group in ('observed', 'unobserved', 'incorrect') for dataset in ('one', 'two')
  ]


def test_phrasings_that_no_dataset_can_fill_are_told_and_counted(vocabulary, banks, quiz, caplog):
  suites.register(vocabulary, [quiz], banks)
  first = 'other/quiz/k0 needs question, subject, where the data has question'
  assert f'1 phrasings serve no dataset and are left out; the first: {first}' in caplog.text
  assert datasets.readings()['phrasings']['unserved'] == {'rows': 1, 'first': first}


def test_phrasings_of_the_package_may_ask_for_more_than_there_is(vocabulary, tmp_path, caplog):
  path = tmp_path / 'quiz.jsonl'
  path.write_text(json.dumps({'question': 'q', 'options': ['cat', 'dog'], 'answer': 'cat'}) + '\n')
  suites.register(vocabulary, [datasets.table(path, 'quiz', ['multiple_choice'], options='options')])
  assert 'serve no dataset' not in caplog.text
