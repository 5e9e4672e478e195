"""Backbones of two families, and none remembered from the test before."""

import pytest
from tiny_backbones import FAMILIES, params_of

from robust_t5x.checkpoints import backbones


@pytest.fixture(params=FAMILIES)
def family(request):
  config = FAMILIES[request.param]
  return config, params_of(config)


@pytest.fixture(autouse=True)
def _forget():
  backbones.open_backbone.cache_clear()
  backbones.backbone_hash.cache_clear()
