"""Rounds of cells: balanced, random under a seed, each group by itself, and what is kept is taken up again."""

import types
import zlib

import numpy as np
import pandas as pd
import pytest

from robust_t5x.evaluation import stopping
from robust_t5x.evaluation.stopping import Rounds
from robust_t5x.results.runs import Run
from robust_t5x.results.schema import COLUMNS, ResultsError
from robust_t5x.runtime.errors import UsageError


def task(dataset, group, examples=50, phrasings=4):
  rows = [{'example_id': f'e{e}', 'instruction_id': f'{group}{i}'} for e in range(examples) for i in range(phrasings)]
  return types.SimpleNamespace(name=f'{dataset}_{group}', dataset=dataset, group=group), rows


TASKS = [task('d', 'observed'), task('d', 'unobserved'), task('long', 'unobserved', 100, 2)]


def score_of(right):
  """Scores tasks by `right`, of a row, and keeps what was asked."""
  asked = []

  def score(parts, on_done):
    rows = [(t, row) for t, own in parts for row in own]
    on_done(len(rows))
    asked.append([(t.name, row['example_id'], row['instruction_id']) for t, row in rows])
    blank = dict.fromkeys(COLUMNS, '')
    return pd.DataFrame(
      [
        blank | row | {'dataset': t.dataset, 'group': t.group, 'score': float(right(t, row)), 'matched_option': True}
        | dict.fromkeys(('truncated_tokens', 'cut_answer_tokens', 'tied_options', 'strict_score', 'extracted_score'), 0)
        for t, row in rows
      ]
    )  # fmt: skip

  return score, asked


def hash_of(row):
  """A number of a cell that looks random."""
  return zlib.crc32(f'{row["example_id"]} {row["instruction_id"]}'.encode())


def test_rounds_are_balanced_random_and_the_seeds():
  rounds = Rounds(TASKS, 0.05, seed=0)
  seen = [set(), set(), set()]
  for _ in range(5):
    drawn = rounds.next(np.array([True, True]))
    assert [t for t, _ in drawn] == [0] * 4 + [1] * 4 + [2] * 2
    for t, places in drawn:
      assert not seen[t] & set(places)
      seen[t] |= set(places)
      assert len({TASKS[t][1][p]['instruction_id'] for p in places}) == 1
    per_task = [{len(places) for of, places in drawn if of == t} for t in range(3)]
    assert all(len(counts) == 1 for counts in per_task)  # as many of each phrasing
  first = [places.tolist() for _, places in Rounds(TASKS, 0.05, seed=0).next(np.array([True, True]))]
  again = [places.tolist() for _, places in Rounds(TASKS, 0.05, seed=0).next(np.array([True, True]))]
  other = [places.tolist() for _, places in Rounds(TASKS, 0.05, seed=1).next(np.array([True, True]))]
  assert first == again != other
  # A task keeps its order whatever others there are.
  alone = Rounds(TASKS[2:], 0.05, seed=0).next(np.array([True]))
  assert [places.tolist() for _, places in alone] == first[-2:]


def test_every_dataset_counts_alike_and_each_group_stops_by_itself():
  """Observed: all right. Unobserved: d all right, long all wrong, which is half, and not known as soon."""
  score, asked = score_of(lambda t, row: t.dataset == 'd')
  run = types.SimpleNamespace(directory='out', has_shard=lambda name: False, add_shard=lambda name, table: None)
  table, stopped = stopping.evaluate(TASKS, 0.1, 0, score, run, 'model')
  groups = stopped['groups']
  assert groups['observed']['estimate'] == 1.0 and groups['unobserved']['estimate'] == 0.5
  assert groups['observed']['evaluated'] < groups['unobserved']['evaluated'] < 400
  assert groups['observed']['cells'] == 200 and groups['unobserved']['cells'] == 400
  assert len(table) == sum(map(len, asked)) == stopped['gap']['evaluated']
  assert stopped['gap']['estimate'] == -0.5 and stopped['gap']['low'] < -0.5 < stopped['gap']['high'] < 0
  assert all(valid['high'] - valid['low'] <= 0.2 for valid in groups.values())
  assert stopped['rounds'] == len(asked)
  # The rows are in the order of tasks, examples and phrasings.
  order = [(t.name, r['example_id'], r['instruction_id']) for t, rows in TASKS for r in rows]
  made = list(zip(table['dataset'] + '_' + table['group'], table['example_id'], table['instruction_id'], strict=True))
  assert made == [cell for cell in order if cell in set(made)]
  assert stopping.in_words(stopped)[0].startswith('observed: after ')


def test_a_large_dataset_takes_no_more_cells_than_a_small_one():
  """Both count alike in the mean, so that what is asked of them is alike too, until the small one is used up."""
  tasks = [task('small', 'observed', 40, 4), task('large', 'observed', 2000, 4), task('wordy', 'observed', 200, 40)]
  score, asked = score_of(lambda t, row: hash_of(row) % 3 > 0)
  run = types.SimpleNamespace(directory='', has_shard=lambda name: False, add_shard=lambda name, table: None)
  table, stopped = stopping.evaluate(tasks, 0.08, 0, score, run, 'model')
  counts = table.groupby('dataset').size()
  assert counts['small'] == 160 or abs(counts['small'] - counts['large']) <= 4 * stopped['rounds']
  assert counts['large'] < 400 and counts['wordy'] < 800
  valid = stopped['groups']['observed']
  assert valid['low'] < 2 / 3 < valid['high'] and valid['high'] - valid['low'] <= 0.16


def test_what_cannot_be_known_sooner_is_evaluated_whole():
  score, _ = score_of(lambda t, row: row['example_id'] < 'e3')
  run = types.SimpleNamespace(directory='', has_shard=lambda name: False, add_shard=lambda name, table: None)
  table, stopped = stopping.evaluate(TASKS[:1], 0.001, 0, score, run, 'model')
  assert len(table) == 200 and stopped['groups']['observed']['evaluated'] == 200
  assert stopped['groups']['observed']['low'] == pytest.approx(table['score'].mean())
  assert 'gap' not in stopped
  assert stopping.in_words(stopped)[0].startswith('observed: after all cells the mean')


def test_kept_rounds_are_not_asked_again_and_have_to_fit(tmp_path):
  def open_run():
    return Run.open(str(tmp_path), 'model', {'tasks': {}})

  score, asked = score_of(lambda t, row: row['example_id'] < 'e3')
  first, _ = stopping.evaluate(TASKS, 0.1, 0, score, open_run(), 'model')
  before = len(asked)
  again, _ = stopping.evaluate(TASKS, 0.1, 0, score, open_run(), 'model')
  assert len(asked) == before
  pd.testing.assert_frame_equal(first, again)
  # The same tasks named in another order are the same evaluation.
  turned, _ = stopping.evaluate(TASKS[::-1], 0.1, 0, score, open_run(), 'model')
  assert len(asked) == before
  cell = ['dataset', 'group', 'example_id', 'instruction_id']
  pd.testing.assert_frame_equal(*(t.sort_values(cell, ignore_index=True) for t in (first, turned)))
  with pytest.raises(ResultsError, match='the cells of round 1 are not those of this evaluation; delete it'):
    stopping.evaluate(TASKS, 0.1, 1, score, open_run(), 'model')


@pytest.mark.parametrize('width', [0, -1, 50])
def test_widths_that_are_none(width):
  with pytest.raises(UsageError, match='give a number of points above 0 and below 50'):
    stopping.check(width, None)
