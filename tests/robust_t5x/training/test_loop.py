"""The loop of steps: it stops where the loss is not finite, keeps the last good state, and goes on from it."""

import itertools
import re

from helpers import align
import numpy as np
import pytest

from robust_t5x.runtime import limits
from robust_t5x.training import loop
from robust_t5x.training.step import TrainState


def test_a_loss_that_is_not_finite_stops_training_which_goes_on_from_there(
  tiny_checkpoint, tmp_path, capsys, monkeypatch
):
  monkeypatch.setitem(limits.RANGES['optimizers.adamw'], 'learning_rate', limits.Range(0, 1e39))
  huge = '--gin.optimizers.adamw.learning_rate=1e38', '--gin.train.train.log_period=3'
  assert align(tiny_checkpoint, tmp_path, *huge, steps=50) == 2
  message = capsys.readouterr().err
  (saved,) = [int(p.name) for p in (tmp_path / 'checkpoints').iterdir() if p.name.isdigit()]
  assert f'of step {saved + 1} was not finite' in message
  assert f'step {saved} of 50 is saved in {tmp_path}; the same command goes on from there, past the ' in message
  assert align(tiny_checkpoint, tmp_path, *huge, steps=saved) == 0  # writes the adapter of the last good state
  message = capsys.readouterr().err
  assert f'going on from step {saved} of' in message and 'damaged' not in message


def test_a_first_step_that_is_not_finite_leaves_nothing():
  state = TrainState(np.asarray(0), {}, {}, np.asarray(False))
  with pytest.raises(loop.NonFiniteLossError, match='of step 1 was not finite.*no step is saved'):
    loop.run(
      lambda state, frozen, batch: (state, {}), state, {}, itertools.repeat({}), None, None, 'run', 0,
      loop.Periods(9, 9, 1), None,
    )  # fmt: skip


def test_inputs_and_answers_that_are_cut_are_told(tiny_checkpoint, tmp_path, capsys):
  lengths = "--gin.TASK_FEATURE_LENGTHS={'inputs': 6, 'targets': 2}"
  assert align(tiny_checkpoint, tmp_path, lengths, steps=2) == 0
  said = capsys.readouterr().err
  for what in ('inputs', 'answers'):
    assert re.search(f'warning: [1-9][0-9]* {what} were longer than TASK_FEATURE_LENGTHS allows and were cut', said), (
      what
    )
