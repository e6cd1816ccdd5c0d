#!/bin/sh
# Draws the timelines that the book shows, as screenshots of their pages in a browser.
#
#   scripts/screenshots.sh
#
# Runs are virtual, so the same program draws the same pages. Needs chromium on the PATH.
set -eu
cd "$(dirname "$0")/.."
for browser in chromium chromium-browser google-chrome ""; do
    command -v "$browser" >/dev/null && break
done
if [ -z "$browser" ]; then
    echo "no chromium on the PATH; install it, then run this again" >&2
    exit 3
fi
cargo build --quiet
program=${CARGO_TARGET_DIR:-target}/debug/nodb-trigger
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
mkdir -p docs/book/src/pictures

draw() {
    height=$1
    name=$2
    shift 2
    "$program" "$name" "$@" --virtual --quiet --timeline "$place/$name.html" "$place/debug_locks"
    timeout 60 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
        --disable-background-networking --disable-component-update --disable-sync \
        --hide-scrollbars --user-data-dir="$place/profile" --window-size="1100,$height" \
        --screenshot="docs/book/src/pictures/$name.png" "file://$place/$name.html" 2>/dev/null
}

draw 400 ttl_expiration
draw 740 thundering_herd --threads 10
draw 425 check_then_delete
