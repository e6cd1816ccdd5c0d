"""The subject's side of the protocol that README.md beside this file describes."""

import json
import queue
import sys
import threading


def serve(name, client, can=(), threads=False, **shared):
    """Obeys instructions until there are no more.

    `client` has a method for each instruction that it can follow, named like it. A method gives True
    for done, False (or a sentence that says why) for "no, another client has the lock", or the whole answer.
    With `threads`, the process runs several actors, each in a thread of its own.
    `permits=2` or `kinds=["read", "write"]` says that clients share the lock.
    """
    actors = {}
    say({"subject": name, "can": list(can), **({"threads": True} if threads else {}), **shared})
    for line in sys.stdin:
        told = json.loads(line)
        if told["do"] == "reset" or not threads:
            told.pop("actor", None)
            obey(client, told)
            continue
        actor = told.pop("actor")
        if actor not in actors:
            actors[actor] = queue.SimpleQueue()
            threading.Thread(target=work, args=(client, actors[actor]), daemon=True).start()
        actors[actor].put(told)


def work(client, instructions):
    while True:
        obey(client, instructions.get())


def obey(client, told):
    verb = told.pop("do")
    try:
        done = getattr(client, verb)(**told)
    except Exception as error:  # whatever a client may throw
        say({"error": f"{type(error).__name__}: {error}"})
        return
    if done is True or done is None:
        say({"ok": True})
    else:
        say(done if isinstance(done, dict) else {"ok": False, "why": str(done)})


def say(something):
    print(json.dumps(something), flush=True)
