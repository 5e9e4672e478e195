"""What settings may be: every parameter that the gin files bind, and values of each wrong kind."""

import collections.abc
import inspect
import pathlib
import pkgutil
import re
import typing

import pytest

from robust_t5x.runtime import errors, gin_files, launcher, limits

GIN = pathlib.Path(gin_files.gin_directory())
FILES = sorted(p.relative_to(GIN.parent).as_posix() for p in GIN.rglob('*.gin'))
# Whose texts are names and places that only what reads them can check.
THEIRS = ('eval_script', 'infer_script', 'train_script', 'seqio', 'partitioning', 'trainer', 'utils')


def parsed(verb, *arguments):
  import gin

  gin.clear_config(clear_constants=True)
  gin_files.parse_gin(launcher.parse_flags(arguments, '', verb))


@pytest.fixture(autouse=True)
def no_gin_configuration(as_started_anew):
  """Every test starts without, and leaves none."""


def selector(function):
  """The full name of a function as gin files call it."""
  for package in (
    'robust_t5x', 'robust_t5x.checkpoints', 'robust_t5x.evaluation', 'robust_t5x.models', 'robust_t5x.results', 'robust_t5x.served', 'robust_t5x.training',
    'seqio_tasks', 'seqio_tasks.pipeline',
  ):  # fmt: skip
    try:
      pkgutil.resolve_name(f'{package}.{function}')
    except (ImportError, AttributeError):
      continue
    return f'{package}.{function}'
  raise AssertionError(f'{function} is nowhere')


def bindings():
  """(file, function, parameter, value) of every line that binds a parameter of this project's functions."""
  for name in FILES:
    for key, value in gin_files.tree(name, gin_files.roots())[0].values.items():
      function, dot, parameter = key.rpartition('.')
      function = function.rpartition('/')[2]
      if dot and function.split('.')[0] not in THEIRS:
        yield name, function, parameter, value


def test_every_parameter_that_gin_files_bind_has_a_type_and_every_number_a_range():
  for name, function, parameter, value in bindings():
    annotation, _ = limits._declared(selector(function), parameter)
    assert annotation is not typing.Any or value.startswith('@'), f'{name}: {function}.{parameter} has no type'
    if {'int', 'float'} & {*_leaves(annotation)} and not value.startswith('@'):
      assert parameter in limits.RANGES.get(function, {}), f'{name}: {function}.{parameter} has no range'
  # So a macro is checked wherever it is bound, and every macro is bound.
  used = {m for _, _, _, value in bindings() for m in re.findall(rf'%({gin_files.MACRO})', value)}
  for name in FILES:
    for macro in gin_files.tree(name, gin_files.roots())[0].values:
      if macro.isupper() and not name.startswith('gin/t5x/'):
        assert macro in used | {'TOPOLOGY'}, f'{name}: no function is given {macro}'


def _leaves(annotation):
  """Names of the classes that a type is made of; what is called is not looked into."""
  inside = typing.get_args(annotation)
  if not inside or typing.get_origin(annotation) is collections.abc.Callable:
    return [getattr(annotation, '__name__', '')]
  return [name for one in inside for name in _leaves(one)]


def test_every_range_is_of_a_parameter():
  for table in (limits.RANGES, limits.CHOICES):
    for function, parameters in table.items():
      known = inspect.signature(pkgutil.resolve_name(selector(function))).parameters
      assert set(parameters) <= set(known), function


TRAIN = ('quickstart', '--MODEL_DIR=x')
EVAL = ('mini', '--OUTPUT_DIR=x')
TABLE = ('own_data', '--OUTPUT_DIR=x', '--DATA_FILE=x.csv', '--INITIAL_CHECKPOINT_PATH=bundled')


