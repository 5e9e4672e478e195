"""Tests of the tasks that datasets are trained on."""

import pytest
import seqio

from seqio_tasks import suites
from seqio_tasks.bank.instruction import make_instruction
from seqio_tasks.bank.layouts import STYLES, Answer, Layout
from seqio_tasks.suites import training

pytestmark = pytest.mark.usefixtures('empty_registries')


def test_alignment_pairs_phrasings_of_one_form(vocabulary, banks, quiz, read):
  names = suites.register(vocabulary, quiz, banks, ['seen'], num_paraphrases=2)
  assert [n for n in names if 'alignment' in n] == ['quiz_alignment_text', 'quiz_alignment_upper', 'quiz_alignment']
  assert [n for n in names if 'resampling' in n] == ['quiz_resampling_text', 'quiz_resampling_upper', 'quiz_resampling']
  drawn = {r['inputs_pretokenized'][0].split()[0] for r in read('quiz_resampling_upper', 'train')}
  assert drawn <= {b'pick', b'take', b'choose', b'find'}
  for row in read('quiz_alignment_upper', 'train'):
    texts = [t.decode() for t in row['inputs_pretokenized']]
    assert texts[0].startswith('pick ') and row['targets_pretokenized'] in (b'A', b'B')
    assert len({t.split()[0] for t in texts[1:]} & {'take', 'choose', 'find'}) == 2
  assert {r['targets_pretokenized'] for r in read('quiz_alignment_text', 'train')} == {b'cat', b'dog'}
  assert [n for n in names if 'tuning' in n] == ['quiz_tuning']
  train = {e['example_id'] for e in quiz[0].splits['train']()}
  assert not train & {r['example_id'].decode() for r in read('quiz_eval_unobserved')}


def test_without_observed_phrasings_a_paraphrase_comes_first(vocabulary, banks, quiz, read):
  names = suites.register(vocabulary, quiz, banks, num_paraphrases=2)
  assert 'quiz_tuning' not in names
  for row in read('quiz_alignment_text', 'train'):
    assert row['inputs_pretokenized'][0].startswith(b'say ')


def test_too_few_paraphrases_are_told(vocabulary, banks, quiz, caplog):
  names = suites.register(vocabulary, quiz, banks, num_paraphrases=5)
  assert not [n for n in names if 'alignment' in n]
  assert 'quiz has no alignment task: fewer than NUM_PARAPHRASES=5' in caplog.text


def test_draws_repeat_under_a_seed(vocabulary, banks, quiz):
  suites.register(vocabulary, quiz, banks, ['seen'], num_paraphrases=2)

  def drawn(seed):
    data = seqio.get_mixture_or_task('quiz_alignment').get_dataset(
      {'inputs': 32, 'targets': 8}, split='train', shuffle=True, seed=seed, num_epochs=1
    )
    return [r['inputs'].tobytes() for r in data.as_numpy_iterator()]

  assert drawn(1) == drawn(1) != drawn(2)


def test_training_tasks_stack_phrasings_of_their_roles(register_suite, read, generate):
  register_suite()
  tuning = read('mini_bigger_number_tuning', 'train', shuffle=True, inputs=16)
  assert len(tuning) == 30
  assert {e['inputs'].shape for e in tuning} == {(1, 16)}
  assert {e['inputs_pretokenized'][0].split(b':')[0] for e in tuning} == {
    b'mini_tuning 0',
    b'mini_tuning 1',
  }
  assert sorted(e['targets_pretokenized'] for e in tuning) == sorted(
    e['gold'].encode() for e in generate('bigger_number', 'train', 30, 4)
  )
  assert [e['targets_pretokenized'] for e in tuning] != [
    e['gold'].encode() for e in generate('bigger_number', 'train', 30, 4)
  ]
  for e in read('mini_bigger_number_alignment', 'train'):
    first, *rest = (t.split(b' ')[0] for t in e['inputs_pretokenized'])
    assert first == b'mini_tuning' and rest == [b'mini_alignment'] * 2


def test_resampling_draws_one_of_all_training_phrasings_for_each_example(register_suite, read):
  register_suite()
  rows = read('mini_bigger_number_resampling', 'train', shuffle=True, inputs=16)
  assert {e['inputs'].shape for e in rows} == {(1, 16)} and len(rows) == 30
  drawn = {e['inputs_pretokenized'][0].split(b':')[0] for e in rows}
  assert drawn == {b'mini_tuning %d' % i for i in range(2)} | {b'mini_alignment %d' % i for i in range(4)}


def test_held_tasks_are_trained_on_under_observed_phrasings_alone(register_suite, read, suite_bank, shapes):
  more = [(('mini_tuning', 'evaluation'), 4), *shapes[1:]]
  register_suite(bank=suite_bank(shapes=more), held=['bigger_number'])
  for task, expected in (('first_word', b'mini_alignment'), ('bigger_number', b'mini_tuning')):
    for e in read(f'mini_{task}_alignment', 'train'):
      first, *rest = (t.split(b':')[0] for t in e['inputs_pretokenized'])
      assert first in (b'mini_tuning 0', b'mini_tuning 1') or task == 'first_word'
      assert {t.split(b' ')[0] for t in rest} == {expected}
      assert first not in rest and len(set(rest)) == 2
  assert len(seqio.MixtureRegistry.get('mini_alignment').tasks) == 2


def test_names_of_forms():
  def form(**layout):
    return training.form_of(make_instruction('c', 't', 'k', 'alignment', '{q}', Layout('{q}', **layout)))

  assert form() == 'text' and form(answer=Answer()) == 'text'
  assert form(blocks={'options': STYLES['numbers']}) == 'numbers'
  other = form(answer=Answer('{option}.'))
  assert other.startswith('form_') and other != form(answer=Answer('{option}!'))
