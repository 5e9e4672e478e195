"""The verb `recipes`: the list that it prints."""

import pytest

from robust_t5x import __main__ as command
from robust_t5x.runtime import recipes

ALL = [recipe for verb in recipes.VERBS for recipe in recipes.recipes(verb)]


def test_the_list_has_every_command(capsys):
  assert command.main(['recipes']) == 0
  said = capsys.readouterr().out
  for recipe in ALL:
    assert f'  {recipe.command}\n' in said and recipe.purpose.split(':')[0][:60] in ' '.join(said.split())


def test_it_takes_no_recipe(capsys):
  with pytest.raises(SystemExit) as end:
    command.main(['recipes', 'mini'])
  assert end.value.code == 2
  assert 'unrecognized arguments: mini' in capsys.readouterr().err
