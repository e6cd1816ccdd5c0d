//! A saved MONITOR log: judged by `check`, made a history by `record --from`.

use super::{con, properties, read, run, told};
use crate::program::{Place, Program};
use crate::redis_server::redis_or_skip;
use lock_history::check::Property;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

/// Two clients; the second one deletes the first one's lock. The first line decides what the key holds.
const FOREIGN: &str = r#"OK
1735689600.000100 [0 127.0.0.1:50001] "DEL" "l"
1735689600.000200 [0 127.0.0.1:50001] "SET" "l" "token-1" "NX" "PX" "60000"
1735689600.000300 [0 10.0.0.2:50002] "SET" "l" "token-2" "NX" "PX" "60000"
1735689600.000400 [0 127.0.0.1:50001] "DEL" "l"
1735689600.000500 [0 10.0.0.2:50002] "SET" "l" "token-3" "NX" "PX" "60000"
1735689600.500600 [0 127.0.0.1:50001] "DEL" "l"
1735689600.600700 [0 10.0.0.2:50002] "DEL" "l"
"#;

pub fn saved(place: &Place, text: &str) -> String {
    let file = place.at("monitor.log");
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_monitor_log_is_judged_and_never_called_clean() {
    let place = Place::new();
    let log = saved(&place, FOREIGN);
    let found = Program::new(["check", &log, "--pattern", "l"]).run();
    found.exits(1).says(&["incomplete: l: the log does not show what it held when the log began"]);
    assert!(found.stdout.contains("foreign_release"), "{found:#?}");
    let times = ["2025-01-01 00:00:00.000 to 00:00:00.600 UTC", "00:00:00.500"];
    assert!(times.iter().all(|time| found.stdout.contains(time)), "{found:#?}");
    let good: String = FOREIGN.lines().take(5).map(|line| format!("{line}\r\n")).collect();
    let ended = Program::new(["check", "-", "--pattern", "l", "--format", "json"]);
    let log = saved(&place, &good);
    let ended = ended.stdin(File::open(log).unwrap()).run();
    ended.exits(4).says(&["incomplete: l: the log does not show"]);
    assert_eq!(ended.json()["findings"].as_array().unwrap().len(), 0, "{ended:#?}");
}

#[test]
fn keys_that_are_used_like_locks_are_named_with_the_pattern_that_watches_them() {
    let place = Place::new();
    let log = saved(&place, &FOREIGN.replace("\"l\"", "\"web's locks:7\""));
    let says = r"used like a lock, but not watched: web's locks:7; watch with --pattern 'web'\''s locks:*'";
    Program::new(["check", &log]).run().exits(4).says(&[says]);
    let watched = Program::new(["check", &log, "--pattern", "web's locks:*"]).run();
    assert!(!watched.exits(1).stderr.contains("not watched"), "{watched:#?}");
}

#[test]
fn what_a_key_held_before_is_not_guessed() {
    let place = Place::new();
    // Who got the lock first is not known, so the deletion accuses no client.
    let unknown: Vec<&str> = FOREIGN.lines().skip(2).take(3).collect();
    let log = saved(&place, &unknown.join("\n"));
    let ended = Program::new(["check", &log, "--pattern", "l"]).run();
    ended.exits(4).says(&["no attempt to acquire a lock was seen"]);
    let flushed = format!("1735689600.000050 [0 127.0.0.1:9] \"FLUSHALL\"\n{}", &FOREIGN[3..]);
    let lines: Vec<&str> = flushed.lines().take(5).collect();
    let log = saved(&place, &lines.join("\n"));
    let ended = Program::new(["check", &log, "--pattern", "l"]).run();
    ended.exits(0);
    assert!(ended.stdout.contains("CLEAN"), "{ended:#?}");
}

#[test]
fn damaged_lines_are_counted_and_make_the_history_incomplete() {
    let place = Place::new();
    let log = saved(&place, &format!("{FOREIGN}1735689601.0 [0 127.\nxx\n"));
    let ended = Program::new(["check", &log, "--pattern", "l"]).run();
    ended.exits(1).says(&["incomplete: 2 lines of MONITOR could not be read"]);
}

#[test]
fn a_log_becomes_a_history_with_its_time_and_keeps_earlier_ones() {
    let place = Place::new();
    let (log, history) = (saved(&place, FOREIGN), place.at("h.jsonl"));
    let picture = place.at("h.svg");
    let words = ["record", "--from", &log, "--history", history.to_str().unwrap()];
    let record = |rest: &[&str]| Program::new(words.iter().chain(rest)).run();
    let rest = ["--pattern", "l", "--timeline", picture.to_str().unwrap()];
    record(&rest).exits(1).says(&["7 commands; 2 acquired, 1 refused, 2 released"]);
    let recorded = read(&history);
    assert_eq!(recorded.head.began_us, Some(1_735_689_600_000_100));
    assert_eq!(properties(&recorded)[0], Property::ForeignRelease);
    assert_eq!(told(&recorded).acquired["l"].len(), 2);
    let picture = fs::read_to_string(&picture).unwrap();
    assert!(picture.contains("foreign release at 00:00:00.500"), "{picture}");
    record(&rest).refuses(2, &["h.jsonl exists", "--force"]);
    record(&["--pattern", "other", "--force"]).exits(4);
    assert_eq!(told(&read(&history)).acquired.len(), 0);
}

#[test]
fn what_is_no_log_is_refused() {
    let place = Place::new();
    let (log, history) = (saved(&place, FOREIGN), place.at("h.jsonl"));
    let file = history.to_str().unwrap();
    Program::new(["timeline", &log]).run().refuses(2, &["is a MONITOR log", "record --from"]);
    Program::new(["record", "--from", &log, "--history", file]).run().exits(4);
    let again = ["record", "--from", file, "--history", "x"];
    Program::new(again).run().refuses(2, &["is a history and no MONITOR log"]);
    Program::new(["check", file, "--pattern", "l"]).run().refuses(2, &["--pattern is for MONITOR"]);
    let live = ["record", "--from", &log, "--history", "x", "--light"];
    Program::new(live).run().exits(2).says(&["--light"]);
    let log = saved(&place, "some text\n");
    Program::new(["check", &log]).run().refuses(2, &["is not a history"]);
}

/// What `redis-cli monitor` prints is what comes over the socket, without the sign of a line.
#[test]
fn what_a_real_server_prints_is_read() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let mut monitor = TcpStream::connect(("127.0.0.1", redis.port())).unwrap();
    monitor.write_all(b"MONITOR\r\n").unwrap();
    let mut lines = BufReader::new(monitor).lines().map(|line| line.unwrap().split_off(1));
    let mut log = lines.next().unwrap() + "\n";
    let mut client = con(&redis);
    for command in ["FLUSHALL", "SET l token-1 NX PX 60000", "DEL l", "ECHO over"] {
        run(&mut client, command);
    }
    for line in lines {
        let is_over = line.contains("\"over\"");
        log += &(line + "\n");
        if is_over {
            break;
        }
    }
    let log = saved(&place, &log);
    let ended = Program::new(["check", &log, "--pattern", "l"]).run();
    ended.exits(0);
    assert!(ended.stdout.contains("CLEAN"), "{ended:#?}");
}

