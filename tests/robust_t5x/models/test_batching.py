"""Batches and their shapes: what holds for all inputs, the least cost by trying all ways, padding and programs counted."""

import itertools

import numpy as np
import pytest

from robust_t5x.checkpoints import vocabularies
from robust_t5x.models import batching
from robust_t5x.models.batching import BATCH_COST, COARSE, FINE, PROGRAM_COST


@pytest.mark.parametrize(('batch_size', 'unit'), [(8, 1), (64, 1), (48, 8), (30, 1), (6, 2)])
@pytest.mark.parametrize('count', [0, 1, 7, 500])
@pytest.mark.parametrize('behind_shared', [False, True])
def test_every_input_is_in_one_batch_that_holds_it(batch_size, unit, count, behind_shared):
  lengths = np.random.default_rng(count).integers(1, 500, count)
  batches = batching.plan_batches(lengths, batch_size, 512, unit, 20, behind_shared)
  assert sorted(i for b in batches for i in b.members) == list(range(count))
  assert [b.length for b in batches] == sorted((b.length for b in batches), reverse=True)
  for batch in batches:
    assert 0 < len(batch.members) <= batch.rows and batch.rows % unit == 0
    assert lengths[batch.members].max() <= batch.length
    assert batch.rows * batch.length <= batch_size * 512


def test_longer_than_the_greatest_length_is_still_held():
  (batch,) = batching.plan_batches([700], 8, 512)
  assert batch.length >= 700


def _cost(batches, written=0):
  programs = {(b.rows, b.length) for b in batches}
  tokens = sum(b.rows * (b.length + written) for b in batches)
  return tokens + BATCH_COST * len(batches) + PROGRAM_COST * len(programs)


def _least_cost(lengths, batch_size, written):
  """Of all ways to cut sorted inputs where their lengths change, each part run in one or two numbers of rows, by counting them out."""
  grid = COARSE if len(lengths) < 48 * batch_size else FINE
  buckets = sorted(batching.bucket(n, grid) for n in lengths)
  sizes = [batch_size // 16, batch_size // 4, batch_size, 4 * batch_size]
  places = sorted({0, len(buckets), *(i for i in range(1, len(buckets)) if buckets[i] != buckets[i - 1])})
  found = []
  for inner in itertools.chain.from_iterable(itertools.combinations(places[1:-1], k) for k in range(len(places) - 1)):
    cost = 0
    for first, end in itertools.pairwise([0, *inner, len(buckets)]):
      length = buckets[end - 1]
      allowed = [rows for rows in sizes if rows <= batch_size or rows * length <= batch_size * buckets[-1]]
      ways = []
      for a, b in itertools.product(allowed, allowed):
        rows, left = [], end - first
        while left > 0:
          rows.append(a if left >= a else b)
          left -= rows[-1]
        ways.append(sum(rows) * (length + written) + BATCH_COST * len(rows) + PROGRAM_COST * len(set(rows)))
      cost += min(ways)
    found.append(cost)
  return min(found)


@pytest.mark.parametrize('seed', range(6))
def test_no_other_cut_costs_less(seed):
  rng = np.random.default_rng(seed)
  lengths = rng.choice([10, 20, 40, 50, 90, 130, 200], rng.integers(1, 70)).tolist()
  for written in (0, 30):
    batches = batching.plan_batches(lengths, 16, written=written)
    # A part's cost has no program in common with another's: their lengths differ.
    assert _cost(batches, written) == _least_cost(lengths, 16, written)


def test_few_inputs_run_in_few_shapes():
  lengths = np.clip(np.random.default_rng(0).lognormal(4.7, 0.6, 240), 20, 512).astype(int)
  padding, shapes = _padding(lengths, 16, 512)
  assert padding < 0.2 and shapes <= 10


def test_shapes_of_options_are_joined_while_that_costs_less_than_programs_do():
  # 3 x 4 places instead of 2 x 3 for forty inputs are 240 tokens more, instead of 3 x 3 for five are 15; 3 x 32 are too many for all.
  sizes = [(2, 3)] * 40 + [(3, 3)] * 5 + [(3, 4)] * 2 + [(3, 31)] * 30
  shapes = batching.option_shapes(sizes)
  assert shapes == [(3, 4)] * 47 + [(3, 32)] * 30
  assert batching.option_shapes([(2, 9)] * 400 + [(2, 3)] * 400) == [(2, 12)] * 400 + [(2, 3)] * 400
  assert batching.option_shapes([(2, 9)]) == [(2, 12)] and batching.option_shapes([]) == []


@pytest.mark.parametrize('seed', range(3))
def test_shapes_hold_their_options_and_are_few(seed):
  rng = np.random.default_rng(seed)
  sizes = list(zip(rng.integers(2, 9, 240).tolist(), rng.integers(2, 40, 240).tolist(), strict=True))
  shapes = batching.option_shapes(sizes)
  assert all(o <= shape[0] and t <= shape[1] for (o, t), shape in zip(sizes, shapes, strict=True))
  rounded = [o * (-(-t // 4) * 4 if t > 8 else t) for o, t in sizes]
  saved = 4 * PROGRAM_COST * (len(set(sizes)) - len(set(shapes)))
  assert 0 <= sum(o * t for o, t in shapes) - sum(rounded) < saved


def _padding(lengths, batch_size, longest):
  """(share of the computed tokens that is padding, number of shapes)."""
  batches = batching.plan_batches(lengths, batch_size, longest)
  computed = sum(b.rows * b.length for b in batches)
  return 1 - sum(lengths) / computed, len({(b.rows, b.length) for b in batches})


@pytest.mark.parametrize(('batch_size', 'most'), [(16, 0.06), (64, 0.1), (128, 0.15)])
def test_little_is_padding(batch_size, most):
  """Lengths as questions have them: log-normal with a long tail."""
  lengths = np.clip(np.random.default_rng(0).lognormal(4.7, 0.6, 4000), 20, 512).astype(int)
  padding, shapes = _padding(lengths, batch_size, 512)
  assert padding < most and shapes <= 56


def test_behind_shared_tokens_shapes_are_few():
  """Rows of 40 groups of 60, batched group by group, as they are behind what each shares."""
  rng = np.random.default_rng(0)
  groups = [np.clip(rng.lognormal(4.5, 0.5, 60), 20, 400).astype(int) for _ in range(40)]
  batches = [b for lengths in groups for b in batching.plan_batches(lengths, 16, 512, behind_shared=True)]
  assert 1 - sum(map(sum, groups)) / sum(b.rows * b.length for b in batches) < 0.25
  assert len({(b.rows, b.length) for b in batches}) <= 40


def test_padding_on_mmlu(shared_data):
  """Real questions under our own phrasings, in T5's vocabulary."""
  from seqio_tasks import datasets
  from seqio_tasks.bank import reading

  vocabulary = vocabularies.vocabulary(str(shared_data / 'vocab' / 't5.sentencepiece.model'))
  questions = datasets.mmlu(shared_data / 'mmlu')[-1].splits['test']()
  bank = reading.read_banks(['package'])
  phrasings = list(bank.select('multiple_choice', collections=['general_evaluation']))[:3]
  items = [datasets.item_of(question) for question in questions[::20]]
  texts = [phrasing.layout.render(item).input_text for phrasing in phrasings for item in items]
  lengths = [min(len(ids) + 1, 512) for ids in vocabulary.tokenizer.encode(texts)]
  assert len(lengths) > 2000
  padding, shapes = _padding(lengths, 32, 512)
  assert padding < 0.1 and shapes <= 48