@pytest.mark.parametrize(
  ('verb', 'setting', 'allowed'),
  [
    ('train', '--TRAIN_STEPS=0', 'a whole number from 1 to 1000000000'),
    ('train', '--TRAIN_STEPS=-1', 'a whole number from 1'),
    ('train', '--TRAIN_STEPS=1000000000000000000000000000000', 'a whole number from 1'),
    ('train', '--gin.TRAIN_STEPS=True', 'no whole number'),
    ('train', '--TRAIN_STEPS=1.5', 'no whole number'),
    ('train', '--BATCH_SIZE=0', 'a whole number from 1 to 1048576'),
    ('train', '--BATCH_SIZE=-8', 'a whole number from 1'),
    ('train', '--MICROBATCHES=0', 'a whole number from 1'),
    ('train', '--SEED=-1', 'a whole number from 0 to 2147483647'),
    ('train', '--SAVE_PERIOD=0', 'a whole number from 1'),
    ('train', '--gin.train/train.train.batch_size=-1', 'a whole number from 1'),
    ('train', '--gin.train.train.save_period=0', 'a whole number from 1'),
    ('train', '--gin.train.train.log_period=2.5', 'a whole number from 1'),
    ('train', '--gin.train.train.use_cached_tasks=1', 'True or False'),
    ('train', "--gin.train.train.model_dir=['x']", 'a text'),
    ('train', "--gin.train.train.model='text'", 'a reference, such as @MODULE.FUNCTION()'),
    ('train', '--TRAIN_STEPS=None', 'a whole number of 1 or more|a whole number from 1'),
    ('train', '--gin.optimizers.warmup_cosine.peak=None', 'a number'),
    ('train', '--DROPOUT_RATE=2', 'a number from 0 and below 1'),
    ('train', '--LEARNING_RATE=-0.1', 'a number from 0 to 1000'),
    ('train', '--LEARNING_RATE=nan', 'no number'),
    ('train', '--LEARNING_RATE=1e999', 'not finite'),
    ('train', '--ALIGNMENT_WEIGHT=1.5', 'a number from 0 to 1'),
    ('train', '--LORA_RANK=-1', 'a whole number from 0'),
    ('train', '--NUM_PARAPHRASES=-1', 'a whole number from 0'),
    ('train', '--DTYPE=float99', 'one of float32, bfloat16'),
    ('train', "--TASK_FEATURE_LENGTHS={'inputs': 40}", "a mapping with 'inputs' and 'targets'"),
    ('train', "--TASK_FEATURE_LENGTHS={'inputs': 40, 'targets': 0}", 'a mapping from texts to whole numbers from 1'),
    ('train', "--TASK_FEATURE_LENGTHS={'inputs': '40', 'targets': 8}", 'a mapping from texts to whole numbers from 1'),
    ('eval', '--EVAL_BATCH_SIZE=0', 'a whole number from 1'),
    ('eval', '--CELL_BUDGET=0', 'a whole number above 0 or a number above 0 or None'),
    ('eval', '--CELL_BUDGET=True', 'a whole number above 0'),
    ('eval', '--CELL_BUDGET=many', 'a whole number above 0'),
    ('eval', '--MIXTURES=mini_eval_observed', 'no list'),
    ('eval', '--MIXTURES=[1]', 'a list of texts'),
    ('eval', '--MIXTURES=[]', 'a list of texts that is not empty'),
    ('eval', '--OUTPUT_DIR=', 'a text that is not empty'),
    ('train', '--MODEL_DIR=', 'a text that is not empty'),
    ('eval', '--gin.suites.register.num_shots=-1', 'a whole number from 0 to 1000'),
    ('eval', '--NUM_EXAMPLES=0', 'a whole number from 1'),
    ('eval', '--INITIAL_CHECKPOINT_PATH=None', 'a text'),
    ('eval', '--LABEL=', 'a text or None that is not empty'),
    ('table', '--DATA_FILE=None', 'a text'),
    ('table', '--DATA_FILE=', 'a text that is not empty'),  # it would be the folder that the command runs in
    ('table', '--BANK_TASKS=None', 'a list of texts'),
    ('table', '--BANK_TASKS=[]', 'a list of texts that is not empty'),
    ('table', '--SPLIT_COLUMN=', 'a text or None that is not empty'),
    ('eval', '--gin.batch_size=8', 'did you mean EVAL_BATCH_SIZE|no gin file has a macro of this name'),
    ('eval', '--gin.num_examples=8', 'did you mean NUM_EXAMPLES'),
    ('train', '--gin.train_steps=8', 'did you mean TRAIN_STEPS'),
    ('train', '--TRAIN_STEP=8', 'did you mean TRAIN_STEPS'),
  ],
)  # fmt: skip
def test_a_value_that_cannot_be_used_is_refused_by_its_name(verb, setting, allowed):
  with pytest.raises(errors.UsageError, match=allowed) as told:
    parsed('train' if verb == 'train' else 'eval', *{'train': TRAIN, 'eval': EVAL, 'table': TABLE}[verb], setting)
  name = setting.split('=')[0].removeprefix('--').removeprefix('gin.')
  assert name in str(told.value) and len(str(told.value)) < 500 and '\n' not in str(told.value)


