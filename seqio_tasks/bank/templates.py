"""Templates: texts with named fields in braces, how they are filled in and how they are folded.

The renderer knows field names and nothing else, so that neither a template nor the data can reach
an attribute, an index or a format specification. Imports nothing beyond the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping
import functools
import re
import unicodedata

from seqio_tasks.errors import UserError, shorten

_FIELD = re.compile(r'\{([A-Za-z_][A-Za-z0-9_]*)\}')


def parse_template(template: str) -> list[tuple[str, str]]:
  """Splits a template into (literal text, name of the field that follows it) pairs.

  The last pair's field is "" . Example: "a {x}b" gives [("a ", "x"), ("b", "")].

  Raises:
    ValueError: if a brace does not belong to a plain field name such as {sentence}.
  """
  parts = _FIELD.split(template)  # literal, field, literal, ..., literal
  for literal in parts[::2]:
    if '{' in literal or '}' in literal:
      raise UserError(
        f'a brace that is not part of a field in {shorten(repr(literal))}; write fields as {{name}} (letters, '
        'digits and _ only) and use no other braces'
      )
  return list(zip(parts[::2], [*parts[1::2], ''], strict=True))


@functools.lru_cache(maxsize=65536)
def parsed_template(template: str) -> tuple[tuple[str, str], ...]:
  """What `parse_template` gives, kept: a template is filled in for many items."""
  return tuple(parse_template(template))


def render(template: str, fields: Mapping[str, str]) -> str:
  """Fills a template in.

  Only field names are known: there is no attribute access, indexing or format specification, and
  a value is inserted as it is, whatever braces it holds.

  Args:
    template: text with named fields in braces.
    fields: the fields' values; more than the template names may be given.

  Raises:
    ValueError: if the template is malformed or names a field that is not given.
  """
  pieces = []
  for literal, name in parse_template(template):
    pieces.append(literal)
    if name:
      if name not in fields:
        raise UserError(
          f'template {shorten(repr(template))} names the field {name!r}, which the example lacks; it has {shorten(sorted(fields), 200)}'
        )
      pieces.append(str(fields[name]))
  return ''.join(pieces)


@functools.lru_cache(maxsize=65536)
def normalise(template: str) -> str:
  """Folds case, punctuation and space of a template's text, and keeps its fields.

  Two templates with the same result differ in nothing that makes a phrasing. Apostrophes vanish
  ("don't" is one word), other punctuation parts words.
  """
  tokens = []
  for literal, name in parsed_template(template):
    text = unicodedata.normalize('NFKC', literal).casefold()
    text = text.replace("'", '').replace('\u2019', '').replace('_', ' ')
    tokens.extend(re.findall(r'\w+', text))
    if name:
      tokens.append('{' + name + '}')
  return ' '.join(tokens)
