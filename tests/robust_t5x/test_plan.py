"""The planner: tiny models compiled by the TPU's own compiler, and what it says of them."""

import dataclasses
import json
import types

import jax
import numpy as np
import optax
import pytest

from robust_t5x import __main__ as command
from robust_t5x import adapters, objectives, plan
from robust_t5x.models import families, llama, robust, runner, t5, trainable
from robust_t5x.runtime import topologies, tpu_compiler
from robust_t5x.runtime.errors import UsageError

CONFIG = t5.T5Config(512, 128, 4, 32, 2, 2, 256, dtype='bfloat16', remat=True)
DECODER = llama.LlamaConfig(512, 128, 4, 2, 32, 2, 256, dtype='bfloat16', remat=True)
ARGUMENTS = [
  '--gin_file=gin/recipes/train/align_mini.gin', '--gin_file=gin/adapters/prefix.gin', '--gin_file=gin/objectives/kl.gin',
]  # fmt: skip


pytestmark = pytest.mark.usefixtures('as_started_anew')


class Vocabulary:
  pad_id, eos_id = 0, 1


@pytest.fixture
def libtpu():
  pytest.importorskip('libtpu', reason="libtpu is not installed; pip install -e '.[plan]'")


def settings(config=CONFIG, batch=32, microbatches=1, model_parallel=1, phrasings=4):
  model = robust.RobustModel(
    config.network(adapters.AdapterConfig(prefix_lengths={'reading': 8})), Vocabulary, Vocabulary,
    optax.adamw(0.1), objectives.kl_to_canonical,
  )  # fmt: skip
  return plan.Settings(
    model, trainable.Trainable(), batch, phrasings, 64, 8, microbatches, model_parallel, 'bfloat16', 32
  )


@pytest.mark.parametrize('name', ['v2-8', 'v4-8', 'v5e-4', 'v6e-8'])
def test_a_training_step_compiles_for_each_generation(libtpu, name):
  (step,) = plan.plan(settings(), name, ['train'])
  replicas = topologies.TPUS[name].devices
  assert step.fits and step.total_bytes < step.capacity_bytes
  # Weights in bfloat16 on every device; little more, since only the adapter has slots.
  weights = 2 * sum(np.prod(x.shape) for x in trainable.flatten(settings().model.variable_shapes()[0]).values())
  assert weights <= step.parameter_bytes <= 1.2 * weights
  assert set(step.collectives) == {'all-reduce'}
  # At least the forward and backward pass through the encoder's weights: 4 FLOPs for each and token.
  encoder = sum(
    np.prod(x.shape)
    for n, x in trainable.flatten(settings().model.variable_shapes()[0]).items()
    if 'encoder/layers' in n
  )
  tokens = 32 * 4 * 64 / replicas
  assert 4 * encoder * tokens < step.flops < 20 * encoder * tokens
  assert step.seconds > 0 and step.bound in ('arithmetic', 'memory', 'links')


@pytest.mark.parametrize('name', topologies.TPUS)
def test_the_compiler_has_the_devices_we_say(libtpu, name):
  devices = topologies.devices(name)
  assert len(devices) == topologies.TPUS[name].devices
  assert len({d.process_index for d in devices}) in (topologies.TPUS[name].hosts, 2)  # v6e-8 counts as two halves


@pytest.mark.parametrize(('config', 'model_parallel'), [(CONFIG, 2), (DECODER, 4)], ids=['t5', 'decoder'])
def test_all_steps_and_model_parallel(libtpu, config, model_parallel):
  whole = {s.name: s for s in plan.plan(settings(config), 'v5e-4')}
  shared = {s.name: s for s in plan.plan(settings(config, model_parallel=model_parallel), 'v5e-4')}
  assert set(whole) == {'train', 'eval', 'infer'}
  for name, step in shared.items():
    assert step.parameter_bytes < 0.7 * whole[name].parameter_bytes
    assert sum(sent for _, sent in step.collectives.values()) > 0
  assert whole['infer'].flops > whole['eval'].flops / 2


