"""Tests of the benchmarks' readers, on small files and on the published data where they are present."""

import json
import logging

import pytest

from seqio_tasks import answers, datasets
from seqio_tasks.bank.layouts import STYLES, Layout
from seqio_tasks.datasets import sources
from seqio_tasks.pipeline import registration


def _mmlu(tmp_path, rows, split='test', subject='college_biology'):
  (tmp_path / split).mkdir(exist_ok=True)
  (tmp_path / split / f'{subject}_{split}.csv').write_text(rows, encoding='utf-8')
  return tmp_path


def test_mmlu(tmp_path):
  _mmlu(tmp_path, 'Q1,None,NA,c,d,B\n"Q, {2}",x,x,y,z,B\n')
  _mmlu(tmp_path, 'Q3,a,b,c,d,A\n', 'dev')
  _mmlu(tmp_path, 'Q4,a,b,c,d,D\n', subject='anatomy')
  anatomy, biology, everything = datasets.mmlu(tmp_path)
  assert [d.name for d in (anatomy, biology, everything)] == ['mmlu_anatomy', 'mmlu_college_biology', 'mmlu_all']
  first, second = biology.splits['test']()
  assert first['fields'] == {'question': 'Q1', 'subject': 'college biology', 'domain': 'college biology'}
  assert (first['gold'], first['options'], first['example_id']) == ('NA', ['None', 'NA', 'c', 'd'], 'college_biology/1')
  # Two options read alike: the index tells which one is right.
  layout = Layout('{options}', {'options': STYLES['letters']})
  assert layout.render(registration.item_of(second)).output_text == 'B'
  assert [e['fields']['question'] for e in biology.splits['dev']()] == ['Q3']
  assert [e['example_id'] for e in everything.splits['test']()] == [
    'anatomy/1',
    'college_biology/1',
    'college_biology/2',
  ]


def test_faulty_rows_are_left_out_unless_one_is_strict(tmp_path, caplog):
  _mmlu(tmp_path, 'Q1,a,b,c,d,E\nQ2,a,b,c\n' + 'Q,a,b,c,d,F\n' * 3 + 'Q3,a,b,c,d,A\n')
  with caplog.at_level(logging.WARNING):
    (example,) = datasets.mmlu(tmp_path, all_subjects=False)[0].splits['test']()
  assert example['fields']['question'] == 'Q3'
  text = caplog.text
  assert "line 1: the answer is 'E'; it must be A, B, C or D" in text and 'line 2: has 4 cells' in text
  assert '5 rows are left out, 1 are kept' in text
  with pytest.raises(sources.DatasetError, match='line 2: has 4 cells'):
    datasets.mmlu(tmp_path, strict=True)[0].splits['test']()


@pytest.mark.parametrize('read', [datasets.mmlu, datasets.bigbench, datasets.bbh, datasets.lmentry_instances])
def test_a_wrong_directory_or_name_is_told(tmp_path, read):
  with pytest.raises(sources.DatasetError, match=str(tmp_path)):
    read(tmp_path)


def _bigbench(tmp_path, name, examples, **more):
  (tmp_path / name).mkdir(parents=True)
  (tmp_path / name / 'task.json').write_text(json.dumps({'examples': examples, **more}))


def test_bigbench(tmp_path, caplog):
  _bigbench(
    tmp_path, 'one',
    [
      {'input': 'q', 'target_scores': {'a': 0, 'b': 1, 'c': 1}},
      {'input': 'q', 'target_scores': {'a': 0}},
      {'input': 'q', 'target': ['x', 'y']},
      {'input': 3},
    ],
    task_prefix=' P ',
  )  # fmt: skip
  _bigbench(tmp_path, 'two/first', [{'input': 'q', 'target_scores': {'a': 1, 'b': 0}}])
  _bigbench(tmp_path, 'two/second', [{'input': 'r', 'target_scores': {'a': 1, 'b': 0}}])
  one, two = datasets.bigbench(tmp_path)
  scored, free = one.splits['test']()
  assert (scored['gold'], scored['alternatives'], scored['fields']['task_prefix']) == ('b', ['c'], 'P')
  assert (free['gold'], free['alternatives'], free['options']) == ('x', ['y'], [])
  assert 'example 1: no option has a score above 0' in caplog.text and "example 3: has no text 'input'" in caplog.text
  assert two.parts and [e['example_id'] for e in two.splits['test']()] == ['first/0', 'second/0']
  with pytest.raises(sources.DatasetError, match=r"has no tasks \['three'\]; there are one, two"):
    datasets.bigbench(tmp_path, ['three'])


def test_parts_of_a_hundred(tmp_path):
  _bigbench(tmp_path, 'one', [{'input': f'q{i // 2}', 'target': 'x'} for i in range(400)])
  (dataset,) = datasets.bigbench(tmp_path, train_percent=30)
  train, test = dataset.splits['train'](), dataset.splits['test']()
  assert len(train) + len(test) == 400 and 80 < len(train) < 160
  assert not {e['fields']['question'] for e in train} & {e['fields']['question'] for e in test}
  with pytest.raises(sources.DatasetError, match='train_percent is 100'):
    datasets.bigbench(tmp_path, train_percent=100)


