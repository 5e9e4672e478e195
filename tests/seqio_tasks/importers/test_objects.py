"""Tests of classes and scopes of code that is read."""

import pytest

from seqio_tasks.importers.objects import Class, Scope
from seqio_tasks.importers.symbols import Unsupported


def test_members_are_looked_up_in_the_bases():
  base = Class('Base', [], {'x': 1, 'y': 2})
  derived = Class('Derived', [base], {'x': 3})
  assert (derived.find('x'), derived.find('y'), derived.find('z')) == (3, 2, None)
  assert derived.find('x', after=derived) == 1
  assert [c.name for c in derived.order()] == ['Derived', 'Base']


def test_names_are_looked_up_outwards():
  class_ = Class('C', [], {})
  inner = Scope({'x': 1}, Scope({'x': 2, 'y': 3}, None, class_))
  assert (inner.get('x'), inner.get('y'), inner.class_) == (1, 3, class_)
  with pytest.raises(Unsupported, match='the name z is not known'):
    inner.get('z')
