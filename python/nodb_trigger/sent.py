"""Which line of the user's code sends which command, by a hook in redis-py."""

import os
import sys
import sysconfig

OWN = os.path.dirname(os.path.abspath(__file__))
LIBRARIES = tuple({OWN, *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))})


def log_to(path):
    """Notes each command with the line that sent it."""
    try:
        import redis.asyncio.connection as asynchronous
        import redis.connection as synchronous
    except ImportError:
        return
    for module in (synchronous, asynchronous):
        for name in ("AbstractConnection", "Connection"):
            if hasattr(module, name):
                hook(getattr(module, name), path)
                break


def hook(connection, path):
    send = connection.send_packed_command

    def noted(self, command, *rest, **named):
        line = line_of(sys._getframe(1))
        if line:
            with open(path, "a") as log:
                for word in words(command):
                    log.write(f"{word}\t{line}\n")
        return send(self, command, *rest, **named)

    connection.send_packed_command = noted


def words(packed):
    """The name of each command."""
    parts = [packed] if isinstance(packed, (bytes, str)) else packed
    text = b"".join(part if isinstance(part, bytes) else bytes(part) for part in parts)
    lines = text.split(b"\r\n")
    for place, line in enumerate(lines[:-2]):
        if line.startswith(b"*") and lines[place + 1].startswith(b"$"):
            yield lines[place + 2].decode("ascii", "replace").upper()


def line_of(frame):
    """The innermost line outside libraries."""
    while frame:
        path = frame.f_code.co_filename
        if not path.startswith(("<",) + LIBRARIES):
            return f"{path}\t{frame.f_lineno}\t{frame.f_code.co_name}"
        frame = frame.f_back
    return None


def read(path):
    """The lines that sent each command, by its name."""
    by_name = {}
    if os.path.exists(path):
        with open(path) as log:
            for line in log:
                name, *where = line.rstrip("\n").split("\t")
                by_name.setdefault(name, set()).add(tuple(where))
    return by_name
