"""What a report's page, tables and pictures hold."""

import html.parser
import json
import re

import helpers
import numpy as np
import pandas as pd
import pytest

from robust_t5x import report
from robust_t5x.analysis import statistics
from robust_t5x.reports import charts, content, tables
from robust_t5x.reports import inputs as inputs_lib
from robust_t5x.reports import page as page_lib
from robust_t5x.results import reading


@pytest.fixture(scope='module')
def evaluations(tmp_path_factory):
  base = tmp_path_factory.mktemp('evaluations')
  before = helpers.write_evaluation(base / 'before', 'no adapter', {'observed': 0.95, 'unobserved': 0.5})
  after = {'observed': 0.95, 'unobserved': 0.8}
  return before, [helpers.write_evaluation(base / f'after{seed}', 'aligned', after, seed) for seed in (1, 2)]


class _Page(html.parser.HTMLParser):
  """Elements, texts and references of a page; open elements must close in order."""

  _VOID = ('meta', 'link', 'img', 'br', 'wbr', 'input', 'hr')

  def __init__(self, text):
    super().__init__()
    self.open, self.points, self.references, self.data = [], [], [], {}
    self.feed(text)

  def handle_starttag(self, tag, attributes):
    attributes = dict(attributes)
    self.references += [v for k, v in attributes.items() if k in ('src', 'href', 'srcset', 'data', 'action')]
    if tag == 'use' and 'data-p' in attributes:
      self.points.append((int(attributes['data-p']), attributes['class']))
    if tag not in self._VOID:
      self.open.append((tag, attributes.get('id')))

  def handle_startendtag(self, tag, attributes):
    self.handle_starttag(tag, attributes)
    if tag not in self._VOID:
      self.handle_endtag(tag)

  def handle_endtag(self, tag):
    assert self.open.pop()[0] == tag

  def handle_data(self, text):
    if self.open and self.open[-1][0] in ('script', 'style'):
      self.data.setdefault(self.open[-1][1] or self.open[-1][0], text)


def test_the_page_stands_alone(evaluations, tmp_path):
  before, after = evaluations
  page_lib.write([before, *after], str(tmp_path))
  text = (tmp_path / 'report.html').read_text()
  page = _Page(text)
  assert page.open == []
  assert all(reference.startswith('#') for reference in page.references)
  assert 'url(' not in page.data['style'] and '@import' not in page.data['style']
  assert 'http' not in page.data['script'] and 'fetch(' not in page.data['script']
  anchors = [r[1:] for r in page.references if not r.startswith('#s-')]
  assert anchors and all(f'id="{a}"' in text for a in anchors)
  assert all(f'id="{r[1:]}"' in text for r in page.references if r.startswith('#s-'))


def test_every_phrasing_is_a_point_for_each_model(evaluations, tmp_path):
  before, after = evaluations
  page_lib.write([before, *after], str(tmp_path))
  page = _Page((tmp_path / 'report.html').read_text())
  listed = json.loads(page.data['phrasing-data'])
  expected = pd.read_csv(tmp_path / 'phrasings.csv')
  assert len(listed) == len(expected) == 10
  assert sorted(page.points) == sorted(
    (p, f'pt m{m}{" hollow" if listed[p][1] == "observed" else ""}') for p in range(10) for m in range(2)
  )
  for row in expected.itertuples():
    found = [p for p in listed if p[0] == row.dataset and p[2] == row.instruction_id]
    assert len(found) == 1
    assert found[0][3] == row.template
    assert found[0][4] == pytest.approx(
      [expected.loc[row.Index, 'no adapter'], expected.loc[row.Index, 'aligned']], abs=1e-4
    )


def test_outputs_of_best_and_worst(evaluations):
  before, _ = evaluations
  table = reading.read(before)[0]
  mean = table[table['dataset'] == 'first'].groupby('instruction_id')['score'].mean()
  best, worst = mean.idxmax(), mean.idxmin()
  shown = content.examples(table, best, worst, 'first', most=2)
  score = table.set_index(['instruction_id', 'example_id'])['score']
  assert len(shown) == 2
  assert all(score[best, row[0]] == 1 and score[worst, row[0]] == 0 for row in shown)


