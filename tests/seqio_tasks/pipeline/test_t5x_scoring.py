"""Real T5X scores our rank classification tasks as they stand, where it is installed."""

import numpy as np
import pytest

from robust_t5x.checkpoints import backbones, loading
from robust_t5x.evaluation.rows import read_task
from robust_t5x.evaluation.scorers import score_task
from robust_t5x.models import runner
from robust_t5x.results.scorers import SCORERS
from seqio_tasks import datasets, suites
from seqio_tasks.pipeline import registration


def test_score_batch_under_t5x_finds_what_our_runner_finds(tmp_path):
  utils = pytest.importorskip('t5x.utils', reason='T5X is not installed')
  import functools

  import flax
  import seqio
  from t5x import partitioning, train_state

  path = tmp_path / 'quiz.csv'
  rows = [f'which number is larger {i} or {99 - i},{i}|{99 - i},{max(i, 99 - i)}' for i in range(20)]
  path.write_text('question,o,answer\n' + '\n'.join(rows) + '\n')
  loaded = loading.load_with_identity(backbones.BUNDLED)
  dataset = datasets.table(path, 'larger', ['multiple_choice'], options='o')
  names = suites.register(loaded.model.input_vocabulary, dataset, collections=['general_evaluation'])
  name = next(n for n in names if n.endswith('e06'))
  lengths = {'inputs': 128, 'targets': 16}
  # On a CPU T5X's mesh has all host devices on its axis "model"; the model's four heads do not divide by eight.
  whole = ('vocab', 'embed', 'mlp', 'heads', 'kv', 'joined_kv', 'relpos_buckets', 'length', 'layers')
  partitioner = partitioning.PjitPartitioner(
    num_partitions=1, logical_axis_rules=[('batch', 'data'), *((axis, None) for axis in whole)]
  )
  shapes = {'encoder_input_tokens': (8, 128), 'decoder_input_tokens': (8, 16)}
  initializer = utils.TrainStateInitializer(
    optimizer_def=None, init_fn=loaded.model.get_initial_variables, input_shapes=shapes,
    input_types=dict.fromkeys(shapes, np.int32), partitioner=partitioner,
  )  # fmt: skip
  score = utils.get_infer_fn(loaded.model.score_batch, 8, initializer.train_state_axes, partitioner)
  state = train_state.InferenceState(step=np.int32(0), params=flax.core.freeze(loaded.params))
  evaluator = seqio.Evaluator(
    f'{name}__rank', loaded.model.FEATURE_CONVERTER_CLS(pack=False), eval_split='test', sequence_length=lengths
  )
  metrics, _ = evaluator.evaluate(
    compute_metrics=True, predict_fn=None, score_fn=functools.partial(score, train_state=state)
  )
  table = score_task(
    runner.Runner(loaded.model, loaded.params, 8, max_output=16),
    read_task(name, lengths, 'test'),
    registration.evaluation_task(name),
    SCORERS['rank_likelihood'],
    'mini',
  )
  assert metrics.result()[f'{name}__rank']['rank_accuracy'] == pytest.approx(table['score'].mean())
