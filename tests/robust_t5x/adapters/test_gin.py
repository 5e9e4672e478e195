"""The files of gin/adapters: each makes an adapter for the families that it is for."""

import pathlib

import pytest

import gin
from robust_t5x import adapters
from robust_t5x.models import llama, t5
from robust_t5x.runtime import gin_files, launcher

FAMILIES = {
  't5': t5.T5Config(40, 8, 2, 4, 1, 1, 16),
  'decoder': llama.LlamaConfig(40, 8, 2, 1, 4, 1, 16),
}
WITHOUT = ('full', 'none')  # no adapter
FILES = sorted(
  p.stem for p in (pathlib.Path(__file__).parents[3] / 'gin/adapters').glob('*.gin') if p.stem not in WITHOUT
)


def _arrays(folder, family, *names):
  """(configuration, arrays for a family) by files of gin/."""
  path = folder / 'own.gin'
  path.write_text(''.join(f"include 'gin/{name}.gin'\n" for name in names) + '\nADAPTER_LENGTH = 3\n')
  gin.clear_config(clear_constants=True)
  gin_files.parse_gin(launcher.parse_flags([f'--gin_file={path}'], ''), all_set=False)
  config = gin.query_parameter('ADAPTER/macro.value').scoped_configurable_fn()
  return config, adapters.parameters(config, FAMILIES[family])


@pytest.mark.parametrize('family', FAMILIES)
@pytest.mark.parametrize('name', FILES)
def test_each_file_makes_an_adapter_or_says_what_the_model_lacks(name, family, tmp_path):
  if (name, family) == ('decoder_prefix', 'decoder'):
    with pytest.raises(adapters.AdapterError, match="this model has no site 'cross'; it has decoder"):
      _arrays(tmp_path, family, f'adapters/{name}')
    return
  config, made = _arrays(tmp_path, family, f'adapters/{name}')
  assert made
  assert config.prefix_gated == (name != 'joined_prefix')
  if name == 'joined_prefix':
    assert made['decoder_key'].shape == ((1, 3, 1, 4) if family == 'decoder' else (1, 3, 2, 4))


def test_a_soft_prompt_can_stand_first(tmp_path):
  config, _ = _arrays(tmp_path, 'decoder', 'adapters/soft_prompt', 'ablations/prompt_first')
  assert config.prompt_position == 0
