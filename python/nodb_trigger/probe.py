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

SOUND, BROKEN = 0, 1


class Inconclusive(Exception):
    """Nothing is known: why, and what to do."""


class Result:
    """What was found.

    `status` is that of the program: 0 for a sound lock, 1 for a broken one, else nothing is known;
    `report` is what it printed, `evidence` the last paragraph of that: the verdict with what was
    covered.
    """

    def __init__(self, status, report, errors):
        self.status, self.report, self.errors = status, report, errors
        self.evidence = " ".join(report.rstrip().rsplit("\n\n", 1)[-1].split())

    def assert_safe(self):
        """Fails where an ordering breaks the lock, and where it is not known whether one does."""
        __tracebackhide__ = True
        if self.status == BROKEN:
            raise AssertionError(f"an ordering breaks the lock\n\n{self.report}")
        if self.status != SOUND:
            raise Inconclusive(f"{self.errors}{self.report}".strip())
        return self


def probe(
    acquire, release=None, extend=None, *, clients=2, scenario="mutual_exclusion", crashes=None,
    faults=None, max_time=None, refused=(), replay=None, again=None,
):
    """Explores all orderings of clients that acquire and release a lock with these functions.

    `acquire`, `release` and `extend` are called by the names of their parameters, as with
    `nodb-trigger probe --python`; `acquire` alone may be a class with these methods. `clients` is how
    many there are (2 or more), `crashes` and `faults` how many clients are killed and commands lost
    (by default none, then one), `max_time` a duration like "30s" (60 s by default), `refused`
    exceptions by which `acquire` says that the lock is taken. `replay` is a schedule that is run
    instead, and `again` the command that is printed for one.

    Raises `FileNotFoundError` without the program, `Inconclusive` never: see `Result.assert_safe`.
    """
    functions = [function for function in (acquire, release, extend) if function]
    name = ", ".join(getattr(function, "__name__", repr(function)) for function in functions)
    refusals = {it if isinstance(it, str) else it.__name__ for it in listed(refused)}
    with tempfile.TemporaryDirectory(prefix="nodb-trigger-") as directory:
        log = os.path.join(directory, "sent")
        actors = Actors(Functions(name, functions), refusals, lambda: sent.log_to(log))
        try:
            command = what(scenario, clients, crashes, faults, max_time, replay)
            subject = [sys.executable, "-c", RELAY, actors.path]
            command += ["--subject", "exec " + " ".join(map(shlex.quote, subject))]
            status, report, errors = run(command, actors)
        finally:
            actors.close()
        report = with_lines(report, sent.read(log))
    if replay:
        # The schedule went as it says, or without what it shows.
        status = {0: BROKEN, 1: SOUND}.get(status, status)
    return Result(status, as_typed(report, again), errors)


def listed(refused):
    return (refused,) if isinstance(refused, (str, type)) else tuple(refused)


def what(scenario, clients, crashes, faults, max_time, replay):
    if replay:
        return ["replay", replay]
    words = ["probe", scenario, "--param", f"clients={clients}"]
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
