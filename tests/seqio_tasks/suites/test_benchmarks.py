"""Tests of registering benchmarks under a bank's phrasings."""

import json
import time

import numpy as np
import pytest
import seqio

from seqio_tasks import datasets
from seqio_tasks.bank import instruction
from seqio_tasks.datasets import _tfds, sources
from seqio_tasks.pipeline import registration, seqio_metrics
from seqio_tasks.suites import benchmarks

BANK = """
family: test
collection: {collection}
role: {role}
instructions:
  quiz:
{entries}
"""


@pytest.fixture(autouse=True)
def _registries():
  """Each test registers into registries of its own."""
  kept = [dict(seqio.TaskRegistry._REGISTRY), dict(seqio.MixtureRegistry._REGISTRY)]
  contents = dict(registration._CONTENTS)
  yield
  seqio.TaskRegistry._REGISTRY, seqio.MixtureRegistry._REGISTRY = kept
  registration._CONTENTS.clear()
  registration._CONTENTS.update(contents)


@pytest.fixture
def vocabulary(tiny_vocabulary_path):
  return seqio.SentencePieceVocabulary(tiny_vocabulary_path, extra_ids=100)


def _bank(tmp_path, collection, role, *entries):
  text = ''.join(f'    k{i}: {entry}\n' for i, entry in enumerate(entries))
  path = tmp_path / f'{collection}.yaml'
  path.write_text(BANK.format(collection=collection, role=role, entries=text), encoding='utf-8')
  return str(path)


@pytest.fixture
def banks(tmp_path):
  listed = '{{template: "{} {{question}} {{options}}", options: {}}}'
  return [
    _bank(tmp_path, 'seen', 'evaluation', '"what is {question}"', listed.format('pick', 'letters')),
    _bank(tmp_path, 'unseen', 'evaluation', '"tell {question}"', '"name {question}"'),
    _bank(tmp_path, 'para', 'alignment', '"say {question}"', '"write {question}"', '"give {question}"',
          *(listed.format(word, 'letters') for word in ('take', 'choose', 'find'))),
    _bank(tmp_path, 'wrong', 'incorrect', '"ignore {question}"'),
    _bank(tmp_path, 'other', 'evaluation', '"about {subject}: {question}"'),
  ]  # fmt: skip


@pytest.fixture
def quiz(tmp_path):
  path = tmp_path / 'quiz.jsonl'
  rows = [
    {'question': f'question {i}', 'o': ['cat', 'dog', 'bird'], 'answer': ['cat', 'dog'][i % 2]} for i in range(60)
  ]
  path.write_text(''.join(json.dumps(r) + '\n' for r in rows))
  return datasets.table(path, 'quiz', ['quiz'], options='o', train_percent=50)


def _rows(name, split='test', **lengths):
  task = seqio.get_mixture_or_task(name)
  data = task.get_dataset({'inputs': 32, 'targets': 8} | lengths, split=split, shuffle=False, num_epochs=1)
  return list(data.as_numpy_iterator())


def test_groups_follow_from_what_the_model_observed(vocabulary, banks, quiz):
  names = benchmarks.register_benchmark(vocabulary, [quiz], banks, observed_collections=['seen'])
  flat = {
    'quiz_eval_observed', 'quiz_eval_seen', 'quiz_eval_unobserved', 'quiz_eval_unseen', 'quiz_eval_incorrect',
    'quiz_eval_wrong',
  }  # fmt: skip
  assert {n for n in names if '_eval_' in n} == flat | {f'{task}__rank' for task in flat}
  assert [i.id for i in registration.evaluation_task('quiz_eval_observed').instructions] == [
    'seen/quiz/k0',
    'seen/quiz/k1',
  ]
  assert registration.evaluation_task('quiz_eval_unseen').group == 'unobserved'
  assert 'quiz__unseen_k1' in names and 'quiz__unseen_k1__rank' in names
  # The phrasing of a field that the data lack serves nobody.
  assert not [n for n in names if 'other' in n]


