"""Lists every number of README, CONTRIBUTING and docs with its source, and fails where the two differ.

`python benchmarks/claims.py` prints a summary, `--list` each number, `--write` makes the tables anew from their sources.

A number has one of these sources:
- computed: from the package, on the spot (`benchmarks/claims_sources.py`);
- measured: a file of `benchmarks/results/`, whose README has the command that makes each;
- derived: from other numbers of the same pages;
- recorded: a run whose results were not kept. The page says when it was, and it is counted as not regenerated;
- given: a setting or a definition, which nothing measures.

Where it says so: a table follows a comment `<!-- table: NAME -->`, and NAME is a function of `claims_sources`. What stands
between `<!-- recorded: DATE COMMAND -->` and `<!-- end recorded -->` is recorded. All other numbers are in
`benchmarks/claims.yaml`: sentences with the name of a value in braces in place of each number, or as they are where the
numbers are given. A number that none of these covers is a failure, as is a sentence that a page no longer has. Not read are code,
headings, numbers written as words, and a bare 0, 1 or 2.
"""

from __future__ import annotations

import argparse
import collections
from collections.abc import Callable, Iterator, Mapping
import dataclasses
import json
import os
import pathlib
import re
import sys
from typing import Protocol

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
PUBLISHED = 'docs/published.md'
TUTORIAL = 'docs/tutorial.ipynb'
KINDS = ('computed', 'measured', 'derived', 'recorded', 'given')
# A sign counts as one where no word or number stands before it, so that v4-8 has none. A bare 0, 1 or 2 is a word.
NUMBER = re.compile(
  r'(?<![\w.−])(?<!\w[-/,])[-+−]?(?!(?<![-+−])[012](?![\d.,]?\d|%|e-?\d))\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?(?!\.?\d|[\w-]*[A-Za-z])'
)
# What looks like a number and is a name, a year of a source or an identifier.
_NAMES = re.compile(
  r'arXiv:? \d{4}\.\d{4,5}(?:, \d{4}\.\d{4,5})*|\b[A-Z]\w+(?: et al\.| and [A-Z]\w+| & [A-Z]\w+)*,? \(?(?:19|20)\d\d\b\)?'
  r'|(?:19|20)\d\d-\d\d-\d\d|\bLlama \d|\bPython \d\.\d+|\bT5\.1\.\d|\bT5\.1\.0'
)
_TABLE = re.compile(r'^<!-- table: (\w+) -->$(\n*(?:\|.*\n)*)', re.MULTILINE)  # rows may be yet to come
_RECORDED = re.compile(r'<!-- recorded: (\d{4}-\d\d-\d\d)((?: .*?)?) -->\n(.*?)<!-- end recorded -->', re.DOTALL)
_UNREAD = re.compile(
  r'^ *```.*?^ *```|``?[^`]+``?|\]\([^)]*\)|^#+ [^\n]*$|^ *\d+\. |<!--.*?-->|https?://\S+', re.DOTALL | re.MULTILINE
)


@dataclasses.dataclass(frozen=True)
class Claim:
  """A number of a page: where it stands, how it is printed, and where it comes from."""

  page: str
  line: int
  text: str
  kind: str
  source: str


@dataclasses.dataclass(frozen=True)
class Value:
  """What a source says: a number, as it would be printed without rounding, its kind and where it comes from."""

  number: float
  kind: str
  source: str


@dataclasses.dataclass(frozen=True)
class Table:
  """A table as its source says it should read, and the kind of its numbers."""

  markdown: str
  kind: str
  source: str


class Sources(Protocol):
  """`claims_sources`: the value, and the table, of a name; KeyError if there is none."""

  def value(self, name: str, page: Page) -> Value: ...

  def table(self, name: str) -> Table: ...


