"""Measures what `record` costs a server, and what it loses under load. See benches/README.md."""

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

PROGRAM = sys.argv[1]
ROUNDS = int(os.environ.get("ROUNDS", 7))
# Commands in each run of redis-benchmark, and the seconds for which commands come at a fixed rate.
REQUESTS = int(os.environ.get("REQUESTS", 200_000 if ROUNDS > 1 else 5_000))
SECONDS = float(os.environ.get("DURATION", 20 if ROUNDS > 1 else 1))
RATE = int(os.environ.get("RATE", 50_000))
# Commands that a client sends at once, and how many locks it acquires and releases by them.
BATCH = 50
LOCKS = 3


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    def __init__(self, directory):
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        command = ["redis-server", "--port", str(self.port), "--save", "", "--dir", directory]
        command += ["--notify-keyspace-events", "KEg$xe"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while True:
            try:
                self.connect().close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port))

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Recording:
    """`record` from when it listens to its end."""

    def __init__(self, server, directory, *flags):
        self.history = os.path.join(directory, "history.jsonl")
        command = [PROGRAM, "record", "--redis", server.url, "--pattern", "lock:*", "--force"]
        command += ["--history", self.history, "--format", "json", *flags]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        first = self.process.stderr.readline()
        if "recording" not in first:
            sys.exit(f"record: {first}{self.process.stderr.read()}")

    def end(self):
        """Its report, what it said, and how long it took to end."""
        began = time.monotonic()
        self.process.terminate()
        out, said = self.process.communicate()
        return json.loads(out), said, time.monotonic() - began


def throughput(server):
    """Commands a second of redis-benchmark: 50 clients, one command after the other."""
    command = ["redis-benchmark", "-p", str(server.port), "-n", str(REQUESTS), "-c", "50", "--csv"]
    command += ["-r", "100000", "SET", "lock:__rand_int__", "token-__rand_int__", "NX", "PX", "50"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(output.strip().splitlines()[-1].split(",")[-7].strip('"'))


def with_recording(server, directory, mode):
    if mode == "none":
        return throughput(server)
    if mode == "redis-cli":
        command = ["redis-cli", "-p", str(server.port), "monitor"]
        listener = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        time.sleep(0.3)
        rate = throughput(server)
        listener.terminate()
        listener.wait()
        return rate
    recording = Recording(server, directory, *(["--light"] if mode == "--light" else []))
    rate = throughput(server)
    recording.end()
    return rate


def cost(server, directory):
    modes = ["none", "MONITOR", "--light", "redis-cli"]
    rates = {mode: [] for mode in modes}
    for _ in range(ROUNDS):
        for mode in modes:
            rates[mode].append(with_recording(server, directory, mode))
    print(f"Commands a second, {ROUNDS} rounds in turn, {REQUESTS} commands each, 50 clients")
    print(f"{'recorded by':12} {'median':>9}   part of the rate without, in the same round")
    for mode in modes:
        parts = [rate / none for rate, none in zip(rates[mode], rates["none"])]
        span = f"({min(parts):.2f} - {max(parts):.2f})" if mode != "none" else ""
        print(f"{mode:12} {statistics.median(rates[mode]):9.0f}   {statistics.median(parts):.2f} {span}")


def encode(*words):
    parts = [f"${len(word)}\r\n{word}\r\n" for word in words]
    return f"*{len(words)}\r\n{''.join(parts)}".encode()


def batch(number):
    """Commands of a correct client: each lock that it acquires it releases with its token."""
    commands = []
    for at in range(BATCH // 2):
        key = f"{at}:{number % 64}"
        if at < LOCKS:
            token = f"token-{number}-{at}"
            commands.append(encode("SET", f"lock:{key}", token, "NX", "PX", "60000"))
            commands.append(encode("DEL", f"lock:{key}"))
        else:
            commands.append(encode("SET", f"data:{key}", str(number)))
            commands.append(encode("GET", f"data:{key}"))
    return b"".join(commands)


def paced(server):
    """Sends commands at a rate; gives how many were sent, how many locks acquired, and in what time."""
    client = server.connect()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def drain():
        while client.recv(1 << 20):
            pass

    reader = threading.Thread(target=drain, daemon=True)
    reader.start()
    batches = int(SECONDS * RATE / BATCH)
    began = time.monotonic()
    for number in range(batches):
        client.sendall(batch(number))
        ahead = began + number * BATCH / RATE - time.monotonic()
        if ahead > 0.002:
            time.sleep(ahead)
    client.shutdown(socket.SHUT_WR)
    reader.join()
    taken = time.monotonic() - began
    return batches * BATCH, batches * LOCKS, taken


def losses(server, directory):
    recording = Recording(server, directory)
    sent, acquired, taken = paced(server)
    report, said, late = recording.end()
    numbers = r"([\d\s]+) commands; ([\d\s]+) acquired, [\d\s]+ refused, ([\d\s]+) released"
    found = re.search(numbers, said)
    if not found:
        sys.exit(f"record: {said}")
    seen, seen_acquired, released = (int(re.sub(r"\s", "", one)) for one in found.groups())
    part = 200 * LOCKS // BATCH
    print(f"\n{RATE} commands a second for {SECONDS:.0f} s, {part}% of them about locks")
    print(f"sent {sent} at {sent / taken:.0f} a second; recorded {seen}")
    print(f"acquired {acquired}; recorded {seen_acquired}, {released} released")
    print(f"the report came {late:.1f} s after the last command")
    for line in said.splitlines():
        if "late" in line or "incomplete" in line:
            print(f"it said: {line.removeprefix('nodb-trigger: ')}")
    print(f"findings: {len(report['findings'])}; complete: {report['is_whole']}")
    if (seen, seen_acquired, released) != (sent, acquired, acquired) and report["is_whole"]:
        sys.exit("it lost commands and did not say so")


def main():
    load = " ".join(open("/proc/loadavg").read().split()[:3])
    version = subprocess.run(["redis-server", "--version"], capture_output=True, text=True).stdout
    print(f"{os.cpu_count()} cores; load average {load}; Redis {version.split()[2][2:]}")
    with tempfile.TemporaryDirectory() as directory:
        server = Server(directory)
        try:
            cost(server, directory)
            losses(server, directory)
        finally:
            server.stop()


main()
