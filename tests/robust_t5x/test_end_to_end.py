"""The command line from end to end, on a tiny model: align, evaluate, infer, report, and interruptions of them."""

import json
import os

from helpers import align, evaluate, run
import numpy as np
import pandas as pd
import pytest
from safetensors import numpy as safetensors

from robust_t5x.results import reading, schema


def test_align_evaluate_report_infer(tiny_checkpoint, tmp_path, capsys):
  before, adapter_dir, after = tmp_path / 'before', tmp_path / 'adapter', tmp_path / 'after'
  assert evaluate(tiny_checkpoint, before) == 0
  assert align(tiny_checkpoint, adapter_dir) == 0
  adapter = adapter_dir / 'adapter.safetensors'
  assert adapter.stat().st_size < 300_000
  assert evaluate(tiny_checkpoint, after, f"--gin.ADAPTER='{adapter}'") == 0
  assert run('report', before, after, '--out', tmp_path / 'report') == 0
  table, record = reading.read(str(before))
  assert len(table) == 2 * 20
  assert set(table['group']) == {'observed', 'unobserved'}
  assert 'mini.num_eval_examples' in record['gin_config']
  assert record['model']['backbone']['sha256']
  assert os.path.getsize(before / 'report.html') > 10_000
  made = json.loads((adapter_dir / 'run.json').read_text())
  assert made['backbone']['sha256'] == record['model']['backbone']['sha256']
  assert (adapter_dir / 'config.gin').read_text() == made['gin_config']
  assert list((adapter_dir / 'tensorboard').glob('events*'))

  # A finished evaluation is found.
  capsys.readouterr()
  shown = os.stat(before / 'results.parquet').st_mtime_ns
  assert evaluate(tiny_checkpoint, before) == 0
  assert 'nothing to do' in capsys.readouterr().out
  assert os.stat(before / 'results.parquet').st_mtime_ns == shown
  assert evaluate(tiny_checkpoint, before, f"--gin.ADAPTER='{adapter}'") == 2
  assert 'another evaluation' in capsys.readouterr().err

  inputs = tmp_path / 'in.jsonl'
  inputs.write_text('{"inputs": "the cat sat"}\n{"inputs": "yes or no", "options": ["yes", "no"], "id": 7}\n')
  out = tmp_path / 'out.jsonl'
  assert run(
    'infer', '--gin_file=gin/runs/infer.gin', '--gin_file=gin/topologies/cpu.gin', '--gin_file=gin/models/from_checkpoint.gin',
    f"--gin.INITIAL_CHECKPOINT_PATH='{tiny_checkpoint}'",
    f"--gin.INPUT_FILE='{inputs}'", f"--gin.OUTPUT_FILE='{out}'",
  ) == 0  # fmt: skip
  free, ranked = (json.loads(line) for line in out.read_text().splitlines())
  assert isinstance(free['prediction'], str)
  assert ranked['id'] == 7
  assert ranked['prediction'] == ranked['options'][int(np.argmax(ranked['option_scores']))]


def test_an_interrupted_evaluation_goes_on(tiny_checkpoint, tmp_path, monkeypatch):
  from robust_t5x.evaluation import scorers

  whole, parts = tmp_path / 'whole', tmp_path / 'parts'
  assert evaluate(tiny_checkpoint, whole) == 0
  scored = []
  original = scorers.score_task

  def interrupted(runner, rows, task, *rest):
    if scored:
      raise KeyboardInterrupt
    scored.append(task.name)
    return original(runner, rows, task, *rest)

  monkeypatch.setattr(scorers, 'score_task', interrupted)
  with pytest.raises(KeyboardInterrupt):
    evaluate(tiny_checkpoint, parts)

  def rest_only(runner, rows, task, *rest):
    assert task.name not in scored
    return original(runner, rows, task, *rest)

  monkeypatch.setattr(scorers, 'score_task', rest_only)
  assert evaluate(tiny_checkpoint, parts) == 0
  pd.testing.assert_frame_equal(schema.read_table(str(whole)), schema.read_table(str(parts)))


