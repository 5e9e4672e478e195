"""Counts the workers and devices that a run would have, before it starts.

`robust-t5x preflight [--topology v4-32] [--multiprocess]`, on every worker.
"""

from collections.abc import Sequence

from robust_t5x.runtime import errors, launcher, processes, quiet, topologies


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status, 2 if something is missing."""
  quiet.set_up()
  parser = errors.Parser(prog='robust-t5x preflight', description=__doc__.splitlines()[0], allow_abbrev=False)
  parser.add_argument('--topology', choices=topologies.NAMES, help='what there should be')
  launcher.add_process_flags(parser)
  arguments = parser.parse_args(argv)
  try:
    launcher.start_processes(arguments)
    print(processes.check(arguments.topology))
  except Exception as e:
    return errors.report_error(e)
  return 0
