"""Gin files as text and together: comments, precedence, conflicts, what must be set."""

import re

import pytest

from robust_t5x.runtime import errors, gin_files, launcher


@pytest.fixture
def folder(tmp_path, monkeypatch, as_started_anew):
  """Where a test writes gin files, and runs."""
  monkeypatch.chdir(tmp_path)
  return tmp_path


def write(folder, **files):
  for name, text in files.items():
    (folder / f'{name}.gin').write_text(text)


def parsed(*arguments, names='ABC', **options):
  """The macros that a command line sets, of these names."""
  import gin

  gin.clear_config(clear_constants=True)
  gin_files.parse_gin(launcher.parse_flags(arguments, ''), **options)
  return {name: gin_files.macro(name, 'nothing') for name in names}


TEXT = """# What it is for.
#   robust-t5x train NAME
# Provides: A (an a (of sorts), over
#   two lines). Requires: B.
include 'other.gin'  # shared

# Above,
# in two lines.
A = [
  'x#y',  # within
]
C = 'it # is'  # beside

# Of something else.

D = %B
"""


def test_a_file_as_text(folder):
  write(folder, one=TEXT, other="# Other.\nC = 2  # theirs\nE = 3  # Own sentence.\nF = 'a'\n")
  one, other = gin_files.tree('one.gin', ['.'])
  assert one.head[:2] == ('What it is for.', '  robust-t5x train NAME')
  assert one.values == {'A': "[ 'x#y', ]", 'C': "'it # is'", 'D': '%B'} and one.used == {'B'}
  assert one.comments == {'A': 'Above, in two lines.', 'C': 'beside'}
  found = gin_files.settings([one, other])
  assert {name: (s.value, s.file.name) for name, s in found.items() if name in 'CE'} == {
    'C': ("'it # is'", 'one.gin'), 'E': ('3', 'other.gin')
  }  # fmt: skip
  words = {name: gin_files.words(name, [one, other]) for name in 'ABCDEF'}
  assert words == {'A': 'above, in two lines', 'B': '', 'C': 'beside', 'D': '', 'E': 'own sentence', 'F': ''}
  assert gin_files.words('A', [other, gin_files.GinFile('', '', one.head, (), {}, frozenset(), {})]) == (
    'an a (of sorts), over two lines'
  )


def test_the_file_that_includes_counts_for_more_and_of_two_the_later(folder):
  write(folder, one="include 'two.gin'\ninclude 'three.gin'\nC = 1\n", two='A = 2\nB = 2\nC = 2\n', three='A = 3\n')
  assert parsed('--gin_file=one.gin') == {'A': 3, 'B': 2, 'C': 1}
  found = gin_files.settings(gin_files.tree('one.gin', ['.']))
  assert [found[name].value for name in 'ABC'] == ['3', '2', '1']


def test_what_must_be_set(folder):
  write(folder, run='A = %gin.REQUIRED  # the first\nB = %gin.REQUIRED\nC = 1\n', own='A = 5\n')
  with pytest.raises(errors.UsageError, match=r'not set: A \(the first\), B; add --A=... --B=...'):
    parsed('--gin_file=run.gin')
  assert parsed('--gin_file=run.gin', all_set=False) == {'A': None, 'B': None, 'C': 1}
  for order in (['run', 'own'], ['own', 'run']):
    assert parsed(*(f'--gin_file={f}.gin' for f in order), '--B=x') == {'A': 5, 'B': 'x', 'C': 1}


