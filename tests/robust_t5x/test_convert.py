"""The verb `convert`: mistakes on its command line, of which nothing is written."""

import dataclasses
import json
import pathlib
import re
import resource
import shutil

from helpers import change_record, write_evaluation
import jax
import numpy as np
import pytest
from tiny_backbones import CONFIG, params_of, write

from robust_t5x import __main__ as command
from robust_t5x import adapters, convert
from robust_t5x.checkpoints import adapter_files, backbones, huggingface
from robust_t5x.models import protocol, trainable

DATA = pathlib.Path(__file__).parents[1] / 'data'
BACKBONE = str(DATA / 'hf_t5/v1_1')


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['x', 'y'], 'the following arguments are required: --to'),
    (['x', '--to', 't5x'], 'the following arguments are required: target'),
    (['x', 'y', '--to', 'torch'], "argument --to: invalid choice: 'torch'"),
    (['x', 'y', '--to', 't5x', '--dtype', 'int8'], "argument --dtype: invalid choice: 'int8'"),
    (['x', 'y', '--to', 't5x', '--adapt', 'z'], 'unrecognized arguments: --adapt z'),
  ],
)
def test_arguments_that_cannot_be_understood(arguments, message, capsys):
  with pytest.raises(SystemExit) as end:
    command.main(['convert', *arguments])
  assert end.value.code == 2
  assert message in capsys.readouterr().err


@pytest.mark.parametrize(
  ('source', 'to', 'more', 'message'),
  [
    ('nowhere', 't5x', [], 'nowhere'),
    ('nowhere', 'npy', [], 'nowhere'),
    (BACKBONE, 'huggingface', ['--adapter', 'x'], 'ADAPTER: no file x'),
  ],
)
def test_what_cannot_be_converted_is_one_line(source, to, more, message, tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  assert command.main(['convert', source, 'target', '--to', to, *more]) == 2
  said = capsys.readouterr()
  assert said.out == '' and said.err.startswith('error: ') and said.err.count('\n') == 1
  assert message in said.err
  assert not list(tmp_path.iterdir())


def test_a_file_that_exists_is_left_alone(tmp_path, capsys):
  path = tmp_path / 'adapter.npy'
  path.write_text('precious')
  assert command.main(['convert', 'x', str(path), '--to', 'npy']) == 2
  assert f'error: {path} exists; choose another place\n' == capsys.readouterr().err
  assert path.read_text() == 'precious'


def test_what_cannot_be_written_leaves_nothing(tiny_checkpoint, tmp_path, monkeypatch, capsys):
  def full(path, *_, **__):
    pathlib.Path(path).mkdir()
    (pathlib.Path(path) / 'config.json').write_text('{}')
    raise OSError(28, 'No space left on device', path)

  monkeypatch.setattr(huggingface, 'write', full)
  assert command.main(['convert', str(tiny_checkpoint), f'{tmp_path}/new/x/', '--to', 'huggingface']) == 2
  assert 'No space left on device' in capsys.readouterr().err
  assert not list((tmp_path / 'new').iterdir())


@pytest.mark.parametrize('layout', ['t5x', 'huggingface'])
def test_a_disk_without_room_is_told_by_the_place_that_was_named(layout, tiny_checkpoint, tmp_path, capsys):
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))  # bytes of a file
  try:
    status = command.main(['convert', str(tiny_checkpoint), str(tmp_path / 'x'), '--to', layout])
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
  told = capsys.readouterr().err.splitlines()[-1]
  assert status == 2 and re.fullmatch(f'error: {tmp_path}/x\\S*: File too large; make room there; the same .*', told)
  assert '.tmp' not in told and not list(tmp_path.iterdir())


def test_what_a_killed_conversion_left_is_no_checkpoint_and_is_removed(tiny_checkpoint, tmp_path, capsys):
  left = tmp_path / f'x.{10**9}.tmp'
  shutil.copytree(tiny_checkpoint, left)
  with pytest.raises(backbones.CheckpointError, match='is what an interrupted `robust-t5x convert` left; delete it'):
    backbones.open_backbone(str(left))
  assert command.main(['convert', str(tiny_checkpoint), f'{tmp_path}/x/', '--to', 'huggingface']) == 0
  assert f'removed {left}, which an interrupted command left' in capsys.readouterr().err
  assert [path.name for path in tmp_path.iterdir()] == ['x']


