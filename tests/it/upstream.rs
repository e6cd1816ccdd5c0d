//! Clients that are explored on a real Redis: the same comes of it as on the embedded server, more
//! commands can be had, and nobody else's keys are touched.

use std::fs;
use std::sync::{Arc, Mutex};

use lock_lab::server::{ExclusiveServer, Keys, Server};
use redis::{ConnectionLike, Value as Reply};
use rustix::process::Signal;
use serde_json::Value;

use crate::probe::{alive, altered, found, noted, python, python_with, row, schedule, shipped};
use crate::program::{Ended, Place, Program, wait_until};
use crate::redis_server::{RedisServer, redis_or_skip};

const SCENARIO: &str = "mutual_exclusion";

fn probing(subject: &str, url: &str, rest: &[&str]) -> Program {
    let words = ["probe", SCENARIO, "--subject", subject, "--upstream", url];
    Program::new(words.iter().chain(rest))
}

fn probe(subject: &str, redis: &RedisServer, rest: &[&str]) -> Ended {
    probing(subject, &redis.url(), &[&["--format", "json"], rest].concat()).run()
}

/// What an exploration says, but for how long anything took, and how many states there were.
fn said(row: &Value) -> Vec<Value> {
    let of_row = ["protocol", "orderings_run", "orderings", "depth", "stopped_by"];
    let of_one = ["property", "after", "preemptions", "steps", "schedule"];
    let members = |from: &Value, names: &[&str]| -> Value {
        names.iter().map(|name| from[*name].clone()).collect()
    };
    let all = row["counterexamples"].as_array().unwrap();
    let ones = all.iter().map(|one| members(one, &of_one));
    [members(row, &of_row)].into_iter().chain(ones).collect()
}

#[track_caller]
fn says_the_same_on_both(subject: &str) {
    let redis = redis_or_skip!();
    let words = ["probe", SCENARIO, "--max-time=1h", "--format=json", "--subject", subject];
    let embedded = row(&Program::new(words).arg("--crashes=0").run());
    let real = row(&probe(subject, &redis, &["--crashes=0"]));
    assert_eq!(said(&real), said(&embedded), "{real}");
    assert_eq!(real["states"], embedded["states"]);
    // A state of the embedded server has more in it: what SCAN counts, and which scripts are loaded. So
    // there are more of them, and some orderings meet later.
    let embedded = row(&Program::new(words).arg("--crashes=1").run());
    let real = row(&probe(subject, &redis, &["--crashes=1"]));
    let schedules = |row: &Value| -> Vec<String> {
        found(row).iter().map(|property| schedule(row, property)).collect()
    };
    assert_eq!(schedules(&real), schedules(&embedded));
    assert_eq!(real["orderings"], embedded["orderings"]);
    assert!(real["states"].as_u64() <= embedded["states"].as_u64());
    redis.is_empty();
}

#[test]
fn a_lock_in_bash_shows_the_same_on_a_real_redis() {
    says_the_same_on_both(&shipped("bash.sh"));
}

#[test]
fn a_lock_that_watches_shows_the_same_on_a_real_redis() {
    let subject = python("the old lock of redis-py on a real Redis", "2.10.6", "redis_py.py");
    let Some(subject) = subject else { return };
    says_the_same_on_both(&(subject + " --plain"));
}

#[test]
fn a_lock_with_scripts_shows_the_same_on_a_real_redis() {
    let subject = python("the lock of redis-py on a real Redis", "8.1.0", "redis_py.py");
    let Some(subject) = subject else { return };
    says_the_same_on_both(&subject);
}

