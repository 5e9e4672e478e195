"""Shows the examples of docstrings as code: Markdown would take their `>>>` for quotations within quotations."""

import re
from typing import Any

import griffe

_BLOCK = re.compile(r'(?:^|(?<=\n\n))((?:>>> .*)(?:\n(?!\n).*)*)')


class Doctests(griffe.Extension):
  """Fences the examples that stand in a docstring's text, outside a section `Examples`."""

  def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
    if obj.docstring:
      obj.docstring.value = _BLOCK.sub(r'```pycon\n\1\n```', obj.docstring.value)
