"""Probes lock functions of this process: every ordering of what two clients of them send."""

import linecache
import os
import re
import shlex
import signal
import sys
import tempfile

from . import sent
from .actors import RELAY, Actors, Functions
from .process import start
from .subject import name_of

SOUND, BROKEN, INCONCLUSIVE = 0, 1, 4


class Inconclusive(Exception):
    """No verdict; the message says why and what to do."""


class Result:
    """What was found.

    `status` is 0 if the lock is sound, 1 if it is broken, and otherwise there is no verdict; `report` is
    what the program printed, `evidence` the last paragraph of that: the verdict with what was covered.
    """

    def __init__(self, status, report, errors):
        self.status, self.report, self.errors = status, report, errors
        self.evidence = " ".join(report.rstrip().rsplit("\n\n", 1)[-1].split())

    def assert_safe(self):
        """Fails if an ordering breaks the lock, and raises `Inconclusive` if there is no verdict."""
        __tracebackhide__ = True
        if self.status == BROKEN:
            raise AssertionError(f"an ordering breaks the lock\n\n{self.report}")
        if self.status != SOUND:
            raise Inconclusive(f"{self.errors}{self.report}".strip())
        return self


def probe(
    acquire, release=None, extend=None, *, clients=None, scenario="mutual_exclusion", crashes=None,
    faults=None, max_time=None, refused=(), replay=None, again=None,
):
    """Explores all orderings of clients that acquire and release a lock with these functions.

    `acquire`, `release` and `extend` are called by the names of their parameters, as with
    `nodb-trigger probe --python`; without `release`, `acquire` is a class with methods of these names.
    `clients` is how many there are (the scenario's default, 2 in mutual_exclusion), `crashes` and
    `faults` how many clients are killed and commands lost (none, then one, by default), `max_time` a
    duration like "30s" (60 s by default), `refused` exceptions with which `acquire` reports that the
    lock is taken. `replay` is a schedule that is run instead, and `again` the command that is printed
    for one.

    Raises `FileNotFoundError` without the program.
    """
    functions = (acquire, release, extend)
    name = ", ".join(name_of(function) for function in functions if function is not None)
    refusals = {it if isinstance(it, str) else it.__name__ for it in listed(refused)}
    actors = Actors(Functions(name, functions), refusals, lambda: sent.log_to(log))
    log = os.path.join(actors.directory, "sent")
    try:
        command = what(scenario, clients, crashes, faults, max_time, replay)
        subject = [sys.executable, "-c", RELAY, actors.path]
        command += ["--subject", "exec " + " ".join(map(shlex.quote, subject))]
        status, report, errors = run(command, actors)
        report = with_lines(report, sent.read(log))
    finally:
        actors.close()
    if replay and status in (0, 1):
        # It went as the schedule says, or without what that shows: one ordering proves no lock sound.
        status = BROKEN if status == 0 else INCONCLUSIVE
    return Result(status, as_typed(report, again), errors)


def listed(refused):
    return (refused,) if isinstance(refused, (str, type)) else tuple(refused)


def what(scenario, clients, crashes, faults, max_time, replay):
    if replay:
        return ["replay", replay]
    words = ["probe", scenario]
    if clients is not None:
        words += ["--param", f"clients={clients}"]
    for flag, value in (("--crashes", crashes), ("--faults", faults), ("--max-time", max_time)):
        if value is not None:
            words += [flag, str(value)]
    return words


def run(command, actors):
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = start(command, stdout=out, stderr=errors)
        try:
            actors.serve(process)
        except BaseException:
            process.send_signal(signal.SIGTERM)
            process.wait()
            raise
        out.seek(0)
        errors.seek(0)
        return process.wait(), out.read(), errors.read()


def as_typed(report, again):
    """The command that repeats it here instead of one that needs these processes."""
    def typed(found):
        return f"replay: {again(found[1]) if again else found[1]}"

    return re.sub(r"^replay: nodb-trigger replay (\S+) --subject .*$", typed, report, flags=re.MULTILINE)


def with_lines(report, lines):
    """The report with the lines of code that sent the commands that are marked."""
    told = []
    for row in report.splitlines():
        told.append(row)
        marked = re.match(r" *\d+ +(\w+) .*<--", row)
        for path, line, function in sorted(lines.get(marked[1].upper(), ())) if marked else ():
            code = linecache.getline(path, int(line)).strip()
            told.append(f"      {os.path.relpath(path)}:{line} in {function}: {code}")
    return "\n".join(told) + "\n"
