"""The command line: recipes by name, macros as plain flags, T5X's flags beside them, and what is said of mistakes."""

import argparse
import json

import pytest

from robust_t5x import __main__ as command
from robust_t5x.runtime import errors, launcher, recipes

MINI = 'gin/recipes/eval/mini.gin'


def parse(*arguments, recipes='eval', **options):
  flags = launcher.parse_flags(arguments, '', recipes, **options)
  return flags.gin_file, flags.gin_bindings


def test_a_recipe_and_macros():
  assert parse('mini', '--OUTPUT_DIR=out/x', '--NUM_EXAMPLES', '2', '--gin_file=a.gin', '--gin.f.x=[1]') == (
    [MINI, 'a.gin'], ["OUTPUT_DIR = 'out/x'", 'NUM_EXAMPLES = 2', 'f.x = [1]']
  )  # fmt: skip
  assert parse('--gin_file', 'a.gin', '--gin.LABEL="\'x\'"') == (['a.gin'], ['LABEL = "\'x\'"'])
  assert parse('mini', '--LABEL', '--x', '--ADAPTER', 'none') == ([MINI], ["LABEL = '--x'", "ADAPTER = 'none'"])


@pytest.mark.parametrize(
  ('typed', 'value'),
  [
    ('xl', 'xl'), ('2', 2), ('0.10', 0.1), ('1e-3', 0.001), ('True', True), ('None', None), ('none', 'none'), ('', ''),
    ("['a', 'b']", ['a', 'b']), ("{'inputs': 4}", {'inputs': 4}), ("'quoted'", 'quoted'), ('a b', 'a b'), ("it's", "it's"),
    ('gs://bucket/a=b', 'gs://bucket/a=b'), ('2024-01-01', '2024-01-01'), ('a\nb', 'a\nb'), ('C:\\x', 'C:\\x'),
    ('labels:yes,no', 'labels:yes,no'), ('@x', '@x'), ('007', '007'), ('$HOME "x"', '$HOME "x"'),
  ],
)  # fmt: skip
def test_a_value_is_a_literal_or_a_string(typed, value, tmp_path, as_started_anew):
  from robust_t5x.runtime import gin_files

  (tmp_path / 'a.gin').write_text('X = None\n')
  gin_files.parse_gin(launcher.parse_flags([f'--gin_file={tmp_path}/a.gin', f'--X={typed}'], ''))
  assert gin_files.macro('X') == value


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['mni'], r"eval has no recipe 'mni'; did you mean mini\?"),
    (['quickstart'], "eval has no recipe 'quickstart'; train has one: robust-t5x train quickstart"),
    (['zzzzzz'], 'choose among bbh, bigbench, '),
    (['my.gin'], 'for a file write --gin_file=my.gin'),
    ([], 'no recipe and no --gin_file; recipes are bbh, '),
    (['mini', '--output_dir=x'], r'there is no flag --output_dir; did you mean --OUTPUT_DIR\?'),
    (['mini', '--gin_fil=x'], r'there is no flag --gin_fil; did you mean --gin_file\?'),
    (['mini', 'mmlu'], "'mmlu' is not expected there; the name of a recipe comes first"),
    (['mini', '--OUTPUT_DIR'], '--OUTPUT_DIR: has no value; write --OUTPUT_DIR=VALUE'),
    (['mini', '--gin.OUTPUT_DIR', 'x'], 'write --gin.NAME=VALUE in one argument'),
    (['mini', '--USE=true'], '--USE: true is no Python literal; write True'),
    (['mini', '--MIXTURES=[a,b]'], r'--MIXTURES: \[a,b\] is no Python literal; strings within brackets need quotes'),
  ],
)
def test_mistakes(arguments, message):
  with pytest.raises(errors.UsageError, match=message):
    parse(*arguments)


def test_without_recipes_a_name_is_not_expected():
  with pytest.raises(errors.UsageError, match="'mini' is not expected there"):
    parse('mini', '--gin_file=a.gin', recipes=None)
  with pytest.raises(errors.UsageError, match='^no --gin_file$'):
    parse(recipes=None)


def test_a_verb_may_have_flags_of_its_own():
  def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--steps')

  flags = launcher.parse_flags(['mini', '--steps', 'train', '--NUM_EXAMPLES=1'], '', 'eval', 'robust-t5x plan', add)
  assert flags.steps == 'train' and flags.gin_file == [MINI] and flags.gin_bindings == ['NUM_EXAMPLES = 1']


def test_help_lists_recipes_and_a_recipe_its_macros(capsys):
  for arguments, lines in (
    (
      ['--help'],
      ['usage: robust-t5x eval RECIPE', '--gin_file FILE', '  robust-t5x eval mini --OUTPUT_DIR=out/before'],
    ),
    (['mini', '--help'], [recipes.find('eval', 'mini').command, '  --OUTPUT_DIR=...  ', '--NUM_EXAMPLES=50  ']),
    (['mini', '--NUM_EXAMPLES=3', '-h'], ['--NUM_EXAMPLES=50']),
  ):
    with pytest.raises(SystemExit) as end:
      parse(*arguments)
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert all(line in said for line in lines), said


@pytest.mark.usefixtures('as_started_anew')
def test_the_short_command_runs_and_is_recorded_as_typed(tiny_checkpoint, tmp_path, monkeypatch, capsys):
  typed = ['eval', 'mini', f'--INITIAL_CHECKPOINT_PATH={tiny_checkpoint}', '--NUM_EXAMPLES', '1', '--LABEL=a model',
           f'--OUTPUT_DIR={tmp_path}/out', '--gin.EVAL_BATCH_SIZE=8', "--MIXTURES=['mini_first_word_eval_observed']",
           "--TASK_FEATURE_LENGTHS={'inputs': 160, 'targets': 4}"]  # fmt: skip
  monkeypatch.setattr('sys.argv', ['robust-t5x', *typed])
  assert command.main(typed) == 0, capsys.readouterr().err
  record = json.loads((tmp_path / 'out/run.json').read_text())
  assert record['command'] == ' '.join(['robust-t5x', *typed]) and record['label'] == 'a model'
  assert 'NUM_EXAMPLES = 1\n' in record['gin_config']
