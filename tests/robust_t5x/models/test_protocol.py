"""A second family of a few lines runs through everything: nothing but its own file need know what T5 is."""

import dataclasses

from flax import linen as nn
from flax.linen import partitioning
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from robust_t5x import adapters, objectives
from robust_t5x.adapters import AdapterConfig, Projection, Side, Site
from robust_t5x.models import protocol
from robust_t5x.models.layers import branch_layout
from robust_t5x.models.placement import place
from robust_t5x.models.protocol import Answer, Context, SpecialIds, Work
from robust_t5x.models.robust import RobustModel
from robust_t5x.models.runner import Runner
from robust_t5x.models.trainable import Trainable
from robust_t5x.training import arithmetic, step

PAD, END = 7, 3


class Vocabulary:
  """Ids that are not T5's."""

  pad_id, eos_id = PAD, END

  def encode(self, text):
    return [10 + int(c) for c in text]

  def decode(self, ids):
    return ''.join(str(i - 10) for i in ids)


@dataclasses.dataclass(frozen=True)
class BagConfig:
  """A family without attention: an answer's state is the mean of what was read and of what was answered so far."""

  vocab_size: int = 24
  emb_dim: int = 6
  num_heads: int = 1
  num_kv_heads: int = 1
  dropout_rate: float = 0.0
  dtype: str = 'float32'
  remat: bool = False

  @property
  def sites(self):
    side = Side((self.emb_dim,), ('embed',))
    return (Site('bag', 1, 1, self.emb_dim, (Projection('out', side, side),), reads=True),)

  def network(self, adapter=None):
    return Bag(self, adapter)

  def work(self, shapes, positions, targets, adapter):
    return Work(0, self.vocab_size * self.emb_dim, 0.0)


