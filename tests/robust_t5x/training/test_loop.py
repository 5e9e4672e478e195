"""The loop of steps: it stops where the loss is not finite, and keeps the last good state."""

from helpers import align

from robust_t5x.runtime import limits


def test_a_loss_that_is_not_finite_stops_training(tiny_checkpoint, tmp_path, capsys, monkeypatch):
  monkeypatch.setitem(limits.RANGES['optimizers.adamw'], 'learning_rate', limits.Range(0, 1e39))
  huge = '--gin.optimizers.adamw.learning_rate=1e38'
  assert align(tiny_checkpoint, tmp_path, huge, '--gin.train.train.log_period=1', steps=50) == 2
  message = capsys.readouterr().err
  assert 'was not finite; the state after step' in message
  saved = [int(p.name) for p in (tmp_path / 'checkpoints').iterdir() if p.name.isdigit()]
  assert len(saved) == 1
  assert f'the state after step {saved[0]} ' in message
