"""Texts as ids by a tokenizer in Hugging Face's layout, with its special tokens kept out of texts.

`tokenizers` recognises special tokens wherever their characters stand, also in a question that happens to quote one. Here
they are recognised in what a template prints and nowhere else: a text is encoded with none of them, and what stands around
it is cut at them first, as `tokenizers` does.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import json
import re
from typing import Any

import tokenizers

from robust_t5x.checkpoints.chat_templates import Piece
from robust_t5x.checkpoints.checks import CheckpointError
from robust_t5x.checkpoints.tokenizer_spec import TokenizerSpec
from seqio_tasks.errors import shorten

# White space as the regular expressions of `tokenizers` have it; Python's own has four control characters more.
_BLANKS = '\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000'


@dataclasses.dataclass(frozen=True)
class Control:
  """A special token.

  Attributes:
    id: its id.
    takes_left: whether it swallows the blanks before it.
    takes_right: whether it swallows those behind it.
  """

  id: int
  takes_left: bool
  takes_right: bool


@dataclasses.dataclass(frozen=True)
class Stretch:
  """Text between special tokens, which is encoded as one.

  Attributes:
    text: the characters.
    is_first: whether nothing stands before it.
    trims: whether the special tokens beside it take blanks off its start, and off its end.
  """

  text: str
  is_first: bool = True
  trims: tuple[bool, bool] = (False, False)

  def around(self, more: str) -> str:
    """The stretch with more text at its end, as it is encoded."""
    text = self.text + more
    text = text.lstrip(_BLANKS) if self.trims[0] else text
    return text.rstrip(_BLANKS) if self.trims[1] else text


class TextEncoder:
  """Encodes and decodes.

  Attributes:
    controls: special tokens by their text: those that the tokenizer calls special, and added ones that a template names.
    size: ids, from 0.
    begins_by_itself: ids that the tokenizer puts before a text.
    knows_every_text: whether it never needs the token for what is unknown.
  """

  def __init__(self, spec: TokenizerSpec, templates: Sequence[str] = ()):
    """Prepares.

    Args:
      spec: the tokenizer.
      templates: sources of the chat templates in use.

    Raises:
      CheckpointError: if `tokenizers` cannot read it, or it is of a kind whose texts could become special tokens.
    """
    self._place = spec.place
    layout: dict[str, Any] = dict(spec.layout) | {'truncation': None, 'padding': None}
    kind = (layout.get('model') or {}).get('type', 'BPE')
    if kind != 'BPE':
      raise CheckpointError(
        f'{spec.place}: model.type is {shorten(repr(kind), 40)}; decoder-only models are read with BPE'
      )
    if (layout.get('model') or {}).get('dropout'):
      raise CheckpointError(
        f'{spec.place}: model.dropout is {shorten(repr(layout["model"]["dropout"]), 40)}, so that a text becomes other tokens each time; '
        'set it to null'
      )
    added = [dict(entry) for entry in layout.get('added_tokens') or ()]
    for entry in added:
      text = entry['content']
      named = not text.isspace() and any(text in source for source in templates)
      entry['special'] = bool(entry.get('special')) or named or text in spec.special_tokens.values()
    layout['added_tokens'] = added
    whole = self._build(layout)
    self.controls: Mapping[str, Control] = {
      entry['content']: Control(entry['id'], bool(entry.get('lstrip')), bool(entry.get('rstrip')))
      for entry in added
      if entry['special']
    }
    misplaced = next((t for t, c in self.controls.items() if whole.token_to_id(t) != c.id), None)
    if misplaced is not None:
      raise CheckpointError(
        f'{spec.place}: the added token {shorten(repr(misplaced), 40)} has the id {self.controls[misplaced].id}, where the '
        f'tokenizer puts {whole.token_to_id(misplaced)}; fetch it again'
      )
    self.size = max(whole.get_vocab().values()) + 1
    self.begins_by_itself = _begin(whole)
    layout['post_processor'] = None  # one that trims blanks off would tell where tokens begin wrongly
    self._first = self._build(layout)
    later, changed = _not_first(layout.get('pre_tokenizer'))
    self._later = self._build(layout | {'pre_tokenizer': later}) if changed else self._first
    self._pattern = re.compile('|'.join(map(re.escape, sorted(self.controls, key=len, reverse=True))) or '(?!)')
    model = layout.get('model') or {}
    self._unknown = None if model.get('unk_token') is None else whole.token_to_id(model['unk_token'])
    self._check_controls()
    self.knows_every_text = bool(model.get('byte_fallback')) or '"ByteLevel"' in json.dumps(layout.get('pre_tokenizer'))

  def _check_controls(self) -> None:
    """Raises CheckpointError if the merges make a special token of its letters, so that a text could hold it."""
    ids = {control.id for control in self.controls.values()} - {self._unknown}
    for encoding in self.encode(list(self.controls), True) + self.encode(list(self.controls), False):
      if not ids.isdisjoint(encoding.ids):
        made = next(text for text, control in self.controls.items() if control.id in ids.intersection(encoding.ids))
        raise CheckpointError(
          f'{self._place}: the special token {shorten(repr(made), 40)} is also what its letters become in a text; fetch it again'
        )

  def _build(self, layout: Mapping[str, Any]) -> tokenizers.Tokenizer:
    try:
      made = tokenizers.Tokenizer.from_str(json.dumps(layout))
    except Exception as e:  # of a library in Rust
      raise CheckpointError(f'{self._place}: no tokenizer ({shorten(e)}); fetch it again') from e
    made.encode_special_tokens = True
    return made

  def id_of(self, token: str) -> int | None:
    """The id of a token by its text."""
    return self.controls[token].id if token in self.controls else self._first.token_to_id(token)

  def pieces(self) -> list[str]:
    """The tokens in the order of their ids, a blank written as SentencePiece does."""
    return [(self._first.id_to_token(i) or '').replace('\u0120', '\u2581') for i in range(self.size)]

  def encode(self, texts: Sequence[str], is_first: bool) -> list[tokenizers.Encoding]:
    """Encodes texts, in which no special token is recognised, at the start or behind one."""
    chosen = self._first if is_first else self._later
    return chosen.encode_batch(list(texts), add_special_tokens=False)

  def encode_later(self, text: str) -> list[int]:
    """The ids of a text that stands behind a special token."""
    return self._later.encode(text, add_special_tokens=False).ids

  def cut(self, pieces: Sequence[Piece], is_first: bool = True) -> tuple[list[Control | Stretch], Stretch]:
    """Cuts pieces of a rendered template at the special tokens in them.

    Args:
      pieces: in order.
      is_first: whether nothing stands before them.

    Returns:
      (special tokens and the texts between them; the text behind the last one, which may be empty).
    """
    items: list[Control | Stretch] = []
    text, trims = '', False
    for piece in pieces:
      place = 0
      for match in () if piece.is_data else self._pattern.finditer(piece.text):
        control = self.controls[match[0]]
        text += piece.text[place : match.start()]
        if text:
          items.append(Stretch(text, is_first and not items, (trims, control.takes_left)))
        items.append(control)
        text, trims, place = '', control.takes_right, match.end()
      text += piece.text[place:]
    return items, Stretch(text, is_first and not items, (trims, False))

  def ids(self, items: Sequence[Control | Stretch]) -> list[int]:
    """The ids of what `cut` gives."""
    made: list[int] = []
    for item in items:
      if isinstance(item, Control):
        made.append(item.id)
      else:
        made += self.encode([item.around('')], item.is_first)[0].ids
    return made

  def decode(self, ids: Sequence[int], show_special: bool = False) -> str:
    """Text of ids, without special tokens or with them."""
    return self._first.decode(list(ids), skip_special_tokens=not show_special)


def _begin(whole: tokenizers.Tokenizer) -> tuple[int, ...]:
  bare, dressed = (whole.encode('a', add_special_tokens=special).ids for special in (False, True))
  return tuple(dressed[: next(n for n in range(len(dressed)) if dressed[n : n + len(bare)] == bare)])


def _not_first(layout: Any) -> tuple[Any, bool]:
  """A pre-tokenizer for a text that is not the first, and whether it differs."""
  if isinstance(layout, dict) and layout.get('type') == 'Sequence':
    parts = [_not_first(part) for part in layout['pretokenizers']]
    return layout | {'pretokenizers': [part for part, _ in parts]}, any(changed for _, changed in parts)
  if isinstance(layout, dict) and layout.get('type') == 'Metaspace' and layout.get('prepend_scheme') == 'first':
    return layout | {'prepend_scheme': 'never'}, True
  return layout, False
