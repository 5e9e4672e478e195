"""Names and phrasings as texts of other formats: one function for each, which every writer uses.

HTML and SVG are escaped by jinja's autoescape and by `svg.element`. Here are LaTeX, Markdown, pictures, names of files, and
tables for spreadsheets.
"""

import hashlib
import re

import pandas as pd

MINUS = '\u2212'
_LATEX = {
  '\\': r'\textbackslash{}', '&': r'\&', '%': r'\%', '$': r'\$', '#': r'\#', '_': r'\_', '{': r'\{', '}': r'\}',
  '~': r'\textasciitilde{}', '^': r'\textasciicircum{}', '<': r'\textless{}', '>': r'\textgreater{}',
  # Behind the end of a row, these would be taken for its options.
  '[': '{[}', ']': '{]}', '*': '{*}',
  '|': r'\textbar{}', '"': r"''", '`': r'\textasciigrave{}', MINUS: '$-$', '±': r'$\pm$', '×': r'$\times$', '≤': r'$\leq$', '≥': r'$\geq$', '→': r'$\rightarrow$',
  'κ': r'$\kappa$',
}  # fmt: skip
_LETTERS = 40  # of a name in a picture
_RESERVED = {'con', 'prn', 'aux', 'nul', *(f'{port}{i}' for port in ('com', 'lpt') for i in range(10))}  # by Windows


def line(text: object) -> str:
  """A text in one line, without characters that control a terminal, a direction of writing or a parser."""
  return ''.join(c for c in ' '.join(str(text).split()) if c.isprintable())


def latex(text: object) -> str:
  """A text for LaTeX, in one line."""
  return ''.join(_LATEX.get(c, c) for c in line(text))


def latex_label(text: object) -> str:
  r"""A text as the argument of `\label`, which takes no command."""
  return re.sub(r'[^A-Za-z0-9:.-]+', '-', line(text)).strip('-')


def markdown(text: object) -> str:
  """A text within a line or table cell of GitHub's Markdown, which shows it as it is: no markup, link or mention."""
  text = line(text)
  text = re.sub(r'([\\`*|~$])', r'\\\1', text)
  text = re.sub(r'(?<![^\W_])_|_(?![^\W_])', r'\\_', text)  # within a word it is no emphasis
  text = re.sub(r'\](?=[(\[:])', r'\\]', text)  # no link; a bracket alone is none
  text = re.sub(r'&(?=#?\w+;)', '&amp;', text).replace('<', '&lt;')
  return re.sub(r'(?<=\w)(:(?=//)|@(?=\w))|(?<=www)\.|(?<!\w)@(?=\w)', r'\\\g<0>', text)


def markdown_paragraph(text: object) -> str:
  """As `markdown`, at the start of a line, where some characters begin a heading, a list or a quotation."""
  text = markdown(text)
  text = re.sub(r'^([#>+=-])', r'\\\1', text)
  return re.sub(r'^(\d+)([.)])(?=\s|$)', r'\1\\\2', text)


def picture(text: object) -> str:
  """A name in a picture: short, and not hidden, as matplotlib hides what begins with an underscore."""
  text = line(text)
  text = text if len(text) <= _LETTERS else text[: _LETTERS - 1] + '…'
  return f' {text}' if text.startswith('_') else text


def file_name(text: object) -> str:
  """The name of a file on any system, without its ending: never empty, hidden, reserved, long, or with a folder."""
  text = str(text)
  name = re.sub(r'[^\w.+=-]+', '_', text).strip('. ')[:80]
  if name and name == text and name.lower().split('.')[0] not in _RESERVED and not name.startswith('-'):
    return name
  # The hash keeps names apart that are the same in what is left of them.
  return f'{name.lstrip("-") or "_"}-{hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]}'


def spreadsheet(table: pd.DataFrame) -> str:
  """A table as CSV for people: a text that a spreadsheet would run as a formula has an apostrophe before it.

  Not for tables that this project reads again.
  """
  texts = table.select_dtypes(exclude=['number', 'bool']).columns
  safe = table.assign(**{name: table[name].map(_no_formula) for name in texts})
  return safe.rename(columns=_no_formula).to_csv(index=False)


def _no_formula(value: object) -> object:
  if not isinstance(value, str) or not re.match(r'[\s\ufeff]*[=+\-@\t\r＝＋－＠]', value):
    return value
  try:
    float(value)
  except ValueError:
    return f"'{value}"
  return value
