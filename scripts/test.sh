#!/bin/bash
# Checks everything, on a fresh Debian machine with only Rust: format, lints, all tests with a real
# Redis, documentation. Installs redis-server with apt where it is missing.
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
        sudo -n "$@" || fail "not root, and sudo asks for a password; install redis-server yourself"
    fi
}

command -v cargo >/dev/null || fail "cargo is missing; see https://rustup.rs"
for component in fmt clippy; do
    cargo "$component" --version >/dev/null 2>&1 ||
        fail "cargo $component is missing; run: rustup component add ${component/#fmt/rustfmt}"
done

if ! command -v redis-server >/dev/null; then
    step "Install redis-server"
    command -v apt-get >/dev/null || fail "redis-server is missing, and there is no apt-get"
    as_root apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends redis-server
fi
redis-server --version

step "Format"
cargo fmt --check

step "Lints"
cargo clippy --all-targets --locked -- -D warnings

step "Documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items --locked

step "Tests, with a real Redis, and examples in the documentation"
NODB_REQUIRE_REDIS=1 cargo test --locked

printf '\nAll passed: format, lints, documentation, tests (%d s).\n' "$SECONDS"
