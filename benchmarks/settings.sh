#!/usr/bin/env bash
# Compares settings of alignment on development phrasings and validation examples; the choice in gin/runs/align_mini.gin was
# made by this, and unobserved phrasings had no part in it. Run inside the project's environment.
#   benchmarks/settings.sh OUT NAME 'ARGUMENTS OF robust-t5x train' [NAME 'ARGUMENTS' ...]
set -euo pipefail
cd "$(dirname "$0")/.."
out="${1:?name a directory for the results}"
shift
evaluate=(robust-t5x eval --gin_file=gin/runs/eval_mini.gin --gin.MIXTURES="['mini_eval_development']"
  --gin.SPLIT="'validation'" --gin.NUM_EXAMPLES="${NUM_EXAMPLES:-100}")
"${evaluate[@]}" --gin.LABEL="'without prompt'" --gin.OUTPUT_DIR="'$out/before'"
after=()
while [ $# -gt 1 ]; do
  read -ra arguments <<< "$2"
  robust-t5x train --gin_file=gin/runs/align_mini.gin "${arguments[@]}" --gin.MODEL_DIR="'$out/train/$1'"
  "${evaluate[@]}" --gin.LABEL="'$1'" --gin.OUTPUT_DIR="'$out/eval/$1'" \
    --gin.PROMPT="'$out/train/$1/prompt.safetensors'"
  after+=("$out/eval/$1")
  shift 2
done
robust-t5x report "$out/before" "${after[@]}" --out "$out"
