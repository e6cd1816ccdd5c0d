"""Actors of `probe` as forked children of this process, so that they have its functions and closures.

`probe` starts a relay for each actor (RELAY), which connects to a socket here. A child is forked for
each connection, and it forks one more for each life of the actor.
"""

import contextlib
import os
import select
import shutil
import signal
import socket
import tempfile
import threading

from .subject import Lives, ends_here

# Run by `python -c`, with the path of the socket: passes lines on in both directions.
RELAY = """\
import os, socket, sys, threading
upstream = socket.socket(socket.AF_UNIX)
upstream.connect(sys.argv[1])
upstream.sendall((os.environ["REDIS_URL"] + "\\n").encode())
def instruct():
    while (chunk := os.read(0, 65536)):
        upstream.sendall(chunk)
    os._exit(0)
threading.Thread(target=instruct, daemon=True).start()
while (chunk := upstream.recv(65536)):
    os.write(1, chunk)
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
            source, out = connection.fileno(), connection.makefile("w")
            lives = Lives(self.target, self.refusals, source, out, self.before_life)
            lines = lives.lines()
            os.environ["REDIS_URL"] = next(lines).decode().strip()
            lives.serve(lines)

    def close(self):
        self.listener.close()
        for child in self.children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        shutil.rmtree(self.directory, ignore_errors=True)