def test_microbatches_take_less_memory_for_the_same_work(libtpu):
  (one,), (four,) = (plan.plan(settings(batch=64, microbatches=m), 'v4-8', ['train']) for m in (1, 4))
  assert four.activation_bytes < one.activation_bytes
  assert four.flops == pytest.approx(one.flops, rel=0.05)
  assert [sent for _, sent in four.collectives.values()] == pytest.approx(
    [sent for _, sent in one.collectives.values()], rel=0.01
  )


def test_a_study_costs_its_steps_and_cells(libtpu):
  found = plan.study(settings(), 'v5e-4')
  assert found is not None
  chosen, (train, score) = found
  assert (chosen.model_parallel, chosen.microbatches, train.name, score.name) == (1, 1, 'train', 'eval')
  timed = [dataclasses.replace(s, seconds=t, examples=32) for s, t in ((train, 0.9), (score, 1.8))]
  line = plan.study_line('v5e-4', (chosen, timed), 400, 6401)  # 201 evaluation steps, twice
  assert line == '| v5e-4 | 4 | 1 | 1 | 0.1 | 0.2 | 0.3 | 1.2 |'
  assert '| v3-8 | 4 |' in plan.study_line('v3-8', (chosen, timed), 400, 6401)


class Spelling(Vocabulary):
  vocab_size, extra_ids = 512, 0

  def encode(self, text):
    return [ord(text)] * 7


def test_a_study_of_rows_that_begin_alike_costs_what_the_runner_runs(monkeypatch):
  """Operations of all programs that an evaluation of 128 rows in two groups runs, by XLA's count."""
  config = dataclasses.replace(DECODER, dtype='float32', remat=False)
  model = robust.RobustModel(config.network(adapters.AdapterConfig()), Spelling(), Spelling())
  settings = plan.Settings(model, None, 8, 1, 128, 8, 1, 1, 'float32', 32, shared=96, among=64)
  monkeypatch.setattr(plan.topologies, 'devices', lambda topology: jax.devices()[:1])
  score, begin = plan.plan(settings, 'cpu', ('eval', 'begin'))
  assert (score.examples, begin.examples) == (32, 1)

  counted = []

  def counting(program):
    def run(*arguments, **more):
      counted.append(program.lower(*arguments, **more).compile().cost_analysis()['flops'])
      return program(*arguments, **more)

    return run

  score_program, begin_program = model.compiled_score(None), model.compiled_begin(None)
  random = np.random.default_rng(0)
  beginnings = random.integers(2, 512, (2, 96))
  inputs = [np.concatenate([beginnings[i % 2], random.integers(2, 512, 32)]).astype(np.int32) for i in range(128)]
  evaluation = runner.Runner(model, model.initialise(jax.random.key(0))['params'], 32, 8, 128)
  with monkeypatch.context() as patch:
    patch.setattr(model, 'compiled_score', lambda mesh: counting(score_program))
    patch.setattr(model, 'compiled_begin', lambda mesh: counting(begin_program))
    evaluation.score(inputs, [['a', 'b', 'c', 'd']] * 128)
  cost = evaluation.cost(inputs, [])
  assert (cost.sharing, cost.groups, cost.shared_tokens) == (128, 2, 2 * 63 * 96)
  assert len(counted) == 2 + 4
  # With a second for an operation, the time is the operations.
  score, begin = (dataclasses.replace(step, seconds=step.flops) for step in (score, begin))
  assert plan.evaluation_seconds(settings, 128, score, begin) == pytest.approx(sum(counted), rel=1e-3)
  whole = dataclasses.replace(settings, shared=0, among=1)
  (each,) = plan.plan(whole, 'cpu', ('eval',))
  assert plan.evaluation_seconds(whole, 128, dataclasses.replace(each, seconds=each.flops)) > 2 * sum(counted)


def test_rows_that_begin_alike_compile_with_shared_weights(libtpu):
  """64 tokens of which 48 are shared: rows of the 16 that are left, four times as many as of whole ones."""
  whole = dataclasses.replace(settings(DECODER), model_parallel=2)
  alike = dataclasses.replace(whole, shared=48, among=512)
  (each,) = plan.plan(whole, 'v5e-4', ('eval',))
  score, begin = plan.plan(alike, 'v5e-4', ('eval', 'begin'))
  assert (each.examples, score.examples, score.replicas) == (32, 128, 2)
  assert 0 < begin.flops < score.flops < 4 * each.flops and begin.fits and score.fits
  assert plan.evaluation_seconds(alike, 5120, score, begin) == pytest.approx(10 * (begin.seconds + 4 * score.seconds))


