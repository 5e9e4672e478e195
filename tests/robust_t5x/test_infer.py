"""The verb `infer`: the input file, and what is said of its mistakes; test_end_to_end.py has whole outputs."""

import pytest

from robust_t5x import infer
from robust_t5x.runtime.errors import UsageError
from seqio_tasks.errors import UserError


def test_required_settings_are_named():
  with pytest.raises(UsageError, match='not set: INPUT_FILE, OUTPUT_FILE'):
    infer.infer(None, None, None)


def test_rows_keep_their_fields_and_empty_lines_are_skipped(tmp_path):
  path = tmp_path / 'in.jsonl'
  path.write_text('{"inputs": "naïve", "id": 7}\n\n{"inputs": "", "options": ["yes", "no"]}\n', encoding='utf-8')
  assert infer.read_rows(str(path)) == [
    (1, {'inputs': 'naïve', 'id': 7}),
    (3, {'inputs': '', 'options': ['yes', 'no']}),
  ]


@pytest.mark.parametrize(
  ('line', 'message'),
  [
    ('{"inputs": ', r'line 3: is not JSON \('),
    ('["inputs"]', 'line 3: is list, not an object'),
    ('{"input": "x"}', "line 3: needs an object with a text 'inputs'"),
    ('{"inputs": 3}', "line 3: needs an object with a text 'inputs'"),
    ('{"inputs": "x", "options": "yes"}', "line 3: 'options' must be a list of texts"),
    ('{"inputs": "x", "options": [1, 2]}', "line 3: 'options' must be a list of texts"),
  ],
)
def test_a_bad_line_is_named(line, message, tmp_path):
  path = tmp_path / 'in.jsonl'
  path.write_text(f'{{"inputs": "x"}}\n\n{line}\n')
  with pytest.raises(UserError, match=f'{path}: {message}'):
    infer.read_rows(str(path))


def test_a_file_that_is_absent_is_named(tmp_path):
  with pytest.raises(UserError, match=f'{tmp_path}/none: cannot be read'):
    infer.read_rows(f'{tmp_path}/none')


def test_outputs_of_an_earlier_run_are_dropped(tmp_path):
  """A tie or a cut of an earlier model would stand beside this one's answer."""
  path = tmp_path / 'in.jsonl'
  path.write_text(
    '{"inputs": "x", "id": 1, "prediction": "a", "tied_options": ["a", "b"], "option_scores": [1, 1], "cut_tokens": 3}\n'
  )
  assert infer.read_rows(str(path)) == [(1, {'inputs': 'x', 'id': 1})]
