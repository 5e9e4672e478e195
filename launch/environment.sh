# Sourced by the other scripts: makes the environment in .venv once, with the pinned versions, and activates it.
# PYTHON chooses the interpreter; it must be 3.11 or newer.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python="${PYTHON:-python3}"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "error: $python is older than 3.11; set PYTHON to a newer interpreter" >&2
  exit 1
}
[ -x .venv/bin/python ] || "$python" -m venv .venv
source .venv/bin/activate
stamp="$(cat setup.py constraints.txt | sha256sum)"
if [ "$(cat .venv/installed 2>/dev/null)" != "$stamp" ]; then
  echo "installing into .venv (a few minutes, once)"
  python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
  echo "$stamp" > .venv/installed
fi
