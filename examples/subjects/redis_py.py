"""redis-py's own Lock as a subject; the same file for its versions of 2017 and of today."""

import gc
import os
import sys

import redis
import redis.lock
import subject
from redis.exceptions import LockError

# Until version 3 there was a Lock without scripts, which a server without scripts got.
PLAIN = {"lock_class": redis.lock.Lock} if "--plain" in sys.argv else {}
# In seconds: how long it waits for a reply.
TIME_OUT = float(sys.argv[sys.argv.index("--time-out") + 1]) if "--time-out" in sys.argv else None


class Client:
    def __init__(self):
        self.reset()

    def reset(self):
        self.redis = redis.from_url(os.environ["REDIS_URL"], socket_timeout=TIME_OUT)
        self.locks = {}
        gc.collect()  # A pipeline that nobody has any more sends UNWATCH when it is collected.

    def acquire(self, lock, ttl_ms):
        self.locks[lock] = self.redis.lock(lock, timeout=ttl_ms / 1000, **PLAIN)
        return self.locks[lock].acquire(blocking=False) or "taken"

    def extend(self, lock, ttl_ms):
        return self.told(lambda: self.locks[lock].extend(ttl_ms / 1000))

    def release(self, lock):
        return self.told(self.locks[lock].release)

    def told(self, ask):
        try:
            ask()
        except LockError as error:
            return str(error)
        return True


NAME = f"redis-py {redis.__version__} {'plain ' if PLAIN else ''}Lock"
subject.serve(NAME, Client(), can=["extend", "time_out"] if TIME_OUT else ["extend"])
