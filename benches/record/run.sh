#!/bin/bash
# Measures what `record` costs a server, and what it loses under load. See benches/README.md.
set -euo pipefail
cd "$(dirname "$0")/../.."

for program in python3 redis-server redis-benchmark; do
    command -v "$program" >/dev/null || {
        echo "$0: $program is needed and missing" >&2
        exit 3
    }
done

program=${PROGRAM:-target/release/nodb-trigger}
[ -n "${PROGRAM:-}" ] || cargo build --release --quiet
exec python3 benches/record/measure.py "$program"
