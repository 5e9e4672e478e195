"""Whether the trials of a sweep are made of the same: weights or data that changed under their name are told."""

from collections.abc import Iterable
import os
from typing import NotRequired, TypedDict

from robust_t5x.results.schema import read_record
from robust_t5x.runtime import records
from robust_t5x.sweeps.trial import TrialRun, is_evaluated


class _Trained(TypedDict):
  """What `run.json` of a training run says that it was made of."""

  backbone: dict[str, str] | None
  tasks: NotRequired[dict[str, str]]
  vocabulary: NotRequired[str]


def warnings(runs: Iterable[TrialRun], baselines: dict[str, str]) -> list[str]:
  """Lines that tell what is not the same, and which records cannot be read; empty if all is, or where nothing is recorded.

  Weights are compared among all, data and vocabulary among the seeds of one setting: settings may change these.

  Args:
    runs: the trials.
    baselines: backbone -> directory of its evaluation without an adapter.
  """
  found: dict[str, dict[str, list[str]]] = {}  # of what -> hash -> the directories that were made of it
  told = []

  def saw(what: str, digest: str | None, directory: str) -> None:
    if digest:
      found.setdefault(what, {}).setdefault(digest, []).append(directory)

  for run in runs:
    path = os.path.join(run.directory, 'train', 'run.json')
    if not run.trained or not os.path.isfile(path):
      continue
    try:
      record = records.read(path, _Trained, f'delete {run.directory} to run this trial again')
    except records.RecordError as e:  # the sweep is done, and is not to end in it
      told.append(str(e))
      continue
    backbone = record['backbone'] or {}
    saw(f'the weights in {backbone.get("path")}', backbone.get('sha256'), run.directory)
    saw(f'the vocabulary of {run.record["label"]}', record.get('vocabulary'), run.directory)
    for task, digest in record.get('tasks', {}).items():
      saw(f'{task} of {run.record["label"]}', digest, run.directory)
  for checkpoint, directory in baselines.items():
    if is_evaluated(directory):
      record = read_record(os.path.join(directory, 'run.json'))
      saw(f'the weights in {checkpoint}', record.get('fingerprint', {}).get('backbone'), directory)
  return told + [
    f'{what} changed between runs of this sweep ('
    + '; '.join(f'{digest[:12]}: {", ".join(places)}' for digest, places in by_hash.items())
    + '); delete those of one kind and start again'
    for what, by_hash in found.items()
    if len(by_hash) > 1
  ]
