#!/usr/bin/env bash
# Installs T5X and what it imports into the active environment, at the commits that this project is tested with.
# Their own lists of requirements do not resolve together, hence --no-deps; the extra `t5x` holds what is left of them.
# T5X_SOURCE, AIRIO_SOURCE and JESTIMATOR_SOURCE may name local clones instead.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
t5x="${T5X_SOURCE:-git+https://github.com/google-research/t5x@cc342d419ec3e3e9c4bf1df33c82330cafdc1e16}"
airio="${AIRIO_SOURCE:-git+https://github.com/google/airio@69897df7d9a427b947a9f7bb4164c7782b43e601}"
jestimator="${JESTIMATOR_SOURCE:-git+https://github.com/google-research/jestimator@326824a477feef6d92e6f44175000907a72899ca}"
python -m pip install --quiet -c constraints.txt -e '.[t5x]'
python -m pip install --quiet --no-deps "$t5x" "$airio" "$jestimator"
python -c 'import t5x.train, t5x.eval, t5x.infer' 2>/dev/null || {
  echo "error: T5X does not import; see docs/t5x.md" >&2
  exit 1
}
echo "T5X is installed"
