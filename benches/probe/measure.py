"""Probes each shipped lock client a few times with the default stages: what is found, how fast.

Prints the rows of the table in the book's Measurements. The time is the median of the whole program. Every counterexample is
replayed, in memory and on a real Redis; one that does not show again ends the measurement.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = int(os.environ.get("ROUNDS", "5"))
# Only the clients whose name has this in it.
ONLY = os.environ.get("ONLY", "")
# Where the stand-in of the application's package is, and its version.
os.environ.update(PYTHONPATH="tests/clients/nodb", NODB_STAND_IN="2025")
PYTHON = {
    "PY2": "target/subjects/redis-2.10.6/bin/python",
    "PY8": "target/subjects/redis-8.1.0/bin/python",
    "PRL": "target/subjects/python-redis-lock-4.0.1/bin/python",
}

# What the table calls a client, and its command line; files are those in examples/subjects.
CLIENTS = [
    ("redis-py 2.10.6, Lock without scripts", "PY2 redis_py.py --plain"),
    ("redis-py 2.10.6, Lock with scripts", "PY2 redis_py.py"),
    ("redis-py 8.1.0 Lock", "PY8 redis_py.py"),
    ("redlock 4.2.0 (ioredis)", "node node/redlock.js"),
    ("rslock 0.7.4", "target/subjects/rslock/debug/rslock-subject"),
    ("python-redis-lock 4.0.1", "PRL python_redis_lock.py"),
    ("the application's package of 2025 (stand-in)", "PY8 nodb.py"),
    ("a lock in bash", "bash.sh"),
]


def command(short):
    words = [PYTHON.get(word, word) for word in short.split()]
    in_place = lambda word: word.endswith((".py", ".js", ".sh")) and not word.startswith("target/")
    return " ".join("examples/subjects/" + word if in_place(word) else word for word in words)


def measure(program, subject, upstream):
    """The outcome of one probe, and the median time."""
    times = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        words = [program, "probe", "mutual_exclusion", "--format", "json", "--subject", subject]
        ended = subprocess.run(words + upstream, capture_output=True, text=True)
        times.append(time.monotonic() - began)
        if ended.returncode not in (0, 1, 4) or not ended.stdout:
            sys.exit(f"{subject} {upstream}: exit {ended.returncode}: {ended.stderr}")
    return json.loads(ended.stdout)["protocols"][0], statistics.median(times)


def replay(program, subject, row, redis):
    """Replays each counterexample of a row."""
    for found in row["counterexamples"]:
        words = [program, "replay", found["schedule"], "--subject", subject] + redis
        ended = subprocess.run(words, capture_output=True, text=True)
        if ended.returncode != 0:
            sys.exit(f"{words}: exit {ended.returncode}: {ended.stdout}{ended.stderr}")


def stages(row):
    """What was covered and what was not, in short."""
    parts = {"covered": [], "cut short": [], "left out": []}
    for stage in row["covered"]:
        name = {(0, 0): "no fault", (1, 0): "crash", (0, 1): "lost or late command"}
        name = name[stage["crashes"], stage["faults"]]
        is_covered = stage["stopped_by"] is None and stage["failure"] is None
        kind = "covered" if is_covered else "left out" if stage["left_out"] else "cut short"
        parts[kind].append(name)
    if len(parts["covered"]) == len(row["covered"]):
        return "all three"
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in parts.items() if names)


@contextlib.contextmanager
def redis():
    """A Redis of its own, on a socket file; gives its URL."""
    with tempfile.TemporaryDirectory() as place:
        socket = place + "/redis.sock"
        words = ["redis-server", "--port", "0", "--save", "", "--unixsocket", socket, "--dir", place]
        server = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        try:
            while not os.path.exists(socket):
                if server.poll() is not None:
                    sys.exit("redis-server did not start")
                time.sleep(0.01)
            yield f"unix:{socket}"
        finally:
            server.terminate()
            server.wait()


def grouped(number):
    if number >= 1e7:
        return f"{number / 1e6:.1f} million"
    return f"{int(number):,}".replace(",", " ")


def main():
    load, program = os.getloadavg(), sys.argv[1]
    print(f"{os.cpu_count()} cores; load average {load[0]:.2f}; medians of {ROUNDS}", file=sys.stderr)
    print("| client | verdict | stages covered | orderings | states | time | on a real Redis | subject |")
    print("|---|---|---|--:|--:|--:|---|---|")
    for name, short in [client for client in CLIENTS if ONLY in client[0]]:
        subject = command(short)
        row, took = measure(program, subject, [])
        replay(program, subject, row, [])
        with redis() as url:
            real, took_there = measure(program, subject, ["--upstream", url])
            replay(program, subject, row, ["--redis", url])
        found = [one["property"] for one in row["counterexamples"] if one["judged"]]
        verdict = ": ".join([row["outcome"].upper()] + [", ".join(found)] * bool(found))
        covered = stages(real)
        there = f"{took_there:.2g} s" + ("" if covered == "all three" else f", {covered}")
        numbers = [grouped(row["orderings"]), grouped(row["states"])]
        cells = [name, verdict, stages(row), *numbers, f"{took:.2g} s", there, f"`{short}`"]
        print("| " + " | ".join(cells) + " |", flush=True)


main()
