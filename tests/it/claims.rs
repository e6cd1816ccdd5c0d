//! What clients answer and say of themselves: fencing tokens, a lock that is acquired twice, cancelled
//! instructions, leases in values, and what a scenario file expects of them.

use std::fs;

use crate::probe::{found, python, row, schedule, shipped};
use crate::program::{Ended, Place, Program};

/// What every client here begins with: a release that compares.
const BASE: &str = r#"
import os, sys, time, uuid
import redis, subject
GIVE = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end return redis.call('DEL', KEYS[1])"
class Base:
    def __init__(self): self.reset()
    def reset(self): self.redis, self.token = redis.Redis.from_url(os.environ["REDIS_URL"]), None
    def release(self, lock, **_): return bool(self.redis.eval(GIVE, 1, lock, self.token)) or "lost"
"#;

/// The command line of a client in Python, if there is one with redis.
fn client(place: &Place, text: &str, mode: &str) -> Option<String> {
    let helper = python("a client in Python", "8.1.0", "subject.py")?;
    let (python, module) = helper.split_once(' ').unwrap();
    let modules = std::path::Path::new(module).parent().unwrap();
    let path = place.at("client.py");
    fs::write(&path, format!("{BASE}{text}")).unwrap();
    Some(format!("PYTHONPATH={} {python} {} {mode}", modules.display(), path.display()))
}

fn probe(scenario: &str, subject: &str, rest: &[&str]) -> Ended {
    let words = ["probe", scenario, "--crashes=0", "--max-time=1h", "--format=json"];
    Program::new(words.iter().chain(&["--subject", subject]).chain(rest)).run()
}

const WITH_FENCE: &str = r#"
TAKE = """if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
return redis.call('INCR', 'fence')"""
class Client(Base):
    def acquire(self, lock, ttl_ms):
        self.token = uuid.uuid4().hex
        mode = sys.argv[1]
        if mode == "script":
            fence = self.redis.eval(TAKE, 1, lock, self.token, ttl_ms)
            return {"ok": fence > 0, "fence": fence}
        early = self.redis.incr("fence") if mode == "early" else None
        if not self.redis.set(lock, self.token, nx=True, px=ttl_ms): return "taken"
        fence = {"late": lambda: self.redis.incr("fence"), "early": lambda: early, "same": lambda: 7,
                 "time": lambda: int(time.time() * 1000), "server time": lambda: self.redis.time()[0],
                 "text": lambda: "7"}[mode]()
        return {"ok": True, "fence": fence}
subject.serve("with a fencing token", Client())
"#;

#[test]
fn fencing_tokens_that_a_client_tells_must_rise() {
    let place = Place::new();
    // A counter that is raised before or after the lock is taken rises in another order than the lock is taken in.
    for (mode, expected) in [("late", 1), ("early", 1), ("script", 0), ("same", 1)] {
        let Some(subject) = client(&place, WITH_FENCE, mode) else { return };
        let ended = probe("mutual_exclusion", &subject, &[]);
        ended.exits(expected);
        let row = row(&ended);
        let judged = row["judged"].as_array().unwrap();
        assert!(judged.iter().any(|it| it["property"] == "fencing_order"), "{mode}: {row}");
        assert_eq!(found(&row).contains("fencing_order"), expected == 1, "{mode}: {row}");
        if expected == 1 {
            let schedule = schedule(&row, "fencing_order");
            Program::new(["replay", &schedule, "--subject", &subject]).run().exits(0);
        }
    }
    for mode in ["time", "'server time'"] {
        let Some(subject) = client(&place, WITH_FENCE, mode) else { return };
        let ended = probe("mutual_exclusion", &subject, &[]);
        ended.exits(4);
        assert!(ended.stdout.contains("the fencing token is a time"), "{ended:#?}");
    }
    let Some(subject) = client(&place, WITH_FENCE, "text") else { return };
    probe("mutual_exclusion", &subject, &[]).refuses(3, &["\"fence\" must be a whole number"]);
}

const TWICE: &str = r#"
TAKE = """if redis.call('EXISTS', KEYS[1]) == 1 and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
return 0 end
redis.call('HINCRBY', KEYS[1], ARGV[1], 1) redis.call('PEXPIRE', KEYS[1], ARGV[2]) return 1"""
GIVE_ONCE = """if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
if ARGV[2] == 'counts' and redis.call('HINCRBY', KEYS[1], ARGV[1], -1) > 0 then return 1 end
redis.call('DEL', KEYS[1]) return 1"""
class Client(Base):
    def reset(self):
        super().reset()
        self.token = uuid.uuid4().hex
    def acquire(self, lock, ttl_ms):
        return bool(self.redis.eval(TAKE, 1, lock, self.token, ttl_ms)) or "taken"
    def release(self, lock, **_):
        return bool(self.redis.eval(GIVE_ONCE, 1, lock, self.token, sys.argv[1])) or "lost"
