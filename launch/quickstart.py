"""The quickstart, in one process: measures the bundled model, aligns it, measures again, and writes the report.

  python launch/quickstart.py [OUT]

The same as the commands that it prints, one after another, but Python, JAX and TensorFlow start once. What is finished in OUT already
is not done again.
"""

from collections.abc import Sequence
import shlex
import sys

from robust_t5x import __main__ as command
from robust_t5x.runtime import launcher


def run(commands: Sequence[tuple[str, Sequence[str]]]) -> int:
  """Runs commands of robust-t5x, each behind words about it; returns the exit status of the first that fails, or 0."""
  for number, (words, arguments) in enumerate(commands, 1):
    sys.argv = ['robust-t5x', *arguments]  # for the records of the runs
    print(f'{number}/{len(commands)} {words}: {shlex.join(sys.argv)}', flush=True)
    status = command.main(arguments)
    if status:
      return status
    launcher.forget()
  return 0


def measured_twice(
  model: str, labels: tuple[str, str], measure: Sequence[str], train: Sequence[str], out: str
) -> list[tuple[str, list[str]]]:
  """The commands for `run` that measure a model, align it, measure again, and report.

  Args:
    model: in words.
    labels: of the model without the adapter, and with it.
    measure: the evaluation, but for what tells the two apart.
    train: the training, but for its directory.
    out: where everything goes.
  """
  before, after = labels
  adapter = f'--ADAPTER={out}/adapter/adapter.safetensors'
  return [
    (f'evaluating {model}', [*measure, f'--LABEL={before}', f'--OUTPUT_DIR={out}/before']),
    ('training an adapter with the alignment objective', [*train, f'--MODEL_DIR={out}/adapter']),
    ('evaluating the model with the adapter', [*measure, f'--LABEL={after}', adapter, f'--OUTPUT_DIR={out}/after']),
    ('writing the report', ['report', f'{out}/before', f'{out}/after', '--out', out]),
  ]


def main() -> int:
  """Runs the quickstart; returns the exit status."""
  out = sys.argv[1] if len(sys.argv) > 1 else 'out/quickstart'
  labels = 'without adapter', 'with aligned adapter'
  return run(measured_twice('the bundled model', labels, ['eval', 'mini'], ['train', 'quickstart'], out))


if __name__ == '__main__':
  sys.exit(main())