class Bag(nn.Module):
  config: BagConfig
  adapter: AdapterConfig | None = None
  least_shared = None

  def setup(self):
    shape = (self.config.vocab_size, self.config.emb_dim)
    init = nn.initializers.normal(1.0)
    self.table = partitioning.param_with_axes('embedding', init, shape, jnp.float32, axes=('vocab', 'embed'))
    self.added = adapters.Adapter(self.adapter, self.config, name='adapter') if self.adapter else None

  def read(self, tokens, mask, *, deterministic=True):
    del deterministic
    x = self.table[tokens]
    if self.added:
      x, mask = self.added.insert(x, mask)
      low_rank = jax.tree.map(lambda part: part[0], self.added.layers('bag', x, mask)).low_rank
      x = adapters.add_low_rank(x, x, low_rank.get('out'))
    return Context(x, mask, mask, kept=(x * mask[..., None]).sum(1))

  def _states(self, context, sums, counts):
    return (context.kept[:, None] + sums) / (context.mask.sum(1)[:, None, None] + counts[:, :, None])

  def answer(self, context, tokens, *, deterministic=True, branches=1):
    del deterministic
    _, visible = branch_layout(branches, 1 + (tokens.shape[1] - 1) // branches)
    visible = jnp.asarray(visible[:, 1:], jnp.float32)  # the place before the answer is ignored
    sums = jnp.einsum('ql,nld->nqd', visible, self.table[tokens[:, 1:]])
    states = self._states(context, sums, visible.sum(1)[None])
    return Answer(states @ self.table.T, states)

  def step(self, context, token, *, cache_length):
    del cache_length
    total, count = jnp.zeros((len(token), 1, self.config.emb_dim)), jnp.array(-1)  # before the place that is ignored
    if self.has_variable('cache', 'count'):
      count = self.get_variable('cache', 'count') + 1
      total = self.get_variable('cache', 'total') + self.table[token] * (count > 0)
    self.put_variable('cache', 'count', count)
    self.put_variable('cache', 'total', total)
    return self._states(context, total, jnp.maximum(count, 0)[None, None]) @ self.table.T

  def __call__(self, tokens, mask, answer_tokens):
    return self.answer(self.read(tokens, mask), answer_tokens)


ADAPTER = AdapterConfig(length=2, lora_rank=1, lora_projections=('out',))


def _model(**settings):
  vocabulary = Vocabulary()
  return RobustModel(BagConfig().network(ADAPTER), vocabulary, vocabulary, **settings)


@pytest.fixture
def bag():
  model = _model()
  params = jax.jit(model.initial_variables)(jax.random.key(0))['params']
  return model, jax.tree.map(lambda x: x + 0.1, params)  # so that no low-rank factor is zero


def _by_hand(params, inputs, answer):
  """Log-likelihood of an answer's tokens, one after another."""
  table, adapter = np.asarray(params['embedding']), params['adapter']
  read = np.concatenate([adapter['embedding'], table[inputs]])
  read = read + read @ adapter['bag_lora_out_down'][0] @ adapter['bag_lora_out_up'][0]
  total, seen, score = read.sum(0), len(read), 0.0
  for token in answer:
    score += float(jax.nn.log_softmax(table @ (total / seen))[token])
    total, seen = total + table[token], seen + 1
  return score


def test_scores_of_options_are_those_by_hand(bag):
  model, params = bag
  inputs = [np.array([11, 12, END]), np.array([13, END])]
  found = Runner(model, params, batch_size=2).score(inputs, [['5', '67'], ['1', '2']])
  for ids, options, scores in zip(inputs, [['5', '67'], ['1', '2']], found, strict=True):
    expected = [_by_hand(params, ids, [*Vocabulary().encode(o), END]) for o in options]
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_greedy_outputs_are_those_of_teacher_forcing(bag):
  model, params = bag
  tokens = np.array([[11, 12, END, PAD, PAD], [13, 14, 15, 16, END]], np.int32)
  found, scores = model.decode_greedily(params, tokens, 4)
  for row, ids in enumerate(tokens):
    answer = []
    for _ in range(4):
      fed = np.array([[PAD, *answer]], np.int32)
      logits = protocol.logits(model.module, params, ids[None], fed, PAD)
      answer.append(int(logits[0, -1].argmax()))
      if answer[-1] == END:
        break
    assert found[row].tolist() == answer + [PAD] * (4 - len(answer))
    assert scores[row] == pytest.approx(_by_hand(params, [i for i in ids if i != PAD], answer), rel=1e-4)


@pytest.mark.parametrize('objective', [objectives.kl_to_canonical, objectives.distil_states, objectives.encoder_cosine])
def test_training_moves_the_adapter_alone(objective):
  model = _model(optimizer_def=optax.adam(0.05), alignment_objective=objective, alignment_weight=1.0)
  placement = place(model)
  params = jax.jit(model.initial_variables)(jax.random.key(0))['params']
  moving, frozen = Trainable().split(params)
  assert set(moving) == {'adapter'}
  state = step.initial_state(moving, model.optimizer_def)
  rng = np.random.default_rng(0)
  examples = placement.mesh.shape['data']
  targets = np.tile([12, END, PAD], (examples, 1)).astype(np.int32)
  batch = {
    'encoder_input_tokens': rng.integers(10, 20, (examples, 3, 5)).astype(np.int32),
    'decoder_target_tokens': targets,
    'decoder_input_tokens': np.concatenate([np.full((examples, 1), PAD), targets[:, :-1]], axis=1).astype(np.int32),
  }
  step_fn = step.compiled_step(model, placement.mesh)
  losses = []
  for _ in range(8):
    state, metrics = step_fn(state, frozen, batch)
    losses.append(float(metrics['loss'].compute()))
  assert losses[-1] < losses[0]
  # Of three target places one is padding, whatever its id.
  assert float(metrics['token_accuracy'].count) == 2 * examples


def test_states_and_the_plain_backbone(bag):
  model, params = bag
  plain, bare = model.without_adapter(params)
  assert set(bare) == {'embedding'}
  mean, state, log_probabilities, layers = Runner(plain, bare, 4).states([np.array([11, 12, END])])
  expected = np.asarray(params['embedding'])[[11, 12, END]].mean(0)
  np.testing.assert_allclose(mean[0], expected, rtol=1e-5)
  np.testing.assert_allclose(state[0], expected, rtol=1e-5)
  assert np.exp(log_probabilities[0]).sum() == pytest.approx(1, rel=1e-5)
  assert layers.shape == (1, 0, 6)  # it has none


def test_an_adapter_for_another_family_is_refused(bag):
  _, params = bag
  other = {
    'encoder_gate': np.zeros((1, 1)),
    'encoder_key': np.zeros((1, 2, 1, 6)),
    'encoder_value': np.zeros((1, 2, 1, 6)),
  }
  with pytest.raises(adapters.AdapterError, match="x: does not fit this model .*no site 'encoder'; it has bag"):
    adapters.check_fits(other, BagConfig(), 'x')
  adapters.check_fits({name: np.asarray(x) for name, x in params['adapter'].items()}, BagConfig(), 'x')


def test_its_arithmetic_is_asked_of_the_family():
  found = arithmetic.floor(BagConfig(), AdapterConfig(), {}, inputs=5, targets=3)
  assert found.forward == 2 * 24 * 6 * 3


def test_special_ids_are_the_vocabularys():
  assert protocol.special_ids(Vocabulary()) == SpecialIds(PAD, END)

  class Endless(Vocabulary):
    eos_id = None

  assert protocol.special_ids(Endless()).end == -1
