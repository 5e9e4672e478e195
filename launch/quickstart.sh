#!/usr/bin/env bash
# Measures the bundled model under observed and unobserved phrasings, aligns it, measures again, and reports.
# Results go to out/quickstart, or to the directory given. What is finished already is not done again.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
exec python launch/quickstart.py "$@"
