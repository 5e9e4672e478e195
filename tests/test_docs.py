"""The docs: links, paths, commands, the tutorial and the examples in docstrings are right."""

import doctest
import importlib
import inspect
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / 'docs/tutorial.ipynb'
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').rglob('*.md')), NOTEBOOK]
# What these pages name and no checkout has.
NOT_THERE = ('robust_t5x/jax',)
# Where every public function shows an example, and those that need none.
SHOWN = (
  'robust_t5x.objectives',
  'robust_t5x.analysis.agreement',
  'robust_t5x.analysis.metrics',
  'robust_t5x.analysis.significance',
  'robust_t5x.results.scorers',
)
UNSHOWN = ('table_cells',)


def text_of(page: pathlib.Path) -> str:
  """The page, or the notebook's Markdown and code as they read."""
  if page.suffix == '.md':
    return page.read_text(encoding='utf-8')
  return '\n\n'.join(''.join(cell['source']) for cell in json.loads(page.read_text(encoding='utf-8'))['cells'])


def anchors(page: pathlib.Path) -> set[str]:
  """The anchors of a page's headings."""
  text = re.sub(r'^```.*?^```', '', text_of(page), flags=re.MULTILINE | re.DOTALL)
  headings = re.findall(r'^#+ (.+)$', text, re.MULTILINE)
  return {re.sub(r'\s+', '-', re.sub(r'[^\w\s-]', '', heading.lower()).strip()) for heading in headings}


def named(page):
  return pytest.param(page, id=str(page.relative_to(ROOT)))


@pytest.mark.parametrize('page', [named(page) for page in PAGES])
def test_links_resolve(page):
  for target in re.findall(r'\]\((?!https?:)([^)\s]+)\)', text_of(page)):
    path, _, anchor = target.partition('#')
    file = (page.parent / path).resolve() if path else page
    assert file.is_file(), f'{page.name} links to {target}'
    assert not anchor or anchor in anchors(file), f'{page.name} links to {target}'


@pytest.mark.parametrize('page', [named(page) for page in PAGES])
def test_paths_exist(page):
  found = re.findall(
    r'(?<![\w/.-])(?:robust_t5x|seqio_tasks|gin|tests|benchmarks|launch|docs)/[\w./*-]*\w/?', text_of(page)
  )
  for path in found:
    if path in NOT_THERE or re.search('NAME|VERB', path):
      continue
    assert list(ROOT.glob(path)), f'{page.name} names {path}'


def commands(page: pathlib.Path) -> list[list[str]]:
  """The arguments of each `robust-t5x ...` of a page, continued lines joined, comments and prose behind it dropped."""
  text = re.sub(r'\\\n\s*', ' ', text_of(page))
  found = re.findall(r'(?:^|[`"$( ])robust-t5x ((?:[^`\n])+)', text, re.MULTILINE)
  return [shlex.split(line, comments=True) for line in found if not re.match(r'--help|VERB|\w+ (NAME|VERB)\b', line)]


COMMANDS = [
  pytest.param(arguments, id=f'{page.stem}: {" ".join(arguments[:3])}')
  for page in PAGES
  for arguments in commands(page)
]


@pytest.mark.parametrize('arguments', COMMANDS)
def test_commands_are_understood(arguments):
  """The verb exists; where it reads gin files so do its recipe, its files and its macros, and the values are of their kind."""
  import gin
  from robust_t5x import __main__
  from robust_t5x.runtime import gin_files, launcher
  from robust_t5x.sweeps import flags as sweep_flags

  verb, *rest = arguments
  assert verb in __main__.VERBS
  rest = [a for a in rest if a not in ('...', '…', '--help')]
  if verb == 'sweep' and rest:
    sweep_flags.parse(rest, '')
  if verb not in ('train', 'eval', 'infer', 'represent', 'plan') or not rest:
    return
  if verb == 'plan':
    if '--study' in rest and '--topology' not in rest:
      rest += ['--topology', 'v4-8']  # a study takes each
    rest = [f'--gin_file=gin/topologies/{a}.gin' if rest[i - 1] == '--topology' else a for i, a in enumerate(rest)]
    rest = [a for i, a in enumerate(rest) if a not in ('--topology', '--json', '--study') and rest[i - 1] != '--study']
  gin.clear_config(clear_constants=True)
  flags = launcher.parse_flags(rest, '', 'train' if verb == 'plan' else verb)
  gin_files.parse_gin(flags, all_set=False)
  gin.clear_config(clear_constants=True)


