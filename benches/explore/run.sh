#!/bin/sh
# Measures how fast orderings are explored, next to Shuttle. See benches/explore/README.md.
set -eu
cd "$(dirname "$0")/../.."

command -v cargo >/dev/null || {
    echo "$0: cargo is needed and missing; see https://rustup.rs" >&2
    exit 3
}

# In the program's own target directory, so that what it needs is not built twice.
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
export CARGO_TARGET_DIR
cargo build --release --quiet --manifest-path benches/explore/Cargo.toml

version() { sed -n "/^name = \"$1\"/{n;s/version = \"\(.*\)\"/\1/p;}" benches/explore/Cargo.lock; }
echo "$(nproc) cores, $(uname -sr); load average $(cut -d' ' -f1-3 /proc/loadavg)"
echo "nodb-trigger $(version nodb-trigger), shuttle $(version shuttle); release builds; $(rustc --version)"
exec "$CARGO_TARGET_DIR/release/explore-bench"