def test_bbh(tmp_path, caplog):
  (tmp_path / 'ruin_names.json').write_text(
    json.dumps(
      {
        'format': 'multi_choice',
        'more_info': {'key_names': ['name', 'options']},
        'examples': {
          '1': {'movie_list': 'm', 'options': ['(A) x', '(B) y'], 'gold': 'B'},
          '2': {'movie_list': 'm', 'options': ['(A) x'], 'gold': 'B'},
        },
      }
    )
  )
  (tmp_path / 'navigate.json').write_text(
    json.dumps(
      {'format': 'classification', 'examples': {'1': {'i': 'l', 'gold': 'No'}, '2': {'i': 'r', 'gold': 'Yes'}}}
    )
  )
  navigate, ruin = datasets.bbh(tmp_path)
  (example,) = ruin.splits['test']()
  assert example['fields'] == {'movie_list': 'm', 'name': 'm'}
  assert (example['gold'], example['gold_index'], example['options']) == ('y', 1, ['x', 'y'])
  assert "example 2: the answer 'B' is not among the options" in caplog.text
  assert [e['options'] for e in navigate.splits['test']()] == [['Yes', 'No']] * 2


def test_tables_of_ones_own(tmp_path):
  csv = tmp_path / 'mine.csv'
  csv.write_text('question,o1,o2,o3,key,part\nq,a,b,,B,train\n{r},a,b,c,C,test\ns,a,b,c,D,test\n')
  options = {'answer': 'key', 'options': ['o1', 'o2', 'o3'], 'answer_is': 'letter', 'split': 'part'}
  (dataset,) = datasets.table(csv, 'mine', ['multiple_choice'], **options)
  assert sorted(dataset.splits) == ['test', 'train'] and dataset.fields == ('question',)
  (train,), (test,) = dataset.splits['train'](), dataset.splits['test']()
  assert (train['gold'], train['options']) == ('b', ['a', 'b'])
  assert (test['gold'], test['fields'], test['example_id']) == ('c', {'question': '{r}'}, '3')
  jsonl = tmp_path / 'mine.jsonl'
  jsonl.write_text('{"text": "t", "labels": ["x", "y"], "answer": 2}\n{"text": "u"}\n')
  (dataset,) = datasets.table(jsonl, 'mine', ['classification'], options='labels', answer_is='number')
  assert [e['gold'] for e in dataset.splits['test']()] == ['y']


@pytest.mark.parametrize(
  ('name', 'text', 'settings', 'message'),
  [
    ('a.txt', 'x', {}, 'is neither .csv nor .jsonl'),
    ('a.csv', 'question\nq\n', {}, r"line 1: has no column \['answer'\]"),
    ('a.csv', 'question,answer\nq\n', {'strict': True}, 'line 2: has 1 cells'),
    ('a.csv', 'question,answer\nq\n', {}, 'has no row that can be used'),
    (
      'a.csv',
      'q,o,answer\nq,x|y,z\n',
      {'options': 'o', 'strict': True},
      "line 2: the answer 'z' is not among the options",
    ),
    ('a.csv', 'q,o,answer\nq,x,x\n', {'options': 'o', 'strict': True}, 'line 2: has 1 options'),
    (
      'a.csv',
      'q,o,answer\nq,x|y,C\n',
      {'options': 'o', 'answer_is': 'letter', 'strict': True},
      'not the letter of one of 2',
    ),
    ('a.csv', 'q,answer\n', {'answer_is': 'roman'}, 'use text, letter or number'),
    ('a.jsonl', '{"answer": "x", "o": 3}\n', {'options': 'o', 'strict': True}, "line 1: column 'o' is not a list"),
  ],
)
def test_faults_of_tables_name_the_line(tmp_path, name, text, settings, message):
  (tmp_path / name).write_text(text)
  with pytest.raises(sources.DatasetError, match=message):
    datasets.table(tmp_path / name, 'mine', ['x'], **settings)


@pytest.mark.parametrize(
  ('prediction', 'gold', 'expected'),
  [
    ('Bear.', 'starts_with_letter: b', 1.0),
    ('a bear', 'starts_with_letter: b', 0.0),
    ('rib', 'ends_with_letter: b', 1.0),
    ('abc', 'word_containing: b', 1.0),
    ('abc', 'word_not_containing: b', 0.0),
    ('Dogs bark.', 'starts_with_word: dogs', 1.0),
    ('dogs', 'starts_with_word: dogs', 0.0),
    ('I like dogs!', 'ends_with_word: dogs', 1.0),
    ('I like dogs too', 'sentence_containing: dogs', 1.0),
    ("I don't like dogs", 'sentence_not_containing: dogs', 0.0),
    ('I like hotdogs', 'sentence_not_containing: dogs', 1.0),
  ],
)
def test_rules_of_open_lmentry_tasks(prediction, gold, expected):
  assert answers.lmentry_score(prediction, gold) == expected


def test_the_published_data(shared_data):
  mmlu = datasets.mmlu(shared_data / 'mmlu', strict=True)
  assert len(mmlu) == 58 and len(mmlu[-1].splits['test']()) == 14042
  sizes = {d.name: len(d.splits['test']()) for d in datasets.bigbench(shared_data / 'bigbench', strict=True)}
  assert sizes['bigbench_strategyqa'] == 2290 and sizes['bigbench_language_identification'] == 10000
  assert sum(sizes.values()) == 44272
  assert len(datasets.bbh(shared_data / 'bbh')) == 19
  assert len(datasets.lmentry_instances(shared_data / 'lmentry')) == 25