class Page:
  """A page whose numbers are claimed one by one; what nobody claims is left over."""

  def __init__(self, name: str, text: str):
    self.name = name
    self.text = text
    # Same length as the text, so that places stay what they are.
    self._unclaimed = _NAMES.sub(_blank, _UNREAD.sub(_blank, text))
    self.claims: list[Claim] = []
    self.faults: list[str] = []

  def claim(self, start: int, end: int, kind: str, source: str) -> None:
    """All numbers between two places that are not claimed yet have this source."""
    for match in NUMBER.finditer(self._unclaimed, start, end):
      self.claims.append(Claim(self.name, self._line(match.start()), match[0], kind, source))
    self._unclaimed = self._unclaimed[:start] + ' ' * (end - start) + self._unclaimed[end:]

  def left_over(self) -> Iterator[str]:
    for match in NUMBER.finditer(self._unclaimed):
      line = self._line(match.start())
      yield f'{self.name}:{line}: {match[0]} has no source, in: {self.text.splitlines()[line - 1].strip()[:100]}'

  def fault(self, place: int, message: str) -> None:
    self.faults.append(f'{self.name}:{self._line(place)}: {message}')

  def _line(self, place: int) -> int:
    return self.text.count('\n', 0, place) + 1


def _blank(match: re.Match[str]) -> str:
  return re.sub(r'\S', ' ', match[0])


def printed(text: str) -> tuple[float, float]:
  """A printed number and half of what its last place stands for."""
  plain = text.replace('−', '-').replace(',', '')
  digits, _, exponent = plain.partition('e')
  return float(plain), 0.5 * 10.0 ** (int(exponent or 0) - len(digits.partition('.')[2]))


def agrees(text: str, number: float) -> bool:
  """Whether a number, rounded to the places that are printed, is what is printed."""
  value, half = printed(text)
  return abs(value - number) <= half * (1 + 1e-6)


def check_page(
  name: str,
  text: str,
  sentences: list[str],
  value: Callable[[str, Page], Value],
  table: Callable[[str], Table],
) -> Page:
  """Claims what has a source on a page, and notes where page and source differ.

  Args:
    name: of the page, for messages.
    text: the page.
    sentences: of it; names of values in braces stand for its numbers, and the numbers in it are given.
    value: the value of a name; KeyError if there is none.
    table: the table of a name; KeyError if there is none.
  """
  page = Page(name, text)
  for match in _TABLE.finditer(text):
    try:
      made = table(match[1])
    except (KeyError, FileNotFoundError) as e:
      page.fault(match.start(), f'no source has the table {match[1]!r} ({e})')
      page.claim(match.start(2), match.end(2), 'recorded', 'nothing')
      continue
    if match[2] != f'\n\n{made.markdown}':
      page.fault(match.start(), f'the table {match[1]} is not what {made.source} gives; run it with --write')
    page.claim(match.start(2), match.end(2), made.kind, made.source)
  for sentence in sentences:
    _check_sentence(page, sentence, value)
  for match in _RECORDED.finditer(text):
    date, command = match[1], match[2].strip()
    if date not in _UNREAD.sub('', match[3]):
      page.fault(match.start(), f'what is recorded does not say its date to the reader, {date}')
    page.claim(match.start(3), match.end(3), 'recorded', f'{date}, {command}')
  page.faults += page.left_over()
  return page


def _check_sentence(page: Page, sentence: str, value: Callable[[str, Page], Value]) -> None:
  names = re.findall(r'\{([\w.-]+)\}', sentence)
  parts = re.split(r'\{[\w.-]+\}', sentence)
  number = r'([-+−]?\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?)'
  pattern = number.join(r'\s+'.join(map(re.escape, re.split(r'\s+', part))) for part in parts)
  found = list(re.finditer(pattern, page.text))
  if not found:
    page.faults.append(f'{page.name}: no longer says {sentence!r}; mend the page or benchmarks/claims.yaml')
  for match in found:
    for group, name in enumerate(names, start=1):
      try:
        known = value(name, page)
      except (KeyError, FileNotFoundError) as e:
        page.fault(match.start(group), f'no source has the value {name!r} ({e})')
        continue
      if not agrees(match[group], known.number):
        page.fault(match.start(group), f'{match[group]} is {known.number:.6g} by {known.source}')
      page.claim(match.start(group), match.end(group), known.kind, known.source)
    page.claim(match.start(), match.end(), 'given', 'benchmarks/claims.yaml')


