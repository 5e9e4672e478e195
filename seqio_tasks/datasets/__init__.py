"""Benchmarks as data: where their examples are, and which phrasings of the bank serve them.

Every function here returns `Dataset`s without reading examples; these are read when a split is asked for. Examples are
dictionaries of example_id, fields, gold and options, and where they matter gold_index (which option is right, where two
read alike) and alternatives (what else is right).

A row that cannot be used is left out, with a warning that names file and line; with strict=True it is an error.
"""

from seqio_tasks.datasets._bbh import bbh
from seqio_tasks.datasets._bigbench import bigbench
from seqio_tasks.datasets._lmentry import lmentry_instances
from seqio_tasks.datasets._mmlu import mmlu
from seqio_tasks.datasets._table import table
from seqio_tasks.datasets._tfds import glue, super_natural_instructions
from seqio_tasks.datasets.sources import Dataset, DatasetError, Example

__all__ = [
  'Dataset',
  'DatasetError',
  'Example',
  'bbh',
  'bigbench',
  'glue',
  'lmentry_instances',
  'mmlu',
  'super_natural_instructions',
  'table',
]
