"""The names and shapes of a T5's parameters are those that its network makes."""

from robust_t5x.checkpoints import t5_names


def test_shapes_are_those_of_the_network(family):
  config, flat = family
  assert t5_names.layout(config).shapes() == {name: x.shape for name, x in flat.items()}
  theirs = [name.theirs for name in t5_names.names(config)]
  assert len(set(theirs)) == len(theirs)
