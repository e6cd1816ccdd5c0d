#!/bin/bash
# Packs a release: a static binary where that can be had, completions, manual pages; the same as a wheel for
# Python and as packages for npm; checksums.
#   scripts/release.sh                        builds, and packs into dist/
#   scripts/release.sh --package BINARY DIR   packs a binary that is there already, into DIR
# The same commit and the same compiler give the same bytes.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
name=nodb-trigger
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

step() { printf '==> %s\n' "$*" >&2; }

fail() {
    printf '%s: %s\n' "$0" "$*" >&2
    exit 1
}

# What to put into the archive's name: ldd knows nothing of a binary without a loader.
is_static() {
    ldd "$1" 2>&1 | grep -qE 'not a dynamic executable|statically linked'
}

build() { # TARGET FLAGS
    local flags="$2 --remap-path-prefix=$root=. --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
    (cd "$root" && RUSTFLAGS="$flags" cargo build --release --locked --target "$1" >&2) || return
    binary=${CARGO_TARGET_DIR:-$root/target}/$1/release/$name
    target=$1
}

has_musl() {
    command -v musl-gcc >/dev/null || return
    rustup target list --installed 2>/dev/null | grep -qx "$1" ||
        rustup target add "$1" >/dev/null 2>&1
}

# A static binary if there is a way; sets `binary`, `target` and `kind`.
build_best() {
    local host musl
    host=$(rustc -vV | sed -n 's/^host: //p')
    musl=${host%%-*}-unknown-linux-musl
    if has_musl "$musl" && step "Build for $musl" && build "$musl" "" && is_static "$binary"; then
        kind="static, musl"
    elif step "Build for $host, with glibc inside" &&
        build "$host" "-C target-feature=+crt-static" && is_static "$binary"; then
        kind="static, glibc"
    else
        step "Build for $host"
        build "$host" "" || fail "the build failed"
        kind="needs the libraries of this system"
    fi
}

# Starts a Redis on a free port; sets `server` and `port`.
start_redis() {
    local attempt
    for attempt in $(seq 20); do
        port=$((20000 + RANDOM % 20000))
        redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$work" >/dev/null 2>&1 &
        server=$!
        for attempt in $(seq 100); do
            [ "$(redis-cli -p "$port" info server 2>/dev/null | grep -c "process_id:$server")" = 1 ] &&
                return
            kill -0 "$server" 2>/dev/null || break
            sleep 0.05
        done
        kill "$server" 2>/dev/null || true
    done
    server=
    fail "redis-server did not start"
}

# Runs the binary as a user would. A static one must still find hosts by their names.
try() {
    "$1" --version
    "$1" thundering_herd "$work/run" --virtual --quiet || fail "a virtual scenario ended with $?"
    if ! command -v redis-server >/dev/null; then
        step "Not tried against a Redis: there is no redis-server"
        return
    fi
    start_redis
    "$1" thundering_herd "$work/run" --hold 60ms --quiet --redis "redis://localhost:$port" ||
        fail "a scenario on redis://localhost ended with $?"
    kill "$server"
    server=
}

# The package with the library, which depends on one for each platform with the binary.
pack_npm() { # PLACE VERSION DIRECTORY
    local cpu platform=$work/npm
    cpu=$(uname -m | sed 's/x86_64/x64/; s/aarch64/arm64/')
    mkdir "$platform"
    cp "$1/$name" "$1"/LICENSE-* "$platform"
    cat >"$platform/package.json" <<EOF
{
  "name": "$name-linux-$cpu",
  "version": "$2",
  "description": "The program $name for Linux on $cpu",
  "license": "MIT OR Apache-2.0",
  "os": ["linux"],
  "cpu": ["$cpu"]
}
EOF
    npm pack --silent --pack-destination "$3" "$platform" "$root/js" >&2
}

pack() { # BINARY TARGET DIRECTORY
    local version epoch package place
    version=$(cd "$root" && cargo pkgid | sed 's/.*[#@]//')
    epoch=$(git -C "$root" log -1 --format=%ct 2>/dev/null || stat -c %Y "$root/CHANGELOG.md")
    package=$name-$version-$2
    place=$work/$package
    mkdir -p "$place/completions" "$place/man/man1" "$3"
    strip -o "$place/$name" "$1"
    try "$place/$name"
    "$place/$name" completions bash >"$place/completions/$name.bash"
    "$place/$name" completions zsh >"$place/completions/_$name"
    "$place/$name" completions fish >"$place/completions/$name.fish"
    "$place/$name" completions elvish >"$place/completions/$name.elv"
    "$place/$name" completions powershell >"$place/completions/$name.ps1"
    "$place/$name" man "$place/man/man1"
    cp "$root"/README.md "$root"/CHANGELOG.md "$root"/LICENSE-* "$place"
    chmod -R u=rwX,go=rX "$place"
    tar --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner --format=ustar \
        -C "$work" -cf - "$package" | gzip -9n >"$3/$package.tar.gz"
    bash "$root/scripts/python.sh" >&2
    SOURCE_DATE_EPOCH=$epoch NODB_TRIGGER_RELEASE=$place \
        "${CARGO_TARGET_DIR:-$root/target}/venv/bin/python" -m pip wheel --quiet --no-deps \
        --no-build-isolation --wheel-dir "$3" "$root/python" >&2
    pack_npm "$place" "$version" "$3"
    (cd "$3" && sha256sum "$name-$version"-*.tar.gz nodb_trigger-"$version"-*.whl ./*.tgz >SHA256SUMS)
    printf '%s\n' "$3/$package.tar.gz"
}

case ${1-} in
    --package)
        [ $# = 3 ] || fail "usage: $0 --package BINARY DIRECTORY"
        pack "$2" "$(rustc -vV | sed -n 's/^host: //p')" "$3"
        ;;
    '')
        step "The book, without warnings"
        bash "$root/scripts/book.sh" >&2
        build_best
        pack "$binary" "$target" "$root/dist"
        step "$kind: $(file -b "$binary" 2>/dev/null || echo "file(1) is not here to say more")"
        ;;
    *) fail "usage: $0 [--package BINARY DIRECTORY]" ;;
esac
