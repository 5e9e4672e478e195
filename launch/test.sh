#!/usr/bin/env bash
# Sets up the environment, checks style, types and imports, builds the site, and runs the tests. Arguments go to pytest.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
# The TPU's compiler, for the tests of the planner, and what builds the site.
python -m pip install --quiet --disable-pip-version-check -c constraints.txt libtpu mkdocs-material 'mkdocstrings[python]'
ruff check .
ruff format --check .
mypy
NO_MKDOCS_2_WARNING=1 mkdocs build --quiet --strict
python -m pytest -n "${TEST_PROCESSES:-2}" "$@"
