"""Clients of redis-py's Lock that contend for a few keys, and say what each of them did.

Usage: redis_py.py PORT CLIENTS ROUNDS KEY...

Each client is a thread with a connection of its own. It asks for a lock, sometimes waiting for it,
sometimes not; holds it for less than its lease, or now and then for longer; and gives it back. Each
attempt (with the token that it was given) and each deletion is a line of JSON on stdout when all
have ended.
"""

import json
import random
import sys
import threading
import time

import redis
from redis.lock import Lock
from redis.exceptions import LockNotOwnedError

LEASE = 0.06


def client(port, number, rounds, keys, log, start):
    connection = redis.Redis(port=port, single_connection_client=True)
    connection.client_setname(f"python-{number}")
    address = connection.client_info()["addr"]

    def did(what, key, token=None):
        log.append({"did": what, "address": address, "key": key, "token": token})

    class Logged(Lock):
        def do_acquire(self, token):
            got = super().do_acquire(token)
            did("try", self.name, token.decode() if got else None)
            return got

    chance = random.Random(number)
    start.wait()
    for _ in range(rounds):
        key = chance.choice(keys)
        lock = connection.lock(
            key, timeout=LEASE, sleep=0.005, thread_local=False, lock_class=Logged
        )
        waits = chance.random() < 0.5
        if not lock.acquire(blocking=waits, blocking_timeout=0.5 if waits else None):
            time.sleep(chance.random() * 0.01)
            continue
        # One in eight outlasts its lease; some end very close to it.
        kind = chance.random()
        hold = LEASE * (1.0 + chance.random() * 0.3) if kind < 0.125 else chance.random() * 0.01
        time.sleep(hold)
        try:
            if kind > 0.9:
                lock.extend(LEASE, replace_ttl=True)
            lock.release()
            did("delete", key)
        except LockNotOwnedError:
            pass


def main():
    port, clients, rounds = (int(word) for word in sys.argv[1:4])
    keys = sys.argv[4:]
    start = threading.Barrier(clients)
    logs = [[] for _ in range(clients)]
    threads = [
        threading.Thread(target=client, args=(port, number, rounds, keys, logs[number], start))
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for log in logs:
        for entry in log:
            print(json.dumps(entry))


main()
