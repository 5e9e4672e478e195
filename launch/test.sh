#!/usr/bin/env bash
# Sets up the environment, checks the style, and runs the tests. Arguments go to pytest.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
# The TPU's compiler, for the tests of the planner.
python -m pip install --quiet --disable-pip-version-check -c constraints.txt libtpu
ruff check .
ruff format --check .
python -m pytest -n "${TEST_PROCESSES:-2}" "$@"
