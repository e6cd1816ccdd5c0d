//! The process that a payload names as its owner: whether it still lives, as far as this machine
//! can know. If in doubt, it counts as alive.

use super::{Payload, hostname, is_dead};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;

/// How far the clock may be off when two times of this machine are compared, in seconds: payloads
/// and the time of the boot have whole seconds.
const SLACK: u64 = 2;
/// What stands for a secret.
const HIDDEN: &str = "***";

/// What became of the owner of a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "life", rename_all = "snake_case")]
pub enum Life {
    /// It lives.
    Alive {
        /// Its command line.
        command: String,
    },
    /// It is gone.
    Dead,
    /// A process of this number lives, but it began after the lock was acquired. Clocks can be set,
    /// so this is no proof.
    Younger {
        /// Its command line.
        command: String,
    },
    /// It is a process of another host.
    Elsewhere,
    /// The payload doesn't name it.
    Unnamed,
}

impl Life {
    /// What became of the owner that this payload names.
    pub fn of(payload: &Payload) -> Self {
        Processes::default().life(payload)
    }

    /// What became of an owner `hostname:pid`, which acquired a lock at this time, in seconds since 1970,
    /// if that is known.
    pub fn of_owner(owner: &str, acquired_at: Option<u64>) -> Self {
        Processes::default().life_of(owner, acquired_at)
    }
}

/// The living processes of this machine, each looked at once, however many locks it owns. Of the
/// dead, nothing is kept: a new process may get the number at any time.
#[derive(Debug, Default)]
pub(super) struct Processes {
    hostname: Option<String>,
    boot: Option<u64>,
    known: BTreeMap<u32, Process>,
}

#[derive(Debug)]
struct Process {
    command: String,
    /// When it began, in seconds since 1970.
    began: Option<u64>,
}

impl Processes {
    /// What became of the owner that this payload names.
    pub fn life(&mut self, payload: &Payload) -> Life {
        let Some(owner) = payload.owner() else { return Life::Unnamed };
        self.life_of(owner, payload.acquired_at())
    }

    fn life_of(&mut self, owner: &str, acquired_at: Option<u64>) -> Life {
        let Some((host, pid)) = owner.rsplit_once(':') else { return Life::Elsewhere };
        let Ok(pid) = pid.parse::<u32>() else { return Life::Elsewhere };
        if host != self.hostname.get_or_insert_with(hostname) {
            return Life::Elsewhere;
        }
        self.boot = self.boot.or_else(boot);
        let boot = self.boot;
        if !self.known.contains_key(&pid) && is_dead(owner) {
            return Life::Dead;
        }
        let process = self.known.entry(pid).or_insert_with(|| Process {
            command: command_line(pid),
            began: boot.and_then(|boot| began(pid, boot)),
        });
        let command = process.command.clone();
        match (process.began, acquired_at) {
            (Some(began), Some(acquired)) if began > acquired.saturating_add(SLACK) => {
                Life::Younger { command }
            }
            _ => Life::Alive { command },
        }
    }
}

/// The command line of a process of this machine without passwords, or its short name in brackets
/// where it has none; nothing if it can't be read.
fn command_line(pid: u32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&words);
    let words: Vec<&str> = words.split('\0').filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        return if name.is_empty() { name } else { format!("[{}]", name.trim_end()) };
    }
    without_secrets(&words)
}

/// Words of a command line, with stars for what may be secret: a user that may see a lock need not
/// be one that may see the processes of its host.
fn without_secrets(words: &[&str]) -> String {
    let mut is_secret = false;
    let each = words.iter().map(|word| {
        if std::mem::replace(&mut is_secret, false) {
            return HIDDEN.to_owned();
        }
        is_secret = *word == "-a" || word.starts_with('-') && names_secret(word);
        let is_name = |name: &str| !name.contains(' ') && names_secret(name);
        match word.split_once('=').filter(|(name, _)| is_name(name)) {
            Some((name, _)) => {
                is_secret = false;
                format!("{name}={HIDDEN}")
            }
            // A command line within one, as of `sh -c`.
            None if word.contains(' ') => without_secrets(&word.split(' ').collect::<Vec<_>>()),
            None => without_user(word),
        }
    });
    each.collect::<Vec<_>>().join(" ")
}

/// Whether the value of an argument or a variable of this name is likely secret.
fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "secret", "token", "key"].iter().any(|part| name.contains(part))
}

