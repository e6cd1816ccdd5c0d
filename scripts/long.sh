#!/bin/bash
# What takes too long for continuous integration: all tests ten times, five times beside four busy
# processes, generated inputs by the thousand, 400 interrupted runs, 2000 clients, complete benchmarks, an
# installation and the book. One line a step, with its time; the output of a step that fails is kept and named.
#
# Not under nohup: some tests send signals that nohup has their programs ignore.
set -uo pipefail
cd "$(dirname "$0")/.."
export NODB_REQUIRE_REDIS=1 INSTA_UPDATE=no
logs=$(mktemp -d)
failed=0

step() {
    local name=$1 began=$SECONDS log
    shift
    log="$logs/${name// /-}"
    if "$@" >"$log" 2>&1; then
        printf 'ok      %-40s %5d s\n' "$name" $((SECONDS - began))
        rm "$log"
    else
        printf 'FAILED  %-40s %5d s  %s\n' "$name" $((SECONDS - began)) "$log"
        failed=1
    fi
}

busy() {
    local pids=() status
    for _ in 1 2 3 4; do
        while :; do :; done &
        pids+=($!)
    done
    "$@"
    status=$?
    kill "${pids[@]}"
    return $status
}

# Installs the program with nothing but a compiler in the environment, and runs it.
installs() {
    local root=$logs/installed
    env -i HOME="$HOME" PATH="$PATH" CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}" \
        cargo install --locked --path . --root "$root" &&
        env -i "$root/bin/nodb-trigger" thundering_herd "$logs/run" --virtual --quiet
}

# A herd of 2000 threads on a server with as many clients.
herd_of_2000() {
    local program=target/release/nodb-trigger socket=$logs/socket server status
    "$program" serve --socket "$socket" &
    server=$!
    until [ -S "$socket" ]; do sleep 0.1; done
    "$program" thundering_herd "$logs/run" --threads 1990 --hold 10s --quiet --redis "unix:$socket"
    status=$?
    kill $server && wait $server && return $status
}

git log -1 --format='%h %s'
cargo test --locked --no-run || exit 1
for round in 1 2 3 4 5 6 7 8 9 10; do
    step "all tests, round $round" cargo test --locked --no-fail-fast
done
for round in 1 2 3 4 5; do
    step "all tests, busy, round $round" busy cargo test --locked --no-fail-fast
done
export PROPTEST_CASES=10000
step "broken scenario files" cargo test --locked --release --lib broken
step "conformance" cargo test --locked --release --test it conformance
unset PROPTEST_CASES
MONITOR_HISTORIES=100000 step "monitor and checkers" cargo test --locked --release --lib monitor
NODB_RECORDINGS=10 step "recordings of every format" cargo test --locked --release --test it record::formats
RECORD_WORKLOADS=200 step "recordings of generated workloads" cargo test --locked --release --lib generated
PROBE_CLIENTS=2000 PROBE_ORDERINGS=20000 step "generated clients" cargo test --locked --release --lib clients_from_outside
for crate in redis-sim lock-history lock-lab; do
    step "$crate alone" cargo test --locked --package "$crate"
done
EXPLORE_WALKS=200 step "random walks replayed" cargo test --locked --release --lib walks
NODB_MIXED_KEYS=100000 step "locks among mixed keys" cargo test --locked --release --test it status::mixed
SOAK_RUNS=400 step "400 interrupted runs" cargo test --locked --release --test it soak
step "2000 clients" cargo test --locked --release --test it two_thousand
cargo build --locked --release || exit 1
step "a herd of 2000 threads" herd_of_2000
step "installation in an empty environment" installs
step "the book" bash scripts/book.sh
for bench in herd virtual probe explore; do
    step "benchmark $bench" bash "benches/$bench/run.sh"
done
step "benchmark check" cargo bench --locked --bench check
if command -v cargo-deny >/dev/null; then
    step "licences, bans and sources" cargo deny --locked check licenses bans sources
else
    echo "left out: licences, bans and sources (no cargo deny; cargo install cargo-deny)"
fi
NODB_REPLAYS=20 step "counterexamples on a real Redis" cargo test --locked --release --test it exploration

[ $failed = 0 ] && rm -r "$logs" && echo "All passed ($SECONDS s)."
exit $failed
