"""A subject for `probe --python`: carries out an actor's instructions with functions of the user.

Arguments: MODULE:ACQUIRE,RELEASE[,EXTEND] or MODULE:CLASS, then the names of exceptions with which an
acquire reports that the lock is taken.
"""

import asyncio
import contextlib
import importlib
import importlib.util
import inspect
import json
import os
import select
import signal
import sys
import traceback

CLIENT = ("r", "redis", "client", "conn")
KEY = ("key", "name", "lock")
SECONDS = ("ttl", "timeout", "expire", "expires", "seconds", "ex")
MILLISECONDS = ("ttl_ms", "px", "ms")
TOKEN = ("token", "value", "lock")

# Errors of a program; they never mean that a lock is taken.
BUGS = (TypeError, AttributeError, NameError, KeyError, ImportError)


class Mistake(Exception):
    """The functions can't be called, or what they return is ambiguous."""


class Target:
    """The functions that a specification names. Each life loads them."""

    def __init__(self, spec):
        self.name = spec
        self.module, _, names = spec.rpartition(":")
        self.names = [name.strip() for name in names.split(",")]

    def load(self):
        """The functions acquire, release and extend; a class (or factory) alone."""
        if self.module.endswith(".py"):
            sys.path.insert(0, os.path.dirname(os.path.abspath(self.module)))
            spec = importlib.util.spec_from_file_location("nodb_trigger_target", self.module)
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(self.module)
        functions = [self.named(module, name) for name in self.names]
        return (functions + [None, None])[:3]

    def named(self, module, name):
        found = module
        for part in name.split("."):
            found = getattr(found, part, None)
        if not callable(found):
            known = sorted(
                name for name, value in vars(module).items()
                if callable(value) and getattr(value, "__module__", None) == module.__name__
            )
            raise Mistake(f"{self.module} has no {name!r}; it has: {', '.join(known) or 'nothing'}")
        return found


def name_of(function):
    return getattr(function, "__qualname__", None) or repr(function)


def is_async(function):
    function = inspect.unwrap(function)
    call = getattr(type(function), "__call__", None)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


class Life:
    """A client from one reset to the next."""

    def __init__(self, target):
        self.loop = None
        self.clients = {}
        self.held = {}
        self.acquires, self.releases, self.extends = target.load()

    def client(self, for_async):
        if for_async not in self.clients:
            if for_async:
                import redis.asyncio as redis
            else:
                import redis
            self.clients[for_async] = redis.from_url(os.environ["REDIS_URL"])
        return self.clients[for_async]

    def call(self, function, known, for_async=None):
        for_async = is_async(function) if for_async is None else for_async
        known = {name: value for names, value in known for name in names}
        known.update((name, self.client(for_async)) for name in CLIENT if name in parameters_of(function))
        by_place, by_name = arguments(function, known)
        result = function(*by_place, **by_name)
        if not inspect.isawaitable(result):
            return result
        if not for_async and set(parameters_of(function)) & set(CLIENT):
            result.close()
            raise Mistake(f"{name_of(function)} is not declared async, and returned an awaitable")
        if not self.loop:
            self.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self.loop)

        async def awaited():
            return await result

        return self.loop.run_until_complete(awaited())

    def takes_ttl(self):
        makes = [self.acquires] if self.releases else [self.acquires, getattr(self.acquires, "acquire", None)]
        names = set()
        for function in filter(callable, makes):
            is_maker = not self.releases and function is self.acquires
            names |= {name for name in parameters_of(function) if is_lease(function, name, is_maker)}
        return bool(names)

    def acquire(self, lock, ttl_ms):
        if self.releases:
            self.held[lock] = self.call(self.acquires, acquiring(self.acquires, lock, ttl_ms))
            return is_granted(self.acquires, self.held[lock])
        made = self.acquires
        for_async = any(is_async(getattr(made, name, None) or print) for name in ("acquire", "release"))
        known = acquiring(made, lock, ttl_ms, is_maker=True)
        self.held[lock] = of_class = self.call(made, known, for_async)
        for name in ("acquire", "release"):
            if not callable(getattr(of_class, name, None)):
                raise Mistake(
                    f"what {name_of(made)} returns has no {name}; if it is a function that acquires, "
                    "name the one that releases too: MODULE:ACQUIRE,RELEASE"
                )
        known = acquiring(of_class.acquire, lock, ttl_ms)
        return is_granted(of_class.acquire, self.call(of_class.acquire, known))

    def release(self, lock):
        held = self.held[lock]
        if self.releases:
            return self.call(self.releases, holding(self.releases, lock, held))
        return self.call(held.release, [(KEY, lock)])

    def extend(self, lock, ttl_ms):
        return self.call(self.extends, [*leasing(ttl_ms), *holding(self.extends, lock, self.held[lock])])


