"""What `wepppy.nodb.base` offers for locking, where that package is not installed: the commands in
the order of the reference (contract, section 3), and nothing else of it."""

import contextlib
import json
import os
import socket
import time
import uuid

import redis

CACHE_SECONDS = 259200


class NoDbAlreadyLockedError(Exception):
    pass


class NoDbBase:
    filename = "debug_lock_test.nodb"
    _instances = {}

    @classmethod
    def getInstance(cls, wd):
        wd = os.path.abspath(wd)
        if wd not in cls._instances:
            cls._instances[wd] = cls(wd)
        return cls._instances[wd]

    def __init__(self, wd):
        url = os.environ["REDIS_URL"]
        self.wd = wd
        self.runid = os.path.basename(wd)
        self.key = f"nodb-lock:{self.runid}:{self.filename}"
        self.flag = f"locked:{self.filename}"
        self.redis = redis.from_url(url, decode_responses=True)
        self.cache = redis.from_url(url.rsplit("/", 1)[0] + "/13")
        self.token = None

    def lock(self, ttl=21600):
        now = int(time.time())
        token = uuid.uuid4().hex
        owner = f"{socket.gethostname()}:{os.getpid()}"
        payload = {"token": token, "owner": owner, "acquired_at": now}
        payload |= {"expires_at": now + ttl, "ttl": ttl}
        text = json.dumps(payload, separators=(",", ":"))
        if not self.redis.set(self.key, text, nx=True, ex=ttl):
            holder = self.redis.get(self.key)
            raise NoDbAlreadyLockedError(f"lock() called on an already locked nodb ({holder})")
        self.redis.hset(self.runid, self.flag, "true")
        self.token = token

    def islocked(self):
        if self.redis.get(self.key) is not None:
            return True
        if self.redis.hget(self.runid, self.flag) not in (None, "false"):
            self.redis.hset(self.runid, self.flag, "false")
        return False

    def unlock(self):
        held = self.redis.get(self.key)
        if held is not None:
            if self.token is None:
                raise RuntimeError("unlock() called without owning the lock")
            if token_of(held) != self.token:
                raise RuntimeError("unlock() called with non-matching token")
            self.redis.delete(self.key)
        self.redis.hset(self.runid, self.flag, "false")
        self.token = None

    def dump(self):
        if not self.islocked():
            raise RuntimeError("cannot dump to unlocked db")
        os.makedirs(self.wd, exist_ok=True)
        path = os.path.join(self.wd, self.filename)
        text = json.dumps({"py/object": "debug"})
        with open(path, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        self.cache.set(path, text, ex=CACHE_SECONDS)

    @contextlib.contextmanager
    def locked(self):
        self.lock()
        try:
            yield self
        except Exception:
            self.unlock()
            raise
        self.dump()
        self.unlock()


def token_of(payload):
    try:
        return json.loads(payload)["token"]
    except (ValueError, TypeError, KeyError):
        return payload
