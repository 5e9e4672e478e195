"""Benchmarks as data: where their examples are, and which phrasings serve them.

Every function here returns `Dataset`s without reading examples, as far as it can; these are read when a split is asked for.
Examples are dictionaries of example_id, fields, gold and options, and where they matter gold_index (which option is right,
where two read alike) and alternatives (what else is right). `item_of` makes an example what a layout is filled in with.

A row that cannot be used is left out, with a warning that names file and line, and counted by reason in `readings`; with
strict=True it is an error.

A benchmark of your own is one more function in a file here; `suites.register` makes tasks of what it returns.
"""

from seqio_tasks.datasets._bbh import bbh
from seqio_tasks.datasets._bigbench import bigbench
from seqio_tasks.datasets._lmentry import lmentry
from seqio_tasks.datasets._mini import mini
from seqio_tasks.datasets._mmlu import mmlu
from seqio_tasks.datasets._table import table
from seqio_tasks.datasets._tfds import glue, super_natural_instructions
from seqio_tasks.datasets.sources import Dataset, DatasetError, Example, OwnPhrasings, item_of, readings

__all__ = [
  'Dataset',
  'DatasetError',
  'Example',
  'OwnPhrasings',
  'bbh',
  'bigbench',
  'glue',
  'item_of',
  'lmentry',
  'mini',
  'mmlu',
  'readings',
  'super_natural_instructions',
  'table',
]