def leasing(ttl_ms):
    return [(SECONDS, max(1, ttl_ms // 1000)), (MILLISECONDS, ttl_ms)]


def acquiring(function, lock, ttl_ms, is_maker=False):
    """What an acquire can be called with."""
    lease = [
        (tuple(name for name in names if is_lease(function, name, is_maker)), value)
        for names, value in leasing(ttl_ms)
    ]
    return [(KEY, lock), *lease, (("blocking",), False)]


def holding(function, lock, held):
    """What a release or extend can be called with: `lock` is the key where the token has another name."""
    has_token = set(parameters_of(function)) & {"token", "value"}
    return [(TOKEN, held), (KEY if has_token else KEY[:2], lock)]


def is_lease(function, name, is_maker):
    """Whether a parameter of an acquire is its lease. A `timeout` with a default is how long it waits."""
    parameter = parameters_of(function).get(name)
    waits = name == "timeout" and not is_maker and parameter and parameter.default is not parameter.empty
    return name in SECONDS + MILLISECONDS and not waits


def parameters_of(function):
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise Mistake(f"the parameters of {name_of(function)} can't be read; wrap it in a function")


def arguments(function, known):
    """By place and by name. Of parameters that mean the same, one without a default is filled."""
    parameters = list(parameters_of(function).values())
    variable = [it for it in parameters if it.kind in (it.VAR_POSITIONAL, it.VAR_KEYWORD)]
    parameters = [it for it in parameters if it not in variable]
    if variable and not parameters:
        raise Mistake(f"{name_of(function)} has no parameters but *args and **kwargs; wrap it in a function")
    for group in (CLIENT, KEY, SECONDS + MILLISECONDS, TOKEN[:2]):
        same = [it for it in parameters if it.name in group and it.name in known]
        needed = [it.name for it in same if it.default is it.empty]
        if len(needed) > 1:
            raise Mistake(f"{name_of(function)} has {' and '.join(needed)}, which mean the same; wrap it")
        for parameter in same:
            if parameter.name not in (needed or [same[0].name]):
                known = {name: value for name, value in known.items() if name != parameter.name}
    by_place, by_name = [], {}
    for parameter in parameters:
        has_default = parameter.default is not parameter.empty
        if parameter.name not in known and not has_default:
            raise Mistake(unknown_parameter(function, parameter.name))
        value = known.get(parameter.name, parameter.default)
        if parameter.kind is parameter.POSITIONAL_ONLY:
            by_place.append(value)
        elif parameter.name in known:
            by_name[parameter.name] = value
    return by_place, by_name


def is_granted(function, result):
    if isinstance(result, (tuple, list, dict, set)):
        raise Mistake(
            f"{name_of(function)} returned a {type(result).__name__}: True, a token or an object means "
            "acquired, None or False refused; wrap it in a function that returns one of these"
        )
    return bool(result)


def unknown_parameter(function, name):
    where = name_of(function)
    if name in TOKEN:
        return f"{where} needs {name!r}, which only a release gets; wrap it in a function that makes its token"
    groups = [
        ("a redis.Redis", CLIENT), ("the key", KEY), ("the TTL in seconds", SECONDS),
        ("the TTL in milliseconds", MILLISECONDS), ("what acquire returned", TOKEN),
    ]
    known = "; ".join(f"{', '.join(names)}: {what}" for what, names in groups)
    return (
        f"{where} has a parameter {name!r} that has no default and no known name; "
        f"known are {known}; rename it, give it a default, or wrap the function"
    )


class Subject:
    """One life of a client: answers instructions."""

    def __init__(self, target, refusals, out):
        self.target, self.refusals, self.out = target, refusals, out
        self.life = None

    def begin(self):
        self.life = Life(self.target)

    def first_line(self):
        first = {"subject": self.target.name, "can": ["extend"] if self.life.extends else []}
        return first if self.life.takes_ttl() else {**first, "lease": "own"}

    def obey_all(self, instructions):
        for line in instructions:
            instruction = json.loads(line)
            try:
                self.say(self.obey(**instruction))
            except Mistake as mistake:
                self.say({"error": str(mistake)})
            except (Exception, SystemExit, KeyboardInterrupt) as error:  # of the user's functions
                self.say(self.raised(instruction["do"], error))

    def obey(self, do, lock=None, ttl_ms=None):
        done = getattr(self.life, do)(*([lock] if ttl_ms is None else [lock, ttl_ms]))
        is_done = bool(done) or do == "release" and done is None
        return {"ok": True} if is_done else {"ok": False, "why": f"it returned {done!r}"}

    def raised(self, do, error):
        names = {name for kind in type(error).__mro__ for name in (kind.__name__, full_name(kind))}
        words = f"{type(error).__name__}: {error}"
        if names & self.refusals:
            return {"ok": False, "why": words}
        if do == "acquire" and isinstance(error, Exception) and not isinstance(error, BUGS):
            words += f" (if that means that the lock is taken: --refused {type(error).__name__})"
        return {"error": words}

    def say(self, line):
        print(json.dumps(line), file=self.out, flush=True)


def full_name(kind):
    return f"{kind.__module__}.{kind.__qualname__}"


class Lives:
    """Forks a child for each life of a client, so that nothing is remembered of an earlier one."""

    def __init__(self, target, refusals, source, out, before_life=lambda: None):
        self.target, self.refusals, self.source, self.out = target, refusals, source, out
        self.before_life = before_life
        self.child = self.instructions = self.alive = None

    def serve(self, lines):
        """Until the program ends, or a life by itself."""
        self.begin(lambda subject: subject.say(subject.first_line()))
        try:
            for line in lines:
                if json.loads(line)["do"] == "reset":
                    self.end()
                    self.begin(lambda subject: subject.say({"ok": True}))
                else:
                    os.write(self.instructions, line)
        finally:
            self.end()

    def lines(self):
        chunk = b""
        while True:
            while b"\n" in chunk:
                line, chunk = chunk.split(b"\n", 1)
                yield line + b"\n"
            sources = [self.source] if self.alive is None else [self.source, self.alive]
            ready = select.select(sources, [], [])[0]
            read = b"" if self.alive in ready else os.read(self.source, 65536)
            if not read:
                return
            chunk += read

    def begin(self, first):
        """Forks a life, which says something first."""
        instructions, self.instructions = os.pipe()
        self.alive, lives = os.pipe()
        self.child = os.fork()
        if not self.child:
            with ends_here():
                os.close(self.instructions)
                silence()
                subject = Subject(self.target, self.refusals, self.out)
                self.before_life()
                subject.begin()
                first(subject)
                subject.obey_all(os.fdopen(instructions))
        # Never written to; EOF means that the child ended.
        os.close(lives)
        os.close(instructions)

    def end(self):
        os.close(self.instructions)
        os.close(self.alive)
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)


@contextlib.contextmanager
def ends_here():
    """A forked process never continues the work of its parent."""
    try:
        yield
        os._exit(0)
    except BaseException as error:
        os.write(2, f"{told(error)}\n".encode())
        os._exit(1)


def told(error):
    """An error that no instruction raised, on one line."""
    if isinstance(error, Mistake):
        return f"--python: {error}"
    words = " ".join(f"{type(error).__name__}: {error}".split())
    frames = [it for it in traceback.extract_tb(error.__traceback__) if "importlib" not in it.filename]
    place = f"; {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"--python: {words} (with {sys.executable}, in {os.getcwd()}{place})"


def silence():
    """Keeps what functions print and read off the protocol."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    sys.stdin, sys.stdout = open(os.devnull), open(os.devnull, "w")


def main():
    with contextlib.suppress(ImportError):
        # Once for all lives, and not once for each.
        import redis.asyncio  # noqa: F401
    source, out = os.dup(0), os.fdopen(os.dup(1), "w")
    lives = Lives(Target(sys.argv[1]), set(sys.argv[2:]), source, out)
    lives.serve(lives.lines())


if __name__ == "__main__":
    main()
