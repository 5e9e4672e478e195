"""Tiny decoders that Hugging Face wrote, and what it computes with them."""

import dataclasses
import functools
import pathlib

import numpy as np

from robust_t5x.checkpoints import huggingface
from robust_t5x.models import trainable

HF = pathlib.Path(__file__).parent / 'data' / 'hf_llama'
KINDS = tuple(sorted(path.name for path in HF.iterdir() if path.is_dir() and not path.name.startswith('__')))


@functools.cache
def read(kind, **more):
  """(network, its parameters, reference), as Hugging Face's files say; `more` sets fields of its configuration."""
  source = huggingface.HuggingFaceBackbone(str(HF / kind))
  params = trainable.unflatten({name: source.read(name) for name in source.shapes})
  with np.load(HF / kind / 'reference.npz') as reference:
    return dataclasses.replace(source.config, **more).network(), params, dict(reference)
