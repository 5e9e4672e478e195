"""Imported bank files, read again."""

import pytest

from seqio_tasks import importers
from seqio_tasks.bank import reading


@pytest.fixture
def written(tmp_path):
  """Function that writes parts as bank files to tmp_path/out; returns the bank that they make, and the counts."""

  def write(parts):
    counts = importers.write('x', parts, tmp_path / 'out')
    return reading.Bank.from_files(sorted((tmp_path / 'out').glob('*.yaml'))), counts

  return write
