"""Tests of SeqIO's metrics and of the targets that they are given."""

import numpy as np
import pytest

from seqio_tasks.answers import AnswerKey
from seqio_tasks.pipeline import seqio_metrics


def test_metrics_of_parts_and_of_alternatives():
  targets = []
  for part, text, others in (('a', 'x', ()), ('a', 'y', ('z',)), ('b', 'x', ())):
    target = seqio_metrics.Target(text)
    target.example_id, target.key = f'{part}/1', AnswerKey((text, *others))
    targets.append(target)
  assert seqio_metrics.exact_match_by_part(targets, ['x', 'Z ', 'no']) == {
    'exact_match': 2 / 3, 'exact_match/a': 1.0, 'exact_match/b': 0.0
  }  # fmt: skip
  assert seqio_metrics.exact_match_by_part(targets[2:], ['x']) == {'exact_match': 1.0, 'exact_match/b': 1.0}
  assert seqio_metrics.exact_match([], []) == {'exact_match': 0.0}
  backwards = seqio_metrics.exact_match_by_part(targets[::-1], ['x', 'y', 'x'])
  assert list(backwards) == ['exact_match', 'exact_match/a', 'exact_match/b']


def test_metrics_are_mean_scores():
  assert seqio_metrics.lmentry(['a', 'b', 'no', 'd'], ['A', 'b.', 'no way', '']) == {'lmentry': 0.5}
  assert seqio_metrics.lmentry(['no', 'yes'], ['no way', 'no']) == {'lmentry': 0.5}
  assert seqio_metrics.lmentry(['No', 'Yes'], ['no way', 'no']) == {'lmentry': 0.5}


def test_as_many_predictions_as_targets_are_needed():
  for metric in (seqio_metrics.exact_match, seqio_metrics.lmentry):
    with pytest.raises(ValueError, match='zip'):
      metric(['a', 'b'], ['a'])
  with pytest.raises(ValueError, match='zip'):
    seqio_metrics.rank_accuracy([(0, 0, True), (0, 1, False)], [0.5])


def test_only_exact_match_is_also_by_part():
  assert seqio_metrics.METRICS == {
    ('exact_match', False): seqio_metrics.exact_match,
    ('exact_match', True): seqio_metrics.exact_match_by_part,
    ('lmentry', False): seqio_metrics.lmentry,
  }


def test_targets_know_their_example():
  example = {
    'targets_pretokenized': b'cat', 'example_id': np.bytes_(b'animals/3'), 'alternatives': b'["kitten"]'
  }  # fmt: skip
  target = seqio_metrics.gold_or_prediction('ignored', example, is_target=True)
  assert (target, target.part, target.key) == ('cat', 'animals', AnswerKey(('cat', 'kitten')))
  assert seqio_metrics.gold_or_prediction('Cat', example) == 'Cat'
  assert seqio_metrics.exact_match([target, target, target], ['KITTEN ', 'cat.', 'a cat']) == {'exact_match': 2 / 3}
  assert seqio_metrics.exact_match(['-7', '7'], ['7', '7']) == {'exact_match': 0.5}


def test_a_tie_counts_as_the_share_that_is_right():
  targets = [(0, 0, True), (0, 1, False), (1, 0, False), (1, 1, True)]
  assert seqio_metrics.rank_accuracy(targets, [0.5, 0.5, 0.1, 0.2]) == {'rank_accuracy': 0.75}
  assert seqio_metrics.rank_accuracy(targets, [0.5, 0.6, 0.2, 0.2]) == {'rank_accuracy': 0.25}
  example = {'idx': np.array([4, 1]), 'is_correct': np.bool_(True)}
  assert seqio_metrics.option_score_target('', example, is_target=True) == (4, 1, True)
  assert seqio_metrics.option_score_target('a score', example) == 'a score'