#[test]
fn python_redis_lock_keeps_all_rules() {
    let redis = redis_or_skip!();
    let name = "python-redis-lock";
    let Some(subject) = python_with(name, "python-redis-lock-4.0.1", "python_redis_lock.py") else {
        return;
    };
    let words = ["probe", SCENARIO, "--subject", &subject];
    let embedded = Program::new(words).arg("--crashes=0").run();
    assert!(embedded.exits(0).stdout.contains("none of double_grant"));
    let ended = probe(&subject, &redis, &[]);
    ended.exits(0);
    let row = row(&ended);
    assert!(row["orderings"].as_u64().unwrap() > 1_000, "{row}");
    assert_eq!(row["covered"].as_array().unwrap().len(), 3, "{row}");
    assert!(found(&row).contains("overlap"), "{row}");
    redis.is_empty();
}

/// A subject like that in bash, but for some words.
fn rewritten(place: &Place, changes: &[(&str, &str)]) -> String {
    let mut text = fs::read_to_string(shipped("bash.sh")).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let path = place.at("subject.sh");
    fs::write(&path, text).unwrap();
    format!("bash {}", path.display())
}

const TAKES: &str = r#"ask SET "$1" "$token" NX PX "$2" || return 2"#;
const TOOK: &str = "[[ $reply == +OK ]]\n";
const LOOKS: &str = r#"ask GET "$1""#;
const FREES: &str = r#"ask DEL "$1" || return 2"#;

/// One which tells by a list that the lock is free, and waits there where it is not.
fn with_lists(place: &Place) -> String {
    let tells = r#"ask DEL "$1" || return 2
    freed=$reply
    ask LPUSH "$1:free" 1 && ask PEXPIRE "$1:free" 1000 || return 2
    reply=$freed"#;
    let waits = "[[ $reply == +OK ]] || { ask BLPOP \"$1:free\" 0 || return 2; return 1; }\n";
    rewritten(place, &[(FREES, tells), (TOOK, waits)])
}

