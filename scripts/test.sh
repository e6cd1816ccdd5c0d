#!/bin/bash
# Checks everything, on a fresh Debian machine with only Rust: format, lints, all tests with a real
# Redis, documentation. Installs with apt what the tests use and the machine lacks.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n==> %s\n' "$*"; }

fail() {
    printf '\n%s: %s\n' "$0" "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@" || fail "not root, and sudo asks for a password; install yourself: ${missing[*]}"
    fi
}

command -v cargo >/dev/null || fail "cargo is missing; see https://rustup.rs"
for component in fmt clippy; do
    cargo "$component" --version >/dev/null 2>&1 ||
        fail "cargo $component is missing; run: rustup component add ${component/#fmt/rustfmt}"
done

missing=()
need() { command -v "$1" >/dev/null || missing+=("${@:2}"); }
need redis-server redis-server
need redis-cli redis-tools
need chromium chromium fonts-dejavu-core # looks at the pictures; without a font it shows no letters
need tmux tmux
need groff groff-base
need script bsdutils
need npm npm nodejs
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} != 0 ]; then
    step "Install ${missing[*]}"
    command -v apt-get >/dev/null || fail "missing, and there is no apt-get: ${missing[*]}"
    as_root apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "${missing[@]}"
fi
redis-server --version

if [ -e scripts/python.sh ]; then
    step "Python with redis-py"
    bash scripts/python.sh
fi

step "Lock clients that are probed"
bash scripts/subjects.sh

step "Format"
cargo fmt --all --check

step "Lints"
cargo clippy --all-targets --locked -- -D warnings

step "The library and what it needs, alone, with their default features"
cargo check --locked --package lock-lab

step "Closures of Rust tests, with the library alone"
RUSTFLAGS="-D warnings" cargo test --locked --manifest-path examples/rust/Cargo.toml \
    --target-dir "${CARGO_TARGET_DIR:-target}/closures"

step "The deterministic Redis without scripts"
cargo test --locked --package redis-sim --no-default-features --lib

step "Documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items --locked

step "Tests, with a real Redis, and examples in the documentation"
# Many tests wait for a server or a timeout, so twice as many run at once as there are processors.
INSTA_UPDATE=no NODB_REQUIRE_REDIS=1 RUST_TEST_THREADS=$((2 * $(nproc))) cargo test --locked

step "Benchmarks, each once at its smallest size"
bash scripts/benches.sh

printf '\nAll passed: format, lints, documentation, tests, benchmarks (%d s).\n' "$SECONDS"
