"""What jsonpickle offers to `wepppy.nodb.base`: an object as JSON, with its class and its state."""

import importlib
import json


def encode(value):
    kind = type(value)
    return json.dumps({"py/object": f"{kind.__module__}.{kind.__qualname__}", "py/state": value.__getstate__()})


def decode(text):
    members = json.loads(text)
    module, name = members["py/object"].rsplit(".", 1)
    kind = getattr(importlib.import_module(module), name)
    value = kind.__new__(kind)
    value.__dict__.update(members["py/state"])
    return value
