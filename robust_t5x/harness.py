"""Runs lm-evaluation-harness on our models, with or without an adapter.

`robust-t5x harness --model_args pretrained=bundled,adapter=bundled --tasks TASK --batch_size 64` is the harness's own
`lm_eval run` with `--model robust_t5x`; all other arguments are the harness's. It needs `pip install 'robust_t5x[lm-eval]'`.
"""

from collections.abc import Sequence
import sys
import warnings

from robust_t5x.runtime import errors, quiet


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  quiet.set_up()
  arguments = list(sys.argv[1:] if argv is None else argv)
  try:
    try:
      from lm_eval import _cli

      from robust_t5x.evaluation import lm_eval_model
    except ModuleNotFoundError as e:
      if not (e.name or '').startswith('lm_eval'):
        raise
      raise errors.UsageError("lm-evaluation-harness is not installed; pip install 'robust_t5x[lm-eval]'") from e
    from lm_eval.utils import setup_logging

    setup_logging()
    # The processes in which the harness computes its standard errors call nothing of JAX.
    warnings.filterwarnings('ignore', message=r'os\.fork\(\) was called')
    before, sys.argv = sys.argv, ['lm_eval', 'run', '--model', lm_eval_model.NAME, *arguments]
    try:
      harness = _cli.HarnessCLI()
      harness.execute(harness.parse_args())
    finally:
      sys.argv = before
  except Exception as e:
    return errors.report_error(e)
  return 0
