"""Measures from outside how tight a herd is: what MONITOR of a real Redis sees between the first
and the last SET of the lock. Run it with run.sh, which brings everything that it needs.

    python measure.py NODB_TRIGGER

ROUNDS (default 11) is the number of rounds for each size, HERDS the sizes (default "10 100 1000").
"""

import json
import os
import platform
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import redis

HOLD = 0.5
RUNID = "herd"
LOCK = f"nodb-lock:{RUNID}:debug_lock_test.nodb"
# MONITOR's line: seconds.microseconds [db address] "COMMAND" "argument" ...
LINE = re.compile(r'^(\d+)\.(\d{6}) \[\d+ [^\]]*\] "(\w+)" "([^"]*)"(.*)$')
REFERENCE = str(Path(__file__).with_name("reference.py"))


class Server:
    """A redis-server of our own, on a port that was free, without persistence."""

    def __init__(self, directory):
        for _ in range(20):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            self.process = subprocess.Popen(
                ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1"]
                + ["--save", "", "--appendonly", "no", "--maxclients", "5000", "--dir", directory],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
            self.client = redis.Redis(host="127.0.0.1", port=self.port)
            ready = False
            try:
                ready = self.answers()
            finally:
                if not ready:
                    self.stop()
            if ready:
                return
        raise SystemExit("redis-server did not start on any of 20 ports")

    def answers(self):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                return self.client.info("server")["process_id"] == self.process.pid
            except redis.ConnectionError:
                time.sleep(0.02)
        return False

    def stop(self):
        self.process.kill()
        self.process.wait()


def observe(server, command, directory):
    """Runs a herd and gives the time between its first and last SET in milliseconds, the number of
    SETs, and the number of successes: a success is what sets the flag to true."""
    server.client.flushall()
    log = Path(directory) / "monitor"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REDIS_")}
    with log.open("w") as out:
        monitor = subprocess.Popen(["redis-cli", "-p", str(server.port), "MONITOR"], stdout=out)
        try:
            while "OK" not in log.read_text():
                time.sleep(0.01)
            # A herd with two successes ends with status 1, and is a result, too.
            subprocess.run(command, timeout=120, env=environment, stdout=subprocess.DEVNULL)
            server.client.echo("the end")
            while '"the end"' not in log.read_text():
                time.sleep(0.01)
        finally:
            monitor.terminate()
            monitor.wait()
    sets, successes = [], 0
    for line in log.read_text().splitlines():
        found = LINE.match(line)
        if not found:
            continue
        seconds, micros, name, key, rest = found.groups()
        if name.upper() == "SET" and key == LOCK:
            sets.append(int(seconds) * 1_000_000 + int(micros))
        if name.upper() == "HSET" and key == RUNID and rest.endswith(' "true"'):
            successes += 1
    return (max(sets) - min(sets)) / 1000, len(sets), successes


def version(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def facts():
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    kernel = platform.release().split("-")[0]
    print(f"{os.cpu_count()} cores, {platform.system()} {kernel}; load average {load}")
    redis_version = version("redis-server", "--version").split("v=")[1].split()[0]
    print(f"redis-server {redis_version}; Python {platform.python_version()}, redis-py {redis.__version__};")
    print(f"{version(sys.argv[1], '--version')}, release build; {version('rustc', '--version')}")


def summary(values):
    return f"{statistics.median(values):8.3f} ({min(values):.3f} - {max(values):.3f})"


def main():
    # So that a SIGTERM, too, stops the server on the way out.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(130))
    program = sys.argv[1]
    rounds = int(os.environ.get("ROUNDS", "11"))
    sizes = [int(size) for size in os.environ.get("HERDS", "10 100 1000").split()]
    facts()
    print(f"First to last SET of a herd in ms, seen by MONITOR; {rounds} rounds, {HOLD} s of work.\n")
    print("actors  program         median (min - max)            ratio  successes in each round")
    with tempfile.TemporaryDirectory(prefix="nodb-herd-") as directory:
        server = Server(directory)
        try:
            for size in sizes:
                measure(server, directory, program, size, rounds)
        finally:
            server.stop()
    print(f"\nload average afterwards {os.getloadavg()[0]:.2f}")


def measure(server, directory, program, size, rounds):
    url = f"redis://127.0.0.1:{server.port}/0"
    report = Path(directory) / "report.json"
    reference = [sys.executable, REFERENCE, str(server.port), str(size), str(HOLD), RUNID]
    commands = {
        "nodb-trigger": [program, "thundering_herd", f"{directory}/{RUNID}", "--threads", str(size)]
        + ["--hold", f"{HOLD}s", "--redis", url, "--format", "json", "--output", str(report)],
        "Python": reference,
        "Python, ready": reference + ["ready"],
    }
    own = []
    widths = {name: [] for name in commands}
    successes = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            width, sets, won = observe(server, command, directory)
            if sets != size:
                raise SystemExit(f"{name}: {size} actors, but MONITOR saw {sets} SETs")
            widths[name].append(width)
            successes[name].append(won)
        own.append(json.loads(report.read_text())["summary"]["start_skew_us"] / 1000)
    ours = statistics.median(widths["nodb-trigger"])
    for name in commands:
        ratio = statistics.median(widths[name]) / ours
        won = " ".join(str(number) for number in successes[name])
        print(f"{size:6}  {name:14}  {summary(widths[name]):28}  {ratio:5.1f}  {won}", flush=True)
    print(f"        nodb-trigger's own report says {summary(own).strip()}", flush=True)


if __name__ == "__main__":
    main()
