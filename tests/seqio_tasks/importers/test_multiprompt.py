"""Tests of importing published CSV files of phrasings, on one of our own."""

import pytest

from seqio_tasks import importers
from seqio_tasks.importers import multiprompt


def test_multiprompt(tmp_path, written):
  (tmp_path / 'navigate.csv').write_text(
    'prompt idx,method,prompt template,correct\n1,default,{instructions}?,1\n2,rephrase,"Go: {instructions}\n{options}",1\n'
    '3,rephrase,wrong {instructions},0\n4,rephrase,{a b},1\n5,rephrase,{instructions}!,0?\n'
  )
  bank, counts = written(multiprompt.read(tmp_path, 'bbh'))
  assert [(i.id, i.role, i.source) for i in bank] == [
    ('multiprompt/bbh_navigate/p001', 'default', '1'),
    ('multiprompt/bbh_navigate/p002', 'evaluation', '2'),
    ('multiprompt/bbh_navigate/p003', 'incorrect', '3'),
  ]
  item = {'instructions': 'left', 'options': ['x', 'y'], 'answer': 'y'}
  assert bank['multiprompt/bbh_navigate/p002'].layout.render(item) == ('Go: left\n(A) x\n(B) y', 'B', ('A', 'B'))
  assert counts['left_out'] == 2
  with pytest.raises(importers.SourceError, match='holds no CSV file'):
    list(multiprompt.read(tmp_path / 'out', 'bbh'))


def test_a_row_of_another_shape_is_left_out_and_the_rest_read(tmp_path, written):
  """An unquoted comma before the judgement would cut the template, and what follows it would be passed over."""
  (tmp_path / 'navigate.csv').write_text(
    'prompt idx,method,correct,prompt template\n1,default,1,{instructions}?\n2,rephrase,1,Well, {instructions}\n'
  )
  bank, counts = written(multiprompt.read(tmp_path, 'bbh'))
  assert [i.layout.template for i in bank] == ['{instructions}?'] and counts['left_out'] == 1 and not counts['whole']
