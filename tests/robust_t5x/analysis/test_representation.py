"""Distances between phrasings: against hand-computed cases, the network, and from end to end."""

import json
import math

from helpers import evaluate, run
import numpy as np
import pytest
import scipy.stats

from robust_t5x import objectives, report
from robust_t5x.analysis import representation as analysis_representation
from robust_t5x.evaluation import states as states_lib
from robust_t5x.reports import representation as reports_representation
from robust_t5x.results import reading


@pytest.mark.parametrize(
  ('a', 'b', 'measure', 'expected'),
  [
    ([1, 0], [0, 2], 'cosine', 1.0),
    ([1, 1], [2, 0], 'cosine', 1 - 1 / math.sqrt(2)),
    ([3, 0], [-1, 0], 'cosine', 2.0),
    ([0, 0], [3, 4], 'euclidean', 5 / math.sqrt(2)),
    ([1, 0], [0, 1], 'Jensen-Shannon', math.log(2)),
    ([0.25, 0.75], [0.25, 0.75], 'Jensen-Shannon', 0.0),
    # Mean (0.75, 0.25): half of KL(p, mean) and KL(q, mean).
    ([1, 0], [0.5, 0.5], 'Jensen-Shannon', 0.5 * math.log(1 / 0.75) + 0.25 * (math.log(0.5 / 0.75) + math.log(2))),
  ],
)
def test_distance(a, b, measure, expected):
  a, b = np.asarray(a, float), np.asarray(b, float)
  if measure == 'Jensen-Shannon':
    a, b = (np.log(np.maximum(x, 1e-300)) for x in (a, b))
  assert analysis_representation.distance(a, b, measure) == pytest.approx(expected, abs=1e-9)
  states = np.stack([a, b])[None]
  assert analysis_representation.between_phrasings(states, measure) == pytest.approx([expected], abs=1e-9)


def test_all_pairs_count_alike():
  states = np.array([[[0.0], [1.0], [3.0]], [[2.0], [2.0], [2.0]]])
  np.testing.assert_allclose(analysis_representation.between_phrasings(states, 'euclidean'), [(1 + 3 + 2) / 3, 0])
  assert np.isnan(analysis_representation.between_phrasings(states[:, :1], 'euclidean')).all()
  assert analysis_representation.between_examples(states, 'euclidean') == pytest.approx((2 + 1 + 1) / 3)
  rng = np.random.default_rng(0)
  p = rng.dirichlet(np.ones(5), size=(3, 4))
  pairs = [
    analysis_representation.distance(np.log(p[:, i]), np.log(p[:, j]), 'Jensen-Shannon')
    for i in range(4)
    for j in range(i)
  ]
  np.testing.assert_allclose(
    analysis_representation.between_phrasings(np.log(p), 'Jensen-Shannon'), np.mean(pairs, axis=0)
  )


def test_the_canonical_place_leaves_the_phrasing_itself_out():
  states = np.array([[[0.0], [2.0], [4.0], [9.0]]])
  observed = np.array([True, True, True, False])
  found = analysis_representation.to_canonical(states, observed, 'euclidean')
  np.testing.assert_allclose(found, [[3, 0, 3, 7]])
  found = analysis_representation.to_canonical(states, ~observed, 'euclidean')
  np.testing.assert_allclose(found, [[9, 7, 5, np.nan]])
  found = analysis_representation.to_canonical(states, np.zeros(4, bool), 'euclidean')
  np.testing.assert_allclose(found, [[5, 7 / 3, 1 / 3, 7]])


def test_rank_correlation_is_spearmans():
  rng = np.random.default_rng(0)
  x = [rng.normal(size=12), rng.integers(4, size=9).astype(float), np.arange(2.0)]
  y = [rng.normal(size=12), rng.integers(3, size=9).astype(float), np.arange(2.0)]
  values = analysis_representation.rank_correlation(x, y, replicates=200)
  expected = np.mean([scipy.stats.spearmanr(a, b).statistic for a, b in zip(x[:2], y[:2], strict=True)])
  assert values[0] == pytest.approx(expected)
  assert len(values) == 201
  assert np.nanstd(values[1:]) > 0.05
  np.testing.assert_allclose(
    analysis_representation.rank_correlation([np.arange(5.0)], [np.arange(5.0) ** 3], 10)[0], 1
  )
  assert np.isnan(analysis_representation.rank_correlation([np.arange(5.0)], [np.zeros(5)], 10)).all()


def test_principal_components_keep_distances_in_a_plane():
  rng = np.random.default_rng(1)
  plane = rng.normal(size=(20, 2)) @ np.linalg.qr(rng.normal(size=(6, 2)))[0].T + 5
  points, shares = analysis_representation.principal_components(plane, plane)
  assert shares.sum() == pytest.approx(1)
  assert shares[0] > shares[1]
  before, after = (np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (plane, points))
  np.testing.assert_allclose(after, before, atol=1e-9)


@pytest.fixture(scope='module')
def written(tiny_checkpoint, tmp_path_factory):
  """A model with a random adapter: its evaluations and its representation."""
  base = tmp_path_factory.mktemp('represent')
  before, out = base / 'before', base / 'out'
  assert evaluate(tiny_checkpoint, before, examples=3) == 0
  status = represent(tiny_checkpoint, out, f"--gin.RESULTS=['{before}']")
  assert status == 0
  return before, out