def test_latex_is_balanced_and_escaped():
  table = tables.Table(
    'x', 'A 50% share of a_b & c', (tables.Column('name_1'), tables.Column('gap', 'points')),
    [('{x} & \\cmd $5 #1 ~ ^', statistics.Interval(-0.01, -0.02, 0.0)), ('a|b\nc', None)],
  )  # fmt: skip
  text = table.latex()
  bare = re.sub(r'\\[{}]', '', text)
  assert bare.count('{') == bare.count('}')
  assert re.findall(r'\\begin\{(\w+)\}', text) == re.findall(r'\\end\{(\w+)\}', text)[::-1]
  body = text.split(r'\midrule')[1].split(r'\bottomrule')[0]
  rows = [line for line in body.splitlines() if line]
  assert [len(re.findall(r'(?<!\\)&', row)) for row in rows] == [1, 1]
  assert r'\{x\} \& \textbackslash{}cmd \$5 \#1 \textasciitilde{} \textasciicircum{}' in rows[0]
  assert r'$-$1.0 {\small [$-$2.0, 0.0]} \\' in rows[0]
  assert not re.search(r'(?<!\\)[%#_]', body)
  assert table.frame()['gap low'].tolist()[0] == -0.02


@pytest.mark.parametrize(
  ('value', 'kind', 'expected'),
  [
    (0.4753, 'percent', '47.5%'), (-0.00001, 'points', '0.0'), (-0.0123, 'points', '\u22121.2'), (0.0123, 'points', '+1.2'),
    (None, 'percent', ''), (np.nan, 'number', ''), (0.0004, 'p', '< 0.001'), (0.0312, 'p', '0.031'), (12345, 'count', '12,345'),
    (statistics.Interval(0.5, 0.4, 0.6), 'percent', '50.0% [40.0%, 60.0%]'),
    (statistics.Interval(0.5, np.nan, np.nan), 'percent', '50.0%'),
  ],
)  # fmt: skip
def test_cells_read_as_they_should(value, kind, expected):
  assert tables.text(value, kind) == expected


@pytest.mark.parametrize(
  ('name', 'family', 'size'),
  [
    # Published sizes: Flan-T5 of 80M, 250M, 780M, 3B, 11B (Chung et al. 2022, table 1), to two digits.
    ('flan-t5-small', 'flan-t5', 80e6), ('Flan-T5-Base', 'flan-t5', 250e6), ('flan_t5_large', 'flan_t5', 780e6),
    ('Flan-T5-XL', 'flan-t5', 3e9), ('flan-t5-xxl', 'flan-t5', 11e9), ('Alpaca-7B', 'alpaca', 7e9), ('T0-3B', 't0', 3e9),
    ('t5-base', 't5', 220e6),
  ],
)  # fmt: skip
def test_sizes_told_by_names(name, family, size):
  found = content.family_and_size(name)
  assert found[0] == family
  assert found[1] == pytest.approx(size, rel=0.06)


def test_names_without_a_size():
  assert content.family_and_size('T0++') is None
  assert content.family_and_size('with aligned adapter') is None


