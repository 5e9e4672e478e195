"""The verb `train`: every kind of adapter and objective, and what is said of settings that cannot be used."""

from helpers import align
import numpy as np
import pytest
from safetensors import numpy as safetensors

from robust_t5x import train
from robust_t5x.runtime.errors import UsageError


@pytest.mark.parametrize(
  ('adapter', 'objective'),
  [('prefix', 'jensen_shannon'), ('soft_prompt_and_prefix', 'encoder_cosine'), ('soft_prompt', 'likelihood')],
)
def test_every_adapter_and_objective_trains(tiny_checkpoint, tmp_path, adapter, objective):
  assert align(tiny_checkpoint, tmp_path, adapter=adapter, objective=objective, steps=2) == 0
  arrays = safetensors.load_file(tmp_path / 'adapter.safetensors')
  assert all(np.isfinite(a).all() for a in arrays.values())


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--gin.MODELDIR="x"'], 'did you mean MODEL_DIR?'),
    (['--gin_file=gin/adapters/soft_promt.gin'], 'did you mean gin/adapters/soft_prompt.gin?'),
    (["--gin.INITIAL_CHECKPOINT_PATH='/nowhere'"], 'INITIAL_CHECKPOINT_PATH: no directory /nowhere'),
    (["--gin.MIXTURE_OR_TASK_NAME='mini_aligment'"], 'did you mean mini_alignment?'),
    (["--gin.MIXTURE_OR_TASK_NAME='mini_eval_unobserved'"], 'is a task to evaluate; name one to train on'),
    (['--gin.BATCH_SIZE=7'], 'BATCH_SIZE is 7; it must be a multiple of MICROBATCHES (1) times the 8 replicas'),
    (['--gin.NUM_PARAPHRASES=9000'], 'num_phrasings is 9001'),
    (["--gin.PROMPT_INIT='embedding'"], 'PROMPT_INIT'),
    (['--gin.MODEL_DIR=None'], 'not set: MODEL_DIR'),
  ],
)
def test_bad_input_is_one_clear_line(tiny_checkpoint, tmp_path, capsys, arguments, message):
  assert align(tiny_checkpoint, tmp_path / 'run', *arguments) == 2
  lines = capsys.readouterr().err.strip().splitlines()
  assert lines[-1].startswith('error: ')
  assert message in lines[-1]
  assert not (tmp_path / 'run/checkpoints').exists()


def test_required_settings_are_named():
  with pytest.raises(UsageError, match='not set: MODEL_DIR, TRAIN_STEPS; add --MODEL_DIR=... --TRAIN_STEPS=... or'):
    train.train(None, None, 'mini_alignment', {'inputs': 8, 'targets': 4}, None)
