"""Fixtures: `lock_probe(take, drop).assert_safe()`, `lock_redis`, `lock_herd(act, clients=10)`."""

import shlex

import pytest

from .probe import probe
from .simulated import SimulatedRedis, herd

REPLAY = "--lock-replay"


def pytest_addoption(parser):
    group = parser.getgroup("nodb-trigger", "orderings of Redis locks")
    group.addoption(REPLAY, metavar="SCHEDULE", help="run this schedule instead of all orderings")


@pytest.fixture
def lock_probe(request):
    """Probes lock functions; see `nodb_trigger.probe.probe` for what it takes."""
    schedule = request.config.getoption(REPLAY)

    def again(found):
        return f"pytest {shlex.quote(request.node.nodeid)} {REPLAY} {found}"

    return lambda *functions, **options: probe(*functions, replay=schedule, again=again, **options)


@pytest.fixture
def lock_redis():
    """An empty simulated Redis, on which time moves by `advance(seconds)` only."""
    with SimulatedRedis() as server:
        yield server


@pytest.fixture
def lock_herd():
    """Calls a function in N threads at once; see `nodb_trigger.simulated.herd`."""
    return herd
