"""Cuts the runs in `exported/` out of runs of lm-evaluation-harness 0.4.13 on tasks that this package exported.

  robust-t5x convert bundled MINI --to huggingface
  robust-t5x tasks export mini_odd_one_out_eval_unobserved --to lm-eval --out TASKS --NUM_EXAMPLES=20 [--scorer exact_match --max_output 8]
  lm_eval run --model hf --model_args pretrained=MINI,dtype=float32 --include_path TASKS --tasks mini_odd_one_out_eval_unobserved \
    --log_samples --output_path RUN
  python tests/data/lm_eval/cut.py RUN/* exported/rank        # and of the other scorer: exported/greedy

What is left are the first four examples under two phrasings, and of the results what is said of these tasks.
"""

import json
import pathlib
import sys

PHRASINGS = ('h01', 'h04')
EXAMPLES = 4
KEPT = ('model_name', 'lm_eval_version', 'chat_template', 'system_instruction')


def main(run: str, out: str) -> None:
  place = pathlib.Path(__file__).parent / out
  place.mkdir(parents=True, exist_ok=True)
  tasks = []
  for file in sorted(pathlib.Path(run).glob('samples_mini_odd_one_out_eval_unobserved__*.jsonl')):
    task = file.name.removeprefix('samples_').rpartition('_')[0]
    if task.endswith(PHRASINGS):
      tasks.append(task)
      (place / file.name).write_text(''.join(file.read_text().splitlines(keepends=True)[:EXAMPLES]))
  for file in pathlib.Path(run).glob('results_*.json'):
    whole = json.loads(file.read_text())
    cut = {key: whole[key] for key in KEPT} | {'model_name': 'mini'}
    for key in ('results', 'configs', 'n-shot'):
      cut[key] = {task: whole[key][task] for task in tasks}
    for config in cut['configs'].values():
      config.pop('dataset_kwargs')  # a path
      config['metadata'] = {'version': 1.0, 'robust_t5x': config['metadata']['robust_t5x']}
    (place / file.name).write_text(json.dumps(cut, indent=1, ensure_ascii=False) + '\n')


if __name__ == '__main__':
  main(*sys.argv[1:])