def test_evaluation_rows_have_the_phrasings_own_answers(vocabulary, banks, quiz):
  benchmarks.register_benchmark(vocabulary, quiz, banks, observed_collections=['seen'])
  rows = _rows('quiz_eval_observed')
  assert len(rows) == 2 * len(quiz[0].splits['test']())
  text, letter = rows[:2]
  assert text['inputs_pretokenized'].startswith(b'what is question')
  assert json.loads(text['options']) == ['cat', 'dog', 'bird'] and text['targets_pretokenized'] in (b'cat', b'dog')
  assert letter['inputs_pretokenized'].endswith(b'A. cat\nB. dog\nC. bird')
  assert json.loads(letter['options']) == ['A', 'B', 'C'] and letter['targets_pretokenized'] in (b'A', b'B')


def test_rows_are_cut_to_the_lengths_and_end_in_eos(vocabulary, banks, quiz):
  benchmarks.register_benchmark(vocabulary, quiz, banks)
  whole, cut = (_rows('quiz_eval_unobserved', inputs=n) for n in (200, 5))
  for long, short in zip(whole, cut, strict=True):
    over = max(len(long['inputs']) - 5, 0)
    assert (long['truncated_tokens'], short['truncated_tokens']) == (0, over)
    assert long['inputs'][-1] == short['inputs'][-1] == 1
    assert short['inputs'][:-1].tolist() == long['inputs'][: 4 if over else -1].tolist()
  assert any(row['truncated_tokens'] for row in cut)
  ranked = _rows('quiz__seen_k1__rank', inputs=5)
  assert all(len(r['inputs']) == 5 and r['inputs'][-1] == 1 and r['truncated_tokens'] > 0 for r in ranked)


def test_rank_classification(vocabulary, banks, quiz):
  benchmarks.register_benchmark(vocabulary, quiz, banks)
  name = 'quiz__seen_k1__rank'
  rows = _rows(name)
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


def test_free_answers_cannot_be_ranked(vocabulary, banks, tmp_path):
  path = tmp_path / 'open.csv'
  path.write_text('question,answer\nq,a\n')
  benchmarks.register_benchmark(vocabulary, datasets.table(path, 'open', ['quiz']), banks, collections=['unseen'])
  assert len(_rows('open__unseen_k0')) == 1
  with pytest.raises(registration.RegistrationError, match="example '2' has no options to rank"):
    _rows('open__unseen_k0__rank')


def test_seqio_scores_a_rank_task(vocabulary, banks, quiz):
  """SeqIO's own evaluator, which T5X uses, runs the task with a function that scores batches."""
  benchmarks.register_benchmark(vocabulary, quiz, banks)

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


def test_alignment_pairs_phrasings_of_one_form(vocabulary, banks, quiz):
  names = benchmarks.register_benchmark(vocabulary, quiz, banks, ['seen'], num_paraphrases=2)
  assert [n for n in names if 'alignment' in n] == ['quiz_alignment_text', 'quiz_alignment_upper', 'quiz_alignment']
  assert [n for n in names if 'resampling' in n] == ['quiz_resampling_text', 'quiz_resampling_upper', 'quiz_resampling']
  drawn = {r['inputs_pretokenized'][0].split()[0] for r in _rows('quiz_resampling_upper', 'train')}
  assert drawn <= {b'pick', b'take', b'choose', b'find'}
  for row in _rows('quiz_alignment_upper', 'train'):
    texts = [t.decode() for t in row['inputs_pretokenized']]
    assert texts[0].startswith('pick ') and row['targets_pretokenized'] in (b'A', b'B')
    assert len({t.split()[0] for t in texts[1:]} & {'take', 'choose', 'find'}) == 2
  assert {r['targets_pretokenized'] for r in _rows('quiz_alignment_text', 'train')} == {b'cat', b'dog'}
  assert [n for n in names if 'tuning' in n] == ['quiz_tuning']
  train = {e['example_id'] for e in quiz[0].splits['train']()}
  assert not train & {r['example_id'].decode() for r in _rows('quiz_eval_unobserved')}


def test_without_observed_phrasings_a_paraphrase_comes_first(vocabulary, banks, quiz):
  names = benchmarks.register_benchmark(vocabulary, quiz, banks, num_paraphrases=2)
  assert 'quiz_tuning' not in names
  for row in _rows('quiz_alignment_text', 'train'):
    assert row['inputs_pretokenized'][0].startswith(b'say ')


