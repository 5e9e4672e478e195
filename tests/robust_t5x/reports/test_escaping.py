"""Names and phrasings that are code where they go: in LaTeX, Markdown, HTML, pictures, spreadsheets, names of files."""

import csv
import html.parser
import io
import os
import re

from helpers import scores_table
from matplotlib import text as matplotlib_text
import numpy as np
import pandas as pd
import pytest
import sweep_tables

from robust_t5x.analysis.effects import compare_two
from robust_t5x.analysis.effects import effects as analysed
from robust_t5x.reports import effects, escaping, page, plots
from robust_t5x.reports.inputs import read
from robust_t5x.reports.summary import summarise
from robust_t5x.reports.tables import Column, Table
from robust_t5x.results.runs import Run
from robust_t5x.sweeps import page as sweep_page

HOSTILE = (
  '</script><script>alert(1)</script>', '$x_{1}$ & 50% \\textbf{b} ~^#', '=HYPERLINK("http://evil","x")',
  '| a | b |\n\n# head `code` [link](http://evil) ![i](x) <img src=x onerror=alert(1)> &lt; **b** _e_ @you', '[1em] *', '\\\\[2pt]',
  '_hidden', '+1', '-rf ../../x', '../../etc/passwd', 'a\x1b[31m\0b\u202e', '"><svg onload=alert(1)>', "it's %d {x} {{y}}", '', ' ',
)  # fmt: skip


def latex_tokens(text):
  """The text that LaTeX would show of an escaped one; AssertionError for what is a command, a group left open or a comment."""
  shown, depth, at = '', 0, 0
  words = {r'\textbackslash{}': '\\', r'\textasciitilde{}': '~', r'\textasciicircum{}': '^', r'\textless{}': '<', r'\textgreater{}': '>',
           r'\textbar{}': '|', r'\textasciigrave{}': '`', '$-$': escaping.MINUS, r'$\leq$': '≤', r'$\geq$': '≥', r'$\rightarrow$': '→',
           r'$\kappa$': 'κ', r'$\pm$': '±', r'$\times$': '×'}  # fmt: skip
  while at < len(text):
    word = next((w for w in words if text.startswith(w, at)), None)
    if word:
      shown, at = shown + words[word], at + len(word)
    elif text[at] == '\\':
      assert text[at + 1] in '&%$#_{}', text
      shown, at = shown + text[at + 1], at + 2
    else:
      assert text[at] not in '&%$#_~^\\' and (text[at] not in '[]*' or depth), text
      depth += {'{': 1, '}': -1}.get(text[at], 0)
      shown, at = shown + text[at].strip('{}'), at + 1
      assert depth >= 0, text
  assert depth == 0, text
  return shown.replace("''", '"')


@pytest.mark.parametrize('text', HOSTILE)
def test_latex_shows_the_text_as_it_is(text):
  assert latex_tokens(escaping.latex(text)) == escaping.line(text)
  assert re.fullmatch(r'[A-Za-z0-9:.-]*', escaping.latex_label(text))


@pytest.mark.parametrize('text', HOSTILE)
def test_markdown_shows_the_text_as_it_is(text):
  for escape in (escaping.markdown, escaping.markdown_paragraph):
    made = escape(text)
    active = re.sub(r'\\(?:[^\w\s]|_)', '', made)  # what is not escaped
    assert not re.search(r'[`*|~$<]|\]\(|\]\[|\]:|://|@\w', active) and '\n' not in made
    back = re.sub(r'\\([^\w\s]|_)', r'\1', made).replace('&lt;', '<').replace('&amp;', '&')
    assert back == escaping.line(text)
  assert not re.match(r'[#>+=-]|\d+[.)]\s', escaping.markdown_paragraph(text))


def test_names_with_an_underscore_within_stay_readable():
  assert escaping.markdown('mini_first_word: 3 [1, 5] (x)') == 'mini_first_word: 3 [1, 5] (x)'


def test_names_of_files_are_files_in_their_folder(tmp_path):
  names = [escaping.file_name(text) for text in (*HOSTILE, 'a/b', 'a_b', 'CON', 'x' * 300, '.hidden', 'é', '..', '/')]
  assert len({name.lower() for name in names}) == len(names)
  for name in names:
    (tmp_path / f'{name}.tex').write_text('')
    assert name == os.path.basename(name) and len(name) < 100 and name[0] not in '.-'
  assert escaping.file_name('metrics_by_group') == 'metrics_by_group'


def test_a_spreadsheet_runs_no_formula_and_keeps_numbers():
  table = pd.DataFrame(
    {'=name': list(HOSTILE), 'n': np.linspace(-1, 1, len(HOSTILE)), 'words': ['-1.5'] * len(HOSTILE)}
  )
  rows = list(csv.reader(io.StringIO(escaping.spreadsheet(table), newline='')))
  assert rows[0] == ["'=name", 'n', 'words']
  for (name, n, words), text, number in zip(rows[1:], HOSTILE, table['n'], strict=True):
    assert (
      name in (text, f"'{text}")
      and not name.lstrip().startswith(('=', '-', '@'))
      and float(n) == number
      and words == '-1.5'
    )
  assert [row[0] for row in rows[1:]].count('+1') == 1  # a number


