"""Tests of the tasks that datasets are evaluated by."""

import dataclasses
import json

import numpy as np
import pytest
import seqio

from seqio_tasks import datasets, suites
from seqio_tasks.errors import UserError
from seqio_tasks.pipeline import registration

pytestmark = pytest.mark.usefixtures('empty_registries')


def test_evaluation_rows_have_the_phrasings_own_answers(vocabulary, banks, quiz, read):
  suites.register(vocabulary, quiz, banks, observed_collections=['seen'])
  rows = read('quiz_eval_observed')
  assert len(rows) == 2 * len(quiz[0].splits['test']())
  text, letter = rows[:2]
  assert text['inputs_pretokenized'].startswith(b'what is question')
  assert json.loads(text['options']) == ['cat', 'dog', 'bird'] and text['targets_pretokenized'] in (b'cat', b'dog')
  assert letter['inputs_pretokenized'].endswith(b'A. cat\nB. dog\nC. bird')
  assert json.loads(letter['options']) == ['A', 'B', 'C'] and letter['targets_pretokenized'] in (b'A', b'B')


def test_rows_are_cut_to_the_lengths_and_end_in_eos(vocabulary, banks, quiz, read):
  suites.register(vocabulary, quiz, banks)
  whole, cut = (read('quiz_eval_unobserved', inputs=n) for n in (200, 5))
  for long, short in zip(whole, cut, strict=True):
    over = max(len(long['inputs']) - 5, 0)
    assert (long['truncated_tokens'], short['truncated_tokens']) == (0, over)
    assert long['inputs'][-1] == short['inputs'][-1] == 1
    assert short['inputs'][:-1].tolist() == long['inputs'][: 4 if over else -1].tolist()
  assert any(row['truncated_tokens'] for row in cut)
  ranked = read('quiz__seen_k1__rank', inputs=5)
  assert all(len(r['inputs']) == 5 and r['inputs'][-1] == 1 and r['truncated_tokens'] > 0 for r in ranked)


def test_rank_classification(vocabulary, banks, quiz, read):
  suites.register(vocabulary, quiz, banks)
  name = 'quiz__seen_k1__rank'
  rows = read(name)
  examples = quiz[0].splits['test']()
  assert len(rows) == 3 * len(examples)
  assert [r['idx'].tolist() for r in rows[:4]] == [[0, 0], [0, 1], [0, 2], [1, 0]]
  assert [r['targets_pretokenized'] for r in rows[:3]] == [b'A', b'B', b'C']
  assert [bool(r['is_correct']) for r in rows[:3]] == [o == examples[0]['gold'] for o in examples[0]['options']]
  task = seqio.get_mixture_or_task(name)
  assert len(task.score_metric_fns) == 1 and not task.predict_metric_fns
  targets = [task.postprocess_fn('', example=r, is_target=True) for r in rows]
  (metric,) = task.score_metric_fns
  assert metric(targets, [float(t[2]) for t in targets]) == {'rank_accuracy': 1.0}
  always_first = metric(targets, [-float(t[1]) for t in targets])
  assert always_first == {'rank_accuracy': np.mean([e['gold'] == 'cat' for e in examples])}


def test_each_of_several_right_options_is_right(vocabulary, banks, quiz, read):
  example = dict(quiz[0].splits['test']()[0])
  example |= {'gold': example['options'][2], 'alternatives': [example['options'][1]]}
  example.pop('gold_index', None)
  several = dataclasses.replace(quiz[0], splits={'test': lambda: [example]}, sizes={})
  suites.register(vocabulary, [several], banks)
  rows = read('quiz_eval_unobserved__rank')
  assert rows and all(row['is_correct'] == (row['idx'][1] > 0) for row in rows)


def test_options_that_would_be_cut_are_refused(vocabulary, banks, quiz):
  suites.register(vocabulary, quiz, banks)
  task = seqio.get_mixture_or_task('quiz__unseen_k0__rank')

  def read(targets):
    return list(task.get_dataset({'inputs': 64, 'targets': targets}, 'test', shuffle=False).as_numpy_iterator())

  longest = max(len(row['targets']) for row in read(64))
  assert len(read(longest)) == len(read(64))
  for limit in (longest - 1, 2):  # the length that is enough for all is told, whatever is too short
    with pytest.raises(UserError, match=f"{limit} tokens of 'targets'.*scored whole; set it to {longest} or more"):
      task.get_dataset({'inputs': 64, 'targets': limit}, 'test', shuffle=False)


