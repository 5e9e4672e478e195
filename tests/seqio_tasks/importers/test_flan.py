"""Tests of importing FLAN's templates, on a small source of our own."""

import pytest

from seqio_tasks import importers
from seqio_tasks.importers import flan


def test_flan(tmp_path, written):
  for name, text in (
    ('flan/templates.py', 'PATTERNS = {"rte": [("{premise} so {hypothesis}?\\n{options_}", "{answer}"), '
     '("Write one.", "P: {premise} H: {hypothesis}"), ("Write one like {premise}", "H: {hypothesis}"), ("{premise[0]}", "{answer}")]}'),
    ('flan/v2/templates.py', 'import copy\nPATTERNS = {"a": [("{{x}} {text}", "{summary}")]}\nPATTERNS["b"] = PATTERNS["a"]\n'
     'FEWSHOT_PATTERNS = {}\nPATTERNS_NO_OPTIONS = copy.deepcopy(PATTERNS)'),
  ):  # fmt: skip
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
  bank, counts = written(flan.read(tmp_path))
  assert [i.id for i in bank] == [
    'FLAN2021/rte/t01', 'FLAN2021/rte_inverted/t03', 'FLAN2022/a/t01', 'FLAN2022/b/t01'
  ]  # fmt: skip
  item = {'premise': 'p', 'hypothesis': 'h', 'options': ['yes', 'no'], 'answer': 'no', 'text': 't', 'summary': 's'}
  rendered = [i.layout.render(item) for i in bank]
  assert rendered[0] == ('p so h?\nOPTIONS:\n- yes\n- no', 'no', ('yes', 'no'))
  assert rendered[1] == ('Write one like p', 'H: h', ())
  assert rendered[2] == rendered[3] == ('{x} t', 's', ())
  assert counts['left_out'] == 4  # one asks the same of every example
  with pytest.raises(importers.SourceError, match='cannot be read'):
    list(flan.read(tmp_path / 'nowhere'))


def test_fields_called_as_a_layouts_own_stay_the_datas(tmp_path, written):
  for name, text in (
    (
      'flan/templates.py',
      'PATTERNS = {"r": [("Write a {answer} review of {options}.", "{text}"), ("{text}?", "{answer}")]}',
    ),
    ('flan/v2/templates.py', 'PATTERNS = {"s": [("{label}: {text}", "{label}")]}'),
  ):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
  bank, _ = written(flan.read(tmp_path))
  item = {
    'text': 't', 'answer': 'gold', 'options': ['gold', 'x'], 'data_answer': 'good', 'data_options': 'o', 'data_label': 'l'
  }  # fmt: skip
  assert [i.layout.render(item)[:2] for i in bank] == [
    ('Write a good review of o.', 't'),
    ('t?', 'gold'),
    ('l: t', 'l'),
  ]


def test_a_task_that_fails_ends_itself_only(tmp_path, written):
  (tmp_path / 'flan' / 'v2').mkdir(parents=True)
  (tmp_path / 'flan' / 'v2' / 'templates.py').write_text('PATTERNS = {"z": [("{q}!", "{a}")]}')
  (tmp_path / 'flan' / 'templates.py').write_text(
    'PATTERNS = {"a": [("{q}?", "{a}")], "b": f(1), "c": [("x",)], "d": [3], 5: [], **other, "e": [("{größe}", "{a}")]}\n'
    'PATTERNS["f"] = PATTERNS["nowhere"]\n'
  )
  bank, counts = written(flan.read(tmp_path))
  assert [i.task for i in bank] == ['a_inverted', 'z_inverted']
  assert counts['left_out'] == 7
  (tmp_path / 'flan' / 'templates.py').write_text('PATTERNS = {"a": ' + '(' * 5000 + ')' * 5000 + '}')
  with pytest.raises(importers.SourceError, match='is not Python'):
    list(flan.read(tmp_path))
