"""The floor of a step's arithmetic: what a compiled step counts, and a sum by hand."""

import pytest
import small_training

from robust_t5x.training import arithmetic


@pytest.mark.parametrize(
  ('family', 'phrasings', 'canonical_trains'),
  [('t5', 2, True), ('t5', 4, True), ('t5', 4, False), ('llama', 2, True), ('llama', 4, True), ('llama', 4, False)],
)
def test_a_step_costs_what_its_arithmetic_costs(family, phrasings, canonical_trains):
  def flops_of(k):
    return small_training.compile_step(k, family=family)[0].cost_analysis()['flops']

  compiled, least, _ = small_training.compile_step(phrasings, canonical_trains, family)
  flops = compiled.cost_analysis()['flops']
  assert 0.9 < flops / least < 1.1
  if canonical_trains:
    assert flops == pytest.approx(phrasings / 2 * flops_of(2), rel=0.02)
  else:
    # The floor of a branch without gradient is half that of one with it.
    assert flops == pytest.approx(3.5 / 4 * flops_of(4), rel=0.04)


def test_a_step_is_the_sum_over_examples_and_phrasings():
  floor = arithmetic.Floor(forward=10.0, backward=7.0, participating=(1, 1))
  assert floor.step(1, 1) == 17
  assert floor.step(2, 3) == 2 * 3 * 17
  assert floor.step(2, 3, canonical_trains=False) == 2 * (3 * 10 + 2 * 7)
  assert floor.step(2, 1, canonical_trains=False) == 2 * 17  # a phrasing by itself always trains
