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
