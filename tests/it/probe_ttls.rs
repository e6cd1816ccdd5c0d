//! Clients that set TTLs on other keys than their locks, and clients whose lease is a time in a value:
//! whatever can expire does, as `probe` explores it.

use std::fs;

use crate::probe::{found, python, row, schedule, shipped};
use crate::program::{Ended, Place, Program};
use crate::redis_server::redis_or_skip;

const TAKE: &str = "ask SET \"$1\" \"$token\" NX PX \"$2\" || return 2\n    [[ $reply == +OK ]]";
const GIVE: &str = "ask GET \"$1\" || return 2\n    [[ $reply == \"$token\" ]] || return 1\n    \
                    ask DEL \"$1\" || return 2\n    [[ $reply == :1 ]]";

/// The lock in bash with another way to take it and to release it.
fn subject(place: &Place, take: &str, give: &str) -> String {
    let text = fs::read_to_string(shipped("bash.sh")).unwrap();
    assert!(text.contains(TAKE) && text.contains(GIVE));
    let path = place.at("subject.sh");
    fs::write(&path, text.replace(TAKE, take).replace(GIVE, give)).unwrap();
    format!("bash {}", path.display())
}

/// Only one client at a time looks whether the lock is free and takes it, as long as a guard is there.
fn guarded(place: &Place) -> String {
    let take = "ask SET \"$1:guard\" 1 NX PX 5000 || return 2\n    [[ $reply == +OK ]] || return 1\n    \
                ask GET \"$1\" || return 2\n    local held=$reply\n    \
                [[ $held ]] || ask SET \"$1\" \"$token\" PX \"$2\" || return 2\n    \
                ask DEL \"$1:guard\" || return 2\n    [[ ! $held ]]";
    subject(place, take, GIVE)
}

/// A key beside the lock says whether it is free. Both are set by one script.
fn with_companion(place: &Place, ttl: &str) -> String {
    let take = format!(
        "ask EVAL \"local owner = KEYS[1] .. ':owner'\n\
         if redis.call('EXISTS', owner) == 1 then return 0 end\n\
         redis.call('SET', owner, ARGV[1], 'PX', {ttl})\n\
         redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1\" \
         1 \"$1\" \"$token\" \"$2\" || return 2\n    [[ $reply == :1 ]]"
    );
    let give = "ask EVAL \"local owner = KEYS[1] .. ':owner'\n\
                if redis.call('GET', owner) ~= ARGV[1] then return 0 end\n\
                return redis.call('DEL', owner, KEYS[1])\" 1 \"$1\" \"$token\" || return 2\n    \
                [[ $reply == :2 ]]";
    subject(place, &take, give)
}

fn probe(subject: &str, rest: &[&str]) -> Ended {
    let words =
        ["probe", "mutual_exclusion", "--max-time=1h", "--format=json", "--subject", subject];
    Program::new(words.iter().chain(rest)).run()
}

#[test]
fn a_guard_that_expires_lets_two_clients_take_the_lock() {
    let place = Place::new();
    let subject = guarded(&place);
    let ended = probe(&subject, &["--property", "double_grant"]);
    ended.exits(1);
    let schedule = schedule(&row(&ended), "double_grant");
    assert!(schedule.contains(".k1."), "{schedule}");
    let replay = |rest: &[&str]| {
        let words = ["replay", &schedule, "--subject", &subject];
        let ended = Program::new(words.iter().chain(rest)).run();
        ended.exits(0);
        ended.stdout
    };
    let text = replay(&[]);
    assert!(text.contains("it shows double_grant again"), "{text}");
    assert!(text.contains("TTL of lock:guard ends"), "{text}");
    let sentence = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(sentence.contains("after the TTL of nodb-lock:"), "{text}");
    let script = replay(&["--as", "shell"]);
    let (_, after) = script.split_once("# The key expires here; DEL has the same effect").unwrap();
    assert!(after.lines().nth(1).unwrap().ends_with(":guard"), "{script}");

    let redis = redis_or_skip!();
    let text = replay(&["--redis", &redis.url()]);
    assert!(text.contains("it shows double_grant again"), "{text}");
    redis.is_empty();
    let ended = probe(&subject, &["--property", "double_grant", "--upstream", &redis.url()]);
    assert!(found(&row(ended.exits(1))).contains("double_grant"), "{ended:#?}");
    redis.is_empty();
}

#[test]
fn keys_that_one_script_sets_for_as_long_expire_together() {
    let place = Place::new();
    let ended = probe(&with_companion(&place, "ARGV[2]"), &[]);
    ended.exits(0);
    assert!(found(&row(&ended)).contains("overlap"), "the lease expires under its holder");
    let ended = probe(&with_companion(&place, "math.floor(ARGV[2] / 2)"), &[]);
    ended.exits(1);
    assert!(found(&row(&ended)).contains("double_grant"), "{ended:#?}");
}

