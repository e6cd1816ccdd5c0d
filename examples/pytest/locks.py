"""Two home-made locks, as many programs have them, and their fixes."""

import uuid

DELETE_OWN = """
if redis.call("GET", KEYS[1]) == ARGV[1] then
    return redis.call("DEL", KEYS[1])
end
return 0
"""


def take(r, key, ttl):
    token = uuid.uuid4().hex
    return token if r.set(key, token, nx=True, ex=ttl) else None


def drop(r, key, token):
    """Between the two commands the lease may expire, and another client acquire the lock."""
    if r.get(key) == token.encode():
        r.delete(key)


def drop_own(r, key, token):
    return r.eval(DELETE_OWN, 1, key, token)


def take_in_two_steps(r, key, ttl):
    """A client that is killed between the two commands leaves a lock without a TTL."""
    token = uuid.uuid4().hex
    if not r.setnx(key, token):
        return None
    r.expire(key, ttl)
    return token
