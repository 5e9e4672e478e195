"""What a finished run leaves: a whole model, where the backbone trained, that loads as any other."""

from helpers import evaluate, run
import numpy as np
from safetensors import numpy as safetensors


def test_a_whole_model_trains_and_loads(tiny_checkpoint, tmp_path):
  assert run(
    'train', '--gin_file=gin/recipes/train/tune_mini.gin', f"--gin.INITIAL_CHECKPOINT_PATH='{tiny_checkpoint}'",
    f"--gin.MODEL_DIR='{tmp_path}'", '--gin.TRAIN_STEPS=2', '--gin.BATCH_SIZE=8',
    '--gin.NUM_TRAIN_EXAMPLES=40',
  ) == 0  # fmt: skip
  before = safetensors.load_file(tiny_checkpoint / 'model.safetensors')
  after = safetensors.load_file(tmp_path / 'model/model.safetensors')
  assert before.keys() == after.keys()
  assert all(np.abs(after[name] - value).max() > 0 for name, value in before.items())
  assert evaluate(tmp_path / 'model', tmp_path / 'eval') == 0
