#!/bin/bash
# Builds the book into target/book, and fails where mdBook warns. Installs mdBook into target/tools if it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.5.4
mdbook=target/tools/bin/mdbook

if [ "$("$mdbook" --version 2>/dev/null)" != "mdbook v$version" ]; then
    cargo install --quiet --locked --root target/tools --no-default-features "mdbook@$version"
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$mdbook" build docs/book --dest-dir "$PWD/target/book" 2>&1 | tee "$log"
if grep -qE 'WARN|ERROR' "$log"; then
    echo "$0: mdBook warns; see above" >&2
    exit 1
fi
echo "target/book/index.html"
