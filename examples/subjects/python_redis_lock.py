"""python-redis-lock as a subject. Its release tells those who wait by a list, so the embedded server does
not do: probe it with --upstream."""

import os

import redis
import redis_lock
import subject


class Client:
    def __init__(self):
        self.reset()

    def reset(self):
        self.redis = redis.StrictRedis.from_url(os.environ["REDIS_URL"])
        self.locks = {}

    def acquire(self, lock, ttl_ms):
        self.locks[lock] = redis_lock.Lock(self.redis, lock, expire=ttl_ms // 1000)
        self.locks[lock]._name = lock  # Without it the key would be "lock:" and the name.
        return self.locks[lock].acquire(blocking=False) or "taken"

    def extend(self, lock, ttl_ms):
        return self.told(lambda: self.locks[lock].extend(ttl_ms // 1000))

    def release(self, lock):
        return self.told(self.locks[lock].release)

    def told(self, ask):
        try:
            ask()
        except redis_lock.NotAcquired as error:
            return str(error)
        return True


subject.serve(f"python-redis-lock {redis_lock.__version__}", Client(), can=["extend"])
