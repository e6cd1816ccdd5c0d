"""Ordinary tests that miss races, and the same locks in every ordering.

Run them in an environment with pytest, redis and nodb-trigger: pytest examples/pytest
"""

import pytest
from locks import drop, drop_own, take, take_in_two_steps


def test_ten_threads_show_nothing(lock_redis, lock_herd):
    """The race is there, and no thread meets it: this passes nearly always."""
    granted = [token for token in lock_herd(lambda: take(lock_redis.client(), "lock", 30)) if token]
    assert len(granted) == 1
    drop(lock_redis.client(), "lock", granted[0])
    assert lock_redis.client().exists("lock") == 0


def test_a_lease_ends_when_the_test_says_so(lock_redis):
    r = lock_redis.client()
    old = take(r, "lock", 30)
    lock_redis.advance(30.001)
    assert take(r, "lock", 30)
    drop(r, "lock", old)
    assert r.exists("lock") == 1


@pytest.mark.xfail(raises=AssertionError, strict=True, reason="GET, then DEL")
def test_every_ordering_of_a_release_in_two_steps(lock_probe):
    lock_probe(take, drop).assert_safe()


def test_every_ordering_of_a_release_in_one_script(lock_probe):
    lock_probe(take, drop_own).assert_safe()


@pytest.mark.xfail(raises=AssertionError, strict=True, reason="SETNX, then EXPIRE")
def test_every_ordering_of_an_acquire_in_two_steps(lock_probe):
    lock_probe(take_in_two_steps, drop_own).assert_safe()
