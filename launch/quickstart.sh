#!/usr/bin/env bash
# Measures the bundled model under observed and unobserved phrasings, aligns it, measures again, and reports.
# Results go to out/quickstart, or to the directory given. What is finished already is not done again.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
out="${1:-out/quickstart}"
echo "1/4 evaluating the bundled model"
robust-t5x eval mini --LABEL='without adapter' --OUTPUT_DIR="$out/before"
echo "2/4 training an adapter with the alignment objective"
robust-t5x train quickstart --MODEL_DIR="$out/adapter"
echo "3/4 evaluating the model with the adapter"
robust-t5x eval mini --LABEL='with aligned adapter' --ADAPTER="$out/adapter/adapter.safetensors" --OUTPUT_DIR="$out/after"
echo "4/4 writing the report"
robust-t5x report "$out/before" "$out/after" --out "$out"
