"""The command line of a sweep."""

import pytest

from robust_t5x.runtime.errors import UsageError
from robust_t5x.sweeps.flags import parse

NEEDED = ['--gin_file=a.gin', '--eval_gin_file=e.gin', '--out', 'out']


def test_flags_are_read():
  flags = parse(
    [*NEEDED, '--grid', 'X=1,2', '--seeds', '0,1', '--gin.Y=0.10', "--eval.SPLIT='dev'", '--jobs', '2', '--no_baseline',
     '--gin_search_paths=here'], 'A sweep.',
  )  # fmt: skip
  assert [axis.name for axis in flags.axes] == ['X', 'SEED']
  assert (flags.bindings, flags.eval_bindings) == ({'Y': '0.1'}, {'SPLIT': "'dev'"})
  assert (flags.gin_files, flags.eval_gin_files, flags.passed) == (['a.gin'], ['e.gin'], ['--gin_search_paths=here'])
  assert (flags.jobs, flags.baseline, flags.dry_run) == (2, False, False)
  assert flags.command.startswith('robust-t5x sweep --gin_file=a.gin')


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (NEEDED[1:], 'no --gin_file'),
    ([NEEDED[0], *NEEDED[2:]], 'no --eval_gin_file'),
    ([*NEEDED, '--gin.MODEL_DIR=1'], '--gin.MODEL_DIR: the sweep sets it itself'),
    ([*NEEDED, '--eval.LABEL=1'], '--eval.LABEL: the sweep sets it itself'),
    ([*NEEDED, '--gin.X', '1'], 'in one argument'),
    ([*NEEDED, '--jobs', '0'], 'give 1 or more'),
    ([*NEEDED[:2], '--out', 'gs://x'], 'give a local directory'),
  ],
)
def test_what_cannot_be_used_is_named(arguments, message):
  with pytest.raises(UsageError, match=message):
    parse(arguments, '')
