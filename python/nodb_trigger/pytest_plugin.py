"""The fixture `lock_probe`: `lock_probe(take, drop).assert_safe()`."""

import pytest

from .probe import probe

REPLAY = "--lock-replay"


def pytest_addoption(parser):
    group = parser.getgroup("nodb-trigger", "orderings of Redis locks")
    group.addoption(REPLAY, metavar="SCHEDULE", help="run this schedule instead of all orderings")


@pytest.fixture
def lock_probe(request):
    """Probes lock functions; see `nodb_trigger.probe.probe` for what it takes."""
    schedule = request.config.getoption(REPLAY)

    def again(found):
        return f"pytest {request.node.nodeid} {REPLAY} {found}"

    return lambda *functions, **options: probe(*functions, replay=schedule, again=again, **options)