def test_accuracies_per_phrasing(tmp_path):
  """Models with phrasings of their own stand side by side; parts that need outputs say so."""
  rows = [('flan-t5-small', 'observed', 'a', 0.6), ('flan-t5-small', 'observed', 'b', 0.7)]
  rows += [('flan-t5-base', 'observed', 'a', 0.8), ('flan-t5-base', 'observed', 'b', 0.8)]
  rows += [('alpaca-7b', 'observed', 'c', 0.5), ('alpaca-7b', 'observed', 'd', 0.7)]
  rows += [
    (m, 'unobserved', u, s)
    for m, s in (('flan-t5-small', 0.4), ('flan-t5-base', 0.6), ('alpaca-7b', 0.5))
    for u in 'ef'
  ]
  table = pd.DataFrame(rows, columns=['model', 'group', 'instruction_id', 'score']).assign(dataset='d')
  table.to_csv(tmp_path / 'table.csv', index=False)
  page_lib.write([str(tmp_path / 'table.csv')], str(tmp_path / 'out'))
  page = (tmp_path / 'out/report.html').read_text()
  assert 'Outputs need the answers to every example' in page
  assert 'Case-level metrics and PSS need the scores of every example' in page
  metrics = pd.read_csv(tmp_path / 'out/metrics.csv').set_index(['model', 'group', 'metric'])['estimate']
  assert metrics['alpaca-7b', 'gap', 'observed gap'] == pytest.approx(0.5 - 0.6)
  assert metrics['flan-t5-base', 'gap', 'observed gap'] == pytest.approx(0.6 - 0.8)
  inputs = inputs_lib.read([str(tmp_path / 'table.csv')])
  assert set(inputs.models) == {'flan-t5-small', 'flan-t5-base', 'alpaca-7b'}
  families = content.scaling(inputs)
  assert [[m.model for m in f.members] for f in families] == [['flan-t5-small', 'flan-t5-base']]
  scaling = pd.read_csv(tmp_path / 'out/tables/scaling.csv')
  assert scaling['observed'].tolist() == pytest.approx([0.65, 0.8])


def test_many_points_are_thinned_to_ranks(monkeypatch):
  monkeypatch.setattr(charts, 'MAX_POINTS', 40)
  accuracy = np.linspace(0, 1, 500)
  frame = pd.DataFrame(
    {'dataset': 'd', 'group': 'all', 'instruction_id': [f'i{i}' for i in range(500)], 'template': None, 'm': accuracy}
  )
  strips = charts.strips(frame, ['m'])
  assert (strips['total'], strips['drawn']) == (500, 40)
  drawn = [p[4][0] for p in json.loads(strips['json'])]
  assert min(drawn) == 0
  assert max(drawn) == 1
  assert np.diff(sorted(drawn)).max() < 0.03


def test_sampled_cells_are_said_and_estimated(evaluations, tmp_path):
  before, _ = evaluations
  table, record = reading.read(before)
  number = table['example_id'].str[1:].astype(int)
  kept = table[(number + table['instruction_id'].str[-1].astype(int)) % 2 == 0]
  sampled = tmp_path / 'sampled'
  sampled.mkdir()
  kept.to_parquet(sampled / 'results.parquet')
  record['fingerprint']['cells'] = {'budget': 0.5, 'seed': 0}
  (sampled / 'run.json').write_text(json.dumps(record))
  assert report.main([str(sampled), '--out', str(tmp_path / 'out')]) == 0
  text = (tmp_path / 'out/report.md').read_text()
  assert 'Only a sample of the cells of no adapter was evaluated (CELL_BUDGET 0.5, seed 0)' in text
  estimates = pd.read_csv(tmp_path / 'out/tables/estimates.csv')
  assert estimates['cells evaluated'].tolist() == ['40 of 80', '60 of 120'] * 2
  assert (estimates['mean low'] <= estimates['mean']).all()
  assert (estimates['worst'] <= estimates['median']).all()


def test_the_finding_of_many_models_gives_the_range(tmp_path):
  rows = [
    {
      'model': f'm{m}',
      'dataset': 'd',
      'group': group,
      'instruction_id': f'{group}{i}',
      'score': 0.1 * m + shift + 0.01 * i,
    }
    for m in range(1, 6)
    for group, shift in (('observed', 0.2), ('unobserved', 0.2 - 0.04 * (m - 2)))
    for i in range(4)
  ]
  pd.DataFrame(rows).to_csv(tmp_path / 't.csv', index=False)
  text = page_lib.write([str(tmp_path / 't.csv')], str(tmp_path / 'out'))
  assert text.startswith(
    'Over 1 task, the accuracy of 5 models runs from 31.5% (m1) to 71.5% (m5) under observed phrasings'
  )
  assert 'The interval of the gap lies below zero for 3 of 5 models; the gap runs from \u221212.0 points' in text