def test_right_answers_that_an_output_cannot_hold_are_counted(vocabulary, banks, tmp_path):
  path = tmp_path / 'open.csv'
  path.write_text('question,answer\nq,the cat sat on the mat\nr,a\n')
  suites.register(vocabulary, datasets.table(path, 'open', ['quiz']), banks, collections=['unseen'])
  tokens = len(vocabulary.encode('the cat sat on the mat'))
  task = seqio.get_mixture_or_task('open__unseen_k0')
  for limit in (tokens + 1, tokens, tokens - 1, 3):
    rows = task.get_dataset({'inputs': 64, 'targets': limit}, 'test', shuffle=False).as_numpy_iterator()
    assert [int(row['cut_answer_tokens']) for row in rows] == [max(tokens - limit, 0), 0]


def test_free_answers_cannot_be_ranked(vocabulary, banks, tmp_path, read):
  path = tmp_path / 'open.csv'
  path.write_text('question,answer\nq,a\n')
  suites.register(vocabulary, datasets.table(path, 'open', ['quiz']), banks, collections=['unseen'])
  assert len(read('open__unseen_k0')) == 1
  with pytest.raises(datasets.DatasetError, match="example '2' has no options to rank"):
    read('open__unseen_k0__rank')


def test_seqio_scores_a_rank_task(vocabulary, banks, quiz):
  """SeqIO's own evaluator, which T5X uses, runs the task with a function that scores batches."""
  suites.register(vocabulary, quiz, banks)

  class Converter(seqio.EncDecFeatureConverter):
    pass

  evaluator = seqio.Evaluator(
    'quiz__unseen_k0__rank', Converter(pack=False), eval_split='test', sequence_length={'inputs': 32, 'targets': 8}
  )

  def score(data):
    return [(i, -float(len(b['decoder_target_tokens'].nonzero()[0]))) for i, b in enumerate_numpy(data)]

  def enumerate_numpy(data):
    return [(int(i), b) for i, b in data.as_numpy_iterator()]

  metrics, _ = evaluator.evaluate(compute_metrics=True, predict_fn=None, score_fn=score)
  assert 0 <= metrics.result()['quiz__unseen_k0__rank']['rank_accuracy'] <= 1


def test_few_shot_tasks(vocabulary, banks, quiz, read):
  names = suites.register(vocabulary, quiz, banks, num_shots=2)
  assert 'quiz_2shot__seen_k1' in names
  row = read('quiz_2shot__seen_k1', inputs=200)[0]
  text = row['inputs_pretokenized'].decode()
  shown = quiz[0].splits['train']()[:2]
  for example in shown:
    letter = 'ABC'[example['options'].index(example['gold'])]
    assert f'pick {example["fields"]["question"]} A. cat\nB. dog\nC. bird {letter}\n\n' in text
  only_test = [datasets.Dataset('bare', 'bare', ('quiz',), {'test': quiz[0].splits['test']}, fields=('question',))]
  suites.register(vocabulary, only_test, banks, num_shots=1)
  assert len(read('bare_1shot__seen_k0', inputs=200)) == len(quiz[0].splits['test']()) - 1


def test_evaluation_tasks_hold_every_example_under_every_phrasing(register_suite, read):
  register_suite()
  rows = read('mini_bigger_number_eval_unobserved', 'test')
  assert len(rows) == 5 * 3
  assert {(r['example_id'], r['instruction_id']) for r in rows} == {
    (f'bigger_number-test-{i}'.encode(), f'mini_heldout/bigger_number/h{j}'.encode())
    for i in range(5)
    for j in range(3)
  }
  assert json.loads(rows[3]['options']) == ['5', '7']  # example 1: 1 + seed, 3 + seed
  assert rows[3]['targets_pretokenized'] == b'7'
  (only,) = {r['instruction_id'] for r in read('mini_first_word__h2', 'validation')}
  assert only == b'mini_heldout/first_word/h2'
  assert seqio.TaskRegistry.get('mini_first_word__h2').num_input_examples('test') == 5


def test_content_hash(register_suite):
  register_suite()
  name = 'mini_first_word_eval_unobserved'
  hashes = {registration.evaluation_task(name).content_hash(split) for split in ('validation', 'test')}
  hashes.add(registration.evaluation_task('mini_first_word_eval_observed').content_hash('test'))
  assert len(hashes) == 3
  assert registration.evaluation_task(name).content_hash('test') in hashes
  with pytest.raises(datasets.DatasetError, match="no split 'dev'"):
    registration.evaluation_task(name).content_hash('dev')


def test_evaluation_by_seqio_scores_gold_answers_as_right(register_suite, read):
  register_suite()
  task = seqio.TaskRegistry.get('mini_first_word__t0')
  example = read(task.name, 'test')[0]
  target = task.postprocess_fn('ignored', example=example, is_target=True)
  assert target == 'test'
  prediction = task.postprocess_fn(' Test', example=example, is_target=False)
  (metric,) = task.predict_metric_fns
  assert metric([target, target], [prediction, 'none']) == {'exact_match': 0.5}
