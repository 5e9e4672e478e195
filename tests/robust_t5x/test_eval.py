"""The verb `eval`: settings that are refused before anything runs; test_end_to_end.py has whole evaluations."""

import pytest

from robust_t5x import eval as evaluation
from robust_t5x.evaluation import checks
from robust_t5x.runtime.costs import Cost
from robust_t5x.runtime.errors import UsageError
from seqio_tasks.bank.instruction import make_instruction
from seqio_tasks.bank.layouts import STYLES, Layout
from seqio_tasks.errors import UserError
from seqio_tasks.pipeline.evaluation import EvaluationTask


def test_a_dry_run_tells_what_is_shared():
  told = evaluation._told({'a': Cost(2, 0, 10, 4, 90), 'b': Cost(1, 0, 5, 2)}, False).splitlines()
  assert (
    told[0]
    == 'a: 2 requests, about 10 tokens read and 4 or fewer written; 90 more are read with those of rows that begin alike'
  )
  assert len(told) == 4  # with nothing of groups, which were not counted
  told_groups = evaluation._told({'a': Cost(12, 0, 10, 4, 90, sharing=11, groups=2)}, False)
  assert (
    '11 of these begin alike in 2 groups; `robust-t5x plan --study CELLS` counts so with --shared 10 --among 6'
    in told_groups
  )
  assert 'begin alike' not in told[1] and told[2].endswith('; 90 more are read with those of rows that begin alike')


def test_a_scorer_that_is_none_is_named():
  with pytest.raises(
    UsageError, match="unknown scorer 'exact'; use one of exact_match, extracted, lmentry, rank_likelihood, paper"
  ):
    checks.check((), scorer='exact')


def test_required_settings_are_named():
  with pytest.raises(UsageError, match='not set: OUTPUT_DIR, MIXTURES'):
    evaluation.evaluate(None, None, None, {'inputs': 8, 'targets': 4})


def test_options_beyond_the_letters_are_told_before_there_is_a_model():
  layout = Layout('{o}', {'o': STYLES['letters']})
  rows = [{'example_id': 'e', 'fields': {}, 'gold': '0', 'options': [str(i) for i in range(27)]}]
  task = EvaluationTask(
    'n', 'd', 'g', (make_instruction('c', 't', 'k', 'evaluation', '{o}', layout),), (), {'test': rows}
  )
  for scorer in ('exact_match', 'rank_likelihood'):
    with pytest.raises(UserError, match="n:test: 1 of 1 examples have more than 26 options, the first is 'e' with 27"):
      checks.check([task], scorer=scorer)
