"""The program nodb-trigger, and a pytest plugin that probes lock functions with it."""

import os
import shutil
import sysconfig


def program():
    """The path of the program: the one of this package, or else the one on the PATH."""
    own = os.path.join(sysconfig.get_path("scripts"), "nodb-trigger")
    found = own if os.access(own, os.X_OK) else shutil.which("nodb-trigger")
    if not found:
        raise FileNotFoundError("nodb-trigger is neither in this environment nor on the PATH")
    return found
