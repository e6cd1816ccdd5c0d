#!/bin/bash
# Makes what the subjects in examples/subjects need: Pythons with clients, packages of npm, rslock.
# Does nothing where it is there already. Only probe's own tests and examples need any of it.
set -euo pipefail
cd "$(dirname "$0")/.."

into="${CARGO_TARGET_DIR:-target}/subjects"

needs() {
    command -v "$1" >/dev/null || {
        echo "$0: $1 is missing; install it ($2)" >&2
        exit 1
    }
}

# A Python of its own with a package, and what that needs: names and versions.
python_with() {
    local place="$into/${1/==/-}"
    [ -e "$place/ready" ] && return
    rm -rf "$place"
    python3 -m venv "$place"
    "$place/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    # Last, so that a broken installation is made anew.
    touch "$place/ready"
}

needs python3 "with its module venv"
python_with redis==8.1.0
python_with redis==2.10.6
python_with python-redis-lock==4.0.1 redis==8.1.0
python_with celery-singleton==0.3.1 celery_once==3.0.1 celery==5.7.0 huey==3.5.4 redis==8.1.0

needs npm "with node"
node=examples/subjects/node
if ! cmp -s "$node/package-lock.json" "$node/node_modules/.installed"; then
    npm ci --prefix "$node" --silent --no-audit --no-fund
    cp "$node/package-lock.json" "$node/node_modules/.installed"
fi

needs cargo "see https://rustup.rs"
cargo build --quiet --locked --manifest-path examples/subjects/rslock/Cargo.toml \
    --target-dir "$into/rslock"
