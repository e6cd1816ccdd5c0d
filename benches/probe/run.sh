#!/bin/sh
# Probes each shipped lock client and writes the README's table. See benches/README.md.
set -eu
cd "$(dirname "$0")/../.."

scripts/subjects.sh
cargo build --release --quiet
exec python3 benches/probe/measure.py target/release/nodb-trigger
