"""The command `robust-t5x VERB ...`, the same as `python -m robust_t5x VERB ...`."""

from collections.abc import Sequence
import gc
import importlib
import os
import signal
import sys

# Verb -> (module with a `main(argv)`, what it does). Modules are imported when their verb is used.
VERBS = {
  'train': ('robust_t5x.train', 'train an adapter on a frozen model, or a whole model'),
  'eval': ('robust_t5x.eval', 'evaluate a model under every phrasing of every task'),
  'infer': ('robust_t5x.infer', 'write outputs for the inputs of a file'),
  'sweep': ('robust_t5x.sweep', 'train and evaluate every trial of a grid of settings'),
  'recipes': ('robust_t5x.recipes', 'list the recipes: what runs with one command, everything chosen'),
  'tasks': ('robust_t5x.tasks', 'list, show, check and render tasks and instruction banks'),
  'import': ('robust_t5x.importing', 'make bank files of published instruction sets'),
  'convert': ('robust_t5x.convert', 'convert checkpoints and adapters between formats'),
  'harness': ('robust_t5x.harness', 'run lm-evaluation-harness on a model with an adapter'),
  'plan': ('robust_t5x.plan', 'compile a run for a TPU topology and say what it needs there'),
  'preflight': ('robust_t5x.preflight', 'count the workers and devices that a run would have'),
  'rerank': ('robust_t5x.rerank', 'rank the options of an evaluation anew, without the model'),
  'compare': ('robust_t5x.compare', 'test one model against another on the same cells'),
  'design': ('robust_t5x.design', 'say how many phrasings and examples show a difference'),
  'represent': ('robust_t5x.represent', 'measure how far phrasings lie apart inside a model'),
  'report': ('robust_t5x.report', 'write a report from the results of evaluations'),
}


def usage() -> str:
  """The help text."""
  verbs = '\n'.join(f'  {name:<11}{about}' for name, (_, about) in VERBS.items())
  return (
    'Measure, and mend, how instruction-tuned language models react to rephrased instructions.\n\n'
    f'usage: robust-t5x VERB [arguments]\n\n{verbs}\n\nrobust-t5x VERB --help tells more, robust-t5x VERB RECIPE --help what a recipe sets.'
  )


def main(argv: Sequence[str] | None = None) -> int:
  """Runs a verb; returns the exit status."""
  if argv is None and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until `signals` is there, Ctrl-C ends the process at once, and without a trace of what was being imported.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
  arguments = list(sys.argv[1:] if argv is None else argv)
  if not arguments or arguments[0] in ('-h', '--help'):
    print(usage())
    return 0 if arguments else 2
  verb = arguments.pop(0)
  if verb not in VERBS:
    from robust_t5x.runtime import errors

    print(f'error: no verb {verb!r}{errors.nearest(verb, VERBS)}\n\n{usage()}', file=sys.stderr)
    return 2
  from robust_t5x.runtime import processes, signals, terminal

  odd = next((a for a in arguments if any('\ud800' <= letter <= '\udfff' for letter in a)), None)
  if odd is not None:  # bytes that are no letter, which no file of results can hold
    print(f'error: {odd!r} is not UTF-8; give names and files that are', file=sys.stderr)
    return 2
  if argv is None:
    terminal.guard(draws=verb == 'harness')
    # Imports and tracing make millions of objects that stay, and looking through them takes seconds.
    gc.set_threshold(100_000, *gc.get_threshold()[1:])
  status = processes.left(lambda: signals.guarded(lambda: _run(verb, arguments)))
  if argv is None and status > 128:  # at once: threads of TensorFlow and JAX may be at work
    os._exit(status)
  return status


def _run(verb: str, arguments: Sequence[str]) -> int:
  try:
    status = importlib.import_module(VERBS[verb][0]).main(arguments) or 0
    if sys.stdout is not None:  # it may have been closed
      sys.stdout.flush()
    return status
  except OSError as e:  # where the output goes, as on a full disk
    from robust_t5x.runtime import errors

    return errors.report_error(e)


if __name__ == '__main__':
  sys.exit(main())