def test_a_dtype_that_is_too_small_is_refused(tmp_path, capsys):
  flat = params_of(CONFIG)
  flat['encoder/encoder_norm/scale'] = np.full(16, 1e6, np.float32)
  path = write(tmp_path / 'a', flat)
  for to in ('huggingface', 't5x'):
    assert command.main(['convert', path, str(tmp_path / 'b'), '--to', to, '--dtype', 'float16']) == 2
    assert f'{path}: encoder/encoder_norm/scale holds 1e+06, too large for float16' in capsys.readouterr().err
    assert not (tmp_path / 'b').exists()
  report = convert.convert_backbone(path, str(tmp_path / 'b'), 'huggingface', dtype='bfloat16')
  assert report['sha256'] == backbones.backbone_hash(str(tmp_path / 'b')) != backbones.backbone_hash(path)


def test_settings_that_shapes_do_not_tell_stand_in_a_file_beside_t5xs(tmp_path):
  path = write(tmp_path / 'a', params_of(CONFIG), dataclasses.replace(CONFIG, relpos_max_distance=64))
  convert.convert_backbone(path, str(tmp_path / 'b'), 't5x')
  assert backbones.open_backbone(str(tmp_path / 'b')).config.relpos_max_distance == 64
  assert backbones.backbone_hash(str(tmp_path / 'b')) == backbones.backbone_hash(path)
  (tmp_path / 'b' / 'network.json').write_text('{')
  backbones.open_backbone.cache_clear()
  with pytest.raises(backbones.CheckpointError, match='b/network.json: cannot be read as JSON'):
    backbones.open_backbone(str(tmp_path / 'b'))


def _adapter(path, backbone, **settings):
  """Writes an adapter with random values for a backbone; its arrays."""
  network = backbones.open_backbone(backbone).config
  made = adapters.parameters(adapters.AdapterConfig(**settings), network)
  rng = np.random.default_rng(0)
  arrays = {name: 0.3 * rng.normal(size=p.shape).astype(np.float32) for name, p in made.items()}
  adapter_files.save(path, arrays, {'backbone': {'path': backbone, 'sha256': backbones.backbone_hash(backbone)}})
  return arrays


@pytest.mark.parametrize('kind', ['hf_t5/v1_1', 'hf_llama/qwen3'])
def test_lora_merged_into_the_weights_gives_the_same_logits(kind, tmp_path, capsys):
  backbone, path = str(DATA / kind), str(tmp_path / 'adapter.safetensors')
  arrays = _adapter(path, backbone, lora_rank=2, lora_projections=adapters.PROJECTIONS)
  assert command.main(['convert', backbone, str(tmp_path / 'm'), '--to', 'huggingface', '--adapter', path]) == 0
  source, written = (huggingface.HuggingFaceBackbone(p) for p in (backbone, str(tmp_path / 'm')))
  assert written.config == source.config
  read = [trainable.unflatten({name: s.read(name) for name in s.shapes}) for s in (source, written)]
  inputs, answers = np.array([[3, 4, 5, 6], [7, 8, 0, 0]]), np.array([[0, 9, 10], [0, 11, 12]])
  config = adapters.config_of(arrays)

  def logits(network, params):
    return jax.jit(lambda p: protocol.logits(network, p, inputs, answers, 0))(params)

  beside = logits(source.config.network(config), {**read[0], 'adapter': arrays})
  plain, within = (logits(source.config.network(), params) for params in read)
  np.testing.assert_allclose(within, beside, atol=1e-4, rtol=0)
  assert np.abs(beside - plain).max() > 0.1
  report = json.loads((tmp_path / 'm' / 'conversion.json').read_text())
  assert report['adapter'] == {'path': path, 'sha256': backbones.sha256(path)}