/// A word with stars for the user and the password in each URL that it has. A password may hold any
/// character, so the last `@` counts.
fn without_user(word: &str) -> String {
    let mut parts = word.split("://");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shown.push_str("://");
        match part.rsplit_once('@') {
            Some((_, rest)) => shown.extend([HIDDEN, "@", rest]),
            None => shown.push_str(part),
        }
    }
    shown
}

/// What a process's `stat` says of it (proc(5)), counted from its state on: the name before that may
/// hold anything.
pub(super) fn stat(pid: u32, place: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(place).map(str::to_owned)
}

/// When a process of this machine began, in seconds since 1970 (proc(5): `starttime` of `stat`,
/// in ticks since the machine's boot).
fn began(pid: u32, boot: u64) -> Option<u64> {
    let ticks: u64 = stat(pid, 19)?.parse().ok()?;
    Some(boot.saturating_add(ticks / rustix::param::clock_ticks_per_second().max(1)))
}

/// When this machine was started, in seconds since 1970 (proc(5): `btime` of `/proc/stat`).
fn boot() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis_sim::clock::{Clock, WallClock};

    fn payload(owner: &str, acquired_at: u64) -> Payload {
        let text = format!(r#"{{"token":"t","owner":"{owner}","acquired_at":{acquired_at}}}"#);
        Payload::decode(text.as_bytes())
    }

    #[test]
    fn this_process_lives_and_is_named() {
        let me = format!("{}:{}", hostname(), std::process::id());
        let now = WallClock::new(None).unix().as_secs();
        let Life::Alive { command } = Life::of(&payload(&me, now)) else { panic!("not alive") };
        let program = std::env::args().next().unwrap();
        assert!(command.starts_with(&program), "{command} {program}");
    }

    #[test]
    fn a_process_that_began_after_the_acquisition_is_another_one() {
        let me = format!("{}:{}", hostname(), std::process::id());
        assert!(matches!(Life::of(&payload(&me, 1_000_000)), Life::Younger { .. }));
    }

    #[test]
    fn the_pid_of_a_dead_process_is_checked_each_time() {
        let mut processes = Processes::default();
        let dead = format!("{}:2147483647", hostname());
        assert_eq!(processes.life(&payload(&dead, 1)), Life::Dead);
        assert!(processes.known.is_empty(), "{processes:?}");
    }

    #[test]
    fn secrets_of_a_command_line_are_not_shown() {
        for (given, shown) in [
            ("app --db redis://u:s3cret@h:6379/0 x", "app --db redis://***@h:6379/0 x"),
            ("app redis://:a@b/c@h,redis://:s3cret@i", "app redis://***@h,redis://***@i"),
            ("app --url=redis://:s3cret@h", "app --url=redis://***@h"),
            ("redis-cli -a s3cret -h host", "redis-cli -a *** -h host"),
            ("app --password s3cret --quiet", "app --password *** --quiet"),
            ("app --password=s3cret x", "app --password=*** x"),
            ("app --api-key s3=cret x", "app --api-key *** x"),
            (
                "env REDIS_PASSWORD=s3cret GH_TOKEN=s3cret app",
                "env REDIS_PASSWORD=*** GH_TOKEN=*** app",
            ),
            ("app http://host/@x a@b --all", "app http://***@x a@b --all"),
        ] {
            let words: Vec<&str> = given.split(' ').collect();
            assert_eq!(without_secrets(&words), shown);
        }
        assert_eq!(
            without_secrets(&["app", "--password=a b", "-a", "c d"]),
            "app --password=*** -a ***"
        );
        let shell = ["sh", "-c", "redis-cli -u redis://:s3cret@h -a s3cret"];
        assert_eq!(without_secrets(&shell), "sh -c redis-cli -u redis://***@h -a ***");
    }

    #[test]
    fn an_unknown_owner_state_is_reported_as_unknown() {
        let dead = format!("{}:2147483647", hostname());
        assert_eq!(Life::of(&payload(&dead, 1)), Life::Dead);
        assert_eq!(Life::of(&payload("another-host:1", 1)), Life::Elsewhere);
        assert_eq!(Life::of(&payload("nonsense", 1)), Life::Elsewhere);
        assert_eq!(Life::of(&Payload::decode(b"plain")), Life::Unnamed);
    }
}
