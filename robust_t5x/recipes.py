"""Lists the recipes: for each verb what runs with one command, everything chosen.

`robust-t5x recipes`
"""

from collections.abc import Sequence

from robust_t5x.runtime import errors
from robust_t5x.runtime import recipes as recipes_lib


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  parser = errors.Parser(prog='robust-t5x recipes', description=__doc__.splitlines()[0], allow_abbrev=False)
  parser.parse_args(argv)
  listed = '\n\n'.join(f'{verb}\n{recipes_lib.list_text(verb)}' for verb in recipes_lib.VERBS)
  try:
    print(f'{listed}\n\nrobust-t5x VERB RECIPE --help says what can be set; --NAME=VALUE sets it.')
  except OSError as e:
    return errors.report_error(e)
  return 0
