//! Real clients acquire a lock that another of them left, as soon as `unlock KEY` released it.
//!
//! Those that must be installed (`scripts/subjects.sh`) are left out where they aren't, unless
//! `NODB_REQUIRE_REDIS=1` asks for all.

use super::{Hand, recover};
use crate::probe::{installed, packages_with, python_of};
use crate::program::{PATIENCE, poll};
use crate::redis_server::{RedisServer, redis_or_skip};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// redis-py: `a` acquires and is gone; `b` waits for the lock.
const REDIS_PY: &str = r#"
import sys, redis
client = redis.Redis(port=int(sys.argv[1]))
assert client.lock("lock:invoice", timeout=3600).acquire()
print("left", flush=True)
sys.stdin.readline()
assert client.lock("lock:invoice", timeout=60).acquire(blocking=False)
print("acquired", flush=True)
"#;

/// python-redis-lock: its waiters sleep until the signal comes, here for an hour.
const PYTHON_REDIS_LOCK: &str = r#"
import sys, threading, redis, redis_lock
client = redis.Redis(port=int(sys.argv[1]), socket_timeout=None)
assert redis_lock.Lock(client, "invoice").acquire()
waiter = redis_lock.Lock(client, "invoice", expire=3600)
print("left", flush=True)
assert waiter.acquire(blocking=True)
print("acquired", flush=True)
"#;

/// redlock of Node.js, on one server.
const REDLOCK: &str = r#"
const Redis = require("ioredis"), Redlock = require("redlock");
const client = new Redis(port);
const lock = new Redlock([client], { retryCount: 0 });
lock.lock("locks:account:7", 3600000).then(() => {
  console.log("left");
  process.stdin.once("data", () => lock.lock("locks:account:7", 60000).then(
    () => { console.log("acquired"); process.exit(0); },
    (error) => { console.log(String(error)); process.exit(1); }));
});
"#;

/// BullMQ: a worker takes a job and is gone; another takes its lock.
const BULLMQ: &str = r#"
const { Queue, Worker } = require("bullmq");
const connection = { port, maxRetriesPerRequest: null };
const left = "00000000-0000-4000-8000-00000000000a:1", next = "00000000-0000-4000-8000-00000000000b:1";
(async () => {
  const queue = new Queue("mail", { connection });
  await queue.add("one", {});
  const worker = new Worker("mail", null, { connection, autorun: false, lockDuration: 3600000 });
  const job = await worker.getNextJob(left, { block: false });
  console.log("left");
  process.stdin.once("data", async () => {
    // A stalled job is one without a lock; the first round notes which are active.
    for (let round = 0; round < 2; round++) {
      await (await queue.client).del("bull:mail:stalled-check");
      await worker.moveStalledJobsToWait();
    }
    const again = await worker.getNextJob(next, { block: false });
    console.log(again && again.id === job.id ? "acquired" : "not acquired");
    process.exit(0);
  });
})();
"#;

/// What the clients of task queues have in common: a lock is left, and another of the same name acquired.
const QUEUES: &str = r#"
import sys
url = "redis://127.0.0.1:%s/0" % sys.argv[1]

def left_and_acquired(acquire):
    assert acquire() and not acquire()
    print("left", flush=True)
    sys.stdin.readline()
    print("acquired" if acquire() else "refused", flush=True)
"#;

/// huey: a lock of a task.
const HUEY: &str = r#"
from huey import RedisHuey
from huey.exceptions import TaskLockedException

def acquire(huey=RedisHuey("app", url=url)):
    try:
        return huey.lock_task("daily").acquire()
    except TaskLockedException:
        return False

left_and_acquired(acquire)
"#;

/// celery-singleton: a task is queued once.
const CELERY_SINGLETON: &str = r#"
from celery import Celery
from celery_singleton import Singleton

app = Celery("app", broker="memory://")
app.conf.singleton_backend_url = url
queued = set()

@app.task(base=Singleton, name="app.nightly")
def nightly(day):
    pass

def acquire():
    before = len(queued)
    queued.add(nightly.apply_async(args=[1]).id)
    return len(queued) > before

left_and_acquired(acquire)
"#;

/// celery_once: the same.
const CELERY_ONCE: &str = r#"
from celery import Celery
from celery_once import AlreadyQueued, QueueOnce

app = Celery("app", broker="memory://")
settings = {"url": url, "default_timeout": 3600}
app.conf.ONCE = {"backend": "celery_once.backends.Redis", "settings": settings}
@app.task(base=QueueOnce, name="app.hourly")
def hourly(day):
    pass

def acquire():
    try:
        return hourly.apply_async(args=[1])
    except AlreadyQueued:
        return False

left_and_acquired(acquire)
"#;

/// rslock: as a subject of probe.
const RSLOCK: &str = r#"
import json, os, subprocess, sys
environment = {**os.environ, "REDIS_URL": "redis://127.0.0.1:%s/0" % sys.argv[2]}