def test_a_budget_of_cells(tiny_checkpoint, tmp_path, capsys):
  """Half of the cells: the same rows as in the whole table, evenly, and an estimate for all phrasings."""
  whole, part = tmp_path / 'whole', tmp_path / 'part'
  assert evaluate(tiny_checkpoint, whole, examples=4) == 0
  assert evaluate(tiny_checkpoint, part, '--gin.CELL_BUDGET=0.5', examples=4) == 0
  assert 'estimated for all unobserved phrasings from 20 of 40 cells' in capsys.readouterr().out
  every, some = schema.read_table(str(whole)), schema.read_table(str(part))
  assert len(some) == len(every) / 2
  for column, count in (('instruction_id', 2), ('example_id', 5)):
    assert (some.groupby(['group', column]).size() == count).all()
  cell = ['group', 'example_id', 'instruction_id']
  joined = some.merge(every, on=cell)
  assert (joined['prediction_x'] == joined['prediction_y']).all()
  estimates = pd.read_csv(part / 'estimates.csv')
  assert estimates['cells'].tolist() == [40, 40]
  assert (estimates['mean_low'] <= estimates['mean']).all()
  fingerprint = json.loads((part / 'run.json').read_text())['fingerprint']
  assert fingerprint['cells'] == {'budget': 0.5, 'seed': 0}
  assert evaluate(tiny_checkpoint, part, '--gin.CELL_BUDGET=0.4', examples=4) == 2
  assert 'it differs in cells' in capsys.readouterr().err
  assert run('report', whole, part, '--out', tmp_path / 'report') == 2
  assert 'different samples of the cells' in capsys.readouterr().err
  for budget, message in ((9, 'its 10 phrasings need one each'), (1.5, 'CELL_BUDGET is 1.5; give a whole number')):
    assert evaluate(tiny_checkpoint, tmp_path / 'bad', f'--gin.CELL_BUDGET={budget}', examples=4) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
  ('adapter', 'objective'),
  [('prefix', 'jensen_shannon'), ('soft_prompt_and_prefix', 'encoder_cosine'), ('soft_prompt', 'likelihood')],
)
def test_every_adapter_and_objective_trains(tiny_checkpoint, tmp_path, adapter, objective):
  assert align(tiny_checkpoint, tmp_path, adapter=adapter, objective=objective, steps=2) == 0
  arrays = safetensors.load_file(tmp_path / 'adapter.safetensors')
  assert all(np.isfinite(a).all() for a in arrays.values())


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


def test_a_loss_that_is_not_finite_stops_training(tiny_checkpoint, tmp_path, capsys):
  huge = '--gin.optimizers.adamw.learning_rate=1e38'
  assert align(tiny_checkpoint, tmp_path, huge, '--gin.train.train.log_period=1', steps=50) == 2
  message = capsys.readouterr().err
  assert 'was not finite; the state after step' in message
  saved = [int(p.name) for p in (tmp_path / 'checkpoints').iterdir() if p.name.isdigit()]
  assert len(saved) == 1
  assert f'the state after step {saved[0]} ' in message


def test_cut_inputs_are_counted_and_reported(tiny_checkpoint, tmp_path, capsys):
  short = "--gin.TASK_FEATURE_LENGTHS={'inputs': 8, 'targets': 4}"
  assert align(tiny_checkpoint, tmp_path / 'run', short, steps=2) == 0
  assert 'warning: 64 inputs were longer' in capsys.readouterr().err  # 2 steps of 8 examples, 4 phrasings each
  assert evaluate(tiny_checkpoint, tmp_path / 'eval', short) == 0
  assert '40 of 40 inputs were longer than 8 tokens and were cut' in capsys.readouterr().err
  table, record = reading.read(str(tmp_path / 'eval'))
  assert (table['truncated_tokens'] > 0).all()
  assert record['truncated_inputs'] == 40


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--gin.MODELDIR="x"'], 'did you mean MODEL_DIR?'),
    (['--gin_file=gin/adapters/soft_promt.gin'], 'did you mean gin/adapters/soft_prompt.gin?'),
    (["--gin.INITIAL_CHECKPOINT_PATH='/nowhere'"], 'INITIAL_CHECKPOINT_PATH: no directory /nowhere'),
    (["--gin.MIXTURE_OR_TASK_NAME='mini_aligment'"], 'did you mean mini_alignment?'),
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