class _Tags(html.parser.HTMLParser):
  def __init__(self, text):
    super().__init__()
    self.tags, self.attributes, self.shown, self.script = [], [], '', False
    self.feed(text)

  def handle_starttag(self, tag, attributes):
    self.tags.append(tag)
    self.attributes += attributes

  def handle_data(self, data):
    self.shown += data


def _is_inert(text, scripts):
  page = _Tags(text)
  assert page.tags.count('script') == scripts and 'img' not in page.tags
  assert not [name for name, _ in page.attributes if name.startswith('on')]
  assert all(value.startswith('#') for name, value in page.attributes if name in ('href', 'src'))
  return page.shown


@pytest.fixture
def hostile(tmp_path):
  """Two evaluations whose names and phrasings are code elsewhere."""
  for name, label, accuracy in (('a', HOSTILE[0], 0.9), ('b', HOSTILE[3] + HOSTILE[1], 0.7)):
    run = Run.open(str(tmp_path / name), label=label, fingerprint={'tasks': {'first': 'x', 'second': 'y'}, 'seed': 0})
    for task, dataset in (('first', '-rf ../../x_{$y$}|<b>&amp;\\'), ('second', '_hidden $')):
      table = scores_table(label, 'D', {'observed': accuracy, 'unobserved': accuracy - 0.2})
      table['instruction_id'] = table['instruction_id'].str.replace('D/u1', '../../u1 {"x": "<b>$"}')
      run.add_shard(task, table.assign(dataset=dataset))
    ids = table['instruction_id'].unique()
    run.finish({i: f'{HOSTILE[n % len(HOSTILE)]} {{x}}' for n, i in enumerate(ids)}, {})
  return str(tmp_path / 'a'), str(tmp_path / 'b')


def test_a_report_lets_nothing_in(hostile, tmp_path):
  out = tmp_path / 'report'
  page.write(hostile, str(out))
  shown = _is_inert((out / 'report.html').read_text(), 3)
  assert HOSTILE[0] in shown and '**b** _e_ @you$x_{1}$' in shown
  for line in (out / 'report.md').read_text().splitlines():
    active = re.sub(r'\\(?:[^\w\s]|_)', '', line)
    assert '](http' not in active and '<' not in active and '`' not in active
    if line.startswith('|'):
      assert active.count('|') == len(re.findall(r'(?<!\\)\|', line))
  for path in (out / 'tables').glob('*.tex'):
    lines = path.read_text().splitlines()
    for row in lines[lines.index(r'\midrule') + 1 : lines.index(r'\bottomrule')]:
      assert row.endswith(r' \\') and not row.startswith(('[', '*'))
      cells = re.split(r'(?<!\\) & ', row.removesuffix(r' \\'))
      for cell in cells:
        latex_tokens(cell.replace(r'{\small ', '{'))
  for path in out.rglob('*.csv'):
    assert not [c for row in csv.reader(path.open(newline='')) for c in row if c.startswith(('=', '@', '-rf'))]


def test_a_comparison_lets_nothing_in(hostile, tmp_path):
  out = tmp_path / 'compared'
  compared = compare_two(*hostile)
  effects.write(compared, analysed(compared), str(out))
  assert sorted(p.suffix for p in out.iterdir()) == ['.csv', '.csv', '.md', '.pdf', '.png', '.tex', '.tex']
  assert '<script' not in (out / 'compare.md').read_text()


def test_pictures_show_names_as_they_are(hostile):
  inputs = read(hostile)
  figure = plots.overview(inputs, summarise(inputs))
  texts = figure.findobj(matplotlib_text.Text)
  assert not any(text.get_parse_math() for text in texts)
  figure.draw_without_rendering()
  labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
  assert labels == [escaping.picture(model) for model in inputs.models]
  assert escaping.picture('_x') == ' _x' and len(escaping.picture('x' * 1000)) == 40
  plots.plt.close(figure)


def test_a_sweep_page_lets_nothing_in(tmp_path):
  table, _ = sweep_tables.rows()
  table['objectives'] = table['objectives'].replace({'kl': HOSTILE[0], 'js': HOSTILE[3]})
  table['trial'] = table['trial'].str.replace('kl', HOSTILE[11])
  table.loc[1, ['status', 'error']] = ['failed', HOSTILE[0]]
  path = tmp_path / 'sweep.html'
  sweep_page.write(str(path), table, {'objectives': [HOSTILE[0], HOSTILE[3]], 'ADAPTER_LENGTH': [4, 16]}, HOSTILE[0])
  assert HOSTILE[0] in _is_inert(path.read_text(), 1)


def test_a_table_s_label_and_files_take_any_name():
  table = Table('compare_../x{}', 'c', (Column('a'),), [('x',)])
  assert r'\label{tab:compare-..-x}' in table.latex() and '/' not in table.stem


@pytest.mark.parametrize('start', ['=', '+', '-', '@', '\t=', '\ufeff=', '＝', '＋', '－', '＠'])
def test_every_sign_that_begins_a_formula_is_seen(start):
  assert escaping.spreadsheet(pd.DataFrame({'a': [f'{start}SUM(1)']})) == f"a\n'{start}SUM(1)\n"
