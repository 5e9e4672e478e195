"""Response curves: where their parts lie."""

from xml.etree import ElementTree

import pytest

from robust_t5x.sweeps import charts


def test_places_in_a_drawing():
  """Values from 1 to 100 stand on a logarithmic scale, from 1 to 3 on a linear one."""
  a, b, c = charts._positions([1.0, 10.0, 100.0])
  assert b - a == pytest.approx(c - b, abs=0.2)
  a, b, c = charts._positions([0.0, 1.0, 3.0])
  assert 2 * (b - a) == pytest.approx(c - b, abs=0.2)
  many = [charts.Series(str(i), {1: point(0.1 * i), 2: point(0.1 * i)}) for i in range(8)]
  many.append(charts.Series('partial', {1: point(0.9)}))
  drawing = ElementTree.fromstring(charts.draw([1, 2], many, {}, 'x'))
  titles = [e.text for e in drawing.iter('title')]
  assert titles[-2:] == ['mean of 8: 35.0%'] * 2  # the one that lacks a value has no part in the mean
  assert [e.get('class') for e in drawing.iter()].count('seed') == 0


def point(value):
  return charts.Point({0: value, 1: value}, value)
