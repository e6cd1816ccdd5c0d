use super::*;
use crate::lock::{Legacy, Ttl, hostname, in_process};
use crate::runtime::Time;
use crate::scenario::catalogue;
use redis_sim::clock::{Clock, VirtualClock};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A world of two locks, whose start waits for this long.
fn world(wait: Duration) -> (World, Arc<VirtualClock>) {
    let scenarios = catalogue().unwrap();
    let scenario = scenarios.iter().find(|it| it.name() == "build_climate").unwrap();
    let plan = scenario.bind(&BTreeMap::new(), "legacy", Ttl::DEFAULT, wait).unwrap();
    let clock = Arc::new(VirtualClock::new(None));
    let time = Time::Virtual(Arc::clone(&clock));
    let server = Server::embedded(time.clock());
    let files = plan.state_files(Path::new("/nowhere/run"), None, None).unwrap();
    let host = in_process(Arc::new(Legacy));
    (World::new(plan, server, host, files, time, Box::new(|| ())), clock)
}

#[test]
fn a_start_waits_for_all_locks_until_one_deadline() {
    for (ttls, is_ready) in [([6, 9], true), ([6, 14], false)] {
        let (world, clock) = world(Duration::from_secs(10));
        let mut link = world.server().connect(0).unwrap();
        let owner = format!("{}:{}", hostname(), std::process::id());
        for (file, ttl) in world.files().iter().zip(ttls) {
            let payload = format!(r#"{{"token":"theirs","owner":"{owner}"}}"#);
            let mut set = redis::cmd("SET");
            set.arg(file.lock().key()).arg(payload).arg("EX").arg(ttl).exec(&mut link).unwrap();
        }
        let prepared = Stage::default().prepare_locks(&world, false);
        assert_eq!(prepared.is_ok(), is_ready, "{ttls:?}: {prepared:?}");
        assert_eq!(clock.now().as_secs(), if is_ready { 9 } else { 10 });
    }
}

#[test]
fn a_shell_reads_every_word_as_it_was() {
    for word in ["", "plain/word-1.nodb", "a b", "it's", "*[$x]`", "é", "a\nb\t'\\'", "a\u{85}b"] {
        let echo = format!("printf %s {}", quoted(word));
        let output = std::process::Command::new("bash").args(["-c", &echo]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), word, "{echo}");
        assert!(!quoted(word).contains('\n'));
    }
}
