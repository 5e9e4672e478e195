#!/usr/bin/env bash
# Sets up the environment, checks the style, and runs the tests. Arguments go to pytest.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
ruff check .
ruff format --check .
python -m pytest -n "${TEST_PROCESSES:-2}" "$@"
