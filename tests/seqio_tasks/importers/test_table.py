"""Tests of importing phrasings from a CSV file of one's own."""

import pytest

from seqio_tasks import importers
from seqio_tasks.importers import table


def test_tables_of_phrasings(tmp_path, written):
  path = tmp_path / 'mine.csv'
  path.write_text(
    'template,task,id,options,answer\n"{question}, please",t,x,,\n"{question} {options}",t,y,bullets,text\n'
  )
  bank, _ = written([table.read(path, 'mine')])
  assert [i.id for i in bank] == ['mine/t/x', 'mine/t/y'] and not bank['mine/t/x'].verbatim
  path.write_text('template,id,colour\n{a b},x,red\nfine {q},x x,\nfine {q} too,x,\n')
  with pytest.raises(importers.SourceError) as error:
    table.read(path, 'mine')
  message = str(error.value)
  for part in (
    "unknown column 'colour'",
    'give --task',
    'line 2: a brace',
    "line 3: id 'x x'",
    "line 4: the id 'x' stands",
  ):
    assert part in message, message


def test_a_faulty_row_makes_no_other_faulty(tmp_path):
  path = tmp_path / 'mine.csv'
  path.write_text('template\n"fine {q}"\n{a b}\n"fine too {q}"\n{c d}\n')
  with pytest.raises(importers.SourceError) as error:
    table.read(path, 'mine', 't')
  assert 'twice' not in str(error.value)
  assert str(error.value).count('a brace') == 2
  path.write_text('template\n"fine {q}"\n"fine too {q}"\n')
  assert [i.key for i in table.read(path, 'mine', 't').instructions] == ['row001', 'row002']


def test_names_are_those_that_a_bank_may_have(tmp_path):
  path = tmp_path / 'mine.csv'
  path.write_text('template,id\n{q},größe\n')
  with pytest.raises(importers.SourceError, match="line 2: id 'größe' must be one word"):
    table.read(path, 'mine', 't')
  with pytest.raises(importers.SourceError, match="the collection '../../mine' must be one word"):
    table.read(path, '../../mine', 't')
