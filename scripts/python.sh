#!/bin/bash
# Makes target/venv, a Python with the lock clients that tests run beside ours (tests/requirements.txt);
# does nothing where it is there already.
set -euo pipefail
cd "$(dirname "$0")/.."

venv="${CARGO_TARGET_DIR:-target}/venv"
wanted=tests/requirements.txt

if [ -x "$venv/bin/python" ] && cmp -s "$wanted" "$venv/requirements.txt"; then
    exit 0
fi
command -v python3 >/dev/null || {
    echo "$0: python3 is missing; install it with its venv module" >&2
    exit 1
}
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$wanted"
# Last, so that a broken installation is made anew.
cp "$wanted" "$venv/requirements.txt"
