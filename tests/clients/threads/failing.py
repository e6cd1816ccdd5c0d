"""A lock of which islocked fails if FAILS is set; with THREADS its actors share a process."""

import os

import redis
import subject

client = redis.Redis.from_url(os.environ["REDIS_URL"])


class Client:
    def reset(self):
        client.connection_pool.disconnect()

    def acquire(self, lock, ttl_ms):
        return bool(client.set(lock, "held", nx=True, px=ttl_ms))

    def islocked(self, lock):
        if "FAILS" in os.environ:
            raise RuntimeError("the question was not understood")
        return bool(client.exists(lock))

    def release(self, lock):
        client.delete(lock)


subject.serve("failing", Client(), can=["islocked"], threads="THREADS" in os.environ)
