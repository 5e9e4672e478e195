"""Answers that are kept."""

import json

import pytest

from robust_t5x.served.answers import FILE, Answers, AnswersError, request_hash


def test_answers_are_there_the_next_time(tmp_path):
  place = tmp_path / 'new'
  answers = Answers(str(place))
  assert answers.get('a') is None and not place.exists()
  answers.add('a', {'x': 'é'})
  answers.add('b', {'x': 2})
  again = Answers(str(place))
  assert (again.get('a'), again.get('b')) == ({'x': 'é'}, {'x': 2})


def test_a_line_that_was_cut_short_is_written_over(tmp_path):
  answers = Answers(str(tmp_path))
  answers.add('a', {'x': 1})
  whole = (tmp_path / FILE).read_bytes()
  (tmp_path / FILE).write_bytes(whole + b'{"request": "b", "answer": {"x": "a long one')
  again = Answers(str(tmp_path))
  assert again.get('b') is None
  again.add('c', {})
  assert [json.loads(line)['request'] for line in (tmp_path / FILE).read_text().splitlines()] == ['a', 'c']
  assert Answers(str(tmp_path)).get('c') == {}


@pytest.mark.parametrize('line', ['{', '{"request": 1, "answer": {}}', '{"request": "a"}', '[]', '\xff'])
def test_damage_is_told_by_its_line(tmp_path, line):
  Answers(str(tmp_path)).add('a', {})
  with open(tmp_path / FILE, 'ab') as f:
    f.write(line.encode('latin-1') + b'\n')
  with pytest.raises(AnswersError, match=r'answers.jsonl: line 2: no answer to a request .*; delete the line'):
    Answers(str(tmp_path))


def test_the_hash_is_of_address_and_request():
  one = request_hash('http://a', {'x': 1, 'y': 2})
  assert one == request_hash('http://a', {'y': 2, 'x': 1})
  assert len({one, request_hash('http://b', {'x': 1, 'y': 2}), request_hash('http://a', {'x': 2, 'y': 2})}) == 3