@pytest.mark.parametrize('settings', [{'length': 2}, {'prefix_lengths': {'encoder': 2}, 'lora_rank': 1}])
def test_only_lora_is_merged(settings, tmp_path, capsys):
  path = str(tmp_path / 'adapter.safetensors')
  _adapter(path, BACKBONE, **settings)
  assert command.main(['convert', BACKBONE, str(tmp_path / 'm'), '--to', 'huggingface', '--adapter', path]) == 2
  said = capsys.readouterr().err
  assert 'weights have a place for LoRA alone' in said and 'convert ADAPTER DIR --to peft' in said
  assert not (tmp_path / 'm').exists()


def test_lora_of_another_backbone_is_not_converted(tmp_path, capsys):
  path, other = str(tmp_path / 'adapter.safetensors'), write(tmp_path / 'other', params_of(CONFIG))
  _adapter(path, other, lora_rank=1)
  again = write(tmp_path / 'again', params_of(CONFIG, seed=1))
  for arguments in (
    [again, str(tmp_path / 'm'), '--to', 'huggingface', '--adapter', path],
    [again, str(tmp_path / 'm'), '--to', 't5x', '--adapter', path],
    [path, str(tmp_path / 'm.safetensors'), '--to', 'adapter', '--backbone', again],
    [path, str(tmp_path / 'm'), '--to', 'peft', '--backbone', again],
  ):
    assert command.main(['convert', *arguments]) == 2
    assert 'was trained on another backbone' in capsys.readouterr().err
  assert not [p for p in tmp_path.iterdir() if p.name.startswith('m')]


@pytest.mark.parametrize(('kind', 'name'), [('hf_t5/v1_1', 't5_lora'), ('hf_llama/llama', 'llama_prefix')])
def test_adapters_of_peft_come_in_and_go_out(kind, name, tmp_path, capsys):
  theirs, ours, again = str(DATA / 'peft' / name), str(tmp_path / 'a.safetensors'), str(tmp_path / 'peft')
  assert command.main(['convert', theirs, ours, '--to', 'adapter']) == 2
  assert 'add --backbone CHECKPOINT' in capsys.readouterr().err
  assert command.main(['convert', theirs, ours, '--to', 'adapter', '--backbone', str(DATA / kind)]) == 0
  assert adapter_files.load(ours)[1]['backbone']['sha256'] == backbones.backbone_hash(str(DATA / kind))
  assert command.main(['convert', ours, again, '--to', 'peft']) == 0
  expected, _ = adapter_files.read_any(theirs, backbones.open_backbone(str(DATA / kind)).config)
  found, _ = adapter_files.read_any(again, backbones.open_backbone(str(DATA / kind)).config)
  for key, value in expected.items():
    np.testing.assert_array_equal(found[key], value)


def test_where_a_soft_prompt_of_a_decoder_stands_must_be_said(tmp_path, capsys):
  decoder, vectors, target = str(DATA / 'hf_llama/llama'), str(tmp_path / 'v.npy'), str(tmp_path / 'a.safetensors')
  np.save(vectors, np.ones((3, 32), np.float32))
  arguments = ['convert', vectors, target, '--to', 'adapter', '--backbone', decoder]
  assert command.main(arguments) == 2
  assert 'does not say where its soft prompt stands; add --prompt_position' in capsys.readouterr().err
  assert command.main([*arguments, '--prompt_position', '4']) == 0
  assert adapter_files.load(target)[1]['prompt_position'] == 4
  assert command.main(['convert', target, str(tmp_path / 'peft'), '--to', 'peft']) == 2
  assert 'stands behind the first 4 tokens of the input' in capsys.readouterr().err
  assert command.main(['convert', target, str(tmp_path / 'b'), '--to', 'adapter', '--prompt_position', '5']) == 2
  assert 'says that it is 4; leave it out' in capsys.readouterr().err


@pytest.fixture
def aligned(tmp_path):
  """(adapter, evaluation without it, evaluation with it)."""
  path, places = str(tmp_path / 'adapter.safetensors'), []
  _adapter(path, BACKBONE, lora_rank=2)
  for name, adapter in (('before', None), ('after', backbones.sha256(path))):
    places.append(write_evaluation(tmp_path / name, name, {'observed': 0.9, 'unobserved': 0.5}, seed=len(places)))
    change_record(
      places[-1],
      fingerprint__backbone=backbones.backbone_hash(BACKBONE),
      fingerprint__adapter=adapter,
      fingerprint__seed=0,
    )
  return path, *places


