"""A lock client that does what a program says which a test has drawn.

Usage: programmed.py FILE

The file has a list of lines for each verb, as JSON. A line names the reply after which it counts, what must
be remembered, and the command to send; one without a command sets a flag. Instructions and answers are
described in examples/subjects/README.md.
"""

import json
import os
import socket
import sys
import uuid

MOST_COMMANDS = 4
TTL_OF_A_RELEASE = 60_000


class Lost(Exception):
    """No reply came, or an error."""


class Connection:
    """Sends commands and reads replies, over a new socket after each that broke."""

    def __init__(self):
        address = os.environ["REDIS_URL"].removeprefix("redis://").split("/")[0]
        host, port = address.rsplit(":", 1)
        self.address = (host, int(port))
        self.socket = None

    def close(self):
        if self.socket is not None:
            self.replies.close()
            self.socket.close()
            self.socket = None

    def call(self, words):
        try:
            if self.socket is None:
                self.socket = socket.create_connection(self.address)
                self.replies = self.socket.makefile("rb")
            packed = f"*{len(words)}\r\n" + "".join(f"${len(it)}\r\n{it}\r\n" for it in words)
            self.socket.sendall(packed.encode())
            return self.reply()
        except OSError as error:
            self.close()
            raise Lost from error

    def reply(self):
        line = self.replies.readline()
        if not line:
            raise OSError("the connection broke")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise Lost
        if kind == b":":
            return int(rest)
        if kind == b"+":
            return rest.decode()
        if kind != b"$":
            raise ValueError(f"a reply that no command here has: {line}")
        length = int(rest)
        return None if length < 0 else self.replies.read(length + 2)[:-2]


class Client:
    def __init__(self, program):
        self.program = program
        self.connection = Connection()
        self.reset()

    def reset(self, **_):
        self.connection.close()
        self.token = None
        self.memory = {"flag": False, "refused": False, "again": False, "lost": False}
        return True

    def acquire(self, lock, ttl_ms):
        self.token = uuid.uuid4().hex
        first, last = self.run("acquire", lock, ttl_ms)
        self.memory["lost"] = first == "lost"
        self.memory["refused"] |= last == "no"
        return last == "yes"

    def extend(self, lock, ttl_ms):
        return self.run("extend", lock, ttl_ms)[1] == "yes"

    def release(self, lock):
        self.run("release", lock, TTL_OF_A_RELEASE)
        self.memory["again"] = True
        return True

    def run(self, verb, lock, ttl):
        """Gives what the first reply and the last one said."""
        values = {"{lock}": lock, "{token}": self.token, "{ttl}": str(ttl)}
        seen = []
        for line in self.program[verb]:
            if line["after"] is not None and line["after"] != (seen or [None])[-1]:
                continue
            if line["memory"] is not None and self.memory[line["memory"][0]] != line["memory"][1]:
                continue
            if line["send"] is None:
                self.memory["flag"] = True
            elif len(seen) < MOST_COMMANDS:
                seen.append(self.send([values.get(word, word) for word in line["send"]]))
        return (seen[0], seen[-1]) if seen else (None, None)

    def send(self, words):
        try:
            reply = self.connection.call(words)
        except Lost:
            return "lost"
        if reply == "OK" or reply == 1 or reply == self.token.encode():
            return "yes"
        return "free" if reply is None and words[0] == "GET" else "no"


def say(line):
    print(json.dumps(line), flush=True)


def main():
    with open(sys.argv[1]) as program:
        client = Client(json.load(program))
    say({"subject": "a program", "can": ["extend"]})
    for line in sys.stdin:
        told = json.loads(line)
        say({"ok": getattr(client, told.pop("do"))(**told)})


main()
