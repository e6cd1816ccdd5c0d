#!/bin/sh
# Measures how tight a herd is, next to the same lock protocol in Python. See benches/README.md.
set -eu
cd "$(dirname "$0")/../.."

for program in cargo python3 redis-server redis-cli; do
    command -v "$program" >/dev/null || {
        echo "$0: $program is needed and missing" >&2
        exit 3
    }
done

cargo build --release --quiet

venv=target/bench-venv
if ! "$venv/bin/python" -c 'import redis; assert redis.__version__ == "8.1.0"' 2>/dev/null; then
    python3 -m venv "$venv" || {
        echo "$0: cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2
        exit 3
    }
    "$venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0
fi

# Each of a thousand actors has its connection, on both ends.
ulimit -n "$(ulimit -Hn)"
exec "$venv/bin/python" benches/herd/measure.py target/release/nodb-trigger