def test_too_few_paraphrases_are_told(vocabulary, banks, quiz, caplog):
  names = benchmarks.register_benchmark(vocabulary, quiz, banks, num_paraphrases=5)
  assert not [n for n in names if 'alignment' in n]
  assert 'quiz has no alignment task: fewer than NUM_PARAPHRASES=5' in caplog.text


def test_training_mixtures_are_evaluated_by_every_group_once(vocabulary, banks, quiz):
  benchmarks.register_benchmark(vocabulary, quiz, banks, ['seen'], num_paraphrases=2)
  assert registration.evaluation_tasks('quiz_alignment') == [
    'quiz_eval_observed', 'quiz_eval_unobserved', 'quiz_eval_incorrect'
  ]  # fmt: skip


def test_draws_repeat_under_a_seed(vocabulary, banks, quiz):
  benchmarks.register_benchmark(vocabulary, quiz, banks, ['seen'], num_paraphrases=2)

  def drawn(seed):
    data = seqio.get_mixture_or_task('quiz_alignment').get_dataset(
      {'inputs': 32, 'targets': 8}, split='train', shuffle=True, seed=seed, num_epochs=1
    )
    return [r['inputs'].tobytes() for r in data.as_numpy_iterator()]

  assert drawn(1) == drawn(1) != drawn(2)


def test_few_shot_tasks(vocabulary, banks, quiz):
  names = benchmarks.register_benchmark(vocabulary, quiz, banks, num_shots=2)
  assert 'quiz_2shot__seen_k1' in names
  row = _rows('quiz_2shot__seen_k1', inputs=200)[0]
  text = row['inputs_pretokenized'].decode()
  shown = quiz[0].splits['train']()[:2]
  for example in shown:
    letter = 'ABC'[example['options'].index(example['gold'])]
    assert f'pick {example["fields"]["question"]} A. cat\nB. dog\nC. bird {letter}\n\n' in text
  only_test = [sources.Dataset('bare', 'bare', ('quiz',), {'test': quiz[0].splits['test']}, fields=('question',))]
  benchmarks.register_benchmark(vocabulary, only_test, banks, num_shots=1)
  assert len(_rows('bare_1shot__seen_k0', inputs=200)) == len(quiz[0].splits['test']()) - 1


def test_tuning_counts_datasets_by_their_size(vocabulary, banks, quiz):
  made = [
    sources.Dataset(name, 'many', ('quiz',), {'train': lambda n=n: quiz[0].splits['train']()[:n]}, fields=('question',))
    for name, n in (('small', 5), ('large', 20))
  ]
  benchmarks.register_benchmark(vocabulary, made, banks, ['seen'], num_paraphrases=2, max_tuning_rate=10)
  mixture = seqio.MixtureRegistry.get('many_tuning')
  assert {t.name: mixture.get_rate(t) for t in mixture.tasks} == {'small_tuning': 5, 'large_tuning': 10}


def test_registering_again_does_nothing_and_other_content_is_refused(vocabulary, banks, quiz):
  first = benchmarks.register_benchmark(vocabulary, quiz, banks)
  assert benchmarks.register_benchmark(vocabulary, quiz, banks) == first
  with pytest.raises(registration.RegistrationError, match='already registered with other content'):
    benchmarks.register_benchmark(vocabulary, quiz, banks, num_examples=3)


def test_errors_name_the_cure(vocabulary, banks, quiz, tmp_path):
  with pytest.raises(registration.RegistrationError, match="no collections .'sean'.; they have .*'seen'"):
    benchmarks.register_benchmark(vocabulary, quiz, banks, collections=['sean'])
  with pytest.raises(
    registration.RegistrationError, match='no phrasing of the banks serves quiz, .* with the fields question'
  ):
    benchmarks.register_benchmark(vocabulary, quiz, banks[-1:])
  (tmp_path / 'empty').mkdir()
  with pytest.raises(instruction.BankError, match='holds no .yaml file'):
    benchmarks.read_banks([str(tmp_path / 'empty')])
  with pytest.raises(
    registration.RegistrationError, match='has 60 examples to show, not 99|has .* examples to show, not 99'
  ):
    benchmarks.register_benchmark(vocabulary, quiz, banks, num_shots=99)


