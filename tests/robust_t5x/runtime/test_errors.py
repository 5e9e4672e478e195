"""Errors that a user can mend: one line each; all others are raised again."""

import pathlib
import subprocess
import sys

import pytest

from robust_t5x.runtime import errors
from seqio_tasks.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
  ('error', 'line'),
  [
    (UserError('bank.yaml: no role;\n  add one'), 'error: bank.yaml: no role; add one\n'),
    (errors.UsageError('SEED: is x'), 'error: SEED: is x\n'),
    (
      FileNotFoundError(2, 'No such file or directory', 'x.csv'),
      'error: x.csv: No such file or directory; name one that exists\n',
    ),
    (UserError("SEED: is x\n  In call to configurable 'train' (<function f>)"), 'error: SEED: is x\n'),
  ],
)
def test_what_a_user_can_mend_is_one_line(error, line, capsys):
  assert errors.report_error(error) == 2
  said = capsys.readouterr()
  assert (said.out, said.err) == ('', line)


def test_what_gin_lacks_for_a_call_is_told_in_a_line(capsys, as_started_anew):
  import gin

  gin.parse_config(
    'from __gin__ import dynamic_registration\nfrom robust_t5x.training import optimizers\n'
    'optimizers.warmup_cosine.peak = 0.1\noptimizers.adamw.learning_rate = @optimizers.warmup_cosine()\n'
  )
  with pytest.raises(TypeError) as raised:
    gin.get_configurable('optimizers.adamw')()
  assert errors.report_error(raised.value) == 2
  said = capsys.readouterr().err
  assert said.startswith("error: not set: 'steps' of warmup_cosine; add --gin.MODULE.warmup_cosine.NAME=...")
  with pytest.raises(TypeError):  # of our own making
    errors.report_error(TypeError("f() missing 1 required positional argument: 'x'"))


def test_an_error_is_a_line_of_some_length(capsys):
  errors.report_error(UserError('x' * 10**6 + '\x1b[31m\n\0'))
  said = capsys.readouterr().err
  assert len(said) < 2100 and said.count('\n') == 1
  errors.report_error(UserError('a\x1b[31m\0b'))
  assert capsys.readouterr().err == 'error: a\\x1b[31m\\x00b\n'


@pytest.mark.parametrize('error', [ValueError('x'), KeyError('x'), ZeroDivisionError()])
def test_what_a_user_cannot_mend_is_raised(error, capsys):
  with pytest.raises(type(error)) as raised:
    errors.report_error(error)
  assert raised.value is error
  assert capsys.readouterr().err == ''


def test_a_reader_who_has_seen_enough_is_no_error():
  code = (
    'from robust_t5x.runtime import errors\n'
    'status = errors.report_error(BrokenPipeError())\n'
    "print('dropped', flush=True)\n"
    'raise SystemExit(status)'
  )
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False, cwd=ROOT)
  assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


def test_all_that_is_not_set_is_named():
  errors.check_required({'SEED': 0, 'LABEL': '', 'MIXTURES': []})
  with pytest.raises(errors.UsageError, match='^not set: SEED, LABEL; add --SEED=... --LABEL=... or a gin file'):
    errors.check_required({'SEED': None, 'STEPS': 1, 'LABEL': None})


def test_the_nearest_name():
  known = ['mini_alignment', 'mini_first_word', 'mmlu']
  assert errors.nearest('mini_aligment', known) == '; did you mean mini_alignment?'
  assert errors.nearest('mmul', iter(known)) == '; did you mean mmlu?'
  assert errors.nearest('zzz', known) == errors.nearest('mmlu', []) == ''
