"""The program, and processes of it that end with this one."""

import ctypes
import os
import shutil
import signal
import subprocess
import sysconfig

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def program():
    """The path of the program: the one of this environment, or else the one on the PATH."""
    own = os.path.join(sysconfig.get_path("scripts"), "nodb-trigger")
    found = own if os.access(own, os.X_OK) else shutil.which("nodb-trigger")
    if not found:
        raise FileNotFoundError("nodb-trigger is neither in this environment nor on the PATH")
    return found


def start(words, **streams):
    """Starts the program, which is terminated when this process is killed; Ctrl-C doesn't reach it."""
    return subprocess.Popen(
        [program(), *words], stdin=subprocess.DEVNULL, preexec_fn=ends_with_us, **streams
    )


def ends_with_us():
    os.setsid()
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