#[test]
fn a_lock_that_is_no_string_is_explored_and_replayed_too() {
    let redis = redis_or_skip!();
    let took = "[[ $reply == :1 ]]\n";
    // The TTL of this hash comes late, so a crash leaves it for good.
    let takes = r#"ask HSETNX "$1" owner "$token" || return 2; taken=$reply
    [[ $taken == :0 ]] || ask PEXPIRE "$1" "$2" || return 2
    reply=$taken"#;
    let place = Place::new();
    let changes = [(TAKES, takes), (TOOK, took), (LOOKS, r#"ask HGET "$1" owner"#)];
    let subject = rewritten(&place, &changes);
    let words = ["probe", SCENARIO, "--max-time=1h", "--format=json", "--subject", &subject];
    let embedded = row(&Program::new(words).arg("--crashes=0").run());
    assert!(found(&embedded).contains("foreign_release"), "{embedded}");
    assert_eq!(said(&row(&probe(&subject, &redis, &["--crashes=0"]))), said(&embedded));
    for crashed in [row(&Program::new(words).arg("--crashes=1").run()), {
        row(&probe(&subject, &redis, &["--crashes=1"]))
    }] {
        assert!(found(&crashed).contains("stuck_lock"), "{crashed}");
    }
    // That of this list comes with it.
    let takes = r#"ask EVAL "if redis.call('exists', KEYS[1]) == 1 then return 0 end
      redis.call('rpush', KEYS[1], ARGV[1]) redis.call('pexpire', KEYS[1], ARGV[2]) return 1" \
      1 "$1" "$token" "$2" || return 2"#;
    let changes = [(TAKES, takes), (TOOK, took), (LOOKS, r#"ask LINDEX "$1" 0"#)];
    let subject = rewritten(&place, &changes);
    let words = ["probe", SCENARIO, "--max-time=1h", "--format=json", "--subject", &subject];
    for list in [row(&Program::new(words).arg("--crashes=1").run()), {
        row(&probe(&subject, &redis, &["--crashes=1"]))
    }] {
        assert!(found(&list).contains("foreign_release"), "{list}");
        assert!(!found(&list).contains("stuck_lock"), "{list}");
    }
    redis.is_empty();
}

#[test]
fn a_client_with_lists_is_explored_and_the_command_that_is_printed_shows_it_again() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let subject = with_lists(&place);
    let mut con = redis.client().get_connection().unwrap();
    redis::cmd("CONFIG").arg(&["SET", "requirepass", "s3cret"]).exec(&mut con).unwrap();
    let words = ["probe", SCENARIO, "--crashes=0", "--subject", &subject];
    let embedded = Program::new(words).run();
    embedded.exits(1);
    assert!(embedded.stdout.contains("foreign_release after"), "{embedded:#?}");
    let url = format!("redis://:s3cret@127.0.0.1:{}", redis.port());
    let ended = probing(&subject, &url, &["--crashes=0"]).run();
    ended.exits(1);
    assert!(ended.stdout.contains("foreign_release after"), "{ended:#?}");
    assert!(!format!("{ended:?}").contains("s3cret"), "{ended:#?}");
    let replay = ended.stdout.lines().find_map(|line| line.strip_prefix("replay: nodb-trigger "));
    let replay = replay.unwrap_or_else(|| panic!("{ended:#?}"));
    assert!(replay.ends_with(&format!(" --redis redis://127.0.0.1:{}", redis.port())), "{replay}");
    // It is typed into a shell.
    let typed = format!("{} {replay}", env!("CARGO_BIN_EXE_nodb-trigger"));
    let shell = std::process::Command::new("bash")
        .args(["-c", &typed])
        .env("REDIS_PASSWORD", "s3cret")
        .output()
        .unwrap();
    let again = String::from_utf8(shell.stdout).unwrap();
    assert!(again.contains("REPRODUCED: it shows foreign_release again"), "{again}");
    assert!(shell.status.success());
    redis::cmd("CONFIG").arg(&["SET", "requirepass", ""]).exec(&mut con).unwrap();
    redis.is_empty();
}

#[test]
fn a_redis_that_is_not_fit_is_refused() {
    let subject = shipped("bash.sh");
    let redis = redis_or_skip!();
    let refused = |url: &str, code: i32, words: &[&str]| {
        let ended = probing(&subject, url, &[]).run();
        ended.refuses(code, words);
        assert!(!format!("{ended:?}").contains("s3cret"), "{ended:#?}");
    };
    let mut con = redis.client().get_connection().unwrap();
    refused("redis://127.0.0.1:1", 3, &["cannot reach Redis", "refused"]);
    refused("nonsense", 2, &["redis://"]);
    refused(&format!("redis://127.0.0.1:{}/5", redis.port()), 3, &["database 5", "database 0"]);
    refused("redis://:s3cret@127.0.0.1:1", 3, &["cannot reach Redis"]);
    probing(&subject, &redis.url(), &["--timing=strict"]).run().refuses(2, &["--timing strict"]);
    for (right, user) in
        [("-restore", "norestore"), ("-eval", "noeval"), ("-dump", "nodump"), ("-scan", "noscan")]
    {
        let mut acl = redis::cmd("ACL");
        acl.arg("SETUSER").arg(user).arg(&["on", ">s3cret", "~*", "&*", "+@all", right]);
        acl.exec(&mut con).unwrap();
        let url = format!("redis://{user}:s3cret@127.0.0.1:{}", redis.port());
        refused(&url, 3, &["user", "ask for the right in its ACL"]);
    }
    let replica = RedisServer::start(&["--replicaof", "127.0.0.1", &redis.port().to_string()]);
    refused(&replica.url(), 3, &["replica"]);
    let cluster = RedisServer::start(&["--cluster-enabled", "yes"]);
    refused(&cluster.url(), 3, &["Cluster"]);
    for command in ["RESTORE", "MULTI", "EVAL"] {
        let renamed = RedisServer::start(&["--rename-command", command, "renamed"]);
        refused(&renamed.url(), 3, &["unknown command", command]);
    }
    let evicts = ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"];
    refused(&RedisServer::start(&evicts).url(), 3, &["evicts", "noeviction"]);
    let full = RedisServer::start(&["--maxmemory", "1"]);
    refused(&full.url(), 3, &["OOM", "maxmemory"]);
    redis.is_empty();
}

#[test]
fn a_redis_that_is_not_empty_is_refused_and_left_as_it_is() {
    let redis = redis_or_skip!();
    let subject = shipped("bash.sh");
    let schedule = schedule(&row(&probe(&subject, &redis, &["--crashes=0"])), "foreign_release");
    let mut con = redis.client().get_connection().unwrap();
    redis::cmd("SET").arg("theirs").arg("kept").exec(&mut con).unwrap();
    let before = redis.everything();
    probe(&subject, &redis, &[]).refuses(3, &["not empty", "1 key", "\"theirs\"", "--port"]);
    let replay = ["replay", &schedule, "--subject", &subject, "--redis", &redis.url()];
    Program::new(replay).run().refuses(3, &["not empty", "\"theirs\""]);
    assert_eq!(redis.everything(), before);
    redis::cmd("DEL").arg("theirs").exec(&mut con).unwrap();
    // Other databases are not looked at.
    redis::pipe().cmd("SELECT").arg(1).cmd("SET").arg("theirs").arg(1).exec(&mut con).unwrap();
    let before = redis.everything();
    probe(&subject, &redis, &["--crashes=0"]).exits(1);
    assert_eq!(redis.everything(), before);
}

/// When the rehearsal is over, as releases are counted.
const EXPLORING: usize = 12;

/// A subject like that in bash that does something at its n-th release, of all subjects together.
fn at_release(place: &Place, number: usize, what: &str) -> String {
    let count = place.at("count");
    let count = count.display();
    let counts = format!(
        "echo >> {count}; [[ $(wc -l < {count}) == {number} ]] && {{ {what}; }}\n    ask DEL \"$1\" || return 2"
    );
    altered(place, "ask DEL \"$1\" || return 2", &counts)
}

#[test]
fn a_key_that_somebody_else_adds_meanwhile_ends_it_and_stays() {
    let redis = redis_or_skip!();
    // In the rehearsal, and in the exploration.
    for number in [2, EXPLORING] {
        let place = Place::new();
        let set = format!(
            "exec 4<>/dev/tcp/127.0.0.1/{}; printf 'SET theirs 1\\r\\n' >&4; read -r <&4",
            redis.port()
        );
        let subject = at_release(&place, number, &set);
        let ended = probe(&subject, &redis, &[]);
        ended.refuses(3, &["another client uses database 0", "\"theirs\""]);
        let left: Vec<String> = redis.everything().into_iter().map(|(_, name, ..)| name).collect();
        assert_eq!(left, ["theirs"], "{ended:#?}");
        redis::cmd("DEL")
            .arg("theirs")
            .exec(&mut redis.client().get_connection().unwrap())
            .unwrap();
    }
}

#[test]
fn a_signal_ends_it_and_leaves_nothing_behind() {
    let redis = redis_or_skip!();
    for number in [1, EXPLORING] {
        let place = Place::new();
        let subject = at_release(&place, number, "sleep 1000");
        let subject = noted(&place, &subject);
        let working = probing(&subject, &redis.url(), &["--patience=1h"]).start();
        let releases = || fs::read_to_string(place.at("count")).unwrap_or_default().lines().count();
        wait_until("it is in the middle", || releases() == number);
        assert!(number > 1 || !redis.everything().is_empty(), "the lock is held");
        working.signal(Signal::INT);
        working.end().exits(130).says(&["interrupted"]);
        redis.is_empty();
        wait_until("they are gone", || alive(&place).is_empty());
    }
}

#[test]
fn a_later_signal_names_what_is_left() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let subject = at_release(&place, EXPLORING, "sleep 1000");
    let working = probing(&subject, &redis.url(), &["--patience=1h"]).start();
    wait_until("it is in the middle", || {
        fs::read_to_string(place.at("count")).unwrap_or_default().lines().count() == EXPLORING
    });
    // It would wait for the answer to what it cleans up with.
    redis.freeze();
    let ended = working.interrupt_until_it_ends(Signal::INT);
    redis.thaw();
    ended.exits(130).says(&["not cleaned up; run: redis-cli", "DEL nodb-lock:"]);
}

#[test]
fn a_server_that_dies_in_the_middle_is_named_with_what_may_be_left() {
    let mut redis = redis_or_skip!();
    let place = Place::new();
    let waits =
        format!("until [[ -e {} ]]; do read -t 0.01 <> <(:); done", place.at("go").display());
    let subject = at_release(&place, EXPLORING, &waits);
    let working = probing(&subject, &redis.url(), &[]).start();
    wait_until("it is in the middle", || {
        fs::read_to_string(place.at("count")).unwrap_or_default().lines().count() == EXPLORING
    });
    redis.kill();
    fs::write(place.at("go"), "").unwrap();
    let ended = working.end();
    ended.exits(3).says(&["redis://127.0.0.1:", "could not clean up", "DEL nodb-lock:"]);
}

#[test]
fn what_is_about_more_than_keys_is_not_passed_on() {
    let redis = redis_or_skip!();
    let mut con = redis.client().get_connection().unwrap();
    redis::pipe().cmd("SELECT").arg(1).cmd("SET").arg("theirs").arg(1).exec(&mut con).unwrap();
    let before = redis.everything();
    for (instead, words) in [
        ("ask FLUSHALL", &["FLUSHALL", "not passed on"][..]),
        ("ask MULTI; ask SUBSCRIBE \"$1\"; ask EXEC", &["SUBSCRIBE", "not passed on"]),
        ("ask COPY \"$1\" there DB 1", &["COPY ... DB", "not passed on"]),
        ("ask EVAL \"redis.call('FLUSHALL')\" 0", &["a script with FLUSHALL", "not passed on"]),
        ("ask MULTI; ask SELECT 1; ask DEL theirs; ask EXEC", &["SELECT", "not passed on"]),
        ("ask MULTI; ask CONFIG SET timeout 77; ask EXEC", &["CONFIG", "not passed on"]),
        ("ask NO.SUCH.COMMAND", &["NO.SUCH.COMMAND", "this Redis does not know"]),
    ] {
        let place = Place::new();
        let subject = altered(&place, "ask DEL \"$1\"", instead);
        probe(&subject, &redis, &[]).refuses(3, words);
        assert_eq!(redis.everything(), before);
    }
}

#[test]
fn what_befalls_the_server_needs_the_embedded_one() {
    let redis = redis_or_skip!();
    let subject = shipped("bash.sh");
    let words = ["probe", "eviction", "--subject", &subject, "--upstream", &redis.url()];
    Program::new(words).run().refuses(2, &["eviction", "leave out --upstream"]);
}

fn exclusive(redis: &RedisServer) -> (Arc<ExclusiveServer>, Arc<Mutex<Vec<String>>>) {
    let told = Arc::<Mutex<Vec<String>>>::default();
    let heard = Arc::clone(&told);
    let server = Server::at(&redis.url(), None).unwrap();
    let exclusive =
        ExclusiveServer::new(server, Box::new(move |words| *heard.lock().unwrap() = words));
    (exclusive.unwrap(), told)
}

#[test]
fn every_kind_of_key_is_put_back_as_it_was() {
    let redis = redis_or_skip!();
    let (exclusive, told) = exclusive(&redis);
    exclusive.set_locks(["h".into(), "l".into()]);
    let mut con = exclusive.server().connect(0).unwrap();
    let mut all = redis::pipe();
    for line in [
        "SET s v PX 60000",
        "RPUSH l a b",
        "HSET h f v g w",
        "SADD set c a b",
        "ZADD z 1.5 a 2 b",
        "XADD x 1-1 f v",
        "PEXPIRE h 60000",
        "BLPOP nothing 0",
    ] {
        let mut words = line.split(' ');
        all.cmd(words.next().unwrap()).arg(words.collect::<Vec<_>>());
    }
    let replies = con.req_packed_commands(&all.get_packed_pipeline(), 0, 8).unwrap();
    assert_eq!(replies.last(), Some(&Reply::Nil), "it does not wait");
    let (seen, there) = (exclusive.seen().unwrap(), redis.everything());
    assert_eq!(seen.before.len(), 0);
    assert_eq!(there.len(), 6);
    let value = |name: &str| seen.keys[name.as_bytes()].value.clone();
    assert_eq!(value("h"), Some(b"f=v g=w".to_vec()));
    assert_eq!((value("l"), value("s")), (Some(b"a b".to_vec()), None));
    assert_eq!(told.lock().unwrap().len(), 6 + 6, "redis-cli -h HOST -p PORT DEL and their names");

    exclusive.put(&Keys::new()).unwrap();
    redis.is_empty();
    exclusive.put(&seen.keys).unwrap();
    // A set has its members in no order.
    let but_sets = |all: Vec<(u32, String, Vec<u8>, bool)>| {
        all.into_iter().filter(|(_, name, ..)| name != "set").collect::<Vec<_>>()
    };
    assert_eq!(but_sets(redis.everything()), but_sets(there));
    assert_eq!(exclusive.seen().map(|seen| seen.keys), None);
    redis::cmd("GET").arg("nothing").exec(&mut con).unwrap();
    let again = exclusive.seen().unwrap().keys;
    assert_eq!(again[&b"set"[..]], seen.keys[&b"set"[..]]);
    assert!(seen.keys[&b"set"[..]].sorted.is_some());
    redis::cmd("SADD").arg("set").arg("d").exec(&mut con).unwrap();
    assert_ne!(exclusive.seen().unwrap().keys[&b"set"[..]], seen.keys[&b"set"[..]]);
    assert_eq!(exclusive.give_back(), Ok(None));
    redis.is_empty();
}

#[test]
fn any_name_can_be_deleted_by_hand_and_is_named_before_it_is_there() {
    let redis = redis_or_skip!();
    for names in
        [vec![&b"plain name"[..], b"\"quoted\" 'name'"], vec![b"\0\xff \"a\\*[b]\n", b"", b"plain"]]
    {
        let told = Arc::<Mutex<Vec<Vec<String>>>>::default();
        let heard = Arc::clone(&told);
        let client = redis.client();
        let hear = move |words| {
            let mut con = client.get_connection().unwrap();
            let there: usize = redis::cmd("DBSIZE").query(&mut con).unwrap();
            let mut heard = heard.lock().unwrap();
            assert_eq!(there, heard.len(), "it is named before it is there");
            heard.push(words);
        };
        let server = Server::at(&redis.url(), None).unwrap();
        let exclusive = ExclusiveServer::new(server, Box::new(hear)).unwrap();
        let mut con = exclusive.server().connect(0).unwrap();
        for name in &names {
            redis::cmd("SET").arg(name).arg("value").exec(&mut con).unwrap();
        }
        assert_eq!(redis.everything().len(), names.len());
        let words = told.lock().unwrap().pop().unwrap();
        assert_eq!(exclusive.by_hand(), Some(words.clone()));
        assert!(!words.concat().contains('\n'), "{words:?}");
        let by_hand = std::process::Command::new(&words[0]).args(&words[1..]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&by_hand.stdout).trim(), names.len().to_string());
        redis.is_empty();
    }
}

#[test]
fn a_ttl_that_is_almost_over_is_put_back_as_one() {
    let redis = redis_or_skip!();
    let (exclusive, _) = exclusive(&redis);
    let mut con = exclusive.server().connect(0).unwrap();
    redis::cmd("SET").arg("a").arg(1).arg("PX").arg(60_000).exec(&mut con).unwrap();
    let mut keys = exclusive.seen().unwrap().keys;
    keys.values_mut().for_each(|stored| stored.left = Some(0));
    exclusive.put(&keys).unwrap();
    wait_until("it is over", || redis.everything().is_empty());
}

#[test]
fn what_a_script_says_is_an_answer_and_not_the_server_s_trouble() {
    let redis = redis_or_skip!();
    let (exclusive, _) = exclusive(&redis);
    let mut con = exclusive.server().connect(0).unwrap();
    let busy = "return redis.error_reply('BUSY somebody has it')";
    let refused = redis::cmd("EVAL").arg(busy).arg(0).exec(&mut con).unwrap_err();
    assert_eq!(refused.code(), Some("BUSY"));
    assert_eq!(exclusive.check(), Ok(()));
}

#[test]
fn a_client_that_speaks_resp3_is_answered_so() {
    let redis = redis_or_skip!();
    let asks = r#"ask HELLO 3; printf '*1\r\n$4\r\nPING\r\n' >&3
    until [[ $reply == +PONG ]]; do hear || return 2; done
    ask HSET "$1:of" f v && ask HGETALL "$1:of" && [[ $reply == %1 ]] || return 2
    for _ in 1 2 3 4; do hear || return 2; done
    "#;
    let place = Place::new();
    let subject = altered(&place, TAKES, &[asks, TAKES].concat());
    let embedded = row(&Program::new([
        "probe",
        SCENARIO,
        "--crashes=0",
        "--format",
        "json",
        "--subject",
        &subject,
    ])
    .run());
    assert!(found(&embedded).contains("foreign_release"), "{embedded}");
    assert_eq!(said(&row(&probe(&subject, &redis, &["--crashes=0"]))), said(&embedded));
    redis.is_empty();
}

#[test]
fn a_client_whose_locks_are_in_another_database_is_refused() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let subject =
        altered(&place, r#"exec 3<>"$server"; }"#, r#"exec 3<>"$server"; ask SELECT 1; }"#);
    let words = ["probe", SCENARIO, "--subject", &subject];
    Program::new(words).run().refuses(3, &["nothing to database 0"]);
    probe(&subject, &redis, &[]).refuses(3, &["nothing to database 0"]);
}

#[test]
fn it_is_borrowed_once_at_a_time() {
    let redis = redis_or_skip!();
    let (first, _) = exclusive(&redis);
    let words = ["another nodb-trigger", "wait"];
    probe(&shipped("bash.sh"), &redis, &[]).refuses(3, &words);
    drop(first);
    // The server hears of it when it comes to it.
    wait_until("it is free again", || {
        let (_, listeners): (String, usize) = redis::cmd("PUBSUB")
            .arg("NUMSUB")
            .arg("nodb-trigger:borrowed")
            .query(&mut redis.client().get_connection().unwrap())
            .unwrap();
        listeners == 0
    });
    probe(&shipped("bash.sh"), &redis, &["--crashes=0"]).exits(1);
}

#[test]
fn keys_of_others_are_never_touched() {
    let redis = redis_or_skip!();
    let (exclusive, _) = exclusive(&redis);
    let mut con = exclusive.server().connect(0).unwrap();
    redis::cmd("SET").arg("ours").arg(1).exec(&mut con).unwrap();
    let ours = exclusive.seen().unwrap().keys;
    exclusive.put(&Keys::new()).unwrap();
    // It has the name of one of ours, but ours is not there now.
    let mut theirs = redis.client().get_connection().unwrap();
    redis::cmd("SET").arg("ours").arg("theirs").exec(&mut theirs).unwrap();
    let before = redis.everything();
    let refused = exclusive.put(&ours).unwrap_err().to_string();
    assert!(refused.contains("another client") && refused.contains("\"ours\""), "{refused}");
    assert!(redis::cmd("DEL").arg("ours").exec(&mut con).is_err(), "nothing goes on");
    let left = exclusive.give_back().unwrap().unwrap();
    assert!(left.contains("1 key") && left.contains("\"ours\""), "{left}");
    assert_eq!(redis.everything(), before);
}