/// The lock has no TTL: its lease is that of a key with its token's name, and it is taken over without that.
fn with_lease_elsewhere(place: &Place, ttl: &str) -> String {
    let take = format!(
        "ask EVAL \"local held = redis.call('GET', KEYS[1])\n\
         if held and redis.call('EXISTS', 'alive:' .. held) == 1 then return 0 end\n\
         redis.call('SET', KEYS[1], ARGV[1])\n\
         redis.call('SET', 'alive:' .. ARGV[1], 1, 'PX', {ttl}) return 1\" \
         1 \"$1\" \"$token\" \"$2\" || return 2\n    [[ $reply == :1 ]]"
    );
    let give = "ask EVAL \"if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n\
                return redis.call('DEL', KEYS[1], 'alive:' .. ARGV[1])\" 1 \"$1\" \"$token\" || return 2\n    \
                [[ $reply != :0 ]]";
    subject(place, &take, give)
}

#[test]
fn a_lock_whose_lease_is_the_ttl_of_another_key_is_not_accused_when_that_has_ended() {
    let place = Place::new();
    let ended = probe(&with_lease_elsewhere(&place, "ARGV[2]"), &["--crashes=0"]);
    let row = row(ended.exits(4));
    let why = "the lease may be the TTL of another key than the lock's";
    for judged in row["judged"].as_array().unwrap() {
        let property = judged["property"].as_str().unwrap();
        let is_open = ["double_grant", "foreign_overwrite"].contains(&property);
        let not_tried = judged["not_tried"].as_str().unwrap_or_default();
        assert_eq!((not_tried.starts_with(why), judged["found"].as_bool()), (is_open, Some(false)));
    }
    // Before the lease is over that was asked for, no TTL excuses a second grant.
    let ended = probe(&with_lease_elsewhere(&place, "math.floor(ARGV[2] / 2)"), &["--crashes=0"]);
    assert!(found(&crate::probe::row(ended.exits(1))).contains("double_grant"), "{ended:#?}");
}

/// What takes the lock where the lease in its value is over by a clock.
const LEASE_IN_VALUE: &str = r#"
import sys, time, uuid
import redis, os, subject
TAKE = """local now = tonumber(ARGV[1])
if now == 0 then now = tonumber(redis.call('TIME')[1]) * 1000 end
local held = redis.call('HGET', KEYS[1], 'until')
if held and tonumber(held) > now then return 0 end
redis.call('HSET', KEYS[1], 'until', now + tonumber(ARGV[2]), 'owner', ARGV[3]) return 1"""
GIVE = """if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])"""
class Client:
    def __init__(self): self.reset()
    def reset(self): self.redis, self.token = redis.Redis.from_url(os.environ["REDIS_URL"]), None
    def acquire(self, lock, ttl_ms):
        self.token = uuid.uuid4().hex
        if "never" in sys.argv: ttl_ms = 10 ** 12
        now = 0 if "server" in sys.argv else int(time.time() * 1000)
        if "reads" in sys.argv:
            held = self.redis.hget(lock, "until")
            if held and int(held) > now: return "taken"
        return bool(self.redis.eval(TAKE, 1, lock, now, ttl_ms, self.token)) or "taken"
    def release(self, lock, **_):
        return bool(self.redis.eval(GIVE, 1, lock, self.token)) or "lost"
subject.serve("a lease in the value", Client())
"#;

#[test]
fn a_lease_in_a_value_is_over_when_the_fresh_client_acquires() {
    let Some(helper) = python("a lease in a value", "2.10.6", "subject.py") else { return };
    let (python, module) = helper.split_once(' ').unwrap();
    let modules = std::path::Path::new(module).parent().unwrap();
    let place = Place::new();
    let path = place.at("client.py");
    fs::write(&path, LEASE_IN_VALUE).unwrap();
    for (words, expected) in [("server", 0), ("", 0), ("reads", 0), ("server never", 1)] {
        let subject =
            format!("PYTHONPATH={} {python} {} {words}", modules.display(), path.display());
        let ended = probe(&subject, &["--crashes", "1", "--property", "stuck_lock"]);
        ended.exits(expected);
        assert_eq!(
            found(&row(&ended)).contains("stuck_lock"),
            expected == 1,
            "{words}: {ended:#?}"
        );
    }
}

#[test]
fn locks_that_are_fields_of_one_key_are_refused() {
    let place = Place::new();
    let scenario = place.at("two_locks.toml");
    let actor = |name: &str, lock: &str| {
        format!(
            "[[actors]]\nname = \"{name}\"\nstart = \"together\"\ninstance = \"own\"\n\
             steps = [{{ acquire = \"{lock}\" }}, {{ release = \"{lock}\" }}]\n"
        )
    };
    let text = format!(
        "format = 1\nname = \"two_locks\"\ntitle = \"Two.\"\ntext = \"Two.\"\nhazards = [\"ttl-overrun\"]\n\
         [locks.main]\n[locks.other]\nrun_suffix = \"-other\"\n{}{}",
        actor("one", "main"),
        actor("two", "other")
    );
    fs::write(&scenario, text).unwrap();
    let take = "ask HSETNX locks \"$1\" \"$token\" || return 2\n    [[ $reply == :1 ]]";
    let give = "ask HDEL locks \"$1\" || return 2\n    [[ $reply == :1 ]]";
    let subject = subject(&place, take, give);
    let scenario = scenario.display().to_string();
    let ended = Program::new(["probe", &scenario, "--subject", &subject]).run();
    ended.refuses(4, &["keeps main and other under one key, locks", "a scenario with one lock"]);
}
