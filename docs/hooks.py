"""Pages of the site that stand elsewhere: the README and its neighbours, and the tutorial's notebook.

MkDocs calls `on_files` and `on_page_markdown`. `python docs/hooks.py` runs the notebook and writes its outputs into it.
"""

from collections.abc import Mapping
import contextlib
import io
import json
import os
import pathlib
import re
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / 'docs/tutorial.ipynb'
# Page -> the file at the top of the repository that it shows.
PAGES = {'index.md': 'README.md', 'contributing.md': 'CONTRIBUTING.md', 'changelog.md': 'CHANGELOG.md'}


def on_files(files: Any, config: Any) -> Any:
  """Adds the pages to those that MkDocs found."""
  from mkdocs.structure.files import File

  for page, source in PAGES.items():
    files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding='utf-8')))
  files.append(File.generated(config, 'tutorial.md', content=as_markdown(read())))
  return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
  """Turns links between files of the repository into links between pages; one to a file that is no page becomes text."""
  pages = {source: target for target, source in PAGES.items()} | {'docs/tutorial.ipynb': 'tutorial.md'}
  here = pathlib.PurePosixPath('.' if page.file.src_uri in PAGES else 'docs', page.file.src_uri).parent

  def link(match: re.Match[str]) -> str:
    text, path, anchor = match.groups()
    target = os.path.normpath(here / path)
    if target not in pages and not target.startswith('docs/'):
      return text
    target = pages.get(target, target.removeprefix('docs/'))
    return f'[{text}]({os.path.relpath(target, os.path.dirname(page.file.src_uri) or ".")}{anchor or ""})'

  return re.sub(r'\[([^\]]*)\]\((?!https?:)([^)#\s]+)(#[^)\s]*)?\)', link, markdown)


def read() -> dict[str, Any]:
  """The notebook."""
  return json.loads(NOTEBOOK.read_text(encoding='utf-8'))


def as_markdown(notebook: Mapping[str, Any]) -> str:
  """The notebook's cells as a page; what a cell printed stands behind it."""
  parts = []
  for cell in notebook['cells']:
    source = ''.join(cell['source'])
    if cell['cell_type'] == 'markdown':
      parts.append(source)
      continue
    parts.append(f'```python\n{source}\n```')
    parts += [f'```text\n{"".join(output["text"]).rstrip()}\n```' for output in cell['outputs']]
  return '\n\n'.join(parts) + '\n'


def execute(notebook: Mapping[str, Any]) -> list[str]:
  """Runs the code cells one after the other; returns what each printed."""
  namespace: dict[str, Any] = {'__name__': '__main__'}
  printed = []
  for number, cell in enumerate(notebook['cells']):
    if cell['cell_type'] == 'code':
      out = io.StringIO()
      with contextlib.redirect_stdout(out):
        exec(compile(''.join(cell['source']), f'{NOTEBOOK.name}, cell {number}', 'exec'), namespace)
      printed.append(out.getvalue())
  return printed


def main() -> None:
  """Writes what the cells print into the notebook."""
  notebook = read()
  code = [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']
  for cell, text in zip(code, execute(notebook), strict=True):
    lines = text.splitlines(keepends=True)
    cell['outputs'] = [{'name': 'stdout', 'output_type': 'stream', 'text': lines}] if lines else []
  NOTEBOOK.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')


if __name__ == '__main__':
  main()
