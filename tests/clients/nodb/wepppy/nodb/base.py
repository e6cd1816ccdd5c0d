"""What `wepppy.nodb.base` offers for locking, for tests without that package: its commands in their order
(docs/contract.md, section 6), or with NODB_STAND_IN=2025 those of the year before (section 3)."""

import configparser
import contextlib
import hashlib
import json
import os
import socket
import tempfile
import threading
import time
import uuid
import weakref
from urllib.parse import urlsplit

import jsonpickle
import redis

CACHE_SECONDS = 259200
DEFAULT_TTL = 21600
DELETE_IF_EQUAL = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


def pool_of(database):
    url = urlsplit(os.environ["REDIS_URL"])._replace(path=f"/{database}").geturl()
    return redis.ConnectionPool.from_url(url, decode_responses=True)


redis_lock_pool = pool_of(0)
redis_lock_client = redis.Redis(connection_pool=redis_lock_pool)
redis_nodb_cache_pool = pool_of(13)
redis_nodb_cache_client = redis.Redis(connection_pool=redis_nodb_cache_pool)

# By controller: a refresh replaces all that the controller itself has.
_tokens = weakref.WeakKeyDictionary()


class NoDbAlreadyLockedError(Exception):
    pass


class NoDbStaleWriteError(Exception):
    pass


