#!/bin/bash
# Runs each benchmark once at its smallest size, from debug builds: whether they work, not how fast.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-$PWD/target}
program=$target/debug/nodb-trigger
cargo build --quiet --locked
export ROUNDS=1

EVENTS=10000 cargo bench --quiet --locked --profile dev --bench check
HERDS=10 "$target/venv/bin/python" benches/herd/measure.py "$program"
PROGRAM=$program benches/virtual/run.sh
ONLY=bash python3 benches/probe/measure.py "$program"
RATE=5000 python3 benches/record/measure.py "$program"
python3 benches/status/measure.py "$program"
# A workspace of its own, in the same target directory, so that what both need is built once.
cargo fmt --check --manifest-path benches/explore/Cargo.toml
ONLY="2 clients nodb-trigger" CARGO_TARGET_DIR=$target \
    cargo run --quiet --locked --manifest-path benches/explore/Cargo.toml
