"""Writes a model's outputs for the inputs of a JSONL file.

`robust-t5x infer mini --INPUT_FILE=in.jsonl --OUTPUT_FILE=out.jsonl`
"""

from collections.abc import Sequence
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from robust_t5x.runtime import errors, launcher, processes
from seqio_tasks import answers, framing, tables

if TYPE_CHECKING:
  from robust_t5x.checkpoints.loading import Loaded


_MADE = ('prediction', 'option_scores', 'tied_options', 'cut_tokens')  # what an output line has beside its input


def infer(
  loaded: 'Loaded',
  input_file: str,
  output_file: str,
  max_output: int = 32,
  batch_size: int = 64,
  max_input: int = 512,
) -> str:
  """Reads objects with `inputs` (text) and optional `options` (list of texts); writes them with the model's answer.

  Each output line is the input's object with `prediction` and, where it has options, `option_scores` (log-likelihood
  in nats) and the likeliest option as `prediction`; `tied_options` where several are; `cut_tokens` where the input was
  longer than `max_input`. What the input has under these names, such as from an earlier run, is dropped.

  Args:
    loaded: a loading.Loaded.
    input_file: JSONL to read.
    output_file: JSONL to write, in the same order, atomically.
    max_output: most tokens of an output.
    batch_size: inputs processed together.
    max_input: most tokens of an input, and of all options of one together. Longer inputs are cut at their end, counted and
      marked; more options are refused.

  Returns:
    The path written.

  Raises:
    UserError: naming file and line of what cannot be read.
  """
  import numpy as np

  from robust_t5x.models import runner as runner_lib
  from robust_t5x.runtime import files, progress

  errors.check_required({'INPUT_FILE': input_file, 'OUTPUT_FILE': output_file})
  if os.path.isdir(output_file):
    raise errors.UsageError(f'OUTPUT_FILE: {output_file} is a directory; name a file in it')
  if processes.is_main():
    files.check_writable(output_file)
  numbered = read_rows(input_file)
  rows = [row for _, row in numbered]
  vocabulary = loaded.model.input_vocabulary
  tokens, cut = [], 0
  for number, row in numbered:
    encoded = framing.inputs(vocabulary, [row['inputs']], max_input)[0]
    if encoded.cut:
      row['cut_tokens'] = encoded.cut
      cut += 1
    tokens.append(np.asarray(encoded.ids))
    together = sum(len(option.ids) for option in framing.answers(vocabulary, row.get('options', ())))
    if together > max_input:
      raise errors.UsageError(
        f'{input_file}: line {number}: its options have {together} tokens together; give fewer, or raise MAX_INPUT from {max_input}'
      )
  if cut:
    print(
      f'warning: {cut} of {len(rows)} inputs were longer than {max_input} tokens and were cut; raise MAX_INPUT',
      file=sys.stderr,
    )
  runner = runner_lib.Runner(loaded.model, loaded.params, min(batch_size, max(len(rows), 1)), max_output)
  ranked = [i for i, row in enumerate(rows) if row.get('options')]
  free = [i for i, row in enumerate(rows) if not row.get('options')]
  with progress.Progress('inference', len(rows)) as bar:
    for i, text in zip(free, runner.generate([tokens[i] for i in free], bar.advance), strict=True):
      rows[i]['prediction'] = text
    options = [rows[i]['options'] for i in ranked]
    for i, scores in zip(ranked, runner.score([tokens[i] for i in ranked], options, bar.advance), strict=True):
      rows[i]['option_scores'] = [round(float(s), 6) for s in scores]
      best = answers.best_options([float(s) for s in scores])
      rows[i]['prediction'] = rows[i]['options'][best[0]]
      if len(best) > 1:
        rows[i]['tied_options'] = [rows[i]['options'][b] for b in best]
  if not processes.is_main():
    return output_file
  files.write_atomically(output_file, ''.join(json.dumps(row, ensure_ascii=False) + '\n' for row in rows))
  print(f'wrote {len(rows)} outputs to {output_file}')
  return output_file


def read_rows(path: str) -> list[tuple[int, dict[str, Any]]]:
  """Reads and checks the input file: line number and object of each line that is not empty."""
  rows = tables.read_jsonl(path)
  for number, row in rows:
    if not isinstance(row.get('inputs'), str):
      raise errors.UsageError(f"{path}: line {number}: needs an object with a text 'inputs'")
    options = row.get('options', [])
    if not isinstance(options, list) or not all(isinstance(o, str) for o in options):
      raise errors.UsageError(f"{path}: line {number}: 'options' must be a list of texts")
    for name in _MADE:
      row.pop(name, None)
  return rows


def main(argv: Sequence[str] | None = None) -> int:
  """Command line; returns the exit status."""
  return launcher.run_configured('infer.infer', argv, __doc__.splitlines()[0])