class NoDbOf2025:
    """The controller of November 2025."""

    filename = None

    def __init_subclass__(cls):
        cls._instances = {}
        cls._instances_lock = threading.RLock()

    def __init__(self, wd, cfg_fn):
        self.wd = os.path.abspath(wd)
        with open(os.path.join(self.wd, cfg_fn)) as file:
            configparser.RawConfigParser().read_file(file)
        if os.path.exists(self._nodb):
            raise Exception("NoDb has already been initialized")
        self._config = cfg_fn
        self._signature = None

    def __getstate__(self):
        return {name: value for name, value in self.__dict__.items() if name != "_signature"}

    @classmethod
    def getInstance(cls, wd):
        wd = os.path.abspath(wd)
        with cls._instances_lock:
            cached = cls._instances.get(wd)
        if cached is not None and cached._signature == signature(cached._nodb):
            return cached
        read = cls._read(wd)
        with cls._instances_lock:
            if cached is None:
                return cls._instances.setdefault(wd, read)
            cached.__dict__.clear()
            cached.__dict__.update(read.__dict__)
            return cached

    @classmethod
    def _read(cls, wd):
        if cls.filename is None:
            raise AttributeError(f"{cls.__name__} must define a class attribute 'filename'")
        path = os.path.join(wd, cls.filename)
        # Before the text: a write in between is then noticed as one that was not read.
        before = signature(path)
        text = cls._cached(path)
        if text is None:
            with open(path) as file:
                text = file.read()
        instance = jsonpickle.decode(text)
        instance.wd = wd
        instance._signature = before
        return instance

    @classmethod
    def _cached(cls, path):
        return redis_nodb_cache_client.get(path)

    @property
    def _nodb(self):
        return os.path.join(self.wd, self.filename)

    @property
    def runid(self):
        return os.path.basename(self.wd)

    @property
    def _lock_key(self):
        return f"nodb-lock:{self.runid}:{self.filename}"

    def _flag(self, value):
        redis_lock_client.hset(self.runid, f"locked:{self.filename}", value)

    def _forget(self):
        self._flag("false")
        _tokens.pop(self, None)

    def lock(self, ttl=DEFAULT_TTL):
        payload = self._take(ttl)
        self._remember(payload)

    def _take(self, ttl):
        payload = new_payload(ttl)
        if not redis_lock_client.set(self._lock_key, payload, nx=True, ex=ttl):
            holder = redis_lock_client.get(self._lock_key)
            raise NoDbAlreadyLockedError(f"lock() called on an already locked nodb ({holder})")
        return payload

    def _remember(self, payload):
        self._flag("true")
        _tokens[self] = token_of(payload)

    def islocked(self):
        if redis_lock_client.get(self._lock_key) is not None:
            return True
        if redis_lock_client.hget(self.runid, f"locked:{self.filename}") not in (None, "false"):
            self._flag("false")
        return False

    def unlock(self, flag=None):
        held = redis_lock_client.get(self._lock_key)
        if held is not None:
            if flag in ("-f", "--force"):
                redis_lock_client.delete(self._lock_key)
            else:
                self._check_owner(held)
                self._delete(held)
        self._forget()

    def _check_owner(self, held):
        if self not in _tokens:
            raise RuntimeError("unlock() called without owning the lock")
        if token_of(held) != _tokens[self]:
            raise RuntimeError("unlock() called with non-matching token")

    def _delete(self, held):
        redis_lock_client.delete(self._lock_key)

    def dump(self):
        if not self.islocked():
            raise RuntimeError("cannot dump to unlocked db")
        text = jsonpickle.encode(self)
        with open(self._nodb, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        self._signature = signature(self._nodb)
        redis_nodb_cache_client.set(self._nodb, text, ex=CACHE_SECONDS)

    @contextlib.contextmanager
    def locked(self):
        self.lock()
        try:
            yield self
        except Exception:
            self.unlock()
            raise
        self._dump_and_unlock()
        type(self).getInstance(self.wd)

    def _dump_and_unlock(self):
        self.dump()
        self.unlock()


class NoDbOfToday(NoDbOf2025):
    """The controller of November 2026."""

    def lock(self, ttl=DEFAULT_TTL):
        self._check_replacement()
        payload = self._take(ttl)
        try:
            self._check_replacement()
        except RuntimeError:
            redis_lock_client.eval(DELETE_IF_EQUAL, 1, self._lock_key, payload)
            raise
        self._remember(payload)

    def _check_replacement(self):
        digest = hashlib.sha256(b"run\0" + self.runid.encode()).hexdigest()
        if redis_lock_client.get(f"nodb:run-replacement:{digest}") is not None:
            raise RuntimeError("Run replacement is in progress.")

    def _delete(self, held):
        if not redis_lock_client.eval(DELETE_IF_EQUAL, 1, self._lock_key, held):
            raise RuntimeError("unlock() lost ownership before release")

    def dump(self):
        held = redis_lock_client.get(self._lock_key)
        if held is None:
            self._forget()
            raise RuntimeError("cannot dump to unlocked db")
        if self not in _tokens:
            raise RuntimeError("cannot dump without owning the lock")
        if token_of(held) != _tokens[self]:
            raise RuntimeError("cannot dump with non-matching lock token")
        if self._signature != signature(self._nodb):
            raise NoDbStaleWriteError(self._nodb)
        self._replace(jsonpickle.encode(self))
        with open(os.path.join(self.wd, "nodb.version"), "w") as file:
            file.write("1")
        redis_lock_client.hset(self.runid, "last_modified", int(time.time()))

    def _replace(self, text):
        before = self._signature
        with tempfile.NamedTemporaryFile(
            "w", dir=self.wd, prefix=f".{self.filename}.", suffix=".tmp", delete=False
        ) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if before is not None and os.stat(file.name).st_mtime_ns <= before[0]:
            os.utime(file.name, ns=(before[0] + 1000, before[0] + 1000))
        os.replace(file.name, self._nodb)
        self._signature = signature(self._nodb)
        mtime, size = self._signature
        entry = json.loads(text) | {"_nodb_mtime": mtime, "_nodb_size": size}
        redis_nodb_cache_client.set(self._nodb, json.dumps(entry), ex=CACHE_SECONDS)

    @classmethod
    def _cached(cls, path):
        text = redis_nodb_cache_client.get(path)
        entry = json.loads(text) if text else {}
        is_of_file = (entry.get("_nodb_mtime"), entry.get("_nodb_size")) == signature(path)
        return text if is_of_file else None

    def _dump_and_unlock(self):
        try:
            self.dump()
        except Exception:
            with contextlib.suppress(Exception):
                self.unlock()
            raise
        self.unlock()


NoDbBase = NoDbOf2025 if os.environ.get("NODB_STAND_IN") == "2025" else NoDbOfToday


def clear_locks(runid):
    flags = [field for field in redis_lock_client.hgetall(runid) if field.startswith("locked:")]
    for field in flags:
        redis_lock_client.hset(runid, field, "false")
        redis_lock_client.delete(f"nodb-lock:{runid}:{field.removeprefix('locked:')}")
    for key in redis_lock_client.scan_iter(match=f"nodb-lock:{runid}:*"):
        redis_lock_client.delete(key)
        redis_lock_client.hset(runid, f"locked:{key.split(':', 2)[2]}", "false")
    return flags


def lock_statuses(runid):
    locks = redis_lock_client.scan_iter(match=f"nodb-lock:{runid}:*")
    statuses = {key.split(":", 2)[2]: True for key in locks}
    for field, flag in redis_lock_client.hgetall(runid).items():
        name = field.removeprefix("locked:")
        if name != field and name not in statuses:
            if flag != "false":
                redis_lock_client.hset(runid, field, "false")
            statuses[name] = False
    return statuses


def new_payload(ttl):
    now = int(time.time())
    owner = f"{socket.gethostname()}:{os.getpid()}"
    payload = {"token": uuid.uuid4().hex, "owner": owner, "acquired_at": now, "expires_at": now + ttl}
    return json.dumps(payload | {"ttl": ttl}, separators=(",", ":"))


def token_of(payload):
    try:
        return json.loads(payload)["token"]
    except (ValueError, TypeError, KeyError):
        return payload


def signature(path):
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_size
