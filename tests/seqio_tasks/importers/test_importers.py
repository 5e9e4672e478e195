"""Tests of writing what was imported."""

import pytest

from seqio_tasks import importers
from seqio_tasks.bank.instruction import make_instruction


def test_nothing_is_written_over(tmp_path):
  (tmp_path / 'old.yaml').write_text('x')
  with pytest.raises(importers.SourceError, match='already holds YAML files'):
    importers.write('x', [], tmp_path)


def test_templates_of_format_strings():
  assert importers.format_template('{{x}} {text}') == '{brace_open}x{brace_close} {text}'
  assert importers.literal_template('a {b}') == 'a {brace_open}b{brace_close}'
  with pytest.raises(ValueError, match='is more than a name'):
    importers.format_template('{text[0]}')


def _part(name, *ids, task='t'):
  return importers.Part(name, tuple(make_instruction('c', task, key, 'evaluation', f'{key} {{q}}') for key in ids))


def test_files_of_similar_names_are_kept_apart(tmp_path):
  parts = [_part('Ab', 'x'), _part('aB', 'y'), _part('nul', 'z', task='other')]
  counts = importers.write('x', parts, tmp_path / 'out')
  assert counts['files'] == 3
  assert {p.stem.lower() for p in (tmp_path / 'out').glob('*.yaml')} == {'ab__c', 'ab__c_2', 'nul__c'}


def test_a_device_is_no_name_of_a_file(tmp_path):
  instruction = make_instruction('con', 't', 'x', 'evaluation', '{q}')
  importers.write('x', [importers.Part('con', (instruction,))], tmp_path / 'out')
  assert [p.name for p in (tmp_path / 'out').glob('*.yaml')] == ['con_.yaml']


def test_what_a_bank_cannot_name_is_left_out_and_counted(tmp_path, written):
  bank, counts = written([_part('a', 'x', 'y/z', '../w', 'x' * 101, 'x', 'ok')])
  assert [i.key for i in bank] == ['x', 'ok']
  assert (counts['instructions'], counts['left_out']) == (2, 4)
