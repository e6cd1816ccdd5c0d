"""The subject's side of the protocol that README.md beside this file describes."""

import json
import sys


def serve(name, client, can=(), **shared):
    """Obeys instructions until there are no more.

    `client` has a method for each instruction that it can follow, named like it. A method gives True
    for done, False (or a sentence that says why) for "no, another client has the lock", or the whole answer.
    `permits=2` or `kinds=["read", "write"]` says that clients share the lock.
    """
    say({"subject": name, "can": list(can), **shared})
    for line in sys.stdin:
        told = json.loads(line)
        verb = told.pop("do")
        try:
            done = getattr(client, verb)(**told)
        except Exception as error:  # whatever a client may throw
            say({"error": f"{type(error).__name__}: {error}"})
            continue
        if done is True or done is None:
            say({"ok": True})
        else:
            say(done if isinstance(done, dict) else {"ok": False, "why": str(done)})


def say(something):
    print(json.dumps(something), flush=True)
