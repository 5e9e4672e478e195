"""The page of a sweep: what it says, and what its drawings hold."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
import sweep_tables

from robust_t5x.sweeps import page


def test_an_interval_over_seeds_is_students():
  # Mean 2 and standard error 1 / sqrt(3); the 97.5% quantile of t with 2 degrees of freedom is 4.3027 in every table.
  low, high = page.interval(np.array([1.0, 2.0, 3.0]))
  assert (low, high) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-4)
  assert page.interval(np.array([1.0, 2.0])) == (None, None)


def test_best_is_chosen_by_development_phrasings_alone():
  table, axes = sweep_tables.rows()
  content = page.contents(table, axes, '')
  assert 'No setting is named best' in content['finding'] and content['first'] == 'unobserved AvgP'
  table, axes = sweep_tables.rows(('observed', 'unobserved', 'development'))
  content = page.contents(table, axes, '')
  assert (
    'development phrasings, 52.6%, is that of objectives=js, ADAPTER_LENGTH=16 (30.0% without adapter)'
    in content['finding']
  )
  assert content['first'] == 'development AvgP'
  table['status'] = ['finished'] * 12 + ['failed']
  assert 'development phrasings so far, 52.1%' in page.contents(table, axes, '')['finding']
  table['status'] = ['finished'] * 4 + ['not started'] * 9
  assert page.contents(table, axes, '')['finding'] == '3 of 12 trials are finished: 1 setting.'
  # Seeds 0, 1, 2 of kl with 4 vectors: 0.404, 0.414, 0.424.
  (setting,) = (s for s in content['settings'] if s['at'] == {'objectives': 'kl', 'ADAPTER_LENGTH': 4})
  assert setting['points']['unobserved AvgP'].mean == pytest.approx(0.414)
  assert setting['seeds'] == 3


def test_the_page_is_one_file_whose_drawings_hold_every_seed(tmp_path):
  table, axes = sweep_tables.rows()
  table.loc[1, ['status', 'error']] = ['failed', 'train: <the loss> was not finite']
  path = tmp_path / 'sweep.html'
  page.write(str(path), table, axes, 'robust-t5x sweep')
  text = path.read_text()
  assert not re.search(r'(src|href)=', text)
  assert 'train: &lt;the loss&gt; was not finite' in text
  drawings = [ElementTree.fromstring(d) for d in re.findall(r'<svg viewBox="0 0 440.*?</svg>', text)]
  assert len(drawings) == 4  # two axes, two metrics
  for drawing in drawings:
    kinds = [e.get('class') for e in drawing.iter()]
    assert kinds.count('seed') == 11 and kinds.count('mean') == 4 and kinds.count('baseline') == 1
    assert kinds.count('interval') == 3  # the setting with the failed trial has two seeds left


def test_what_a_baseline_or_a_setting_lacks_is_not_drawn():
  table, axes = sweep_tables.rows(('observed', 'unobserved', 'development'))
  table.loc[0, ['unobserved AvgP', 'development AvgP']] = None  # an evaluation of fewer groups
  table.loc[1:6, 'development AvgP'] = None  # all of kl
  table['observed AvgP'] = None
  content = page.contents(table, axes, '')
  assert content['metrics'] == ['unobserved AvgP', 'development AvgP']
  drawn = {}
  for metric, drawing in content['charts']['ADAPTER_LENGTH'].items():
    kinds = [(e.get('class'), e.get('data-s')) for e in ElementTree.fromstring(drawing).iter()]
    drawn[metric] = [sum(k == kind for k, _ in kinds) for kind in ('baseline', 'mean', 'seed')]
    assert ('mean', '1') in kinds  # js keeps its colour
  assert drawn == {'unobserved AvgP': [0, 4, 12], 'development AvgP': [0, 2, 6]}
  assert 'No setting is named best' in content['finding']
  table.loc[1:6, 'development AvgP'] = 0.3
  assert 'is that of objectives=js, ADAPTER_LENGTH=16. It is' in page.contents(table, axes, '')['finding']