def test_files_that_disagree(folder):
  write(folder, one='A = 1\n', two='A = 2\n', three="include 'two.gin'\nB = 1\n")
  with pytest.raises(errors.UsageError, match=r'A is 1 in one.gin and 2 in two.gin; give only one .* or .* --A='):
    parsed('--gin_file=one.gin', '--gin_file=two.gin')
  with pytest.raises(errors.UsageError, match=r'A is 2 in two.gin \(which three.gin includes\) and 1 in one.gin'):
    parsed('--gin_file=three.gin', '--gin_file=one.gin')
  assert parsed('--gin_file=two.gin', '--gin_file=three.gin')['A'] == 2
  assert parsed('--gin_file=one.gin', '--gin_file=two.gin', '--A=3')['A'] == 3
  (folder / 'ablations').mkdir()
  write(folder / 'ablations', less='A = 0\n')
  for order in (['one', 'ablations/less'], ['ablations/less', 'one']):
    assert parsed(*(f'--gin_file={f}.gin' for f in order))['A'] == 0


def test_a_given_file_takes_the_place_of_a_recipe_s_of_its_kind(folder, capsys):
  for kind in ('recipes/shared', 'adapters', 'models', 'observed'):
    (folder / kind).mkdir(parents=True)
  write(folder / 'observed', none='A = []\n', some="A = ['some']\n")
  write(folder / 'models', plain='B = 1\n', chat="include 'models/plain.gin'\ninclude 'observed/some.gin'\nC = 2\n")
  write(folder / 'adapters', few='D = 1\nE = 1\n', many='D = 2\nF = 1\n')
  parts = "include 'models/plain.gin'\ninclude 'observed/none.gin'\ninclude 'adapters/few.gin'\n"
  write(folder / 'recipes/shared', parts=f'{parts}G = 1\n')
  write(folder / 'recipes', run="include 'recipes/shared/parts.gin'\nD = 8\n")

  def found(*files):
    values = parsed('--gin_file=recipes/run.gin', *(f'--gin_file={file}.gin' for file in files), names='ABCDEFG')
    return {name: value for name, value in values.items() if value != 'nothing'}, capsys.readouterr().err

  as_it_is, said = found()
  assert as_it_is == {'A': [], 'B': 1, 'D': 8, 'E': 1, 'G': 1} and 'takes the place' not in said
  again, said = found('adapters/few')
  assert again == as_it_is and 'takes the place' not in said
  # What the recipe sets itself stands above either file.
  other, said = found('adapters/many')
  assert other == {'A': [], 'B': 1, 'D': 8, 'F': 1, 'G': 1}
  assert 'adapters/many.gin takes the place of adapters/few.gin, which recipes/shared/parts.gin includes' in said
  # A model brings its observed phrasings along.
  other, said = found('models/chat')
  assert other == {'A': ['some'], 'B': 1, 'C': 2, 'D': 8, 'E': 1, 'G': 1}
  assert 'observed/some.gin takes the place of observed/none.gin' in said
  with pytest.raises(errors.UsageError, match=r'D is 8 in recipes/run.gin and 2 in adapters/many.gin'):
    found('adapters/many', 'adapters/few')


@pytest.mark.parametrize(
  ('before', 'given', 'message'),
  [
    ('1', 'x', "--A: 'x' is no whole number; one.gin has 1 there"),
    ('1', '1.5', 'no whole number'),
    ('True', '1', 'no truth value'),
    ("['x']", 'x', 'no list'),
    ("'x'", '1', 'no string'),
    ('{}', '[]', 'no mapping'),
    ('1.0', '1', None),
    ("('x',)", '[]', None),
    ('1', 'None', None),
    ('None', 'x', None),
    ('%gin.REQUIRED', 'x', None),
  ],
)
def test_a_value_of_another_kind(folder, before, given, message):
  write(folder, one=f'A = {before}\n')
  if message is None:
    parsed('--gin_file=one.gin', f'--A={given}')
  else:
    with pytest.raises(errors.UsageError, match=message):
      parsed('--gin_file=one.gin', f'--A={given}')


def test_a_macro_that_no_file_has(folder):
  write(folder, one='TRAIN_STEPS = 1\n')
  for flag in ('--TRAIN_STEP=2', '--gin.TRAIN_STEP=2'):
    with pytest.raises(errors.UsageError, match=r'--TRAIN_STEP: no gin file .*; did you mean TRAIN_STEPS\?'):
      parsed('--gin_file=one.gin', flag)


