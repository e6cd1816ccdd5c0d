#!/bin/bash
# Measures how long each scenario takes with --virtual, as a whole process. See benches/README.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${ROUNDS:-51}

program=${PROGRAM:-target/release/nodb-trigger}
[ -n "${PROGRAM:-}" ] || cargo build --release --quiet

micros() { echo "${EPOCHREALTIME/[.,]/}"; }

echo "$(nproc) cores; load average $(cut -d' ' -f1-3 /proc/loadavg)"
echo "Whole process in ms, $rounds rounds each, fork and exec included"
printf '%-18s %7s %7s %7s\n' scenario median min max
for file in scenarios/*.toml; do
    scenario=$(basename "$file" .toml)
    for ((round = 0; round < rounds; round++)); do
        began=$(micros)
        "$program" "$scenario" --virtual --quiet
        echo $(($(micros) - began))
    done | sort -n | awk -v name="$scenario" '
        { t[NR] = $1 / 1000 }
        END { printf "%-18s %7.1f %7.1f %7.1f\n", name, t[int((NR + 1) / 2)], t[1], t[NR] }'
done
