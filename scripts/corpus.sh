#!/bin/bash
# Writes what a build of the program prints for a fixed set of inputs, one file a command, so that two
# builds can be compared: every scenario under each lock protocol and format, explorations, histories,
# replays, and the texts of the commands.
#
#   scripts/corpus.sh target/release/nodb-trigger /tmp/new
#   diff -r /tmp/old /tmp/new
set -euo pipefail

[ $# = 2 ] || { echo "usage: $0 PROGRAM DIRECTORY" >&2; exit 2; }
program=$(realpath "$1")
mkdir -p "$2"
cd "$2"

# Times are those of this machine, and two builds may be called by different names.
steady() { sed -E 's/\([0-9.]+ (us|ms|s|min)\)/(TIME)/; s/[0-9]+ orderings\/s/N orderings\/s/'; }

# Runs the program and keeps what it printed and how it ended, under a name.
keep() {
    local name=$1 status=0
    shift
    COLUMNS=100 TERM=dumb LC_ALL=C "$program" "$@" >"$name.out" 2>"$name.err" </dev/null || status=$?
    steady <"$name.out" >"$name.steady" && mv "$name.steady" "$name.out"
    steady <"$name.err" >"$name.steady" && mv "$name.steady" "$name.err"
    echo "$status" >"$name.status"
}

# Each scenario is run in the same directory, whose name is in reports.
runs=/tmp/nodb-trigger-corpus
rm -rf "$runs"
scenarios=$("$program" list | awk '/^[a-z_]+ /{print $1}')
histories=0
for scenario in $scenarios; do
    for lock in legacy hardened; do
        for format in table json junit; do
            keep "$scenario.$lock.$format" "$scenario" "$runs" --virtual --lock $lock --format $format
        done
        keep "$scenario.$lock.seeded" "$scenario" "$runs" --virtual --lock $lock --seed 7
        if [ $histories -lt 20 ]; then
            keep "$scenario.$lock.run" "$scenario" "$runs" --virtual --lock $lock --quiet \
                --history "$scenario.$lock.jsonl"
            keep "$scenario.$lock.check" check "$scenario.$lock.jsonl"
            keep "$scenario.$lock.check.json" check --format json "$scenario.$lock.jsonl"
            keep "$scenario.$lock.timeline" timeline "$scenario.$lock.jsonl"
            histories=$((histories + 1))
        fi
    done
    keep "$scenario.show" show "$scenario"
    keep "$scenario.help" "$scenario" --help
    keep "$scenario.explore.json" explore "$scenario" --max-schedules 2000 --format json
    keep "$scenario.explore" explore "$scenario" --max-schedules 2000 --jobs 1
done

# Schedules that the explorations printed, replayed.
grep -hoE '"schedule": "v1:[^"]+"' ./*.explore.json.out | cut -d'"' -f4 | sort -u | awk 'NR <= 20' >schedules
number=0
while read -r schedule; do
    number=$((number + 1))
    keep "replay.$number" replay "$schedule"
    keep "replay.$number.json" replay "$schedule" --format json
    keep "replay.$number.sh" replay "$schedule" --as shell
done <schedules

keep list list
keep catalogue catalogue
keep catalogue.json catalogue --format json
keep catalogue.markdown catalogue --format markdown
keep help --help
keep nothing
keep unknown thundering_herds
keep completions completions bash
keep man man man
rm -rf "$runs"
echo "$(find . -type f | wc -l) files in $PWD"
