"""What the settings of gin files may be, and the check of it where gin binds them.

Types are those that the functions' signatures have. Ranges stand here, by function and parameter. So every way to set a
value, a file, a macro or `--gin.FUNCTION.PARAMETER`, goes through one check, before anything runs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
import functools
import inspect
import math
import os
import pkgutil
import types
import typing
from typing import Any

from robust_t5x.runtime import errors
from seqio_tasks.errors import shorten

_OURS = ('robust_t5x.', 'seqio_tasks.')
_MACRO = 'gin.macro'
_MANY = 10**9  # steps, examples
_WIDE = 2**20  # rows, tokens


class LimitError(errors.UsageError):
  """A setting that its function cannot use.

  Attributes:
    name: the macro, or the function's parameter, that sets it.
  """

  def __init__(self, name: str, value: object, allowed: str):
    super().__init__(f'{name} is {_shown(value)}; it must be {allowed}')
    self.name = name


@dataclasses.dataclass(frozen=True)
class Range:
  """Numbers from `least` to `most`; `above` and `below` leave the ends out."""

  least: float
  most: float = math.inf
  above: bool = False
  below: bool = False

  def holds(self, value: float) -> bool:
    low = value > self.least if self.above else value >= self.least
    return low and (value < self.most if self.below else value <= self.most)

  def words(self) -> str:
    low = f'above {self.least:g}' if self.above else f'from {self.least:g}'
    if self.most == math.inf:
      return low if self.above else f'of {self.least:g} or more'
    return f'{low} {"and below" if self.below else "and up to" if self.above else "to"} {_plain(self.most)}'


def _shown(value: object) -> str:
  try:
    return shorten(repr(value))
  except ValueError:  # of a number of thousands of digits
    return shorten(value)


def _plain(number: float) -> str:
  return str(int(number)) if float(number).is_integer() else f'{number:g}'


_ROWS = Range(1, _WIDE)
_DEVICES = Range(1, 2**16)
_STEPS = Range(1, _MANY)
_SEED = Range(0, 2**31 - 1)
_PERCENT = Range(0, 99)
_SHARE = Range(0, 1)
_RATE = Range(0, 1000)
_WEIGHT = Range(0, 1000)
_POSITIVE = Range(0, above=True)
_DIMENSION = Range(1, _WIDE)
_LENGTH = Range(0, 2**16)
_OPTIMISER = {'learning_rate': _RATE, 'weight_decay': _WEIGHT, 'clip_norm': _POSITIVE, 'b2': Range(0, 1, below=True)}

# Function -> parameter -> the numbers that it takes, also those within lists and mappings.
RANGES: dict[str, dict[str, Range]] = {
  'train.train': {
    'train_steps': _STEPS, 'batch_size': _ROWS, 'seed': _SEED, 'microbatches': _ROWS, 'model_parallel': _DEVICES,
    'save_period': _STEPS, 'log_period': _STEPS, 'task_feature_lengths': _DIMENSION,
  },
  'eval.evaluate': {
    'batch_size': _ROWS, 'cell_budget': _POSITIVE, 'cell_seed': _SEED, 'stop_width': Range(0, 50, above=True, below=True),
    'task_feature_lengths': _DIMENSION,
  },
  'represent.represent': {
    'batch_size': _ROWS, 'max_examples': Range(1, _MANY), 'task_feature_lengths': _DIMENSION,
  },
  'infer.infer': {'batch_size': _ROWS, 'max_output': _DIMENSION, 'max_input': _DIMENSION},
  'paraphrase.paraphrase': {'num_drafts': Range(1, _MANY), 'batch_size': _ROWS},
  'loading.load_with_identity': {'model_parallel': _DEVICES},
  'serving.served': {
    'concurrency': Range(1, 1024), 'requests_per_minute': _POSITIVE, 'timeout': _POSITIVE, 'retries': Range(0, 1000),
  },
  'vocabularies.vocabulary': {'extra_ids': Range(0, _WIDE)},
  'optimizers.adamw': _OPTIMISER,
  'optimizers.relative_adam': _OPTIMISER,
  'optimizers.warmup_cosine': {'peak': _RATE, 'steps': _STEPS, 'warmup': Range(0, _MANY), 'end': _SHARE},
  't5x_support.initial_adapter': {'seed': _SEED},
  'robust.RobustModel': {
    'alignment_weight': _SHARE, 'summed_parts': _ROWS, 'label_smoothing': Range(0, 1, below=True), 'z_loss': _WEIGHT,
  },
  'adapters.AdapterConfig': {
    'length': _LENGTH, 'prompt_position': _LENGTH, 'prefix_lengths': _LENGTH, 'lora_rank': _LENGTH, 'generator_dim': _LENGTH, 'init_range': _WEIGHT,
  },
  'objectives.cvar': {'alpha': Range(0, 1, above=True)},
  'objectives.group_dro': {'step_size': _WEIGHT},
  'objectives.info_nce': {'temperature': _POSITIVE},
  'objectives.weighted_sum': {'weights': Range(-1000, 1000)},
  'backbones.network_config': {'dropout_rate': Range(0, 1, below=True)},
  'families.config': {'dropout_rate': Range(0, 1, below=True)},
  't5.T5Config': {
    'dropout_rate': Range(0, 1, below=True),
    **dict.fromkeys(
      ('vocab_size', 'emb_dim', 'num_heads', 'head_dim', 'num_encoder_layers', 'num_decoder_layers', 'mlp_dim'), _DIMENSION
    ),
  },
  'suites.register': {
    'num_examples': Range(1, _MANY), 'num_shots': Range(0, 1000), 'num_paraphrases': Range(0, _WIDE),
    'max_tuning_rate': _POSITIVE, 'perturbation_seed': _SEED,
  },
  'datasets.mini': {
    'num_train_examples': Range(1, _MANY), 'num_eval_examples': Range(1, _MANY), 'seed': _SEED, 'tuning_rates': Range(0, _MANY),
  },
  'datasets.bbh': {'train_percent': _PERCENT},
  'datasets.bigbench': {'train_percent': _PERCENT, 'validation_percent': _PERCENT},
  'datasets.lmentry': {'train_percent': _PERCENT},
  'datasets.table': {'train_percent': _PERCENT},
  'span_corruption.register_span_corruption': {
    'chunk_length': Range(4, _WIDE), 'noise_density': Range(0, 1, above=True, below=True), 'mean_span_length': Range(1, _WIDE),
    'passes': Range(1, _MANY),
  },
}  # fmt: skip
# Function -> parameter -> the values that it takes.
_DTYPES = ('float32', 'bfloat16')
CHOICES: dict[str, dict[str, tuple[str, ...]]] = {
  'train.train': {'backbone_dtype': _DTYPES},
  'loading.load_with_identity': {'dtype': _DTYPES},
  'backbones.network_config': {'dtype': _DTYPES},
  'families.config': {'dtype': _DTYPES},
  't5.T5Config': {'dtype': _DTYPES},
  'objectives.kl_to_canonical': {'direction': ('to_canonical', 'from_canonical')},
}
# Mappings that must have just these keys.
KEYS = {'task_feature_lengths': ('inputs', 'targets')}
# Texts and lists that hold something: an empty place would be the directory that the command runs in.
FILLED = (
  'output_dir', 'model_dir', 'input_file', 'output_file', 'mixtures', 'mixture_or_task_name', 'path', 'directory', 'name', 'bank_tasks',
  'split', 'label',
)  # fmt: skip
# Functions that gin calls: what they must be given is not asked for by a verb.
_CALLED = ('seqio_tasks.datasets.', 'robust_t5x.checkpoints.loading.')


_unset: set[str] = set()  # macros that a plan does without


def install(unset: Iterable[str] = ()) -> None:
  """Has gin check every configuration that it finishes; whatever reads gin files calls this before.

  Args:
    unset: macros that have no value and need none.
  """
  _unset.clear()
  _unset.update(unset)
  _hook()


@functools.cache
def _hook() -> None:
  import gin

  gin.config.register_finalize_hook(check)


def check(config: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
  """Checks what gin's bindings give to the functions of this project.

  Args:
    config: (scope, function's full name) -> parameter -> value, as gin's hooks are given.

  Raises:
    LimitError: naming the macro or parameter, its value, and what is allowed.
  """
  macros = {scope: arguments.get('value') for (scope, name), arguments in config.items() if name == _MACRO}
  for (scope, selector), arguments in config.items():
    if selector.startswith(_OURS):
      for parameter, value in arguments.items():
        _check(scope, selector, parameter, value, macros)


def _check(scope: str, selector: str, parameter: str, value: Any, macros: Mapping[str, Any]) -> None:
  function = '.'.join(selector.split('.')[-2:])
  annotation, default = _declared(selector, parameter)
  used = ['/'.join(leaf.scopes) for leaf in _leaves(value) if _is_macro(leaf)]
  name = used[0] if used else f'{scope}/{function}.{parameter}'.lstrip('/')
  found = _resolved(value, macros)
  told_later = default is inspect.Parameter.empty and not selector.startswith(_CALLED)
  if found is None and annotation not in (int, float) and (told_later or _unset.intersection(used)):
    return  # not set, which a verb tells of all together and a plan can do without; but for a number, which it computes with
  within = RANGES.get(function, {}).get(parameter)
  choices = CHOICES.get(function, {}).get(parameter)
  keys = KEYS.get(parameter)
  if choices and found is not None and found not in choices:
    raise LimitError(name, found, f'one of {", ".join(choices)}')
  if not all(_is_text(leaf) for leaf in _leaves(found) if isinstance(leaf, str)):
    raise LimitError(name, found, 'of letters that a file can hold: no character 0, no half of a surrogate pair')
  if not _fits(found, annotation) or (
    within and not all(within.holds(leaf) for leaf in _leaves(found) if type(leaf) in (int, float))
  ):
    raise LimitError(name, found, _words(annotation, within))
  if parameter in FILLED and found is not None and not found:
    raise LimitError(name, found, f'{_words(annotation, within)} that is not empty')
  if keys and isinstance(found, Mapping) and {*found} != {*keys}:
    raise LimitError(name, found, f'a mapping with {" and ".join(map(repr, keys))}')


def _is_reference(value: Any) -> bool:
  return type(value).__name__ == 'ConfigurableReference'


def _leaves(value: Any) -> Iterator[Any]:
  """What nested mappings, lists and tuples hold, from left to right; what is none of these itself."""
  if isinstance(value, Mapping | list | tuple):
    for item in value.values() if isinstance(value, Mapping) else value:
      yield from _leaves(item)
  else:
    yield value


def _is_text(text: str) -> bool:
  return '\0' not in text and not any('\ud800' <= letter <= '\udfff' for letter in text)


def _is_macro(value: Any) -> bool:
  return _is_reference(value) and value.configurable.selector == _MACRO


def _resolved(value: Any, macros: Mapping[str, Any]) -> Any:
  """A value with its macros filled in; references to functions stay."""
  if _is_macro(value):
    return _resolved(macros.get('/'.join(value.scopes)), macros)
  if isinstance(value, Mapping):
    return {key: _resolved(item, macros) for key, item in value.items()}
  if isinstance(value, list | tuple):
    return type(value)(_resolved(item, macros) for item in value)
  return value


@functools.cache
def _declared(selector: str, parameter: str) -> tuple[Any, Any]:
  """The annotation and default of a parameter; Any where that is not to be known."""
  try:
    function = pkgutil.resolve_name(selector)
  except (ImportError, AttributeError):
    return Any, None
  declared = inspect.signature(function).parameters.get(parameter)
  if declared is None:
    return Any, None
  annotation = declared.annotation
  if isinstance(annotation, str):
    names = vars(inspect.getmodule(function.__init__ if inspect.isclass(function) else function))
    try:
      annotation = eval(annotation, dict(names))  # as typing.get_type_hints does, for one of them
    except NameError:
      # A class that is imported for type checkers alone.
      annotation = object | None if annotation.endswith('| None') else object
  if annotation is inspect.Parameter.empty:
    annotation = Any
  return annotation, declared.default


def _fits(value: Any, annotation: Any) -> bool:
  origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
  if annotation is Any or isinstance(annotation, typing.TypeVar):
    return True
  if origin in (typing.Union, types.UnionType):
    return any(_fits(value, one) for one in inside)
  if origin is typing.Literal:
    return value in inside
  if _is_reference(value):  # what it gives is known when it is called
    return annotation not in (bool, int, type(None))
  if annotation is float:
    return type(value) in (int, float) and _finite(value)
  if annotation in (bool, int, str, type(None), None):
    return type(value) is (annotation or type(None))
  if isinstance(origin, type) and issubclass(origin, Mapping):
    return isinstance(value, Mapping) and all(_fits(k, inside[0]) and _fits(v, inside[1]) for k, v in value.items())
  if origin is tuple and inside[-1] is not Ellipsis:
    return isinstance(value, list | tuple) and len(value) == len(inside) and all(map(_fits, value, inside))
  if isinstance(origin, type) and issubclass(origin, Sequence):
    return isinstance(value, list | tuple) and all(_fits(v, inside[0]) for v in value)
  return False  # a thing that a function makes


def _finite(value: float) -> bool:
  try:
    return math.isfinite(value)
  except OverflowError:
    return False


def _words(annotation: Any, within: Range | None, many: bool = False) -> str:
  """What is allowed, in words."""
  origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
  numbers = f' {within.words()}' if within else ''
  if origin in (typing.Union, types.UnionType):
    written = [one for one in inside if typing.get_origin(one) is not os.PathLike]  # which no gin file can write
    return ' or '.join(dict.fromkeys(_words(one, within) for one in written))
  if origin is typing.Literal:
    return f'one of {", ".join(map(repr, inside))}'
  simple: dict[Any, tuple[str, str]] = {
    int: (f'a whole number{numbers}', f'whole numbers{numbers}'),
    float: (f'a number{numbers}', f'numbers{numbers}'),
    bool: ('True or False', 'True or False'),
    str: ('a text', 'texts'),
    type(None): ('None', 'None'),
  }
  if annotation in simple:
    return simple[annotation][many]
  if isinstance(origin, type) and issubclass(origin, Mapping):
    return f'a mapping from {_words(inside[0], within, True)} to {_words(inside[1], within, True)}'
  if origin is tuple:
    return 'tuples' if many else 'a tuple'
  if isinstance(origin, type) and issubclass(origin, Sequence):
    return f'a list of {_words(inside[0], within, True)}'
  return 'references (@MODULE.FUNCTION)' if many else 'a reference, such as @MODULE.FUNCTION()'