def check(pages: Mapping[str, str], claims: Mapping[str, list[str]], sources: Sources) -> list[Page]:
  """Checks all pages, by name and text, with the functions `value` and `table` of `sources`."""
  return [check_page(name, text, claims.get(name) or [], sources.value, sources.table) for name, text in pages.items()]


def published(text: str, data: pathlib.Path | None) -> Page:
  """docs/published.md, which a benchmark writes whole: from the published data, where these are at hand."""
  import published_numbers

  page = Page(PUBLISHED, text)
  if data is not None:
    if published_numbers.page(data) != text:
      page.fault(0, 'is not what benchmarks/published_numbers.py gives')
    page.claim(0, len(text), 'computed', 'benchmarks/published_numbers.py')
  else:
    page.claim(0, len(text), 'recorded', 'benchmarks/published_numbers.py, whose data (--data) are not at hand')
  return page


def pages() -> dict[str, str]:
  """README, CONTRIBUTING, the pages of docs/, and the texts of the tutorial, whose outputs another test holds."""
  paths = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('*.md'))]
  found = {str(path.relative_to(ROOT)): path.read_text(encoding='utf-8') for path in paths}
  cells = json.loads((ROOT / TUTORIAL).read_text(encoding='utf-8'))['cells']
  found[TUTORIAL] = '\n\n'.join(''.join(cell['source']) for cell in cells if cell['cell_type'] == 'markdown')
  return {name: text for name, text in found.items() if name != PUBLISHED}


def write(text: str, table: Callable[[str], Table]) -> str:
  """A page with its tables as their sources say."""

  def made(match: re.Match[str]) -> str:
    try:
      rows = table(match[1]).markdown
    except (KeyError, FileNotFoundError):  # the check says so
      return match[0]
    return f'<!-- table: {match[1]} -->\n\n{rows}' + ('' if '|' in match[2] else '\n')

  return _TABLE.sub(made, text)


def main() -> int:
  import claims_sources

  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--list', action='store_true', help='each number with its source')
  parser.add_argument('--write', action='store_true', help='make the tables anew from their sources')
  parser.add_argument(
    '--data', type=pathlib.Path, metavar='DIR', default=os.environ.get('ROBUST_T5X_SHARED_DATA'),
    help='published results, as benchmarks/published_numbers.py takes them',
  )  # fmt: skip
  arguments = parser.parse_args()
  if arguments.write:
    for name, text in pages().items():
      if (made := write(text, claims_sources.table)) != text:
        (ROOT / name).write_text(made, encoding='utf-8')
  claims = yaml.safe_load((ROOT / 'benchmarks/claims.yaml').read_text(encoding='utf-8')) or {}
  checked = check(pages(), claims, claims_sources)
  data = arguments.data and pathlib.Path(arguments.data)
  checked.append(published((ROOT / PUBLISHED).read_text(encoding='utf-8'), data))
  counts = collections.Counter(claim.kind for page in checked for claim in page.claims)
  for page in checked:
    if arguments.list:
      for claim in sorted(page.claims, key=lambda claim: claim.line):
        print(f'{claim.page}:{claim.line}: {claim.text}: {claim.kind}, {claim.source}')
  print(', '.join(f'{counts[kind]} {kind}' for kind in KINDS))
  for source, count in sorted(
    collections.Counter((c.page, c.source) for p in checked for c in p.claims if c.kind == 'recorded').items()
  ):
    print(f'recorded, not regenerated: {count} numbers of {source[0]}, {source[1]}')
  faults = [fault for page in checked for fault in page.faults]
  for fault in faults:
    print(f'FAULT {fault}', file=sys.stderr)
  return int(bool(faults))


if __name__ == '__main__':
  sys.exit(main())