def test_commands_are_found():
  assert len(COMMANDS) > 40


def test_the_tutorial_runs_and_prints_what_it_shows(tmp_path):
  """In a process of its own, as a reader has it, not on the eight devices of the tests."""
  code = f"""
import importlib.util, json
spec = importlib.util.spec_from_file_location('hooks', {str(ROOT / 'docs/hooks.py')!r})
hooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(hooks)
print(json.dumps(hooks.execute(hooks.read())))
"""
  environment = {name: value for name, value in os.environ.items() if name != 'XLA_FLAGS'}
  environment['PYTHONPATH'] = os.pathsep.join([str(ROOT), environment.get('PYTHONPATH', '')])
  done = subprocess.run(
    [sys.executable, '-c', code],
    capture_output=True,
    text=True,
    check=False,
    cwd=tmp_path,
    env=environment,
    timeout=500,
  )
  assert done.returncode == 0, done.stderr[-3000:]
  printed = json.loads(done.stdout.splitlines()[-1])
  cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding='utf-8'))['cells'] if cell['cell_type'] == 'code']
  shown = [''.join(''.join(output['text']) for output in cell['outputs']) for cell in cells]
  # Digits may differ between versions and processors in their last place.
  assert [re.sub(r'\d\.\d+', '#', text) for text in printed] == [re.sub(r'\d\.\d+', '#', text) for text in shown]
  for now, before in zip(printed, shown, strict=True):
    numbers = [[float(x) for x in re.findall(r'\d+\.\d+', text)] for text in (now, before)]
    assert numbers[0] == pytest.approx(numbers[1], abs=0.03, rel=0.02)


def with_examples() -> list[str]:
  """Modules that show examples, by their files: nothing heavy is imported to collect tests."""
  files = [f for package in ('robust_t5x', 'seqio_tasks') for f in sorted((ROOT / package).rglob('*.py'))]
  return [
    '.'.join(f.relative_to(ROOT).with_suffix('').parts)
    for f in files
    if re.search(r'^ *>>> ', f.read_text(encoding='utf-8'), re.MULTILINE)
  ]


@pytest.mark.parametrize('name', with_examples())
def test_examples_give_what_they_show(name):
  failed, tried = doctest.testmod(importlib.import_module(name))
  assert tried and not failed


@pytest.mark.parametrize('name', SHOWN)
def test_every_public_function_shows_an_example(name):
  module = importlib.import_module(name)
  for public in getattr(module, '__all__', [n for n in vars(module) if not n.startswith('_')]):
    value = getattr(module, public)
    if inspect.isfunction(value) and value.__module__.startswith(name) and public not in UNSHOWN:
      assert '>>> ' in value.__doc__, f'{name}.{public}'


def test_the_site_has_every_page():
  """MkDocs warns of pages that the navigation lacks, and of what it names and is not there; this says so without MkDocs."""
  navigation = (ROOT / 'mkdocs.yml').read_text(encoding='utf-8')
  pages = {str(p.relative_to(ROOT / 'docs')) for p in (ROOT / 'docs').rglob('*.md')}
  pages |= {'index.md', 'contributing.md', 'changelog.md', 'tutorial.md'}
  assert set(re.findall(r'[\w/]+\.md\b', navigation)) == pages


def test_the_citation_is_complete():
  citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text(encoding='utf-8'))
  assert {'cff-version', 'message', 'title', 'authors', 'version', 'license', 'references'} <= set(citation)
  assert citation['version'] == importlib.import_module('robust_t5x').__version__
