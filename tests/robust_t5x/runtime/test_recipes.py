"""Recipes: every one says its command, which parses, and its help says what each macro is for."""

import pathlib
import re
import shlex

import pytest

from robust_t5x import __main__ as command
from robust_t5x.runtime import gin_files, launcher, recipes

ROOT = pathlib.Path(__file__).resolve().parents[3]
ALL = [recipe for verb in recipes.VERBS for recipe in recipes.recipes(verb)]
every_recipe = pytest.mark.parametrize('recipe', ALL, ids=lambda r: f'{r.verb}-{r.name}')


def test_every_file_is_a_recipe_of_a_verb():
  files = {path.relative_to(ROOT).as_posix() for path in (ROOT / 'gin/recipes').rglob('*.gin')}
  assert {recipe.file for recipe in ALL} == {file for file in files if '/shared/' not in file}
  assert set(recipes.VERBS) <= set(command.VERBS)
  assert {'quickstart', 'align_mini'} <= {r.name for r in ALL if r.verb == 'train'}


@every_recipe
def test_its_command_parses_and_sets_all_that_must_be_set(recipe, as_started_anew):
  import gin

  program, verb, *arguments = shlex.split(recipe.command)
  assert (program, verb, arguments[0]) == ('robust-t5x', recipe.verb, recipe.name)
  gin_files.parse_gin(launcher.parse_flags(arguments, '', verb))
  function = {
    'train': 'train.train',
    'eval': 'eval.evaluate',
    'represent': 'represent.represent',
    'infer': 'infer.infer',
  }
  gin_files.configured(function[verb])
  once = gin.config_str()
  # The recipe anywhere among the files means the same.
  gin.clear_config(clear_constants=True)
  others = [a for a in arguments[1:] if a.startswith('--gin_file=')]
  rest = [a for a in arguments[1:] if a not in others]
  gin_files.parse_gin(launcher.parse_flags([*others, *rest, f'--gin_file={recipe.file}'], '', verb))
  assert gin.config_str() == once


@every_recipe
def test_its_help_says_what_each_macro_is_for(recipe):
  files = gin_files.tree(recipe.file, gin_files.roots())
  said = recipes.help_text(recipe)
  assert said.index('must be set:') < said.index('gin/runs/')
  for macro in recipes.macros(files):
    if recipes.is_part(macro):
      continue
    assert macro.words, f'{recipe.file}: {macro.name} needs a comment where it is first set'
    assert f'--{macro.name}=' in said or macro.file is None
  required = re.search(r'must be set:\n((?:  .*\n)*)', said)[1]
  for flag in re.findall(r'--([A-Z]\w*)=', required):
    assert f'--{flag}=' in recipe.command


@every_recipe
def test_a_value_as_help_prints_it_can_be_typed(recipe):
  macros = {m.name: m.value for m in recipes.macros(gin_files.tree(recipe.file, gin_files.roots()))}
  for line in recipes.help_text(recipe).splitlines():
    shown = re.match(r'  (--[A-Z]\w*=(?!\.\.\.)(?:\".*?\"|\S*))', line)
    if shown:
      _, ((name, value),), _ = launcher.read_settings(shlex.split(shown[1]), None)
      assert gin_files.fits(eval(value), eval(macros[name])) and eval(value) == eval(macros[name])  # noqa: S307


def test_words_come_from_where_a_macro_is_set():
  found = {m.name: m for m in recipes.macros(gin_files.tree('gin/recipes/train/quickstart.gin', gin_files.roots()))}
  assert found['MODEL_DIR'].value is None and found['MODEL_DIR'].words.startswith('where checkpoints')
  assert found['LORA_RANK'].value == '32' and found['LORA_RANK'].words == 'of the additions'
  assert found['TRAIN_STEPS'].words == 'steps in all'  # behind its name at the top of gin/runs/shared/train.gin
  assert found['BATCH_SIZE'].file.name == 'gin/topologies/cpu.gin'
  assert 'TOPOLOGY' not in found  # nothing uses it


def test_a_file_of_ones_own_changes_a_recipe(tmp_path, monkeypatch, as_started_anew):
  """As docs/architecture.md has it; found from anywhere."""
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'mine.gin').write_text(
    "include 'gin/recipes/eval/mmlu.gin'\ninclude 'gin/topologies/v4-8.gin'\n\nSIZE = 'xl'\n"
  )
  gin_files.parse_gin(launcher.parse_flags(['--gin_file=mine.gin', '--MMLU_DIR=x', '--OUTPUT_DIR=y'], '', 'eval'))
  values = {name: gin_files.macro(name) for name in ('TOPOLOGY', 'DTYPE', 'SIZE', 'SPLIT')}
  assert values == {'TOPOLOGY': 'v4-8', 'DTYPE': 'bfloat16', 'SIZE': 'xl', 'SPLIT': 'test'}