def acquires():
    subject = subprocess.Popen(
        [sys.argv[1]], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    instruction = {"do": "acquire", "lock": "lock:rs", "ttl_ms": 3600000}
    answers = subject.communicate(json.dumps(instruction) + "\n")[0].splitlines()
    return json.loads(answers[1])["ok"]

assert acquires() and not acquires()
print("left", flush=True)
sys.stdin.readline()
print("acquired" if acquires() else "refused", flush=True)
"#;

/// A client at work.
struct Client {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Client {
    fn start(program: &str, arguments: &[&str], redis: &RedisServer) -> Self {
        let mut process = Command::new(program)
            .args(arguments)
            .arg(redis.port().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, to, from: BufReader::new(from) }
    }

    /// A script of -e has no file of its own, so modules are looked for where NODE_PATH says.
    fn start_node(packages: &str, script: &str, redis: &RedisServer) -> Self {
        let path = format!("NODE_PATH={packages}");
        let script = format!("const port = Number(process.argv[1]);{script}");
        Self::start("env", &[&path, "node", "-e", &script], redis)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Lets the client leave its lock, unlocks that, and has the client acquire it again.
fn left_and_acquired(redis: &RedisServer, mut client: Client, key: &str, waits: bool) {
    assert_eq!(client.line(), "left");
    if waits {
        let mut hand = Hand::on(redis);
        let is_waiting = || {
            let clients: String = hand.ask(&["INFO", "clients"]);
            clients.contains("blocked_clients:1").then_some(())
        };
        poll(is_waiting).unwrap_or_else(|| panic!("no client waits after {PATIENCE:?}"));
    }
    let refused = recover(redis, &["unlock", key]).run();
    assert!(refused.exits(1).stdout.contains("can't be told whether it lives"), "{refused:#?}");
    let done = recover(redis, &["unlock", key, "--force"]).run();
    assert!(done.exits(0).stdout.contains("REMOVED"), "{done:#?}");
    client.to.write_all(b"\n").unwrap();
    assert_eq!(client.line(), "acquired");
    assert_eq!(Hand::on(redis).ask::<i64>(&["EXISTS", key]), 1);
}

#[test]
fn redis_py_acquires_what_was_unlocked() {
    for version in ["redis-8.1.0", "redis-2.10.6"] {
        let redis = redis_or_skip!();
        let Some(python) = python_of("redis_py_acquires_what_was_unlocked", version) else {
            return;
        };
        let client = Client::start(&python, &["-c", REDIS_PY], &redis);
        left_and_acquired(&redis, client, "lock:invoice", false);
    }
}

#[test]
fn a_waiter_of_python_redis_lock_acquires_what_was_unlocked_at_once() {
    let redis = redis_or_skip!();
    let test = "a_waiter_of_python_redis_lock_acquires_what_was_unlocked_at_once";
    let Some(python) = python_of(test, "python-redis-lock-4.0.1") else { return };
    let client = Client::start(&python, &["-c", PYTHON_REDIS_LOCK], &redis);
    left_and_acquired(&redis, client, "lock:invoice", true);
}

#[test]
fn redlock_acquires_what_was_unlocked() {
    let redis = redis_or_skip!();
    let test = "redlock_acquires_what_was_unlocked";
    let Some(packages) = packages_with(test, "redlock") else { return };
    let client = Client::start_node(&packages, REDLOCK, &redis);
    left_and_acquired(&redis, client, "locks:account:7", false);
}

#[test]
fn bullmq_acquires_what_was_unlocked() {
    let redis = redis_or_skip!();
    let test = "bullmq_acquires_what_was_unlocked";
    let Some(packages) = packages_with(test, "bullmq") else { return };
    let client = Client::start_node(&packages, BULLMQ, &redis);
    left_and_acquired(&redis, client, "bull:mail:1:lock", false);
}

/// The clients of task queues, with the key of each one's lock.
fn queue_acquires_what_was_unlocked(test: &str, script: &str, key: &str) {
    let redis = redis_or_skip!();
    let Some(python) = python_of(test, "celery-singleton-0.3.1") else { return };
    let client = Client::start(&python, &["-c", &format!("{QUEUES}{script}")], &redis);
    left_and_acquired(&redis, client, key, false);
}

#[test]
fn huey_acquires_what_was_unlocked() {
    queue_acquires_what_was_unlocked("huey_acquires_what_was_unlocked", HUEY, "huey.results.app");
}

#[test]
fn celery_singleton_acquires_what_was_unlocked() {
    let test = "celery_singleton_acquires_what_was_unlocked";
    let key = "SINGLETONLOCK_01a2ad668e87404d2c2fed39659ee85b";
    queue_acquires_what_was_unlocked(test, CELERY_SINGLETON, key);
}

#[test]
fn celery_once_acquires_what_was_unlocked() {
    let test = "celery_once_acquires_what_was_unlocked";
    queue_acquires_what_was_unlocked(test, CELERY_ONCE, "qo_app.hourly_day-1");
}

#[test]
fn rslock_acquires_what_was_unlocked() {
    let redis = redis_or_skip!();
    let test = "rslock_acquires_what_was_unlocked";
    let Some(python) = python_of(test, "redis-8.1.0") else { return };
    let subject = installed().join("rslock/debug/rslock-subject");
    let subject = subject.to_str().unwrap();
    let client = Client::start(&python, &["-c", RSLOCK, subject], &redis);
    left_and_acquired(&redis, client, "lock:rs", false);
}
