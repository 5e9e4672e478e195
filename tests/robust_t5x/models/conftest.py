"""The model of letters with random weights; a file with a model of its own overrides it."""

import jax
from letters import model_of_letters
import pytest


@pytest.fixture(scope='session')
def params():
  return jax.jit(model_of_letters().initial_variables)(jax.random.key(0))['params']


@pytest.fixture
def model():
  return model_of_letters()
