"""Trains and evaluates every trial of a grid of settings, into one table of results.

`robust-t5x sweep align_mini --gin_file=gin/adapters/prefix.gin --grid LEARNING_RATE=0.03,0.1 \\
  --grid gin_file=gin/objectives/kl.gin,gin/objectives/likelihood.gin --seeds 0,1,2 --eval mini --out out/sweep`

A finished trial is found and not run again, whatever the grid that it stems from; see docs/sweeps.md.
"""

from collections.abc import Sequence
import sys

from robust_t5x.runtime import errors, quiet
from robust_t5x.sweeps.flags import parse


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  quiet.set_up()
  try:
    flags = parse(sys.argv[1:] if argv is None else argv, __doc__.splitlines()[0])
    from robust_t5x.sweeps.running import sweep

    return sweep(flags)
  except Exception as e:
    return errors.report_error(e)
