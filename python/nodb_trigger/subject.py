"""A subject for `probe --python`: an actor's instructions are carried out by functions of the user.

Arguments: MODULE:ACQUIRE,RELEASE[,EXTEND] or MODULE:CLASS, then the names of exceptions by which
an acquire is refused.
"""

import asyncio
import gc
import importlib
import importlib.util
import inspect
import json
import os
import sys

CLIENT = ("r", "redis", "client", "conn")
KEY = ("key", "name", "lock")
SECONDS = ("ttl", "timeout", "expire", "expires", "seconds", "ex")
MILLISECONDS = ("ttl_ms", "px", "ms")
TOKEN = ("token", "value", "lock")


class Mistake(Exception):
    """The functions can't be called, or what they return is not understood."""


class Target:
    """What SPEC names, loaded anew for each life, so that a module's globals are forgotten."""

    def __init__(self, spec):
        self.name = spec
        self.module, _, names = spec.rpartition(":")
        self.names = names.split(",")

    def load(self):
        if self.module.endswith(".py"):
            spec = importlib.util.spec_from_file_location("nodb_trigger_target", self.module)
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
        else:
            sys.modules.pop(self.module, None)
            module = importlib.import_module(self.module)
        return [self.named(module, name) for name in self.names]

    def named(self, module, name):
        found = module
        for part in name.split("."):
            found = getattr(found, part, None)
        if not callable(found):
            known = sorted(
                name for name, value in vars(module).items()
                if inspect.isroutine(value) and value.__module__ == module.__name__
            )
            raise Mistake(
                f"{self.module} has no function {name}; it has: {', '.join(known) or 'none'}"
            )
        return found