def represent(checkpoint, out, *more):
  return run(
    'represent', '--gin_file=gin/runs/represent.gin', '--gin_file=gin/tasks/mini.gin', '--gin_file=gin/topologies/cpu.gin',
    f"--gin.INITIAL_CHECKPOINT_PATH='{checkpoint}'", f"--gin.OUTPUT_DIR='{out}'", '--gin.MAX_EXAMPLES=3',
    "--gin.MIXTURES=['mini_first_word_eval_observed', 'mini_first_word_eval_unobserved']", *more,
  )  # fmt: skip


def test_files_and_report(written, tmp_path):
  before, out = written
  found = reports_representation.read(str(out))
  table = reading.read(str(before))[0]
  accuracy = table.groupby('instruction_id')['score'].mean()
  rows = found.phrasings.set_index('instruction_id')
  assert len(rows) == 20
  np.testing.assert_allclose(rows['accuracy'], accuracy[rows.index])
  observed = rows['group'] == 'observed'
  np.testing.assert_allclose(rows['lost'], rows.loc[observed, 'accuracy'].mean() - rows['accuracy'])
  mean = found.distances.query('quantity == "unobserved to canonical" and place == "encoder" and measure == "cosine"')
  assert mean['estimate'].iloc[0] == pytest.approx(rows.loc[~observed, 'encoder, cosine'].mean())
  assert mean['low'].iloc[0] <= mean['estimate'].iloc[0] <= mean['high'].iloc[0]
  record = json.loads((out / 'represent.json').read_text())
  assert record['model']['vocabulary']
  assert (out / 'map.pdf').read_bytes().startswith(b'%PDF')
  assert report.main([str(before), '--represent', str(out), '--out', str(tmp_path)]) == 0
  page = (tmp_path / 'report.html').read_text()
  assert 'id="representation"' in page
  assert page.count('map of the phrasings, without adapter') == 2
  assert 'Where phrasings lie in the model' in (tmp_path / 'report.md').read_text()


def test_other_results_are_refused(written, tiny_checkpoint, tmp_path, capsys):
  before, _ = written
  record = json.loads((before / 'run.json').read_text())
  for name, value, message in (
    ('backbone', 'x', 'is an evaluation of another backbone'), ('adapter', 'y', 'is an evaluation with another adapter'),
  ):  # fmt: skip
    other = tmp_path / name
    other.mkdir()
    changed = record | {'fingerprint': record['fingerprint'] | {name: value}}
    (other / 'run.json').write_text(json.dumps(changed))
    (other / 'results.parquet').write_bytes((before / 'results.parquet').read_bytes())
    assert represent(tiny_checkpoint, tmp_path / 'out', f"--gin.RESULTS=['{other}']") == 2
    assert message in capsys.readouterr().err
  assert report.main([str(before), '--represent', str(tmp_path), '--out', str(tmp_path / 'out')]) == 2
  assert 'has no represent.json' in capsys.readouterr().err


def test_states_are_those_of_the_model(tiny_checkpoint):
  from robust_t5x.checkpoints import loading

  model, params = loading.load(str(tiny_checkpoint))
  inputs = [np.array([5, 9, 1]), np.array([7, 8, 6, 4, 1])]
  encoder, decoder, output = states_lib.Runner(model, params, 4)(inputs)
  tokens = np.zeros((1, 2, 5), np.int32)
  for row, ids in zip(tokens[0], inputs, strict=True):
    row[: len(ids)] = ids
  batch = {
    'encoder_input_tokens': tokens,
    'decoder_input_tokens': np.zeros((1, 1), np.int32),
    'decoder_target_tokens': np.ones((1, 1), np.int32),
  }
  branches = model.branches(params, batch)
  expected = float(objectives.encoder_cosine(branches))
  assert analysis_representation.distance(encoder[0], encoder[1], 'cosine') == pytest.approx(expected, abs=1e-5)
  logits = np.asarray(branches.logits[0, :, 0])
  np.testing.assert_allclose(output, logits - scipy.special.logsumexp(logits, axis=-1, keepdims=True), atol=1e-4)
  # The output layer is tied: logits are the states by the embedding, divided by the root of the width.
  embedding = np.asarray(params['token_embedder']['embedding'])
  np.testing.assert_allclose(decoder @ embedding.T / math.sqrt(decoder.shape[1]), logits, atol=1e-4)


def test_the_backbone_without_its_adapter(tiny_checkpoint):
  from robust_t5x.adapters import config
  from robust_t5x.checkpoints import loading
  from robust_t5x.models import robust, t5

  model, params = loading.load(str(tiny_checkpoint))
  adaptered = robust.RobustModel(
    t5.Transformer(model.module.config, config.AdapterConfig(length=2)), model.input_vocabulary, model.output_vocabulary
  )  # fmt: skip
  with_adapter = params | {'adapter': {'embedding': np.ones((2, model.module.config.emb_dim), np.float32)}}
  plain, bare = states_lib.without_adapter(adaptered, with_adapter)
  inputs = [np.array([5, 9, 1])]
  expected = states_lib.Runner(model, params, 1)(inputs)
  for a, b in zip(states_lib.Runner(plain, bare, 1)(inputs), expected, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-6)
  changed = states_lib.Runner(adaptered, with_adapter, 1)(inputs)
  assert np.abs(changed[1] - expected[1]).max() > 1e-3
