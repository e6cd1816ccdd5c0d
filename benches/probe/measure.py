"""Probes each shipped lock client a few times: what is found, in how many orderings, how fast.

Prints the rows of the README's table. The time is the median of the whole program.
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
PYTHON = {
    "PY2": "target/subjects/redis-2.10.6/bin/python",
    "PY8": "target/subjects/redis-8.1.0/bin/python",
    "PRL": "target/subjects/python-redis-lock-4.0.1/bin/python",
}

# What the table calls a client, and its command line; files are those in examples/subjects. A client that
# needs a real Redis says so at the end.
UPSTREAM = " --upstream"
CLIENTS = [
    ("redis-py 2.10.6, Lock without scripts", "PY2 redis_py.py --plain"),
    ("redis-py 2.10.6, Lock with scripts", "PY2 redis_py.py"),
    ("redis-py 8.1.0 Lock", "PY8 redis_py.py"),
    ("redlock 4.2.0 (ioredis)", "node node/redlock.js"),
    ("rslock 0.7.4", "target/subjects/rslock/debug/rslock-subject"),
    ("python-redis-lock 4.0.1", "PRL python_redis_lock.py" + UPSTREAM),
    ("NoDb protocol in Python (stand-in)", "PY8 nodb.py"),
    ("a lock in bash", "bash.sh"),
]
BOUNDS = ["--crashes 0", "--crashes 1", "--faults 1"]


def command(short):
    words = [PYTHON.get(word, word) for word in short.split()]
    in_place = lambda word: word.endswith((".py", ".js", ".sh")) and not word.startswith("target/")
    return " ".join("examples/subjects/" + word if in_place(word) else word for word in words)


def measure(program, subject, bounds):
    times = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        words = [program, "probe", "mutual_exclusion", "--format", "json", "--subject", subject]
        ended = subprocess.run(words + bounds.split(), capture_output=True, text=True)
        times.append(time.monotonic() - began)
        if ended.returncode not in (0, 1):
            sys.exit(f"{subject} {bounds}: exit {ended.returncode}: {ended.stderr}")
    row = json.loads(ended.stdout)["protocols"][0]
    assert row["stopped_by"] is None, row["stopped_by"]
    found = [one["property"] for one in row["counterexamples"] if one["judged"]]
    return row["orderings"], row["states"], statistics.median(times), ", ".join(found) or "none"


@contextlib.contextmanager
def redis():
    """A Redis of its own, on a socket file; gives the flag that names it."""
    with tempfile.TemporaryDirectory() as place:
        socket = place + "/redis.sock"
        words = ["redis-server", "--port", "0", "--save", "", "--unixsocket", socket, "--dir", place]
        server = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        try:
            while not os.path.exists(socket):
                if server.poll() is not None:
                    sys.exit("redis-server did not start")
                time.sleep(0.01)
            yield f"--upstream unix:{socket}"
        finally:
            server.terminate()
            server.wait()


def grouped(number):
    if number >= 1e7:
        return f"{number / 1e6:.1f} million"
    return f"{int(number):,}".replace(",", " ")


def main():
    load = os.getloadavg()
    print(f"{os.cpu_count()} cores; load average {load[0]:.2f}; medians of {ROUNDS}", file=sys.stderr)
    print("| client | bounds | orderings | states | time | finding | subject |")
    print("|---|---|--:|--:|--:|---|---|")
    for name, short in [client for client in CLIENTS if ONLY in client[0]]:
        label = f"`{short}`"
        needs_redis, subject = short.endswith(UPSTREAM), command(short.removesuffix(UPSTREAM))
        for bounds in BOUNDS:
            with redis() if needs_redis else contextlib.nullcontext("") as upstream:
                measured = measure(sys.argv[1], subject, f"{bounds} {upstream}")
            orderings, states, took, found = measured
            bound = f"`{bounds}`" if bounds else ""
            cells = [name, bound, grouped(orderings), grouped(states), f"{took:.2g} s", found, label]
            print("| " + " | ".join(cells) + " |")
            name, label = "", ""


main()
