"""The verb `preflight`: what it counts, alone and in two processes."""

from helpers import together
import pytest

from robust_t5x import __main__ as command


def test_preflight_counts(capsys):
  assert all('2 processes, 4 devices (2 of this process)' in out for out, _ in together('preflight'))
  assert command.main(['preflight', '--topology=v4-32']) == 2
  assert 'v4-32 has 4 hosts with 16 devices in all, this run has 1 processes' in capsys.readouterr().err


def test_a_topology_that_is_none_is_refused(capsys):
  with pytest.raises(SystemExit) as end:
    command.main(['preflight', '--topology', 'v4-9'])
  assert end.value.code == 2
  assert "argument --topology: invalid choice: 'v4-9'" in capsys.readouterr().err