@pytest.mark.parametrize(
  ('config', 'shared', 'message'),
  [(CONFIG, 32, '--shared: this network reads each input whole'), (DECODER, 64, '--shared is 64; give 1 to 63: an input has 64')],
  ids=['t5', 'too much'],
)  # fmt: skip
def test_what_rows_cannot_share_is_refused(config, shared, message):
  with pytest.raises(UsageError, match=message):
    plan.check_shared(dataclasses.replace(settings(config), shared=shared, among=2))


def test_a_study_shares_weights_that_are_too_large_and_then_cuts_the_batch(monkeypatch):
  weights = 2 * sum(x.size for x in trainable.flatten(settings().model.variable_shapes()[0]).values())
  machine = topologies.TPUS['v5e-4']
  small = dataclasses.replace(machine, device=dataclasses.replace(machine.device, memory=weights))
  monkeypatch.setitem(topologies.TPUS, 'v5e-4', small)
  asked = []

  def too_large(chosen, topology, steps):
    asked.append((chosen.model_parallel, chosen.microbatches))
    return [types.SimpleNamespace(fits=False)]

  monkeypatch.setattr(plan, 'plan', too_large)
  assert plan.study(settings(batch=16), 'v5e-4') is None
  assert asked == [(2, 1), (2, 2), (2, 4), (2, 8)]
  asked.clear()
  assert plan.study(settings(batch=16, microbatches=32), 'v5e-4') is None
  assert asked == [(2, 8)]
  assert plan.study_line('v5e-4', None, 400, 10) == '| v5e-4 | 4 | | | does not fit | | | |'


def test_what_does_not_fit_is_said(libtpu):
  config = families.config('t5_1_1', 'xxl', 'bfloat16')
  wide = dataclasses.replace(config, num_encoder_layers=1, num_decoder_layers=1, vocab_size=2_000_000)
  try:
    (step,) = plan.plan(settings(wide), 'v2-8', ['train'])
  except plan.OutOfMemory as e:
    assert str(e)
  else:
    assert step.fits is False


def test_a_recipe_s_topology_gives_way_to_the_one_that_is_asked_for(libtpu, capsys):
  assert command.main(['plan', *ARGUMENTS, '--topology=v5e-4', '--steps=train']) == 0
  out, err = capsys.readouterr()
  assert 'v5e-4: 4 devices' in out
  assert 'gin/topologies/v5e-4.gin takes the place of gin/topologies/cpu.gin' in err


def test_the_command_prints_a_table(libtpu, tiny_vocabulary_path, capsys):
  files = ['gin/runs/align.gin', 'gin/models/mini.gin', 'gin/tasks/mini.gin', 'gin/observed/mini.gin', 'gin/adapters/prefix.gin',
           'gin/objectives/kl.gin']  # fmt: skip
  more = [f'--VOCABULARY={tiny_vocabulary_path}', "--TASK_FEATURE_LENGTHS={'inputs': 32, 'targets': 8}"]
  assert command.main(['plan', *(f'--gin_file={f}' for f in files), *more, '--topology=v5e-4']) == 0
  out = capsys.readouterr().out
  for line in ('v5e-4: 4 devices', 'of 16 GiB', 'all-reduce: number', 'examples per second by it'):
    assert line in out
  assert out.count('fits') == 3


