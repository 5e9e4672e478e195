"""Batches by length: what they hold, in which order, how much of them is padding, and that a saved position is exact."""

import collections
import itertools
import types

import numpy as np
import pytest

from robust_t5x.models.protocol import SpecialIds
from robust_t5x.training import batches, t5x_support
from seqio_tasks.bank.instruction import make_instruction
from seqio_tasks.errors import UserError
from seqio_tasks.pipeline.phrasings import stack_phrasings
from seqio_tasks.pipeline.reading import Reader

CANONICAL = [make_instruction('c', 't', f'o{i}', 'evaluation', text) for i, text in enumerate(('a {x}', 'b c {x}'))]
PARAPHRASES = [make_instruction('c', 't', f'p{i}', 'alignment', f'{"w " * i}{{x}}') for i in range(5)]
STACKED = stack_phrasings(3, CANONICAL, PARAPHRASES)
LENGTHS = {'inputs': 32, 'targets': 8}


class Words:
  """A vocabulary of words, each of which has its number of letters + 1 as its id; 1 ends a text."""

  eos_id = 1

  def __init__(self):
    self.encoded = 0

  def encode(self, text):
    self.encoded += 1
    return [1 + len(word) for word in text.split()]


def _source(place=0, examples=6, vocabulary=None, words=(1, 2, 20), seed=3):
  rows = [
    {
      'example_id': f'e{i}',
      'fields': {'x': ' '.join(['x' * (i + 1)] * words[i % len(words)])},
      'options': [],
      'gold': ' '.join('y' * (1 + i % 2)),
    }
    for i in range(examples)
  ]
  reader = Reader('t:train', rows, STACKED.flat, vocabulary or Words(), LENGTHS)
  return batches.Source(reader, STACKED, seed, place)


def _batches(sources=None, rates=(1.0, 3.0), batch_size=4, seed=3, one_shape=False):
  sources = sources or [_source(0), _source(1, examples=9)]
  return batches.PhrasingBatches(sources, rates, LENGTHS, batch_size, seed, SpecialIds(pad=0, end=1), one_shape)


def _same(one, other):
  return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def test_answers_that_are_cut_are_counted():
  """An answer of three words and one of four, of which two have room; the end token needs none."""
  rows = [{'example_id': f'e{n}', 'fields': {'x': 'x'}, 'options': [], 'gold': ' '.join('y' * n)} for n in (1, 2, 3, 4)]
  reader = Reader('t:train', rows, STACKED.flat, Words(), LENGTHS | {'targets': 2})
  assert [reader.stack(n, [0]).cut_answer_tokens for n in range(4)] == [0, 0, 1, 2]
  drawn = _batches([batches.Source(reader, STACKED, 3, 0)], rates=(1.0,))
  assert {cut for _ in range(9) for cut in next(drawn)['cut_answer_tokens'].tolist()} == {0, 1, 2}


def test_every_example_is_drawn_once_in_an_epoch_and_every_phrasing_alike():
  source = _source(examples=50)
  drawn = [source.draw(n) for n in range(2000)]
  for start in range(0, 2000, 50):
    assert sorted(example for example, _ in drawn[start : start + 50]) == list(range(50))
  assert [e for e, _ in drawn[:50]] != [e for e, _ in drawn[50:100]]
  for place, (first, many) in enumerate(((0, 2), (2, 5), (2, 5))):
    counts = collections.Counter(chosen[place] for _, chosen in drawn)
    assert set(counts) == set(range(first, first + many))
    assert max(abs(n / 2000 - 1 / many) for n in counts.values()) < 0.05
  assert all(len(set(chosen)) == 3 for _, chosen in drawn)


def test_a_draw_depends_on_seed_task_and_number_alone():
  assert _source().draw(7) == _source().draw(7)
  several = [[_source(place, 50, seed=seed).draw(n) for n in range(20)] for place, seed in ((0, 3), (1, 3), (0, 4))]
  assert several[0] != several[1] != several[2] != several[0]


def test_batches_have_few_shapes_and_hold_what_was_drawn():
  data = _batches()
  made = list(itertools.islice(data, 60))
  shapes = {(b['encoder_input_tokens'].shape[2], b['decoder_target_tokens'].shape[1]) for b in made}
  assert shapes <= set(data.shapes)
  assert len(shapes) > 1
  assert data.shapes[-1] == (32, 8)
  for batch in made:
    tokens, targets = batch['encoder_input_tokens'], batch['decoder_target_tokens']
    assert tokens.shape[:2] == (4, 3)
    # The last word before the end names the example, in all of its phrasings.
    ends = (tokens != 0).sum(axis=2) - 2
    named = np.take_along_axis(tokens, ends[..., None], axis=2)[..., 0] - 2
    assert (named == named[:, :1]).all()
    assert [row.tolist()[:2] for row in targets] == [[2, 2] if n % 2 else [2, 1] for n in named[:, 0]]
    np.testing.assert_array_equal(batch['decoder_input_tokens'][:, 1:], targets[:, :-1])
    assert not batch['decoder_input_tokens'][:, 0].any()
    np.testing.assert_array_equal(batch['decoder_loss_weights'], targets != 0)
    assert not batch['truncated_tokens'].any()


