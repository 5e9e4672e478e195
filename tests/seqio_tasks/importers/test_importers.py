"""Tests of writing what was imported."""

import pytest

from seqio_tasks import importers


def test_nothing_is_written_over(tmp_path):
  (tmp_path / 'old.yaml').write_text('x')
  with pytest.raises(importers.SourceError, match='already holds YAML files'):
    importers.write('x', [], tmp_path)


def test_templates_of_format_strings():
  assert importers.format_template('{{x}} {text}') == '{brace_open}x{brace_close} {text}'
  assert importers.literal_template('a {b}') == 'a {brace_open}b{brace_close}'
  with pytest.raises(ValueError, match='is more than a name'):
    importers.format_template('{text[0]}')
