#!/usr/bin/env bash
# Measures the bundled model under observed and unobserved phrasings, aligns it, measures again, and reports.
# Results go to out/quickstart, or to the directory given. What is finished already is not done again.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
out="${1:-out/quickstart}"
echo "1/4 evaluating the bundled model"
robust-t5x eval --gin_file=gin/runs/eval_mini.gin --gin.LABEL="'without prompt'" --gin.OUTPUT_DIR="'$out/before'"
echo "2/4 training a prompt with the alignment objective"
robust-t5x train --gin_file=gin/runs/quickstart.gin --gin.MODEL_DIR="'$out/prompt'"
echo "3/4 evaluating the model with the prompt"
robust-t5x eval --gin_file=gin/runs/eval_mini.gin --gin.LABEL="'with aligned prompt'" --gin.OUTPUT_DIR="'$out/after'" \
  --gin.PROMPT="'$out/prompt/prompt.safetensors'"
echo "4/4 writing the report"
robust-t5x report "$out/before" "$out/after" --out "$out"
