"""Names in templates that mean something to a layout, what the data's fields are called, and options' letters and orders."""

from __future__ import annotations

import functools
import random
import re

_WORDS = (
  'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen '
  'eighteen nineteen twenty'
).split()
OPTION = re.compile(r'option_([1-9][0-9]*)')
LETTERS = 26  # as many options as can be told apart by a letter, A to Z
BRACES = {'brace_open': '{', 'brace_close': '}'}
RIGHT = frozenset({'answer', 'answer_index', 'alternatives'})  # what an item says of what is right
_COMPUTED = frozenset({'n_options', 'n_options_word', *BRACES})
# Names that a layout, a block or an answer gives a meaning of its own, so that no field of the data may have them.
_OWN = RIGHT | {'options', 'option', 'label'} | _COMPUTED


def field_name(name: str) -> str:
  """What templates call a field of the data: by its name, or as data_<name> where a layout means something else by that.

  >>> field_name('question'), field_name('answer'), field_name('option_2')
  ('question', 'data_answer', 'data_option_2')
  """
  return f'data_{name}' if name in _OWN or OPTION.fullmatch(name) else name


def is_computed(name: str) -> bool:
  """Whether a name stands for what a layout computes: a number of options, one of them, or a brace.

  >>> is_computed('option_2'), is_computed('option_count')
  (True, False)
  """
  return name in _COMPUTED or OPTION.fullmatch(name) is not None


def count_word(count: int) -> str:
  """A number as a word, up to twenty."""
  return _WORDS[count] if count < len(_WORDS) else str(count)


@functools.lru_cache(maxsize=4096)
def shuffled(count: int, seed: int | None) -> tuple[int, ...]:
  """Which option stands at each place of a list of so many: their own order without a seed, another one with it.

  >>> shuffled(3, None), sorted(shuffled(3, 7))
  ((0, 1, 2), [0, 1, 2])
  """
  given = list(range(count))
  order = list(given)
  if seed is not None and count > 1:
    draws = random.Random(f'{seed}/{count}')
    while order == given:
      draws.shuffle(order)
  return tuple(order)
