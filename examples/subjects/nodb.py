"""The NoDb controller of the application's package `wepppy` as a subject. It needs the package on PYTHONPATH."""

import gc
import os
import sys
import tempfile

import jsonpickle
import redis
import subject
from wepppy.nodb import base

CONFIG = "debug.cfg"
REFUSALS = (RuntimeError, getattr(base, "NoDbStaleWriteError", RuntimeError))


class Client:
    """Runs its actors in a run directory of its own, with one controller a lock."""

    def __init__(self):
        self.root = tempfile.TemporaryDirectory(prefix="nodb-subject-")
        self.kinds = {}
        self.first_files = {}
        self.reset()

    def reset(self):
        for path in filter(os.path.exists, self.first_files):
            os.unlink(path)
        for kind in self.kinds.values():
            getattr(kind, "cleanup_all_instances", kind._instances.clear)()
        for pool in pools():
            pool.disconnect()
            # A command waits until the ordering lets it through.
            pool.connection_kwargs.update(socket_timeout=None, health_check_interval=0)
        gc.collect()

    def controller(self, lock):
        _, runid, file = lock.split(":", 2)
        wd = os.path.join(self.root.name, runid)
        path = os.path.join(wd, file)
        kind = self.kind(file)
        if path not in self.first_files:
            self.first_files[path] = first_file(kind, wd)
        if not os.path.exists(path):
            with open(path, "w") as state:
                state.write(self.first_files[path])
        return kind.getInstance(wd)

    def kind(self, file):
        """The class of a file's controller: the package finds it again by its name."""
        if file not in self.kinds:
            name = f"Controller{len(self.kinds)}"
            kind = type(name, (base.NoDbBase,), {"filename": file, "__module__": __name__})
            globals()[name] = self.kinds[file] = kind
        return self.kinds[file]

    def acquire(self, lock, ttl_ms):
        try:
            self.controller(lock).lock(ttl=ttl_ms // 1000)
        except base.NoDbAlreadyLockedError as error:
            return str(error)

    def write(self, lock):
        return done(self.controller(lock).dump)

    def release(self, lock):
        return done(self.controller(lock).unlock)

    def force_release(self, lock):
        return done(self.controller(lock).unlock, "-f")

    def clear(self, lock):
        base.clear_locks(lock.split(":")[1])

    def islocked(self, lock):
        return self.controller(lock).islocked()

    def statuses(self, lock):
        base.lock_statuses(lock.split(":")[1])

    def get_instance(self, lock):
        self.controller(lock)


def first_file(kind, wd):
    os.makedirs(wd, exist_ok=True)
    with open(os.path.join(wd, CONFIG), "w") as config:
        config.write("[general]\ndem_db = debug\n")
    first = kind(wd, CONFIG)
    text = jsonpickle.encode(first)
    # The package logs in a thread.
    getattr(first, "_safe_stop_queue_listener", lambda: None)()
    return text


def done(operation, *flags):
    try:
        operation(*flags)
    except REFUSALS as error:
        return str(error)


def pools():
    """The connection pools of the package's modules, which outlive a reset."""
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == "wepppy"]
    for value in [value for module in modules for value in vars(module).values()]:
        if isinstance(value, redis.Redis):
            yield value.connection_pool
        elif isinstance(value, redis.ConnectionPool):
            yield value


VERBS = ["write", "force_release", "clear", "islocked", "statuses", "get_instance"]
subject.serve("wepppy NoDbBase", Client(), can=VERBS, threads=True)
