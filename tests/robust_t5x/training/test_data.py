"""Training batches: the task they are of, and that a resumed run goes on at the exact example."""

from helpers import align
import numpy as np
import pytest
from safetensors import numpy as safetensors

from robust_t5x.runtime.errors import UsageError
from robust_t5x.training import data


def test_resumes_at_the_exact_example(tiny_checkpoint, tmp_path):
  """Interrupted after step 3 and resumed, training ends where it ends without interruption."""
  stop = '--gin.train.train.save_period=3'
  schedule = '--gin.optimizers.warmup_cosine.steps=6'
  assert align(tiny_checkpoint, tmp_path / 'whole', stop, schedule, steps=6) == 0
  assert align(tiny_checkpoint, tmp_path / 'parts', stop, schedule, steps=3) == 0
  assert align(tiny_checkpoint, tmp_path / 'parts', stop, schedule, steps=6) == 0
  whole, parts = (safetensors.load_file(tmp_path / d / 'adapter.safetensors') for d in ('whole', 'parts'))
  for name, value in whole.items():
    np.testing.assert_array_equal(parts[name], value, err_msg=name)
  other = tmp_path / 'other'
  assert align(tiny_checkpoint, other, stop, schedule, '--gin.SEED=1', steps=6) == 0
  moved = safetensors.load_file(other / 'adapter.safetensors')
  assert any(np.abs(moved[name] - value).max() > 1e-3 for name, value in whole.items())


@pytest.mark.usefixtures('as_started_anew')
def test_a_name_that_no_call_registers_is_refused_with_the_nearest():
  import seqio

  given = []

  def register_tasks(vocabulary):
    given.append(vocabulary)
    source = seqio.FunctionDataSource(lambda split, shuffle_files: None, splits=['train'])
    seqio.TaskRegistry.add('quiz_train', source=source, preprocessors=[], output_features={})
    return ['quiz_train']

  with pytest.raises(UsageError, match="no task or mixture 'quiz_tain' is registered; did you mean quiz_train?"):
    data.register('quiz_tain', [register_tasks], 'words')
  assert given == ['words']
  assert data.register('quiz_train', [], 'words') == 'quiz_train'
