"""Names in templates that mean something to a layout, and what the data's fields are called beside them."""

from __future__ import annotations

import re

_WORDS = (
  'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen '
  'eighteen nineteen twenty'
).split()
OPTION = re.compile(r'option_([1-9][0-9]*)')
BRACES = {'brace_open': '{', 'brace_close': '}'}
# Names that a layout, a block or an answer gives a meaning of its own, so that no field of the data may have them.
_OWN = frozenset(
  {'answer', 'answer_index', 'alternatives', 'options', 'option', 'label', 'n_options', 'n_options_word', *BRACES}
)


def field_name(name: str) -> str:
  """What templates call a field of the data: by its name, or as data_<name> where a layout means something else by that.

  >>> field_name('question'), field_name('answer'), field_name('option_2')
  ('question', 'data_answer', 'data_option_2')
  """
  return f'data_{name}' if name in _OWN or OPTION.fullmatch(name) else name


def count_word(count: int) -> str:
  """A number as a word, up to twenty."""
  return _WORDS[count] if count < len(_WORDS) else str(count)
