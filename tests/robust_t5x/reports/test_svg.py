"""The parts that charts are drawn of."""

from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib import ticker
import numpy as np
import pytest

from robust_t5x.reports import svg


def test_texts_are_escaped_and_markup_is_not():
  made = svg.element('g', svg.title('a < "b"'), class_='x&y', data_p=None, aria_label="it's")
  assert made == Markup('<g class="x&amp;y" aria-label="it&#39;s"><title>a &lt; &#34;b&#34;</title></g>')
  assert ElementTree.fromstring(made)[0].text == 'a < "b"'
  assert svg.title('') == '' and svg.line(0, 1, 2, 3, 'tick') == '<line class="tick" x1="0" x2="2" y1="1" y2="3"/>'


@pytest.mark.parametrize('seed', range(4))
def test_ticks_are_those_that_matplotlib_takes(seed):
  rng = np.random.default_rng(seed)
  for _ in range(200):
    low = rng.random() * 10.0 ** rng.integers(-2, 1)
    high = low + 0.01 + rng.random() * 10.0 ** rng.integers(-2, 1)
    every = ticker.MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high)
    assert svg.round_ticks(low, high) == pytest.approx([t for t in every if low <= t <= high])


def test_a_track_and_its_axis():
  marks = [svg.Mark(0.0, 13, 0), svg.Mark(1.0, 13, 8, hollow=True, title='last', key=4)]
  track = ElementTree.fromstring(svg.track(marks, [(0.0, 1.0, 'span')], (0.5,), focusable=True, bar=0.25))
  lines = [(e.get('class'), e.get('x1'), e.get('x2')) for e in track.iter('line')]
  assert lines == [('tick', '50.00%', '50.00%'), ('span', '2.00%', '98.00%'), ('bar', '26.00%', '26.00%')]
  first, last = track.iter('use')
  assert (first.get('x'), first.get('class'), first.get('href')) == ('2.00%', 'pt m0', '#s-circle')
  assert (last.get('class'), last.get('href'), last.get('data-p')) == ('pt m1 hollow', '#s-circle', '4')
  assert last.find('title').text == 'last'
  axis = ElementTree.fromstring(svg.axis((0.0, 0.5, 1.0), (0.0, 1.0), ('0%', '50%', '100%')))
  assert [(e.get('text-anchor'), e.text) for e in axis] == [('start', '0%'), ('middle', '50%'), ('end', '100%')]


def test_a_plane_has_y_upwards():
  plane = ElementTree.fromstring(
    svg.scatter([svg.Mark(0.0, 0.0, 0), svg.Mark(2.0, 1.0, 0)], [(1.0, 'x')], [(1.0, 'y')], limits=(0, 2, 0, 1))
  )
  assert [(e.get('x'), e.get('y')) for e in plane.iter('use')] == [('9.00%', '92.00%'), ('97.00%', '3.00%')]
  assert [e.text for e in plane.iter('text')] == ['x', 'y']


def test_neighbours_do_not_hide_each_other():
  levels = svg.beeswarm([0.5, 0.5, 0.501, 0.9])
  assert len(set(levels[:3])) == 3 and levels[3] == 13