def test_tasks_are_drawn_by_their_rates():
  data = _batches([_source(0, words=(1,)), _source(1, words=(9,))])
  made = list(itertools.islice(data, 200))
  long = np.concatenate([(b['encoder_input_tokens'] != 0).sum(axis=(1, 2)) > 24 for b in made])
  assert abs(long.mean() - 0.75) < 0.05


def test_a_saved_position_is_exact_wherever_it_is_saved(tmp_path):
  whole = list(itertools.islice(_batches(), 12))
  for step in (0, 1, 5):
    before = _batches()
    for _ in range(step):
      next(before)
    before.save(str(tmp_path / 'position'))
    after = _batches()
    next(after)
    after.restore(str(tmp_path / 'position'))
    assert all(_same(a, b) for a, b in zip(whole[step:], after, strict=False))
  assert not _same(next(_batches(seed=4)), whole[0])


def test_batches_of_one_shape_hold_the_same_and_are_read_in_shards(tmp_path):
  """As T5X reads them: each of two processes its rows, at one shape that is known before."""
  parts = [t5x_support.ShardOfBatches(_batches(one_shape=True), shard, 2) for shard in range(2)]
  given = {name: (spec.dtype, spec.shape) for name, spec in parts[0].element_spec.items()}
  for n, ours in enumerate(itertools.islice(_batches(), 8)):
    if n == 5:
      for shard, part in enumerate(parts):
        part.save(tmp_path / f'position{shard}')
        parts[shard] = t5x_support.ShardOfBatches(_batches(one_shape=True), shard, 2)
        parts[shard].restore(tmp_path / f'position{shard}')
    rows = [next(part) for part in parts]
    assert [{name: (x.dtype, x.shape) for name, x in row.items()} for row in rows] == [given] * 2
    for name in given:
      whole = np.concatenate([row[name] for row in rows])
      if name != 'decoder_input_tokens':  # which hold the last target, too, where there is room for it
        assert not whole[..., ours[name].shape[-1] :].any()
      np.testing.assert_array_equal(whole[..., : ours[name].shape[-1]], ours[name])
  assert given['encoder_input_tokens'] == (np.int32, (2, 3, 32))


@pytest.mark.parametrize('text', ['', '[]', '{"drawn": 1}', '{"drawn": 1, "taken": [1], "waiting": [[]]}'])
def test_a_file_that_holds_no_position_of_this_data_is_named(tmp_path, text):
  path = tmp_path / 'position'
  path.write_text(text)
  with pytest.raises(UserError, match='position'):
    _batches().restore(str(path))


def test_what_was_tokenised_is_not_tokenised_again():
  words = Words()
  source = _source(vocabulary=words)
  for n in range(300):
    source.reader.stack(*source.draw(n))
  assert words.encoded == 1 + 6 * 7 + 2  # the room of a frame, six examples under seven phrasings, two answers


def test_tokens_beyond_what_may_be_kept_are_made_anew(monkeypatch):
  monkeypatch.setattr('seqio_tasks.pipeline.reading._KEPT_TOKENS', 40)
  words = Words()
  few, all_ = _source(vocabulary=words), _source()
  for n in range(300):
    one, other = (s.reader.stack(*s.draw(n)) for s in (few, all_))
    assert [x.tolist() for x in one.inputs] == [x.tolist() for x in other.inputs]
    assert one.targets.tolist() == other.targets.tolist()
  assert words.encoded > 600


def test_shapes_save_what_they_can():
  sizes = [(9, 2)] * 5 + [(20, 2)] * 3 + [(24, 6)]
  assert batches.choose_shapes(sizes, (40, 8)) == [(10, 2), (20, 2), (24, 6), (40, 8)]
  assert batches.choose_shapes([(40, 8)], (40, 8)) == [(40, 8)]


@pytest.mark.usefixtures('as_started_anew')
def test_padding_of_the_mini_suite_and_t5x_trains_on_the_same():
  """Counted: .54 with every example as long as any may be; .19 is between the phrasings of one example."""
  from robust_t5x.checkpoints import vocabularies
  from robust_t5x.training.data import data_iterator
  from seqio_tasks import datasets, suites

  vocabulary = vocabularies.vocabulary(checkpoint='bundled')
  suites.register(vocabulary, [datasets.mini(num_train_examples=60)], observed_collections=('mini_tuning',))
  model = types.SimpleNamespace(ids=SpecialIds(pad=0, end=1))
  lengths = {'inputs': 40, 'targets': 8}
  data = data_iterator(model, 'mini_alignment', lengths, 16, 0, False)
  made = list(itertools.islice(data, 40))
  config = types.SimpleNamespace(
    mixture_or_task_name='mini_alignment', task_feature_lengths=lengths, batch_size=16, seed=0, use_cached=False
  )
  for ours, theirs in zip(made, t5x_support.training_data(config, 0, 1, model), strict=False):
    length = ours['encoder_input_tokens'].shape[2]
    np.testing.assert_array_equal(theirs['encoder_input_tokens'][..., :length], ours['encoder_input_tokens'])
  tokens = sum(int((b['encoder_input_tokens'] != 0).sum()) for b in made)
  assert len(data.shapes) == 4
  assert tokens / sum(b['encoder_input_tokens'].size for b in made) > 0.68
  assert tokens / sum(b['encoder_input_tokens'].size // b['encoder_input_tokens'].shape[2] * 40 for b in made) < 0.5
