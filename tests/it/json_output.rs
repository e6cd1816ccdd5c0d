//! JSON of every command: no name in it can move the cursor of a terminal or reorder its lines.

use crate::probe::shipped;
use crate::program::{Ended, Place, Program, wait_until};
use crate::redis_server::{RedisServer, redis_or_skip};
use redis_sim::clock::{Clock, WallClock};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;

/// Control characters beyond ASCII, and what Unicode calls bidirectional controls.
fn obeyed() -> impl Iterator<Item = char> {
    let c1 = '\u{80}'..='\u{9f}';
    let marks = ['\u{61c}', '\u{200e}', '\u{200f}'];
    c1.chain(marks).chain('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}')
}

/// A name that has all of them.
fn name() -> String {
    ['<', '\u{1b}', '\u{7f}'].into_iter().chain(obeyed()).chain(['ロ', '>']).collect()
}

/// Fails unless the text is JSON that has this name, and shows each of its characters.
#[track_caller]
fn shows(text: &str, name: &str) {
    let is_obeyed = |c: char| (c.is_control() && c != '\n') || obeyed().any(|one| one == c);
    assert!(!text.contains(is_obeyed), "{text:?}");
    let values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let values: Vec<Value> = values.map(Result::unwrap).collect();
    assert!(values.iter().any(|value| has(value, name)), "{text}");
}

/// Whether a string in a value has this name.
fn has(value: &Value, name: &str) -> bool {
    match value {
        Value::String(text) => text.contains(name),
        Value::Array(all) => all.iter().any(|one| has(one, name)),
        Value::Object(all) => all.values().any(|one| has(one, name)),
        _ => false,
    }
}

/// Runs it in a place, with JSON as its report.
fn json(place: &Place, words: &[&str]) -> Ended {
    Program::new(words).args(["--format", "json"]).current_dir(&place.at("")).run()
}

/// A scenario whose title has the name as far as it may.
fn scenario(place: &Place) -> (String, String) {
    let file = format!("{}.toml", name());
    let title: String = name().chars().filter(|c| !c.is_control()).collect();
    let text = fs::read_to_string("scenarios/check_then_delete.toml").unwrap();
    let text = text.replace("name = \"check_then_delete\"", "name = \"ours\"");
    let (before, after) = text.split_once("title = \"").unwrap();
    fs::write(place.at(&file), format!("{before}title = \"{title}{after}")).unwrap();
    (file, title)
}

#[test]
fn reports_of_runs_show_each_character_of_every_name() {
    let place = Place::new();
    let directory = name();
    shows(&json(&place, &["thundering_herd", &directory, "--virtual"]).stdout, &directory);
    let (file, title) = scenario(&place);
    for words in [&["run", &file, "--virtual"][..], &["explore", &file]] {
        let ended = json(&place, words);
        shows(&ended.stdout, &file);
        shows(&ended.stdout, &title);
    }
    shows(&json(&place, &["run", &format!("no {file}")]).stdout, &file);
    let found = json(&place, &["explore", &file, "--lock=legacy", "--output=found.json"]);
    found.exits(0);
    shows(&fs::read_to_string(place.at("found.json")).unwrap(), &file);
    shows(&json(&place, &["replay", "found.json", "--scenario", &file]).stdout, &title);
}

#[test]
fn reports_of_clients_from_outside_show_each_character_of_every_name() {
    let place = Place::new();
    let subject = name();
    fs::copy(shipped("bash.sh"), place.at(&subject)).unwrap();
    let command = format!("bash '{subject}'");
    shows(
        &json(&place, &["probe", "mutual_exclusion", "--max-schedules=3", "--subject", &command])
            .stdout,
        &subject,
    );
}

#[test]
fn histories_show_each_character_of_every_name() {
    let place = Place::new();
    let history = format!("{}.jsonl", name());
    let words = ["thundering_herd", &name(), "--virtual", "--history", &history];
    json(&place, &words);
    shows(&fs::read_to_string(place.at(&history)).unwrap(), &name());
    shows(&json(&place, &["check", &history]).stdout, &history);
}

/// A dead owner's lock and a wrong flag, with the name wherever one can be.
fn fill(redis: &RedisServer) -> String {
    let name = name();
    let now = WallClock::new(None).unix().as_secs();
    let payload = json!({"token": name, "owner": name, "acquired_at": now, "expires_at": now + 300,
        "ttl": 300});
    let mut con = redis.client().get_connection().unwrap();
    let key = format!("nodb-lock:{name}:{name}");
    redis::cmd("SET").arg(key).arg(payload.to_string()).arg("EX").arg(300).exec(&mut con).unwrap();
    redis::cmd("HSET").arg(&name).arg("locked:other").arg("true").exec(&mut con).unwrap();
    redis::cmd("SET").arg(format!("lock:{name}")).arg(&name).exec(&mut con).unwrap();
    redis::cmd("CONFIG").arg(&["SET", "notify-keyspace-events", "KEA"]).exec(&mut con).unwrap();
    name
}

#[test]
fn reports_about_a_server_show_each_character_of_every_name() {
    let redis = redis_or_skip!();
    let name = fill(&redis);
    let (place, url) = (Place::new(), redis.url());
    for words in [
        &["status", &name][..],
        &["status", "--all"],
        &["status", &format!("lock:{name}")],
        &["unlock", &name, &name],
        &["unlock", &format!("lock:{name}")],
        &["clear_locks", "--all", "--dry-run"],
        &["repair", "--all", "--dry-run"],
        &["repair", &name],
    ] {
        shows(&json(&place, &[words, &["--redis", &url]].concat()).stdout, &name);
    }
    let record = ["record", "--light", "--for=10ms", "--history", &name, "--redis", &url];
    shows(&json(&place, &record).stdout, &name);
    shows(&fs::read_to_string(place.at(&name)).unwrap(), &name);
}

#[test]
fn each_line_of_a_watch_shows_each_character_of_every_name() {
    let redis = redis_or_skip!();
    let name = fill(&redis);
    let place = Place::new();
    let out = fs::File::create(place.at("out")).unwrap();
    let words = ["status", "--watch", "--format=json", "--redis", &redis.url()];
    let watching = Program::new(words).stdout(out).start();
    let seen = || fs::read_to_string(place.at("out")).unwrap();
    wait_until("there is a document", || seen().ends_with('\n'));
    watching.signal(Signal::TERM);
    watching.end().exits(130);
    shows(&seen(), &name);
}
