"""A tokenizer in Hugging Face's layout: `tokenizer.json`, and what the files beside it say of special tokens and templates."""

from typing import Any, TypedDict

import fsspec

from robust_t5x.checkpoints.checks import CheckpointError
from robust_t5x.checkpoints.tokenizer_spec import TokenizerSpec
from robust_t5x.runtime import records
from seqio_tasks.errors import shorten
from seqio_tasks.tables import parse_json

FILE = 'tokenizer.json'
_TEMPLATE_FILE = 'chat_template.jinja'
_ROLES = ('bos_token', 'eos_token', 'pad_token', 'unk_token')
_MOST_BYTES = 1 << 28


class _Named(TypedDict):
  content: str


class _Template(TypedDict):
  name: str
  template: str


class _SpecialTokens(TypedDict, total=False):
  bos_token: str | _Named | None
  eos_token: str | _Named | None
  pad_token: str | _Named | None
  unk_token: str | _Named | None


class _TokenizerConfig(_SpecialTokens, total=False):
  add_bos_token: bool | None
  chat_template: str | list[_Template] | None
  added_tokens_decoder: dict[str, _Named] | None


class _Added(TypedDict):
  content: str
  id: int


class _Layout(TypedDict, total=False):
  added_tokens: list[_Added]
  model: dict[str, Any]


class _Config(TypedDict, total=False):
  model_type: str


class _Ends(TypedDict, total=False):
  eos_token_id: int | list[int] | None


def read(directory: str) -> TokenizerSpec:
  """Reads the tokenizer of a checkpoint's directory, or of a file `tokenizer.json` with its neighbours.

  Args:
    directory: a path, or a place that fsspec knows.

  Raises:
    CheckpointError: if there is none, or a file is not what it should be.
  """
  directory = directory.removesuffix(f'/{FILE}')
  layout = _record(directory, FILE, _Layout)
  if layout is None:
    raise CheckpointError(
      f'VOCABULARY: no file {directory}/{FILE}; fetch it, or write it with transformers: '
      'AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)'
    )
  config = _record(directory, 'tokenizer_config.json', _TokenizerConfig) or {}
  _check_added(directory, layout, config)
  named = _record(directory, 'special_tokens_map.json', _SpecialTokens) or {}
  special = {role: _text(config.get(role) or named.get(role)) for role in _ROLES}
  stops: dict[int, None] = {}
  for name in ('generation_config.json', 'config.json'):
    ends = (_record(directory, name, _Ends) or {}).get('eos_token_id')
    stops |= dict.fromkeys(ends if isinstance(ends, list) else [] if ends is None else [ends])
  return TokenizerSpec(
    place=f'{directory}/{FILE}',
    layout=layout,
    special_tokens={role: text for role, text in special.items() if text},
    stops=tuple(stops),
    adds_begin=config.get('add_bos_token'),
    templates=_templates(directory, config.get('chat_template')),
  )


def _check_added(directory: str, layout: dict[str, Any], config: Any) -> None:
  """CheckpointError if other files have tokens that tokenizer.json lacks: texts that hold one would be cut otherwise."""
  vocabulary = (layout.get('model') or {}).get('vocab')
  if not isinstance(vocabulary, dict):  # of a kind that is refused
    return
  known = vocabulary | {entry['content']: entry['id'] for entry in layout.get('added_tokens') or ()}
  decoder = config.get('added_tokens_decoder') or {}
  others = {
    'tokenizer_config.json': {token['content']: int(i) if i.isdecimal() else i for i, token in decoder.items()},
    'added_tokens.json': _record(directory, 'added_tokens.json', dict[str, int]) or {},
  }
  for name, tokens in others.items():
    for text, number in tokens.items():
      if known.get(text) != number:
        where = f'has it as {known[text]}' if text in known else 'lacks it'
        raise CheckpointError(
          f'{directory}/{name}: the token {shorten(repr(text), 40)} is {shorten(number, 40)}, and {FILE} {where}; fetch both again, or '
          'write them with transformers: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)'
        )


def is_there(directory: str) -> bool:
  """Whether a directory holds a tokenizer in this layout."""
  return _read(directory, FILE) is not None


def model_type(directory: str) -> str:
  """Which family `config.json` says that a checkpoint is of; empty if it does not say."""
  return (_record(directory, 'config.json', _Config) or {}).get('model_type', '')


def _text(token: Any) -> str | None:
  return token['content'] if isinstance(token, dict) else token


def _templates(directory: str, given: Any) -> dict[str, tuple[str, str]]:
  place = f'{directory}/tokenizer_config.json: chat_template'
  if isinstance(given, str):
    found = {'default': (place, given)}
  else:
    found = {entry['name']: (f'{place} {entry["name"]!r}', entry['template']) for entry in given or ()}
  file = _read(directory, _TEMPLATE_FILE)
  return found if file is None else found | {'default': (f'{directory}/{_TEMPLATE_FILE}', file)}


def _record(directory: str, name: str, kind: Any) -> Any:
  """A JSON file of the directory, None if there is none."""
  text = _read(directory, name)
  if text is None:
    return None
  try:
    value = parse_json(text)
  except ValueError as e:
    raise CheckpointError(f'{directory}/{name} is not valid JSON ({shorten(e)}); fetch it again') from e
  fault = records.fault(value, kind)
  if fault:
    raise CheckpointError(f'{directory}/{name}: {fault}; fetch it again')
  return value


def _read(directory: str, name: str) -> str | None:
  """A file's text, None if there is no such file."""
  try:
    with fsspec.open(f'{directory}/{name}', 'rb') as f:
      data = f.read(_MOST_BYTES + 1)
  except (FileNotFoundError, NotADirectoryError):
    return None
  except Exception as e:  # of a place out of reach each library has errors of its own
    raise CheckpointError(f'{directory}/{name} cannot be read ({shorten(e)}); use a local copy') from e
  try:
    if len(data) > _MOST_BYTES:
      raise ValueError('it has more than 256 MiB')
    return data.decode()
  except ValueError as e:
    raise CheckpointError(f'{directory}/{name} is no text ({shorten(e)}); fetch it again') from e
