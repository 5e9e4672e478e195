"""What a checkpoint's files say of its tokenizer, whatever their layout."""

from collections.abc import Mapping
import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class TokenizerSpec:
  """A tokenizer and what belongs to it.

  Attributes:
    place: the file that it is from, for messages.
    layout: as `tokenizer.json` has it.
    special_tokens: text of each of bos_token, eos_token, pad_token and unk_token that there is.
    stops: ids that end an answer.
    adds_begin: whether a text begins with bos_token; None for what `layout` says.
    templates: name -> (file and field, source) of chat templates; the one that is used by itself is called 'default'.
  """

  place: str
  layout: Mapping[str, Any]
  special_tokens: Mapping[str, str]
  stops: tuple[int, ...] = ()
  adds_begin: bool | None = None
  templates: Mapping[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
