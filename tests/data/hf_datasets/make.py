"""Makes the datasets in this folder with Hugging Face's library.

  pip install datasets
  python tests/data/hf_datasets/make.py

Two splits of questions whose options stand in a structure and whose answer is a class label; `saved` by save_to_disk, `hub` as
Parquet files are laid out on a hub.
"""

import pathlib
import shutil

import datasets

HERE = pathlib.Path(__file__).parent
FEATURES = datasets.Features(
  {
    'question': datasets.Value('string'),
    'choices': {'text': datasets.List(datasets.Value('string')), 'source': datasets.Value('string')},
    'answer': datasets.ClassLabel(names=['A', 'B']),
    'picture': datasets.Value('binary'),
  }
)


def split(first, count):
  rows = [
    {
      'question': f'Which is {i}?',
      'choices': {'text': [f'{i}', f'{i + 1}'], 'source': 'made up'},
      'answer': i % 2,
      'picture': b'\xff',
    }
    for i in range(first, first + count)
  ]
  return datasets.Dataset.from_list(rows, features=FEATURES)


def main():
  made = datasets.DatasetDict({'train': split(0, 2), 'test': split(2, 3)})
  for name in ('saved', 'hub'):
    shutil.rmtree(HERE / name, ignore_errors=True)
  made.save_to_disk(HERE / 'saved')
  (HERE / 'hub' / 'data').mkdir(parents=True)
  for name, part in made.items():
    part.to_parquet(HERE / 'hub' / 'data' / f'{name}-00000-of-00001.parquet')
  for file in HERE.rglob('state.json'):  # holds a fingerprint and nothing that is read
    file.unlink()


if __name__ == '__main__':
  main()
