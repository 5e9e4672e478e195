"""Tests of MMLU's reader."""

import logging

import pytest

from seqio_tasks import datasets
from seqio_tasks.bank.layouts import STYLES, Layout


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
  assert layout.render(datasets.item_of(second)).output_text == 'B'
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
  with pytest.raises(datasets.DatasetError, match='line 2: has 4 cells'):
    datasets.mmlu(tmp_path, strict=True)[0].splits['test']()


def test_blank_cells_are_counted_and_named(tmp_path):
  _mmlu(tmp_path, 'Q1,a,,c,d,A\n ,a,b,c,d,A\nQ3,a,b,c,d,A\n')
  assert len(datasets.mmlu(tmp_path)[0].splits['test']()) == 1
  path = str(tmp_path / 'test' / 'college_biology_test.csv')
  assert datasets.readings()[path] == {
    'used': 1,
    'left_out': {'a blank cell': {'rows': 2, 'first': f"{path}: line 1: the cells ['B'] are blank"}},
  }


def test_what_is_published_to_train_on_is_the_split_train_of_all(tmp_path):
  _mmlu(tmp_path, 'Q1,a,b,c,d,A\n')
  (tmp_path / 'auxiliary_train').mkdir()
  for name in ('race', 'arc_easy'):
    (tmp_path / 'auxiliary_train' / f'{name}.csv').write_text(f'{name},a,b,c,d,B\n')
  biology, everything = datasets.mmlu(tmp_path)
  assert list(biology.splits) == ['test']
  assert [e['example_id'] for e in everything.splits['train']()] == ['arc_easy/1', 'race/1']


def test_stray_files_are_skipped_or_named(tmp_path, caplog):
  _mmlu(tmp_path, 'Q1,a,b,c,d,A\n')
  _mmlu(tmp_path, 'Q1,a,b,c\n', subject='anatomy')
  for name in ('._college_biology_test.csv', 'college_biology_test (1).csv', '.DS_Store', 'law_test.CSV'):
    (tmp_path / 'test' / name).write_bytes(b'\x00\xff')
  assert [d.name for d in datasets.mmlu(tmp_path)] == ['mmlu_college_biology', 'mmlu_all']
  assert 'law_test.CSV: is no .csv file' in caplog.text
  assert 'college_biology_test (1).csv: is not called' in caplog.text and '._' not in caplog.text
  assert 'anatomy_test.csv: has no row that can be used' in caplog.text
  assert 'the whole file' in datasets.readings()[str(tmp_path / 'test' / 'anatomy_test.csv')]['left_out']


def test_a_file_of_another_split_is_no_subject(tmp_path):
  _mmlu(tmp_path, 'Q1,a,b,c,d,A\n', subject='anatomy')
  for name in ('anatomy_dev', 'anatomy'):
    (tmp_path / 'test' / f'{name}.csv').write_text('Q2,a,b,c,d,B\n')
  (anatomy,) = datasets.mmlu(tmp_path, all_subjects=False)
  assert [e['fields']['question'] for e in anatomy.splits['test']()] == ['Q1']
  assert {str(tmp_path / 'test' / f'{name}.csv') for name in ('anatomy_dev', 'anatomy')} <= set(datasets.readings())
