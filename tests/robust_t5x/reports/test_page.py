"""What a report's page holds."""

import html.parser
import json

import pandas as pd
import pytest

from robust_t5x.reports.inputs import read as read_inputs
from robust_t5x.reports.page import write
from robust_t5x.reports.scaling import find_families


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
  write([before, *after], str(tmp_path))
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
  write([before, *after], str(tmp_path))
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


def test_datasets_that_a_mean_is_without_are_told_below_it(tmp_path):
  """One dataset has a single phrasing, and on another every answer is the same, so that it has no kappa."""
  rows = [('one', 'i', e, e % 2) for e in range(6)]
  rows += [(d, i, e, d == 'same' or (e + i) % 3 > 0) for d in ('d', 'same') for i in range(3) for e in range(6)]
  table = pd.DataFrame(rows, columns=['dataset', 'instruction_id', 'example_id', 'score'])
  table.assign(prediction=table['score'].astype(int)).to_csv(tmp_path / 'm.csv', index=False)
  write([str(tmp_path / 'm.csv')], str(tmp_path / 'out'))
  text = (tmp_path / 'out/report.md').read_text()
  for names in ('sd', 'spread', 'spread, sd, case-level sd and PSS', 'PSS and consistency'):
    assert (
      f'The mean of {names} under all phrasings is without 1 of 3 datasets (one): no two phrasings to compare.' in text
    )
  assert (
    "The mean of Fleiss' kappa under all phrasings is without 2 of 3 datasets (one and same): no two answers" in text
  )
  metrics = pd.read_csv(tmp_path / 'out/metrics.csv').set_index('metric')['estimate']
  assert metrics['PSS'] == pytest.approx((2 / 3 + 0) / 2)


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
  write([str(tmp_path / 'table.csv')], str(tmp_path / 'out'))
  page = (tmp_path / 'out/report.html').read_text()
  assert 'Outputs need the answers to every example' in page
  assert 'Case-level metrics and PSS need the scores of every example' in page
  metrics = pd.read_csv(tmp_path / 'out/metrics.csv').set_index(['model', 'group', 'metric'])['estimate']
  assert metrics['alpaca-7b', 'gap', 'observed gap'] == pytest.approx(0.5 - 0.6)
  assert metrics['flan-t5-base', 'gap', 'observed gap'] == pytest.approx(0.6 - 0.8)
  inputs = read_inputs([str(tmp_path / 'table.csv')])
  assert set(inputs.models) == {'flan-t5-small', 'flan-t5-base', 'alpaca-7b'}
  families = find_families(inputs)
  assert [[m.model for m in f.members] for f in families] == [['flan-t5-small', 'flan-t5-base']]
  scaling = pd.read_csv(tmp_path / 'out/tables/scaling.csv')
  assert scaling['observed'].tolist() == pytest.approx([0.65, 0.8])


def test_a_gap_that_a_later_model_has_alone(tmp_path):
  """The first two models have no unobserved phrasings, so that the second's gap has no change, which none of the page's parts draws."""
  pairs = [('a', 'observed'), ('b', 'observed'), ('c', 'observed'), ('c', 'unobserved')]
  rows = [(m, g, f'{g}{i}', 0.5 + 0.1 * i) for m, g in pairs for i in range(2)]
  table = pd.DataFrame(rows, columns=['model', 'group', 'instruction_id', 'score']).assign(dataset='d')
  table.to_csv(tmp_path / 'table.csv', index=False)
  found = write([str(tmp_path / 'table.csv')], str(tmp_path / 'out'))
  assert 'B, accuracy changes under observed phrasings by 0.0 points' in found and 'the gap by' not in found
  for name in ('report.html', 'report.md'):
    assert 'nan' not in (tmp_path / 'out' / name).read_text()
