"""The quickstart on a real model, in one process: see real_model.sh.

python launch/real_model.py BIGBENCH_DIR [OUT]
"""

import sys

from quickstart import measured_twice, run

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
  train = ['train', 'align_smollm2', *common, f'--BACKBONE_DTYPE={dtype}', f'--TRAIN_STEPS={STEPS}']
  return run(measured_twice('SmolLM2', ('SmolLM2', 'SmolLM2 aligned'), measure, train, out))


if __name__ == '__main__':
  sys.exit(main())
