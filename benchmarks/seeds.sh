#!/usr/bin/env bash
# The finding of the README over several seeds: a prompt is trained and evaluated for each, and the report compares
# them, as one model, with the model without prompt. Run inside the project's environment.
#   benchmarks/seeds.sh OUT [SEED ...]
set -euo pipefail
cd "$(dirname "$0")/.."
out="${1:?name a directory for the results}"
shift
seeds=("${@:-0 1 2}")
evaluate=(robust-t5x eval --gin_file=gin/runs/eval_mini.gin --gin.NUM_EXAMPLES="${NUM_EXAMPLES:-100}")
"${evaluate[@]}" --gin.LABEL="'without prompt'" --gin.OUTPUT_DIR="'$out/before'"
after=()
for seed in ${seeds[*]}; do
  robust-t5x train --gin_file=gin/runs/align_mini.gin --gin_file=gin/prompts/"${PROMPT:-prefix}".gin \
    --gin_file=gin/objectives/"${OBJECTIVE:-kl}".gin --gin.SEED="$seed" --gin.MODEL_DIR="'$out/prompt$seed'"
  "${evaluate[@]}" --gin.LABEL="'with aligned prompt'" --gin.OUTPUT_DIR="'$out/after$seed'" \
    --gin.PROMPT="'$out/prompt$seed/prompt.safetensors'"
  after+=("$out/after$seed")
done
robust-t5x report "$out/before" "${after[@]}" --out "$out"