/// A MONITOR log that begins with an empty server. A line is the time in milliseconds, the client (a letter, or lua
/// for what the script above it does), and the words of the command.
pub fn log(commands: &str) -> String {
    let mut log = String::from("1735689600.000000 [0 127.0.0.1:9] \"FLUSHALL\"\n");
    for line in commands.lines().filter(|line| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let at: u64 = words.next().unwrap().parse().unwrap();
        let client = match words.next().unwrap() {
            "lua" => String::from("lua"),
            letter => format!("127.0.0.1:500{}", letter.as_bytes()[0]),
        };
        let words: Vec<String> = words.map(|word| format!("{word:?}")).collect();
        let (seconds, thousandths) = (1_735_689_600 + at / 1000, at % 1000);
        log += &format!("{seconds}.{thousandths:03}000 [0 {client}] {}\n", words.join(" "));
    }
    log
}

/// A round in which the second client acquires the lock while the first one holds on beyond its lease,
/// which had 200 ms; another round half a second later.
const BEYOND_THE_LEASE: &str = "
    1 a SET l token-a-1 NX PX 200
    251 b SET l token-b-1 NX PX 200
    301 a EVAL compare-and-delete 1 l token-a-1
    301 lua GET l
    351 b EVAL compare-and-delete 1 l token-b-1
    351 lua GET l
    351 lua DEL l
    501 a SET l token-a-2 NX PX 200
    751 b SET l token-b-2 NX PX 200
    801 a EVAL compare-and-delete 1 l token-a-2
    801 lua GET l
    851 b EVAL compare-and-delete 1 l token-b-2
    851 lua GET l
    851 lua DEL l";

