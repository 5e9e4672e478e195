"""Every number of README and docs has a source and agrees with it; see benchmarks/claims.py."""

import importlib
import pathlib
import re
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope='module')
def claims():
  sys.path.insert(0, str(ROOT / 'benchmarks'))
  try:
    yield importlib.import_module('claims')
  finally:
    sys.path.remove(str(ROOT / 'benchmarks'))


def test_every_number_has_a_source_and_agrees_with_it(claims):
  sources = importlib.import_module('claims_sources')
  sentences = yaml.safe_load((ROOT / 'benchmarks/claims.yaml').read_text(encoding='utf-8'))
  assert set(sentences) <= set(claims.pages())
  checked = claims.check(claims.pages(), sentences, sources)
  assert [fault for page in checked for fault in page.faults] == []
  kinds = {claim.kind for page in checked for claim in page.claims}
  assert kinds == set(claims.KINDS)


def test_every_file_of_results_has_its_command():
  results = ROOT / 'benchmarks/results'
  listed = set(
    re.findall(
      r'^\| `([\w.]+)` \| \d{4}-\d\d-\d\d \| `python (?:benchmarks/|-m tests\.)',
      (results / 'README.md').read_text(),
      re.MULTILINE,
    )
  )
  assert listed == {path.name for path in results.iterdir()} - {'README.md'}


def test_the_experiments_read_what_a_sweep_writes():
  """Their script runs for hours before it reads anything."""
  script = (ROOT / 'benchmarks/alignment.sh').read_text(encoding='utf-8')
  read = re.findall(r'\S+/eval-\*|\S+/trials(?=;)', script)
  assert len(read) == 3 and all('/trials' in place or place.startswith('"$variation"') for place in read)
  assert "'trials'" in (ROOT / 'robust_t5x/sweeps/trial.py').read_text(encoding='utf-8')


def _check(claims, text, *sentences, values=(), table='', kind='computed'):
  """The faults and the (text, kind) of the claims of a page whose sources are as given."""
  known = {name: claims.Value(number, kind, 'here') for name, number in values}
  made = claims.Table(table, kind, 'here')
  page = claims.check_page('page', text, list(sentences), lambda name, _: known[name], {'made': made}.__getitem__)
  return page.faults, [(claim.text, claim.kind) for claim in page.claims]


def test_a_number_without_source_is_found(claims):
  faults, _ = _check(claims, 'First.\n\nIt takes 14 minutes.\n')
  assert faults == ['page:3: 14 has no source, in: It takes 14 minutes.']
  assert _check(claims, 'It takes 14 minutes.\n', 'takes 14 minutes') == ([], [('14', 'given')])


@pytest.mark.parametrize(
  ('text', 'number', 'right'),
  [
    ('18.2', 18.24, True), ('18.2', 18.26, False), ('−80.0', -79.96, True), ('1,367', 1367, True), ('1,367', 1368, False),
    ('8e-06', 8.4e-6, True), ('8e-06', 8.6e-6, False), ('+1.3', 1.3, True), ('63', 62.75, True), ('64', 62.75, False),
  ],
)  # fmt: skip
def test_numbers_agree_at_the_places_that_are_printed(claims, text, number, right):
  faults, found = _check(claims, f'It is\n{text} points.', 'It is {x} points', values=[('x', number)])
  assert (faults == []) == right
  assert [kind for _, kind in found] == ['computed']


def test_a_sentence_that_changed_and_a_value_that_is_unknown_are_found(claims):
  faults, _ = _check(claims, 'There are 5 of them.', 'There were {x} of them', values=[('x', 5)])
  assert "no longer says 'There were {x} of them'" in faults[0]
  assert '5 has no source' in faults[1]
  faults, _ = _check(claims, 'There are 5 of them.', 'There are {y} of them')
  assert "no source has the value 'y'" in faults[0]


def test_tables_are_those_of_their_source_to_the_letter(claims):
  text = 'A\n\n<!-- table: made -->\n\n| a |\n|---|\n| 17 |\n\nB\n'
  assert _check(claims, text, table='| a |\n|---|\n| 17 |\n') == ([], [('17', 'computed')])
  faults, _ = _check(claims, text, table='| a |\n|---|\n| 18 |\n')
  assert len(faults) == 1 and 'page:3: the table made is not what here gives' in faults[0]
  written = claims.write(text, lambda _: claims.Table('| a |\n|---|\n| 18 |\n', 'computed', 'here'))
  assert written == text.replace('17', '18')


@pytest.mark.parametrize('place', ['\n\n', '\n', '\n\n\n'])
def test_a_table_that_is_not_there_is_found_and_written(claims, place):
  rows = '| a |\n|---|\n| 17 |\n'
  text = f'<!-- table: made -->{place}It says so.\n'
  faults, _ = _check(claims, text, table=rows)
  assert len(faults) == 1 and 'the table made is not what here gives' in faults[0]
  written = claims.write(text, lambda _: claims.Table(rows, 'computed', 'here'))
  assert written == f'<!-- table: made -->\n\n{rows}\nIt says so.\n'


def test_a_table_of_a_name_that_no_source_has_is_found(claims):
  faults, _ = _check(claims, '<!-- table: lost -->\n\n| 17 |\n')
  assert len(faults) == 1 and "no source has the table 'lost'" in faults[0]


def test_what_is_recorded_says_so_to_the_reader(claims):
  text = '<!-- recorded: 2026-01-31 make all -->\n\nBy a run of 2026-01-31 it took 14 s.\n\n<!-- end recorded -->\n'
  assert _check(claims, text) == ([], [('14', 'recorded')])
  faults, _ = _check(claims, text.replace('By a run of 2026-01-31 it', 'It'))
  assert len(faults) == 1 and 'does not say its date' in faults[0]
  # What is checked is not passed over because it stands among what is recorded.
  faults, found = _check(claims, text, 'took {x} s', values=[('x', 15)])
  assert len(faults) == 1 and found == [('14', 'computed')]


def test_what_is_no_number_is_passed_over(claims):
  text = (
    '# 12 monkeys\n\n1. On v4-8, Sun et al. 2024 (arXiv 2306.11270), T5.1.1 and float32; `--K=4` and [a](b-16.md), page 0 of 1.\n\n'
    '```\n44 s\n```\n'
  )
  assert _check(claims, text) == ([], [])
  assert [text for text, _ in _check(claims, 'Up 12, or +3.5% (2,590; 1e-4).', 'Up 12, or +3.5% (2,590; 1e-4).')[1]] == [
    '12', '+3.5', '2,590', '1e-4',
  ]  # fmt: skip