def test_metrics_of_parts_and_of_alternatives():
  targets = []
  for part, text, others in (('a', 'x', ()), ('a', 'y', ('z',)), ('b', 'x', ())):
    target = seqio_metrics.Target(text)
    target.example_id, target.alternatives = f'{part}/1', others
    targets.append(target)
  assert seqio_metrics.exact_match_by_part(targets, ['x', 'Z ', 'no']) == {
    'exact_match': 2 / 3, 'exact_match/a': 1.0, 'exact_match/b': 0.0
  }  # fmt: skip


def test_ten_thousand_tasks(vocabulary, banks, quiz):
  """Registration reads no data and is not quadratic: twice the tasks take about twice the steps."""
  many = [sources.Dataset(f'd{i}', 'many', ('quiz',), quiz[0].splits, fields=('question',)) for i in range(700)]
  began = time.process_time()
  names = benchmarks.register_benchmark(vocabulary, many, banks, ['seen'], num_paraphrases=2)
  assert len(names) > 10_000
  assert time.process_time() - began < 60  # seconds where it is well below 10; a step quadratic in tasks takes minutes


def test_glue_and_super_natural_instructions(vocabulary, monkeypatch):
  rows = {
    'super_glue/rte': [{'premise': 'p', 'hypothesis': 'h', 'label': 1, 'idx': 7}],
    'super_glue/copa': [{'premise': 'p', 'question': 'cause', 'choice1': 'c1', 'choice2': 'c2', 'label': 1, 'idx': 3}],
    'natural_instructions': [
      {'id': f't-{i}', 'task_name': 't', 'definition': 'd', 'input': f'i{i}', 'output': 'o'} for i in range(20)
    ],
  }
  monkeypatch.setattr(_tfds, '_rows', lambda name, *args: iter(rows[name]))
  for cached in (datasets._read_glue, datasets._read_niv2, datasets._all_niv2):
    cached.cache_clear()
  rte, copa = datasets.glue(['super_glue/rte', 'super_glue/copa'])
  (example,) = rte.splits['test']()
  assert example['fields']['text'] == 'Premise: p\nHypothesis: h' and example['gold'] == 'not entailment'
  (example,) = copa.splits['train']()
  assert (example['options'], example['gold']) == (['c1', 'c2'], 'c2')
  (niv2,) = datasets.super_natural_instructions(['t'])
  assert (len(niv2.splits['train']()), len(niv2.splits['test']())) == (18, 2)
  names = benchmarks.register_benchmark(vocabulary, [[rte, copa], [niv2]])
  assert 'super_glue_eval_unobserved' in names and 'niv2_t_eval_unobserved' in names
  rows['super_glue/rte'][0]['label'] = -1
  datasets._read_glue.cache_clear()
  with pytest.raises(sources.DatasetError, match='has no labels, use validation'):
    rte.splits['test']()
  with pytest.raises(sources.DatasetError, match='unknown tasks'):
    datasets.glue(['glue/xyz'])


def test_tensorflow_datasets_are_read_from_disk(tmp_path):
  """A dataset in the format of tensorflow-datasets, under the name and features of the real one."""
  import tensorflow as tf
  import tensorflow_datasets as tfds

  features = tfds.features.FeaturesDict(
    {n: tfds.features.Text() for n in ('id', 'input', 'output', 'task_name', 'definition')}
  )
  columns = {'id': [f't-{i}' for i in range(4)], 'input': [f'i{i}' for i in range(4)]}
  columns |= {'output': ['o'] * 4, 'task_name': ['t'] * 4, 'definition': ['d'] * 4}
  rows = tf.data.Dataset.from_tensor_slices(columns)
  tfds.dataset_builders.store_as_tfds_dataset(
    name='natural_instructions', version='1.0.0', features=features, split_datasets={'train': rows},
    data_dir=tmp_path, config='default', disable_shuffling=True,
  )  # fmt: skip
  datasets._all_niv2.cache_clear()
  (dataset,) = datasets.super_natural_instructions(['t'], str(tmp_path), '1.0.0', test_percent=50)
  assert [e['fields']['input'] for e in dataset.splits['test']()] == ['i2', 'i3']
  (missing,) = datasets.glue(['glue/rte'], str(tmp_path / 'nothing'), '0.0.1')
  with pytest.raises(sources.DatasetError, match='cannot read glue/rte:train .*--tfds_data_dir'):
    missing.splits['train']()