def test_what_makes_a_thing_is_not_offered_as_a_flag(folder):
  write(folder, one='A = %ADAPTER\nB = %LEARNING_RATE\n')
  with pytest.raises(errors.UsageError, match=r'not set: ADAPTER; add .*--gin_file with a file of gin/adapters/ \('):
    parsed('--gin_file=one.gin')


@pytest.mark.parametrize(
  ('function', 'file'),
  [
    ('suites.register_all', 'gin/tasks/bbh.gin'),
    ('train.train', 'gin/runs/align.gin'),
    ('eval.evaluate', 'gin/runs/eval.gin'),
    ('infer.infer', 'gin/runs/infer.gin'),
    ('represent.represent', 'gin/runs/represent.gin'),
  ],
)
def test_what_the_files_do_not_configure_names_a_file_that_does(function, file, monkeypatch):
  import gin

  def unknown(name):
    raise ValueError(name)

  monkeypatch.setattr(gin, 'get_configurable', unknown)  # gin keeps what other tests made known to it
  assert file in gin_files.names()
  with pytest.raises(errors.UsageError, match=f'do not configure {function}; add one that does, such as {file}$'):
    gin_files.configured(function)


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ("A = [1,\nB = 2\n", 'mine.gin: line '),
    ('if:\n    A = 1\n  B = 2\n', 'mine.gin: line '),
    ('A = ' + '[' * 5000, 'mine.gin: line 1'),
    ('A = 1\nA = 2\n', 'mine.gin: A is 1 and further down 2; leave one out'),
    ("include 'mine.gin'\n", 'mine.gin: includes itself'),
    ("include 'gin/recipes/eval/mini.gi'\n", 'mine.gin: includes gin/recipes/eval/mini.gi, which is not there; did you mean gin/recipes/'),
    ("A = 1\ninclude 'other.gin'\n", 'mine.gin: includes other.gin below settings'),
    ('import no_such_module\n', "mine.gin: line 1: No module named 'no_such_module'; install the module"),
    ('nosuch.thing = 1\n', "mine.gin: line 1: No configurable matching 'nosuch'"),
    ('TRAIN_STEP = 3\n', 'mine.gin: nothing uses a macro TRAIN_STEP; did you mean TRAIN_STEPS?'),
    ('batch_size = 3\n', 'mine.gin: nothing uses a macro batch_size; did you mean BATCH_SIZE?'),
    ('#' + 'x' * 300_000, 'mine.gin: is longer than the 262144 bytes'),
    ('A = "\x00"\n', 'mine.gin: line 1'),
  ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_told_by_its_line(folder, text, message):
  write(folder, mine=text, other='B = 1\n')
  with pytest.raises(errors.UserError, match=re.escape(message)) as told:
    parsed('--gin_file=mine.gin')
  assert len(str(told.value)) < 500 and '\n' not in str(told.value)


def test_a_file_that_is_no_text_is_told(folder):
  (folder / 'mine.gin').write_bytes(b'A = 1\nB = \xff\n')
  with pytest.raises(errors.UserError, match='mine.gin: line 2: byte 0xff is not UTF-8'):
    parsed('--gin_file=mine.gin')


def test_a_macro_that_nothing_uses_is_told(folder, capsys):
  write(folder, mine='MY_OWN_NUMBER = 1\n')
  parsed('--gin_file=mine.gin')
  assert 'mine.gin: nothing uses the macro MY_OWN_NUMBER' in capsys.readouterr().err


def test_a_fault_of_ours_stays_one(folder, monkeypatch):
  def broken(config):
    raise KeyError('x')

  from robust_t5x.runtime import limits

  monkeypatch.setattr(limits, '_resolved', lambda value, macros: broken(value))
  write(
    folder,
    mine='from __gin__ import dynamic_registration\nfrom robust_t5x.training import optimizers\noptimizers.warmup_cosine.peak = 1.0\n',
  )
  with pytest.raises(KeyError):
    parsed('--gin_file=mine.gin')