subject.serve("reentrant", Client())
"#;

/// One actor takes these steps, and another one takes the lock once.
fn scenario(place: &Place, steps: &str, expect: &str) -> String {
    let actor = |name: &str, steps: &str| {
        format!(
            "[[actors]]\nname = \"{name}\"\nstart = \"together\"\ninstance = \"own\"\nsteps = [{steps}]\n"
        )
    };
    let text = format!(
        "format = 1\nname = \"made_up\"\ntitle = \"Made up.\"\ntext = \"Made up.\"\n[locks.main]\n{}{}{expect}",
        actor("one", steps),
        actor("other", "{ acquire = \"main\" }, { release = \"main\", go_on = true }")
    );
    let path = place.at("made_up.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_lock_that_is_acquired_twice_is_held_until_the_second_release() {
    let place = Place::new();
    let take = "{ acquire = \"main\", go_on = true }";
    let give = "{ release = \"main\", go_on = true }";
    let scenario = scenario(&place, &[take, take, give, give].join(", "), "");
    for (mode, expected) in [("counts", 0), ("forgets", 1)] {
        let Some(subject) = client(&place, TWICE, mode) else { return };
        let ended = probe(&scenario, &subject, &[]);
        ended.exits(expected);
        assert_eq!(
            found(&row(&ended)).contains("double_grant"),
            expected == 1,
            "{mode}: {ended:#?}"
        );
    }
}

#[test]
fn two_clients_are_granted_a_lock_at_once_though_they_send_nothing_while_they_hold_it() {
    let place = Place::new();
    for step in ["{ work = \"0s\" }", "{ sleep = \"1s\" }", "{ pause = \"1s\" }"] {
        let steps =
            format!("{{ acquire = \"main\" }}, {step}, {{ release = \"main\", go_on = true }}");
        let file = scenario(&place, &steps, "");
        let Some(subject) = client(&place, UNLOCKED, "set") else { return };
        let ended = probe(&file, &subject, &["--property=double_grant"]);
        ended.exits(1);
    }
}

const LEASE_IN_VALUE: &str = r#"
TAKE = """local now = tonumber(ARGV[4])
if now == 0 then now = tonumber(redis.call('TIME')[1]) end
local lease = tonumber(ARGV[1]) / 1000 * tonumber(ARGV[5])
local held = redis.call('HGET', KEYS[1], 'until')
if held and tonumber(held) > now then return 0 end
redis.call('HSET', KEYS[1], 'until', now + lease, 'owner', ARGV[2])
if ARGV[3] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end return 1"""
GIVE_HASH = "if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end return redis.call('DEL', KEYS[1])"
class Client(Base):
    def acquire(self, lock, ttl_ms):
        self.token = uuid.uuid4().hex
        ttl = ttl_ms * 20 if "longer" in sys.argv else 0
        now = 0 if "server" in sys.argv else int(time.time())
        if "asked" in sys.argv: now = self.redis.time()[0]
        part = 0.4 if "short" in sys.argv else 3 if "long" in sys.argv else 1
        return bool(self.redis.eval(TAKE, 1, lock, ttl_ms, self.token, ttl, now, part)) or "taken"
    def release(self, lock, **_):
        if "blind" in sys.argv: return bool(self.redis.delete(lock)) or "lost"
        return bool(self.redis.eval(GIVE_HASH, 1, lock, self.token)) or "lost"
subject.serve("a lease in the value", Client())
"#;

#[test]
fn a_lease_in_a_value_ends_as_time_passes_by_either_clock() {
    let place = Place::new();
    for (mode, expected) in [
        ("client", 0),
        ("server", 0),
        ("asked", 0),
        ("asked blind", 1),
        ("longer", 0),
        ("client blind", 1),
        ("server blind", 1),
        ("longer blind", 1),
    ] {
        let Some(subject) = client(&place, LEASE_IN_VALUE, mode) else { return };
        let ended = probe("mutual_exclusion", &subject, &[]);
        ended.exits(expected);
        let row = row(&ended);
        assert_eq!(row["lease_expired"], true, "{mode}: {row}");
        assert_eq!(found(&row).contains("foreign_release"), expected == 1, "{mode}: {row}");
        if expected == 1 {
            let schedule = schedule(&row, "foreign_release");
            let has_ttl = mode.starts_with("longer");
            assert!(has_ttl || schedule.contains(".t1."), "{mode}: {schedule}");
            Program::new(["replay", &schedule, "--subject", &subject]).run().exits(0);
        }
    }
}

#[test]
fn a_lease_in_a_value_that_is_shorter_than_asked_is_named_and_a_longer_one_does_not_stick() {
    let place = Place::new();
    for mode in ["client short", "server short"] {
        let Some(subject) = client(&place, LEASE_IN_VALUE, mode) else { return };
        let ended = probe("mutual_exclusion", &subject, &[]);
        ended.exits(4).says(&["no verdict", "when a part of the lease was over"]);
    }
    let Some(subject) = client(&place, LEASE_IN_VALUE, "client blind") else { return };
    let ended = probe("mutual_exclusion", &subject, &["--timing=strict"]);
    assert!(ended.exits(4).stdout.contains("stand still under --timing strict"), "{ended:#?}");
    let Some(subject) = client(&place, LEASE_IN_VALUE, "client long") else { return };
    let words = ["probe", "mutual_exclusion", "--crashes=1", "--max-time=1h", "--format=json"];
    let rest = ["--property=stuck_lock", "--subject", &subject];
    let ended = Program::new(words.iter().chain(&rest)).run();
    ended.exits(0);
}

/// The lock of SETNX and GETSET with the end of the lease as its value.
const TIME_AS_VALUE: &str = r#"
class Client(Base):
    def reset(self):
        super().reset()
        self.ends = 0
    def acquire(self, lock, ttl_ms):
        now = time.time()
        ends = now + ttl_ms / 1000 + 1
        text = repr(ends) if "fraction" in sys.argv else str(int(ends))
        held = None if self.redis.setnx(lock, text) else self.redis.get(lock) or b"0"
        if held is not None:
            if float(held) >= now or float(self.redis.getset(lock, text) or 0) >= now: return "taken"
        self.ends = ends
        return True
    def release(self, lock, **_):
        if time.time() >= self.ends: return "lost"
        return bool(self.redis.delete(lock)) or "lost"
subject.serve("a time as value", Client())
"#;

#[test]
fn a_lock_whose_value_is_a_time_is_deleted_by_a_holder_that_checked_its_clock_too_early() {
    let place = Place::new();
    for mode in ["fraction", "seconds"] {
        let Some(subject) = client(&place, TIME_AS_VALUE, mode) else { return };
        let ended = probe("mutual_exclusion", &subject, &[]);
        ended.exits(1);
        let row = row(&ended);
        assert!(found(&row).contains("foreign_release"), "{mode}: {row}");
        assert!(!found(&row).contains("double_grant"), "{mode}: {row}");
    }
}

const CANCELLED: &str = r#"
import asyncio, json
from redis import asyncio as aio
MODE = sys.argv[1]
async def obey(told):
    global token
    if told["do"] == "release": return await client.eval(GIVE, 1, told["lock"], token) == 1
    token = uuid.uuid4().hex
    lease = {} if MODE == "forever" else {"px": told["ttl_ms"]}
    try: return bool(await client.set(told["lock"], token, nx=True, **lease))
    except asyncio.CancelledError:
        if MODE == "blind": await aio.from_url(os.environ["REDIS_URL"]).delete(told["lock"])
        raise
async def answer(told):
    try: subject.say({"ok": bool(await obey(told))})
    except asyncio.CancelledError: subject.say({"ok": False, "why": "cancelled"})
    except redis.RedisError as error: subject.say({"error": str(error)})
async def main():
    global client
    client = aio.from_url(os.environ["REDIS_URL"])
    lines = asyncio.StreamReader()
    protocol = lambda: asyncio.StreamReaderProtocol(lines)
    await asyncio.get_running_loop().connect_read_pipe(protocol, sys.stdin)
    subject.say({"subject": "asyncio", "can": ["cancel"]})
    task = None
    while line := await lines.readline():
        told = json.loads(line)
        if told["do"] == "reset":
            client = aio.from_url(os.environ["REDIS_URL"])
            subject.say({"ok": True})
        elif told["do"] == "cancel": task.cancel()
        else: task = asyncio.create_task(answer(told))
asyncio.run(main())
"#;

#[test]
fn an_instruction_that_is_not_answered_is_cancelled() {
    let place = Place::new();
    for (mode, property) in
        [("careful", None), ("forever", Some("stuck_lock")), ("blind", Some("foreign_release"))]
    {
        let Some(subject) = client(&place, CANCELLED, mode) else { return };
        let ended = probe("mutual_exclusion", &subject, &["--faults=1"]);
        ended.exits(property.map_or(0, |_| 1));
        if let Some(property) = property {
            assert!(found(&row(&ended)).contains(property), "{mode}: {ended:#?}");
            let schedule = schedule(&row(&ended), property);
            Program::new(["replay", &schedule, "--subject", &subject]).run().exits(0);
        }
    }
    // One that reads nothing as long as it waits for a reply.
    let text = fs::read_to_string(shipped("bash.sh")).unwrap();
    let (from, to) = (r#""a lock in bash"}"#, r#""a lock in bash", "can": ["cancel"]}"#);
    assert!(text.contains(from));
    let path = place.at("deaf.sh");
    fs::write(&path, text.replace(from, to)).unwrap();
    let subject = format!("bash {}", path.display());
    let ended = probe("mutual_exclusion", &subject, &["--faults=1", "--patience=2s"]);
    ended.refuses(3, &["can cancel, and still waited after 2.000 s", "{\"do\": \"cancel\"}"]);
}

const UNLOCKED: &str = r#"
class Client(Base):
    def acquire(self, lock, ttl_ms):
        self.token = uuid.uuid4().hex
        if self.redis.get(lock): return "taken"
        return bool(self.redis.set(lock, self.token, px=ttl_ms, nx="nx" in sys.argv)) or "taken"
subject.serve("get and set", Client())
"#;

#[test]
fn what_a_file_expects_to_find_is_judged_and_the_rest_is_named() {
    let place = Place::new();
    let steps = "{ acquire = \"main\" }, { release = \"main\", go_on = true }";
    let expect = r#"[[expect]]
all = [
  { finds = ["double_grant", "foreign_overwrite"] },
  { errors = 0 },
  { free_of = ["foreign_release", "lost_update"] },
]
"#;
    let file = scenario(&place, steps, expect);
    for (mode, expected, outcome) in [("set", 0, "reproduced"), ("nx", 1, "not_as_expected")] {
        let Some(subject) = client(&place, UNLOCKED, mode) else { return };
        let ended = probe(&file, &subject, &[]);
        ended.exits(expected);
        let row = row(&ended);
        assert_eq!(row["outcome"], outcome, "{row}");
        assert_eq!(
            row["unjudged"].to_string(),
            r#"["errors: 0 (about a single run)","free of lost_update (every lock with a TTL allows it)"]"#
        );
        let words = ["probe", &file, "--crashes=0", "--subject", &subject];
        let ended = Program::new(words).run();
        let said = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        let last = match mode {
            "set" => "REPRODUCED: get and set;",
            _ => "get and set: double_grant was not found, foreign_overwrite was not found;",
        };
        assert!(said.contains(last), "{said}");
        assert!(said.contains("not judged: errors: 0 (about a single run)"), "{said}");
    }
}

/// The release sets the flag to free whoever holds the lock, in a script.
const FLAG_IN_SCRIPT: &str = r#"
FREE = GIVE.replace("if", "redis.call('HSET', KEYS[2], ARGV[2], 'false') if")
class Client(Base):
    def acquire(self, lock, ttl_ms):
        self.token = uuid.uuid4().hex
        if not self.redis.set(lock, self.token, nx=True, px=ttl_ms): return "taken"
        _, run, file = lock.split(":")
        self.redis.hset(run, "locked:" + file, "true")
        return True
    def release(self, lock, **_):
        _, run, file = lock.split(":")
        return bool(self.redis.eval(FREE, 2, lock, run, self.token, "locked:" + file)) or "lost"
subject.serve("a flag that a script sets", Client())
"#;

#[test]
fn that_no_script_sets_the_flag_to_free_under_a_holder_is_not_claimed() {
    let place = Place::new();
    let Some(subject) = client(&place, FLAG_IN_SCRIPT, "") else { return };
    let ended = probe("mutual_exclusion", &subject, &[]);
    let row = row(&ended);
    let unjudged = row["unjudged"].to_string();
    ended.exits(0);
    assert!(!found(&row).contains("flag_drift"), "{row}");
    assert!(unjudged.contains("whether a script of the client sets the flag"), "{row}");
}
