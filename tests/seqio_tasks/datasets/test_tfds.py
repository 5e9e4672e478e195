"""Tests of the benchmarks that tensorflow-datasets holds."""

import pytest

from seqio_tasks import datasets, suites
from seqio_tasks.datasets import _tfds


@pytest.mark.usefixtures('empty_registries')
def test_glue_and_super_natural_instructions(vocabulary, monkeypatch):
  rows = {
    'super_glue/rte': [{'premise': 'p', 'hypothesis': 'h', 'label': 1, 'idx': 7}],
    'super_glue/copa': [{'premise': 'p', 'question': 'cause', 'choice1': 'c1', 'choice2': 'c2', 'label': 1, 'idx': 3}],
    'natural_instructions': [
      {'id': f't-{i}', 'task_name': 't', 'definition': 'd', 'input': f'i{i}', 'output': 'o'} for i in range(20)
    ],
  }
  monkeypatch.setattr(_tfds, '_rows', lambda name, *args: iter(rows[name]))
  for cached in (_tfds._read_glue, _tfds._read_niv2, _tfds._all_niv2):
    cached.cache_clear()
  rte, copa = datasets.glue(['super_glue/rte', 'super_glue/copa'])
  (example,) = rte.splits['test']()
  assert example['fields']['text'] == 'Premise: p\nHypothesis: h' and example['gold'] == 'not entailment'
  (example,) = copa.splits['train']()
  assert (example['options'], example['gold']) == (['c1', 'c2'], 'c2')
  (niv2,) = datasets.super_natural_instructions(['t'])
  assert (len(niv2.splits['train']()), len(niv2.splits['test']())) == (18, 2)
  names = suites.register(vocabulary, [[rte, copa], [niv2]])
  assert 'super_glue_eval_unobserved' in names and 'niv2_t_eval_unobserved' in names
  rows['super_glue/rte'][0]['label'] = -1
  _tfds._read_glue.cache_clear()
  with pytest.raises(datasets.DatasetError, match='has no labels, use validation'):
    rte.splits['test']()
  with pytest.raises(datasets.DatasetError, match='unknown tasks'):
    datasets.glue(['glue/xyz'])


def test_tensorflow_datasets_are_read_from_disk(tmp_path):
  """A dataset in the format of tensorflow-datasets, under the name and features of the real one."""
  import tensorflow as tf
  import tensorflow_datasets as tfds

  features = tfds.features.FeaturesDict(
    {n: tfds.features.Text() for n in ('id', 'input', 'output', 'task_name', 'definition')}
  )
  columns = {'id': [f't-{i}' for i in range(4)], 'input': [f'i{i}' for i in range(4)]}
  columns |= {'output': ['o'] * 4, 'task_name': ['t'] * 4, 'definition': ['d'] * 4}
  rows = tf.data.Dataset.from_tensor_slices(columns)
  tfds.dataset_builders.store_as_tfds_dataset(
    name='natural_instructions', version='1.0.0', features=features, split_datasets={'train': rows},
    data_dir=tmp_path, config='default', disable_shuffling=True,
  )  # fmt: skip
  _tfds._all_niv2.cache_clear()
  (dataset,) = datasets.super_natural_instructions(['t'], str(tmp_path), '1.0.0', test_percent=50)
  assert [e['fields']['input'] for e in dataset.splits['test']()] == ['i2', 'i3']
  (missing,) = datasets.glue(['glue/rte'], str(tmp_path / 'nothing'), '0.0.1')
  with pytest.raises(datasets.DatasetError, match='cannot read glue/rte:train .*--tfds_data_dir'):
    missing.splits['train']()
