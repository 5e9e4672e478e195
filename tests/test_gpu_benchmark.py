"""The benchmark for a GPU, on shapes that any machine has."""

import importlib
import pathlib

import pytest

BENCHMARKS = pathlib.Path(__file__).resolve().parents[1] / 'benchmarks'


@pytest.fixture
def gpu(monkeypatch):
  monkeypatch.syspath_prepend(str(BENCHMARKS))
  return importlib.import_module('gpu')


def test_our_contestants_run_and_know_what_they_need(gpu):
  line = gpu.one('ours step', 'llama_8b', 1, True)
  n = gpu.sizes(True)
  rows = n.examples * n.phrasings
  # Two layers: queries and outputs 2 · 32 · 32, keys and values 2 · 32 · 16, three of the MLP 32 · 48; output layer 32 · 96.
  layers, output = 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48), 32 * 96
  fed = n.targets - 1
  weights = 2 * rows * ((n.inputs + fed) * layers + n.targets * output)
  # Forwards and, through activations, backwards; attention is the rest.
  assert 2 * weights < line['needed_flops'] < 2.4 * weights
  assert line['least'] <= line['seconds'] <= line['greatest'] and line['tiny']


def test_utilisation_is_of_what_ours_needs(gpu):
  line = {'model': 'm', 'device': 'NVIDIA H100 80GB HBM3', 'memory_bytes': 2**31, 'least': 1.0, 'greatest': 3.0}
  ours = line | {'contestant': 'ours step', 'seconds': 2.0, 'needed_flops': 989e12}
  peer = line | {'contestant': 'peft step', 'seconds': 4.0, 'needed_flops': None}
  failed = {'model': 'm', 'contestant': 'peft step', 'error': 'failed: no memory'}
  text = gpu.table([ours, peer, failed])
  assert '| m | ours step | 2.000 | 1.000–3.000 | 50% | 2.0 |' in text
  assert '| m | peft step | 4.000 | 1.000–3.000 | 25% | 2.0 |' in text and 'failed: no memory' in text