class Life:
    """A client from one reset to the next."""

    def __init__(self, target):
        self.loop = None
        self.clients = {}
        self.held = {}
        self.functions = target.load()

    def end(self):
        for is_async, client in self.clients.items():
            self.wait(client.aclose() if is_async else client.close())
        if self.loop:
            self.loop.close()

    def wait(self, result):
        if not inspect.isawaitable(result):
            return result
        if not self.loop:
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)

        async def awaited():
            return await result

        return self.loop.run_until_complete(awaited())

    def client(self, is_async):
        if is_async not in self.clients:
            if is_async:
                import redis.asyncio as redis
            else:
                import redis
            self.clients[is_async] = redis.from_url(os.environ["REDIS_URL"])
        return self.clients[is_async]

    def call(self, function, key, ttl_ms=None, token=(), is_async=None):
        is_async = inspect.iscoroutinefunction(function) if is_async is None else is_async
        arguments = self.arguments(function, key, ttl_ms, token, is_async)
        return self.wait(function(*arguments[0], **arguments[1]))

    def arguments(self, function, key, ttl_ms, token, is_async):
        by_place, by_name = [], {}
        for parameter in parameters_of(function).values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            found, value = self.argument(parameter.name, key, ttl_ms, token, is_async)
            if not found and parameter.default is not parameter.empty:
                # One that stands before others by place keeps its default.
                found, value = parameter.kind is parameter.POSITIONAL_ONLY, parameter.default
            elif not found:
                raise Mistake(unknown_parameter(function, parameter.name))
            if found and parameter.kind is parameter.POSITIONAL_ONLY:
                by_place.append(value)
            elif found:
                by_name[parameter.name] = value
        return by_place, by_name

    def argument(self, name, key, ttl_ms, token, is_async):
        if name in TOKEN and token != ():
            return True, token
        if name in CLIENT:
            return True, self.client(is_async)
        if name in KEY:
            return True, key
        if name in SECONDS and ttl_ms is not None:
            return True, max(1, ttl_ms // 1000)
        if name in MILLISECONDS and ttl_ms is not None:
            return True, ttl_ms
        if name == "blocking":
            return True, False
        return False, None

    def takes_ttl(self):
        acquires = [self.functions[0], getattr(self.functions[0], "acquire", None)]
        names = {name for it in acquires if callable(it) for name in parameters_of(it)}
        return not names.isdisjoint(SECONDS + MILLISECONDS)

    def acquire(self, lock, ttl_ms):
        if len(self.functions) > 1:
            acquired = self.call(self.functions[0], lock, ttl_ms)
            self.held[lock] = acquired
            return is_granted(self.functions[0], acquired)
        made = self.functions[0]
        is_async = any(
            inspect.iscoroutinefunction(getattr(made, name, None)) for name in ("acquire", "__aenter__")
        )
        self.held[lock] = of_class = self.call(made, lock, ttl_ms, is_async=is_async)
        for name in ("acquire", "release"):
            if not callable(getattr(of_class, name, None)):
                raise Mistake(f"what {made.__name__} returns has no {name}")
        return is_granted(of_class.acquire, self.call(of_class.acquire, lock, ttl_ms))

    def release(self, lock):
        held = self.held[lock]
        if len(self.functions) > 1:
            return self.call(self.functions[1], lock, token=held)
        return self.call(held.release, lock)

    def extend(self, lock, ttl_ms):
        return self.call(self.functions[2], lock, ttl_ms, token=self.held[lock])


def parameters_of(function):
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise Mistake(f"the parameters of {function!r} can't be read; wrap it in a function")


def is_granted(function, result):
    if isinstance(result, (tuple, list, dict, set)):
        raise Mistake(
            f"{function.__name__} returned a {type(result).__name__}: True, a token or an object means "
            "acquired, None or False refused; wrap it in a function that returns one of these"
        )
    return bool(result)


def unknown_parameter(function, name):
    groups = [
        ("a redis.Redis", CLIENT), ("the key", KEY), ("the TTL in seconds", SECONDS),
        ("the TTL in milliseconds", MILLISECONDS), ("what acquire returned", TOKEN),
    ]
    known = "; ".join(f"{', '.join(names)}: {what}" for what, names in groups)
    where = getattr(function, "__qualname__", repr(function))
    return (
        f"{where} has a parameter {name!r} that has no default and no known name; "
        f"known are {known}; rename it, give it a default, or wrap the function"
    )


class Subject:
    """Reads instructions and answers them. `target.load()` gives the functions of a new life."""

    def __init__(self, target, refusals, out):
        self.target, self.refusals, self.out = target, refusals, out
        self.life = None

    def begin(self):
        if self.life:
            self.life.end()
        self.life = None
        gc.collect()
        self.life = Life(self.target)

    def serve(self, instructions):
        self.begin()
        self.say(self.first_line())
        self.obey_all(instructions)

    def first_line(self):
        first = {"subject": self.target.name, "can": ["extend"] if self.life.functions[2:] else []}
        return first if self.life.takes_ttl() else {**first, "lease": "own"}

    def obey_all(self, instructions):
        for line in instructions:
            told = json.loads(line)
            try:
                self.say(self.obey(**told))
            except Mistake as mistake:
                self.say({"error": str(mistake)})
            except Exception as error:  # whatever the functions may raise
                self.say(self.raised(told["do"], error))

    def obey(self, do, lock=None, ttl_ms=None):
        if do == "reset":
            self.begin()
            return {"ok": True}
        if do == "release":
            done = self.life.release(lock)
            return {"ok": True} if done is None or done else {"ok": False, "why": f"it returned {done!r}"}
        done = getattr(self.life, do)(lock, ttl_ms)
        return {"ok": True} if done else {"ok": False, "why": f"it returned {done!r}"}

    def raised(self, do, error):
        names = {name for kind in type(error).__mro__ for name in (kind.__name__, full_name(kind))}
        words = f"{type(error).__name__}: {error}"
        if names & self.refusals:
            return {"ok": False, "why": words}
        if do == "acquire":
            words += f" (if that means that the lock is taken: --refused {type(error).__name__})"
        return {"error": words}

    def say(self, line):
        print(json.dumps(line), file=self.out, flush=True)


def full_name(kind):
    return f"{kind.__module__}.{kind.__qualname__}"


def main():
    # What the functions print, and what they read, is not between us and the program.
    instructions, out = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    try:
        Subject(Target(sys.argv[1]), set(sys.argv[2:]), out).serve(instructions)
    except Mistake as mistake:
        sys.exit(f"--python: {mistake}")
    except ImportError as error:
        sys.exit(f"--python: {error} (with {sys.executable}, in {os.getcwd()})")


if __name__ == "__main__":
    main()
