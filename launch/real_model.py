"""The quickstart on a real model, in one process: see real_model.sh.

python launch/real_model.py BIGBENCH_DIR [OUT]
"""

import sys

from quickstart import run

from robust_t5x.models.products import cpu_has_bfloat16

# Examples of a task in each evaluation, and steps of training: what two cores do in a quarter of an hour.
EXAMPLES, STEPS = 20, 50
TASKS = ('goal_inference', 'intent_recognition')


def main() -> int:
  """Runs the commands; returns the exit status."""
  bigbench, out = sys.argv[1], (sys.argv[2] if len(sys.argv) > 2 else 'out/real_model')
  dtype = 'bfloat16' if cpu_has_bfloat16() else 'float32'
  common = [f'--BIGBENCH_DIR={bigbench}', f'--DTYPE={dtype}']
  mixtures = [f'bigbench_{task}_eval_bigbench_evaluation' for task in TASKS]
  measure = ['eval', 'wording', *common, f'--MIXTURES={mixtures}', f'--NUM_EXAMPLES={EXAMPLES}']
  return run(
    (
      ('evaluating SmolLM2', [*measure, '--LABEL=SmolLM2', f'--OUTPUT_DIR={out}/before']),
      (
        'training an adapter with the alignment objective',
        ['train', 'align_smollm2', *common, f'--BACKBONE_DTYPE={dtype}', f'--TRAIN_STEPS={STEPS}', f'--MODEL_DIR={out}/adapter'],
      ),
      (
        'evaluating the model with the adapter',
        [*measure, '--LABEL=SmolLM2 aligned', f'--ADAPTER={out}/adapter/adapter.safetensors', f'--OUTPUT_DIR={out}/after'],
      ),
      ('writing the report', ['report', f'{out}/before', f'{out}/after', '--out', out]),
    )
  )  # fmt: skip


if __name__ == '__main__':
  sys.exit(main())
