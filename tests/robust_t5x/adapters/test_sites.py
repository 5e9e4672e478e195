"""Sites: what a projection is called and of which kind it is."""

import pytest
from tiny_adapters import CONFIG, PROJECTED

from robust_t5x import adapters

SIDE = adapters.Side((8,), ('embed',))


@pytest.mark.parametrize(
  ('name', 'kind'), [('query', 'query'), ('wo', 'wo'), ('wi', 'wi'), ('wi_0', 'wi'), ('wi_1', 'wi')]
)
def test_the_kind_is_the_name_without_its_number(name, kind):
  assert adapters.Projection(name, SIDE, SIDE).kind == kind


def test_the_sites_of_a_t5():
  """One of them reads the input, and low-rank additions can name every projection."""
  assert [site.name for site in CONFIG.sites if site.reads] == ['encoder']
  assert {site.name: tuple(p.name for p in site.projections) for site in CONFIG.sites} == PROJECTED
  assert {p.kind for site in CONFIG.sites for p in site.projections} == set(adapters.PROJECTIONS)
