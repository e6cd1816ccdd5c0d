#!/bin/sh
# Draws the timelines that README shows: as SVG files, and as a screenshot of a page in a browser.
#
#   scripts/screenshots.sh
#
# Runs are virtual, so the same program draws the same bytes. Needs chromium for the screenshot.
set -eu
cd "$(dirname "$0")/.."
cargo build --quiet
program=${CARGO_TARGET_DIR:-target}/debug/nodb-trigger
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
mkdir -p docs

draw() {
    file=$1
    shift
    # What a scenario expects to fail is no failure of this script.
    "$program" "$@" --virtual --quiet --timeline "$file" "$place/debug_locks" || [ $? -eq 1 ]
}

draw docs/ttl_expiration.svg ttl_expiration
draw docs/thundering_herd.svg thundering_herd --threads 10
draw docs/check_then_delete.svg check_then_delete
draw "$place/page.html" check_then_delete

for browser in chromium chromium-browser google-chrome; do
    command -v "$browser" >/dev/null || continue
    timeout 60 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
        --disable-background-networking --disable-component-update --disable-sync \
        --hide-scrollbars --user-data-dir="$place/profile" --window-size=1100,425 \
        --screenshot=docs/check_then_delete.png "file://$place/page.html" 2>/dev/null
    exit
done
echo "no chromium on the PATH: docs/check_then_delete.png is not drawn" >&2
exit 3
