"""The herd of the reference, as small as it can be: threads of one Python process take one lock.

    python reference.py PORT THREADS HOLD_SECONDS RUNID [ready]

Each thread does what the reference's `locked()` does, one command a round trip: SET NX EX; if that
is refused, GET to name the owner; else HSET the flag, work, GET, DEL, HSET. The threads start in a
plain loop, as the reference's script starts them, and share one redis-py client, whose pool opens a
connection for each thread on its first command.

With `ready` the herd is as tight as plain Python makes it: every connection is open and every thread
waits at a barrier before the first command goes out.
"""

import json
import os
import socket
import sys
import threading
import time
import uuid

import redis

TTL = 21600


class AlreadyLocked(Exception):
    pass


class OtherToken(Exception):
    pass


class Controller:
    """One state file's lock. All threads share the instance, and with it the token."""

    def __init__(self, client, runid):
        self.client = client
        self.runid = runid
        self.key = f"nodb-lock:{runid}:debug_lock_test.nodb"
        self.flag = "locked:debug_lock_test.nodb"
        self.token = None

    def lock(self):
        now = int(time.time())
        token = uuid.uuid4().hex
        payload = {
            "token": token,
            "owner": f"{socket.gethostname()}:{os.getpid()}",
            "acquired_at": now,
            "expires_at": now + TTL,
            "ttl": TTL,
        }
        text = json.dumps(payload, separators=(",", ":"))
        if not self.client.set(self.key, text, nx=True, ex=TTL):
            raise AlreadyLocked(self.client.get(self.key))
        self.client.hset(self.runid, self.flag, "true")
        self.token = token

    def unlock(self):
        stored = self.client.get(self.key)
        if stored is not None:
            if json.loads(stored)["token"] != self.token:
                raise OtherToken("unlock() called with non-matching token")
            self.client.delete(self.key)
        self.client.hset(self.runid, self.flag, "false")
        self.token = None


def main():
    port, threads, hold, runid = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    ready = "ready" in sys.argv[5:]
    pool = redis.ConnectionPool(host="127.0.0.1", port=port, max_connections=threads + 1)
    controller = Controller(redis.Redis(connection_pool=pool), runid)
    barrier = threading.Barrier(threads)
    connections = [pool.get_connection() for _ in range(threads)] if ready else []
    for connection in connections:
        pool.release(connection)

    def worker():
        if ready:
            barrier.wait()
        try:
            controller.lock()
            time.sleep(hold)
            controller.unlock()
        except (AlreadyLocked, OtherToken):
            # The second happens where two threads succeed: they share one token slot.
            return

    herd = [threading.Thread(target=worker) for _ in range(threads)]
    for thread in herd:
        thread.start()
    for thread in herd:
        thread.join()


if __name__ == "__main__":
    main()
