"""A lock whose actors share a process, and all of them one connection."""

import os
import socket
from urllib.parse import urlsplit

import subject


class Client:
    def __init__(self):
        self.socket = None

    def reset(self):
        if self.socket is not None:
            self.socket.close()
        self.socket = None

    def ask(self, *words):
        if self.socket is None:
            url = urlsplit(os.environ["REDIS_URL"])
            self.socket = socket.create_connection((url.hostname, url.port))
        parts = [f"*{len(words)}\r\n"] + [f"${len(word)}\r\n{word}\r\n" for word in words]
        self.socket.sendall("".join(parts).encode())
        return self.socket.recv(1000)

    def acquire(self, lock, ttl_ms):
        return self.ask("SET", lock, "held", "NX", "PX", str(ttl_ms)).startswith(b"+OK")

    def release(self, lock):
        self.ask("DEL", lock)


subject.serve("one connection", Client(), threads=True)
