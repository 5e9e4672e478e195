"""A terminal shows what it is told and obeys nothing of it; no letter ends a command."""

import os
import pty
import subprocess
import sys

SAY = 'import sys; from robust_t5x.runtime import progress, terminal; terminal.guard(draws={}); '
EVIL = r'"a\x1b]0;title\x07\x1b[2J\x1b[31mb\x1b[0m\rc\x9bd\u202ee\tf"'


def on_a_terminal(code):
  terminal, its_end = pty.openpty()
  done = subprocess.run([sys.executable, '-c', code], stdin=its_end, stdout=its_end, stderr=its_end, check=False)
  os.close(its_end)
  said = b''
  try:
    while more := os.read(terminal, 10000):
      said += more
  except OSError:  # its other end is closed
    pass
  os.close(terminal)
  return done.returncode, said.decode().replace('\r\n', '\n')


def test_a_terminal_obeys_no_text():
  status, said = on_a_terminal(SAY.format(False) + f'print({EVIL}); print({EVIL}, file=sys.stderr)')
  assert status == 0
  out, error = said.splitlines()
  shown = r'a\x1b]0;title\x07\x1b[2J{}b{}\x0dc\x9bd\u202ee' + '\tf'
  assert out == shown.format(r'\x1b[31m', r'\x1b[0m')
  # Colours of libraries stay.
  assert error == shown.format('\x1b[31m', '\x1b[0m')


def test_what_draws_is_let_through():
  assert on_a_terminal(SAY.format(True) + r'print("\x1b[2Ja")') == (0, '\x1b[2Ja\n')


def test_a_bar_takes_any_name():
  code = 'bar = progress.Progress("[/b] \\x1b]0;x\\x07 [red]", 2)\nwith bar:\n  bar.advance(1, "[/i]")\nprint("done")'
  status, said = on_a_terminal(SAY.format(False) + '\n' + code)
  assert status == 0 and 'done' in said
  assert r'[/b] \x1b]0;x\x07 [red]' in said and '[/i]' in said and '\x1b]0' not in said


def test_what_an_output_cannot_show_is_written_as_a_code_and_files_get_texts_as_they_are():
  code = SAY.format(False) + r'print("\u2212 \udcff \x1b[2J")'
  for encoding, expected in (('ascii', b'\\u2212 \\udcff \x1b[2J\n'), ('utf-8', b'\xe2\x88\x92 \\udcff \x1b[2J\n')):
    done = subprocess.run(
      [sys.executable, '-c', code], env={**os.environ, 'PYTHONIOENCODING': encoding}, capture_output=True, check=True
    )
    assert done.stdout == expected
