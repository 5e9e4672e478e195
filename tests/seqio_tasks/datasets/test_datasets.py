"""Tests of all benchmarks' readers together: wrong directories, and the published data where they are present."""

import pytest

from seqio_tasks import datasets


@pytest.mark.parametrize('read', [datasets.mmlu, datasets.bigbench, datasets.bbh, datasets.lmentry])
def test_a_wrong_directory_or_name_is_told(tmp_path, read):
  with pytest.raises(datasets.DatasetError, match=str(tmp_path)):
    read(tmp_path)


def test_the_published_data(shared_data):
  mmlu = datasets.mmlu(shared_data / 'mmlu', strict=True)
  assert len(mmlu) == 58 and len(mmlu[-1].splits['test']()) == 14042
  sizes = {d.name: len(d.splits['test']()) for d in datasets.bigbench(shared_data / 'bigbench')}
  assert (
    sizes['bigbench_strategyqa'] == 2290 and sizes['bigbench_language_identification'] == 9998
  )  # two inputs are blank
  assert sum(sizes.values()) == 44270
  assert len(datasets.bbh(shared_data / 'bbh')) == 19
  assert len(datasets.lmentry(shared_data / 'lmentry')) == 25
