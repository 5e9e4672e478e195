"""Some hundred damaged inputs, the same in every run: each is read, or refused in one line that names its file."""

import numpy as np
import pytest

from fuzz import banks, cards, damage, data, files, running, served

TRIES = 300


def test_damaged_inputs_are_read_or_refused_in_a_line():
  names = sorted(running.readers())
  jobs = [(name, seed) for seed in range(-(-TRIES // len(names))) for name in names]
  faults = [r for r in running.run(jobs) if r.outcome in running.FAULTS]
  assert not faults, '\n\n'.join(
    f'{r.outcome}: python -m tests.fuzz --reader {r.reader} --seed {r.seed}\n{r.detail[-600:]}' for r in faults
  )


def test_what_is_not_damaged_is_read(tmp_path, monkeypatch):
  """Otherwise a reader that refuses everything would pass."""
  monkeypatch.setattr(damage, 'text', lambda rng, content: content.encode())
  monkeypatch.setattr(damage, 'binary', lambda rng, data: data)
  monkeypatch.setattr(damage, 'tree', lambda rng, value: value)
  monkeypatch.setattr(files, '_one_damaged', lambda rng, whole: (dict(whole), min(whole)))
  known = running.readers()
  for module in (banks, cards, data, files, served):
    for number, name in enumerate(module.READERS):
      directory = tmp_path / f'{module.__name__}-{number}'
      directory.mkdir()
      running.made(name, 1, directory, known)()


@pytest.mark.parametrize('seed', range(20))
def test_damage_is_made_again_by_its_seed_and_leaves_the_original(seed):
  tree = {'a': [1, 'text', {'b': None}], 'c': 2.5}
  twice = [
    (
      damage.binary(np.random.default_rng(seed), b'bytes'),
      damage.text(np.random.default_rng(seed), 'one 1\ntwo 2\n'),
      repr(damage.tree(np.random.default_rng(seed), tree)),
    )
    for _ in range(2)
  ]
  assert twice[0] == twice[1]
  assert tree == {'a': [1, 'text', {'b': None}], 'c': 2.5}
