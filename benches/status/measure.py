"""Measures how long `status --all` takes, and how much memory. See benches/README.md."""

import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

PROGRAM = sys.argv[1]
ROUNDS = int(os.environ.get("ROUNDS", 5))
KEYS = int(os.environ.get("KEYS", 100_000 if ROUNDS > 1 else 2_000))
# What it may take for 100 000 keys.
LONGEST, MOST_MEMORY = 4.0, 64


def data(number, rng):
    """One key that is no lock."""
    ttl = str(rng.randrange(30, 100_000))
    kinds = [
        ("SET", f"session:{rng.getrandbits(128):032x}", f'{{"user":{number}}}', "EX", ttl),
        ("SET", f"cache:page:{number}", "<p>" * rng.randrange(100), "EX", ttl),
        ("SET", f"cache:etag:{number}", f"{rng.getrandbits(128):032x}", "EX", ttl),
        ("SET", f"rate:10.0.{number % 256}.{number}", str(number % 60), "EX", ttl),
        ("SET", f"views:{number}", str(number)),
        ("HSET", f"user:{number}", "name", "x", "mode", "dark", "email", "x@example.org"),
        ("RPUSH", f"queue:{number}", '{"job":1}', "{}"),
        ("SADD", f"tags:{number}", "red", "blue"),
        ("ZADD", f"board:{number}", str(number), "alice"),
        ("ZADD", f"sliding:{number}", str(time.time()), str(uuid.UUID(int=rng.getrandbits(128)))),
    ]
    return kinds[number % len(kinds)]


def lock(number, rng):
    client = f"{uuid.UUID(int=rng.getrandbits(128), version=4)}"
    kinds = [
        ("HSET", f"order:{number}", f"{client}:46", "1"),
        ("SET", f"mail:{number}:lock", f"{client}:3", "PX", "900000"),
        ("SET", f"nightly:{number}", "ADDED:2026-11-29T02:00:00.000Z@worker-a", "PX", "900000"),
        ("SET", f"lock:{number}", client.replace("-", ""), "PX", "900000"),
    ]
    return kinds[number % len(kinds)]


def encode(words):
    parts = [f"${len(word)}\r\n{word}\r\n" for word in words]
    return f"*{len(words)}\r\n{''.join(parts)}".encode()


def fill(port):
    rng = random.Random(1)
    client = socket.create_connection(("127.0.0.1", port))
    replies = client.makefile("rb")
    commands = [data(number, rng) for number in range(KEYS)]
    commands += [lock(number, rng) for number in range(20)]
    for at in range(0, len(commands), 1000):
        some = commands[at : at + 1000]
        client.sendall(b"".join(encode(command) for command in some))
        for command in some:
            reply = replies.readline()
            if reply.startswith(b"-"):
                sys.exit(f"{command}: {reply}")


def measure(port, form):
    """The seconds and the megabytes of one run."""
    command = [PROGRAM, "status", "--all", "--redis", f"redis://127.0.0.1:{port}", "--format", form]
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"status: exit status {process.returncode}")
    return time.monotonic() - began, usage.ru_maxrss / 1024


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(directory):
    port = free_port()
    command = ["redis-server", "--port", str(port), "--save", "", "--dir", directory]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return server, port
        except ConnectionRefusedError:
            time.sleep(0.05)


def main():
    load = " ".join(open("/proc/loadavg").read().split()[:3])
    print(f"{os.cpu_count()} cores; load average {load}")
    print(f"status --all on {KEYS} keys of 10 kinds and 20 locks, {ROUNDS} rounds")
    with tempfile.TemporaryDirectory() as directory:
        server, port = start(directory)
        try:
            fill(port)
            for form in ["table", "json"]:
                runs = [measure(port, form) for _ in range(ROUNDS)]
                seconds = statistics.median(seconds for seconds, _ in runs)
                megabytes = max(megabytes for _, megabytes in runs)
                print(f"{form:6} median {seconds:.2f} s, at most {megabytes:.0f} MB")
        finally:
            server.terminate()
            server.wait()
    print(f"The target for 100000 keys is {LONGEST:.0f} s and {MOST_MEMORY} MB.")


main()
