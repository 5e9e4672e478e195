"""What training costs a decoder-only model on plain text: its perplexity before and after.

  python benchmarks/plain_text.py OUT

The model is SmolLM2-135M-Instruct, without adapter and with each of OUT/runs/*/adapter.safetensors. The text is Python's own help
on its topics, which comes with Python: windows of 256 tokens from all over it, outside the chat template. A line for each model
goes to OUT/plain_text.csv; those that are there are not read again.
"""

import argparse
import pathlib
from pydoc_data import topics
import sys

import numpy as np
import pandas as pd
from real_model import FROZEN, PLAIN_TEXT

from robust_t5x.checkpoints import loading
from robust_t5x.models.runner import Runner
from robust_t5x.runtime import files

_COLUMNS = ['model', 'log likelihood', 'tokens', 'python']
_WINDOWS, _TOKENS = 64, 256


def windows(ids: list[int]) -> list[list[int]]:
  """Windows at equal distances."""
  starts = np.linspace(0, len(ids) - _TOKENS, _WINDOWS).astype(int)
  return [ids[start : start + _TOKENS] for start in starts]


def _log_likelihood(adapter: str | None) -> tuple[float, int]:
  loaded = loading.load_with_identity('smollm2', adapter)
  read = windows(list(loaded.vocabulary.encode('\n'.join(text for _, text in sorted(topics.topics.items())))))
  begin = np.asarray([loaded.model.ids.end], np.int32)
  scores = Runner(loaded.model, loaded.params, 8, 1).score_continuations(
    [begin] * len(read), [[window] for window in read]
  )
  return sum(float(score[0, 0]) for score in scores), sum(map(len, read))


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('out', type=pathlib.Path)
  out = parser.parse_args().out
  path = out / PLAIN_TEXT
  rows = pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=_COLUMNS)
  adapters = {p.parent.name: str(p) for p in sorted(out.glob('runs/*/adapter.safetensors'))}
  for name, adapter in {FROZEN: None, **adapters}.items():
    if name not in set(rows['model']):
      total, tokens = _log_likelihood(adapter)
      rows.loc[len(rows)] = [name, round(total, 3), tokens, sys.version.split()[0]]
      print(f'{name}: {total:.3f} nats of {tokens} tokens')
      files.write_atomically(str(path), rows.to_csv(index=False))


if __name__ == '__main__':
  main()