#[test]
fn overlaps_after_a_lease_that_was_too_short_follow_from_it() {
    let place = Place::new();
    let log = saved(&place, &log(BEYOND_THE_LEASE));
    let check =
        |rest: &[&str]| Program::new(["check", &log, "--pattern", "l"].iter().chain(rest)).run();
    let table = check(&[]);
    table.exits(1);
    let said = table.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "2 of 4 leases expired while the lock was held",
        "↳ overlap",
        "×2, the first: 127.0.0.1:50097's lease ended",
        "fix set a longer TTL",
        "FOUND: 1 finding, and 2 that follow;",
    ] {
        assert!(said.contains(part), "{part}: {table:#?}");
    }
    assert!(said.find("lease_too_short") < said.find("overlap"), "{table:#?}");
    // A log is drawn when it has become a history.
    assert!(!said.contains("timeline"), "{table:#?}");
    let report = check(&["--format", "json"]).json();
    let causes = report["findings"].as_array().unwrap().iter();
    let causes: Vec<_> = causes.map(|row| (&row["property"], row["cause"].as_str())).collect();
    let too_short = Some("lease_too_short");
    let expected = ["overlap", "overlap", "lease_too_short"].map(serde_json::Value::from);
    let expected = expected.iter().zip([too_short, too_short, None]).collect::<Vec<_>>();
    assert_eq!(causes, expected);
    assert_eq!(report["advice"].as_array().unwrap().len(), 1);
}

#[test]
fn fail_if_says_what_ends_with_1() {
    let place = Place::new();
    let log = saved(&place, &log(BEYOND_THE_LEASE));
    let check = |log: &str, conditions: &[&str]| {
        let flags = conditions.iter().flat_map(|condition| ["--fail-if", condition]);
        Program::new(["check", log, "--pattern", "l"].into_iter().chain(flags)).run()
    };
    check(&log, &["any"]).exits(1);
    check(&log, &["overlap"]).exits(1);
    check(&log, &["stuck-lock", "lease-too-short"]).exits(1);
    let used = check(&log, &["stuck_lock", "lease-use=80%"]);
    used.exits(1).says(&["a holder of l used 150% of its lease; the limit is 80%"]);
    // The log does not show when leases end.
    check(&log, &["lease-use=151%"]).exits(4);
    check(&log, &["lease-use=80"]).exits(2).says(&["no percentage from 1% to 1000%"]);
    let flushed = format!("1735689600.000050 [0 127.0.0.1:9] \"FLUSHALL\"\n{}", &FOREIGN[3..]);
    let complete = saved(&place, &flushed);
    let others = check(&complete, &["stuck_lock", "lease-use=80%"]);
    others.exits(0).says(&["--fail-if names none of the findings"]);
    check(&complete, &["stuck_lock", "foreign_release"]).exits(1);
    let without_ttl = self::log(&BEYOND_THE_LEASE.replace("PX 200", ""));
    let without_ttl = saved(&place, &without_ttl);
    check(&without_ttl, &["lease-use=80%"])
        .exits(4)
        .says(&["how much of their leases holders used is unknown"]);
}

/// One connection tries in vain while a lock is acquired four times over another one, and released over this one or
/// over a third one.
fn one_in_vain(released_over: char) -> String {
    let round = |round: u32| {
        let token = format!("0123456789abcdef0123456789abcde{round}");
        let [taken, refused, released] = [0, 1, 2].map(|at| 100 * round + at);
        format!(
            "{taken} a SET l {token} NX PX 60000
             {refused} c SET l f{token} NX
             {released} {released_over} EVAL compare-and-delete 1 l {token}
             {released} lua GET l
             {released} lua DEL l\n"
        )
    };
    log(&(1..=4).map(round).collect::<String>())
}

#[test]
fn a_connection_of_a_pool_does_not_starve() {
    let place = Place::new();
    let check = |released_over, rest: &[&str]| {
        let log = saved(&place, &one_in_vain(released_over));
        Program::new(["check", &log, "--pattern", "l"].iter().chain(rest)).run()
    };
    let not_judged = "starvation: connections may be of a pool";
    let single = check('a', &["--fail-if", "starvation"]);
    assert!(!single.exits(1).stdout.contains(not_judged), "{single:#?}");
    let pooled = check('b', &[]);
    assert!(pooled.exits(0).stdout.contains(not_judged), "{pooled:#?}");
    let asked = check('b', &["--fail-if", "starvation"]);
    asked.exits(4).says(&["starvation is not judged: connections may be of a pool"]);
    let guarded = check('a', &["--fail-if", "lost_update"]);
    guarded.exits(4).says(&["lost_update is not judged"]);
}
