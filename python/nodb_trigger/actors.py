"""Actors of `probe` as forked children of this process, so that they have its functions and closures.

`probe` starts a relay for each actor (RELAY), which connects to a socket here. For each connection a
child is forked, and by that child one more for each life of the actor: a reset ends that one and forks
the next, so that nothing is remembered of an earlier life.
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys
import tempfile
import threading

from .subject import Mistake, Subject

# Run by `python -c`, with the path of the socket: passes lines on in both directions.
RELAY = """\
import os, socket, sys, threading
there = socket.socket(socket.AF_UNIX)
there.connect(sys.argv[1])
there.sendall((os.environ["REDIS_URL"] + "\\n").encode())
def instruct():
    while (some := os.read(0, 65536)):
        there.sendall(some)
    os._exit(0)
threading.Thread(target=instruct, daemon=True).start()
while (some := there.recv(65536)):
    os.write(1, some)
"""


class Functions:
    """Functions of this process, as a target of `Subject`."""

    def __init__(self, name, functions):
        self.name, self.functions = name, functions

    def load(self):
        return self.functions


class Actors:
    """Forks children for a program that is started meanwhile."""

    def __init__(self, target, refusals, before_life):
        self.target, self.refusals, self.before_life = target, refusals, before_life
        self.children = []
        self.directory = tempfile.mkdtemp(prefix="nodb-trigger-")
        self.path = os.path.join(self.directory, "actors")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()

    def serve(self, process):
        """Until the process ends."""
        over, ended = socket.socketpair()
        with over, ended:
            threading.Thread(target=lambda: (process.wait(), ended.close()), daemon=True).start()
            while True:
                ready = select.select([self.listener, over], [], [])[0]
                if over in ready:
                    return
                self.fork_actor(self.listener.accept()[0], [over, ended])

    def fork_actor(self, connection, others):
        child = os.fork()
        if child:
            self.children.append(child)
            connection.close()
            return
        with ends_here():
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            for other in [self.listener, *others]:
                other.close()
            with connection:
                Actor(self, connection).serve()

    def close(self):
        self.listener.close()
        for child in self.children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.path)
        os.rmdir(self.directory)


class Actor:
    """The child of a connection, which has one of its own for each life."""

    def __init__(self, actors, connection):
        self.actors, self.connection = actors, connection
        self.out = connection.makefile("w")
        self.child = self.telling = self.alive = None

    def serve(self):
        """Until the program ends, or a life by itself."""
        lines = self.lines()
        os.environ["REDIS_URL"] = next(lines).decode().strip()
        self.begin(lambda subject: subject.say(subject.first_line()))
        try:
            for line in lines:
                if json.loads(line)["do"] == "reset":
                    self.end()
                    self.begin(lambda subject: subject.say({"ok": True}))
                else:
                    os.write(self.telling, line)
        finally:
            self.end()

    def lines(self):
        some = b""
        while True:
            while b"\n" in some:
                line, some = some.split(b"\n", 1)
                yield line + b"\n"
            ready = select.select([it for it in (self.connection, self.alive) if it], [], [])[0]
            read = self.alive not in ready and self.connection.recv(65536)
            if not read:
                return
            some += read

    def begin(self, first):
        """Forks a life, which says something first."""
        told, self.telling = os.pipe()
        self.alive, lives = os.pipe()
        self.child = os.fork()
        if not self.child:
            with ends_here():
                os.close(self.telling)
                silence()
                subject = Subject(self.actors.target, self.actors.refusals, self.out)
                self.actors.before_life()
                try:
                    subject.begin()
                    first(subject)
                except Mistake as mistake:
                    subject.say({"error": str(mistake)})
                subject.obey_all(os.fdopen(told))
        # Nothing is ever written to it: it ends with the child.
        os.close(lives)
        os.close(told)

    def end(self):
        os.close(self.telling)
        os.close(self.alive)
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)


@contextlib.contextmanager
def ends_here():
    """A forked process never goes on with the work of its parent."""
    try:
        yield
        os._exit(0)
    except BaseException as error:  # whatever it is, it ends here
        print(f"an actor failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def silence():
    """What functions print is not between the actor and the program."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    sys.stdin, sys.stdout = open(os.devnull), open(os.devnull, "w")