def test_a_card_stands_beside_both_exports(aligned, tmp_path, capsys):
  from huggingface_hub import ModelCard

  adapter, *results = aligned
  told = ['--card', *results, '--base_model', 'someone/t5', '--license', 'mit']
  assert command.main(['convert', adapter, str(tmp_path / 'peft'), '--to', 'peft', *told]) == 0
  assert f'card: {tmp_path}/peft/README.md' in capsys.readouterr().out
  fields = json.loads((tmp_path / 'peft/adapter_config.json').read_text())
  assert fields['base_model_name_or_path'] == 'someone/t5'
  merge = ['convert', BACKBONE, str(tmp_path / 'merged'), '--to', 'huggingface', '--adapter', adapter]
  seed = shutil.copytree(results[1], tmp_path / 'seed')
  change_record(seed, fingerprint__adapter='e' * 64)
  assert command.main([*merge, '--card', results[0], str(seed), results[1]]) == 0
  assert 'warning: the card names the base model by its hash alone' in capsys.readouterr().err
  cards = [ModelCard.load(str(tmp_path / name / 'README.md')) for name in ('peft', 'merged')]
  assert [c.data.library_name for c in cards] == ['peft', 'transformers']
  assert [c.data.base_model for c in cards] == ['someone/t5', None] and cards[0].data.license == 'mit'
  assert cards[0].data.eval_results == cards[1].data.eval_results and len(cards[0].data.eval_results) == 8
  assert f'Adapter `{backbones.sha256(adapter)}`' in cards[1].text
  assert ['Other seeds' in c.text for c in cards] == [False, True]


@pytest.mark.parametrize(
  ('more', 'message'),
  [
    (['--to', 'adapter', '--card', 'a', 'b'], '--card goes with --to peft, or with --to huggingface --adapter FILE'),
    (['--to', 'huggingface', '--card', 'a', 'b'], '--card goes with --to peft'),
    (['--to', 'peft', '--card', 'a'], '--card takes two directories or more'),
    (['--to', 'peft', '--license', 'mit'], '--license goes with --card'),
    (['--to', 'npy', '--base_model', 'a/b'], '--base_model goes with --to peft or --card'),
  ],
)
def test_what_goes_with_a_card(more, message, capsys):
  with pytest.raises(SystemExit):
    command.main(['convert', 'x', 'y', *more])
  assert message in capsys.readouterr().err


def test_a_card_of_something_else_leaves_nothing(aligned, tmp_path, capsys):
  adapter, before, after = aligned
  to_peft, merge = ['convert', adapter, str(tmp_path / 'x'), '--to', 'peft'], ['convert', BACKBONE, str(tmp_path / 'x')]
  merge += ['--to', 'huggingface', '--adapter', adapter]
  for command_line in (to_peft, merge):
    assert command.main([*command_line, '--card', after, before]) == 2
    assert 'give the evaluation without the adapter first' in capsys.readouterr().err
    assert not (tmp_path / 'x').exists()
  (tmp_path / 'run.json').write_text(json.dumps({'seed': 1, 'backbone': {'sha256': 'f' * 64}}))
  assert command.main([*to_peft, '--card', before, after]) == 2
  assert f'{tmp_path}/run.json is of another training run than {adapter}; move it away' in capsys.readouterr().err
  assert (
    command.main(['convert', str(DATA / 'peft/t5_lora'), *to_peft[2:], '--backbone', BACKBONE, '--card', before, after])
    == 2
  )
  assert 'give the adapter.safetensors that was evaluated' in capsys.readouterr().err
  assert not (tmp_path / 'x').exists()


@pytest.mark.parametrize(('name', 'message'), [('/a/b', '--base_model'), ("x'y", '--base_model')])
def test_a_name_that_no_hub_has_is_refused(aligned, tmp_path, name, message, capsys):
  assert command.main(['convert', aligned[0], str(tmp_path / 'x'), '--to', 'peft', '--base_model', name]) == 2
  assert message in capsys.readouterr().err and not (tmp_path / 'x').exists()
