"""Tiny T5s of Hugging Face with what they computed; see tests/data/hf_t5."""

import pathlib

import numpy as np

from robust_t5x.checkpoints import hf_config, huggingface
from robust_t5x.models import t5, trainable

HF = pathlib.Path(__file__).parent / 'data' / 'hf_t5'
KINDS = ('v1_1', 'v1_0')


def read(directory):
  """The parameters in a directory, nested."""
  source = huggingface.HuggingFaceBackbone(str(directory))
  return trainable.unflatten({name: source.read(name) for name in source.shapes})


def reference(kind):
  """(network, parameters, what Hugging Face computed) of a kind."""
  directory = HF / kind
  config = hf_config.load_config(directory)
  params = read(directory)
  return t5.Transformer(config), params, np.load(directory / 'reference.npz')