@pytest.mark.parametrize(
  ('verb', 'settings'),
  [
    ('train', ['--TRAIN_STEPS=1', '--LEARNING_RATE=1', '--DROPOUT_RATE=0', '--SEED=0', '--ALIGNMENT_WEIGHT=0']),
    ('train', ['--OBSERVED_COLLECTIONS=[]', '--TUNING_RATES={"mini_first_word": 2}', '--ALIGNMENT_OBJECTIVE=None']),
    ('eval', ['--CELL_BUDGET=0.05', '--LABEL=a b', '--ADAPTER=bundled']),
    ('eval', ['--CELL_BUDGET=100', '--INITIAL_CHECKPOINT_PATH=gs://x', '--TASKS=None']),
  ],
)
def test_what_can_be_used_is_taken(verb, settings):
  parsed(verb, *(TRAIN if verb == 'train' else EVAL), *settings)


def test_a_plan_does_without_what_a_run_must_be_given():
  gin_files.parse_gin(launcher.parse_flags(('quickstart',), '', 'train'), all_set=False)


def test_a_value_within_a_file_is_told_by_the_file(tmp_path):
  path = tmp_path / 'mine.gin'
  path.write_text("include 'gin/recipes/eval/mini.gin'\nOUTPUT_DIR = 'x'\nNUM_EXAMPLES = -3\n")
  with pytest.raises(errors.UsageError, match=f'^{path}: line 3: NUM_EXAMPLES is -3; it must be a whole number'):
    parsed('eval', f'--gin_file={path}')


def test_of_a_setting_that_is_given_twice_the_last_counts_and_that_is_said(capsys):
  parsed('train', *TRAIN, '--TRAIN_STEPS=3', '--gin.TRAIN_STEPS=3')
  assert 'given twice' not in capsys.readouterr().err
  parsed('train', *TRAIN, '--TRAIN_STEPS=3', '--gin.TRAIN_STEPS=4')
  assert capsys.readouterr().err == 'warning: --TRAIN_STEPS is given twice; 4 counts\n'
  assert gin_files.macro('TRAIN_STEPS') == 4


def test_references_and_macros_within_values_are_looked_through(tmp_path):
  path = tmp_path / 'mine.gin'
  path.write_text(
    'from __gin__ import dynamic_registration\nfrom robust_t5x import adapters\nADAPTER_LENGTH = -4\n'
    "adapters.AdapterConfig.prefix_lengths = {'all': %ADAPTER_LENGTH}\n"
  )
  with pytest.raises(errors.UsageError, match=f'{path}: line 3: ADAPTER_LENGTH is .*-4'):
    parsed('eval', f'--gin_file={path}')


@pytest.mark.parametrize('text', ['a\0b', 'half of a pair: \ud83d', '\udcff'])
def test_texts_are_what_a_file_can_hold(text):
  for value in (text, [text], {'inputs': text}):
    with pytest.raises(limits.LimitError, match='label is .*; it must be of letters that a file can hold'):
      limits.check({('', 'robust_t5x.eval.evaluate'): {'label': value}})