def test_the_cpu_is_planned_for_here(capsys):
  assert command.main(['plan', *ARGUMENTS, '--steps=train', '--json']) == 0
  made = json.loads(capsys.readouterr().out)
  assert made['topology'] == 'cpu' and made['settings']['batch_size'] == 16
  (step,) = made['steps']
  assert step['flops'] > 1e9 and step['fits'] is None and step['seconds'] is None
  import gin

  gin.clear_config(clear_constants=True)
  assert command.main(['plan', *ARGUMENTS, '--steps=train']) == 0
  assert 'parameters, optimiser' in capsys.readouterr().out


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--shared=9'], '--shared and --among go together'),
    (
      ['--shared=9', '--among=4'],
      '--shared and --among are of a study, which adds up both programs; add --study CELLS',
    ),
    (['--study=0'], '--study is 0; give the number of cells, examples times phrasings'),
    (['--study=9', '--topology=cpu'], '--study: a study is planned for TPUs; --topology is one of v2-8'),
    (['--topology=v4-9'], "unknown topology 'v4-9'; did you mean v4-8?"),
    (['--topology=xyz'], "unknown topology 'xyz'; use one of cpu, gpu-1"),
    (['--topology=gpu-1', '--gin_file=gin/topologies/v4-8.gin'], 'give only one of these files'),
    ([], 'no --gin_file'),
  ],
)
def test_mistakes(arguments, message, capsys):
  files = ARGUMENTS if arguments else []
  assert command.main(['plan', *files, *arguments]) == 2
  assert message in capsys.readouterr().err


def test_a_gpu_is_not_planned_for_without_one():
  with pytest.raises(topologies.TopologyError, match='this one has no GPU'):
    topologies.devices('gpu-8')


def test_a_batch_that_does_not_divide(libtpu):
  with pytest.raises(ValueError, match='BATCH_SIZE is 30; it must be a multiple of MICROBATCHES'):
    plan.plan(settings(batch=30), 'v4-8', ['train'])


@pytest.mark.parametrize(
  'model',
  [
    ['--gin_file=gin/models/flan_t5.gin', '--SIZE=small'],
    ['--gin_file=gin/models/llama.gin', '--gin_file=gin/observed/none.gin', '--FAMILY=llama_3_1', '--SIZE=8b'],
  ],
  ids=['t5', 'decoder'],
)
def test_a_vocabulary_out_of_reach_is_not_needed(monkeypatch, model):
  """Which ids pad and end is all that a step's cost depends on."""
  from robust_t5x.checkpoints import vocabularies
  from robust_t5x.runtime import gin_files, launcher

  def reached(name):
    raise AssertionError(f'asks for {name}')

  import tensorflow as tf

  monkeypatch.setattr(tf.io.gfile, 'exists', reached)
  arguments = [
    '--gin_file=gin/runs/align.gin', *model, '--gin_file=gin/tasks/mini.gin', '--gin_file=gin/adapters/prefix.gin',
    '--gin_file=gin/objectives/kl.gin', '--gin_file=gin/topologies/v4-8.gin',
  ]  # fmt: skip
  gin_files.parse_gin(launcher.parse_flags(arguments, ''), all_set=False)
  found, topology = plan.configured_settings()
  assert (topology, found.batch_size, found.model.ids) == ('v4-8', 64, (0, 1, ()))
  with pytest.raises(AssertionError, match='asks for gs://'):
    vocabularies.vocabulary('gs://bucket/x.model')


def test_a_step_that_there_is_not_is_named(capsys):
  assert command.main(['plan', *ARGUMENTS, '--topology=cpu', '--steps=train,evl']) == 2
  assert capsys.readouterr().err == "error: --steps: there is no step 'evl'; name some of train,eval,infer\n"


def test_a_step_is_planned_for_as_if_it_were_compiled_whole(libtpu, monkeypatch):
  chosen = settings(DECODER, microbatches=2, model_parallel=2)
  (stopped,) = plan.plan(chosen, 'v5e-4', ['eval'])
  monkeypatch.setattr(tpu_compiler, 'laid_out', lambda lowered, *_: tpu_compiler.whole(lowered))
  (whole,) = plan.plan(chosen, 'v5e-4', ['eval'])
  assert (stopped.flops, stopped.collectives) == (whole.flops, whole.collectives)
  assert stopped.parameter_bytes == whole.parameter_bytes
  assert abs(stopped.total_bytes - whole.total_bytes) < 32 << 20  # machine code
  assert 0.4 < stopped.bytes_accessed / whole.bytes_accessed <= 1  # arrays as narrow as these are mostly padding
