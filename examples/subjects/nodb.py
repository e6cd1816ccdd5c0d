"""The NoDb controller as a subject: the real one where it is installed, else the stand-in."""

import gc
import os
import tempfile

import subject

try:
    from wepppy.nodb.base import NoDbAlreadyLockedError, NoDbBase

    NAME = "wepppy NoDbBase"
except ImportError:
    from nodb_stand_in import NoDbAlreadyLockedError, NoDbBase

    NAME = "NoDbBase (stand-in)"


class Client:
    """One controller a lock, in a run directory of its own that has the run id of the lock key."""

    def __init__(self):
        self.root = tempfile.TemporaryDirectory(prefix="nodb-subject-")
        self.reset()

    def reset(self):
        NoDbBase._instances.clear()
        gc.collect()

    def controller(self, lock):
        runid = lock.split(":")[1]
        return NoDbBase.getInstance(os.path.join(self.root.name, runid))

    def acquire(self, lock, ttl_ms):
        try:
            self.controller(lock).lock(ttl=ttl_ms // 1000)
        except NoDbAlreadyLockedError as error:
            return str(error)

    def write(self, lock):
        return self.told(self.controller(lock).dump)

    def release(self, lock):
        return self.told(self.controller(lock).unlock)

    def told(self, do):
        try:
            do()
        except RuntimeError as error:
            return str(error)


subject.serve(NAME, Client(), can=["write"])
