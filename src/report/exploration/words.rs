//! Commands, replies and faults as a person says them: no keys, no tokens, no payloads.

use crate::report::wording::cut;
use lock_history::history::{Change, Command, Effect, Event, EventKind, Head, Left, Write};
use lock_lab::controller::STATE_FILE;
use lock_lab::lock::LockName;
use std::collections::BTreeMap;

/// A longer text is cut here.
const LONGEST: usize = 60;

/// Words about one history.
pub(super) struct Words<'a> {
    head: &'a Head,
    locks: &'a [String],
    /// Which actor acquired with which token.
    owners: BTreeMap<&'a str, usize>,
}

/// How long a SET takes a lock for, in the words of its sender if they are still to be read.
fn lasting(text: &str, lease: u64) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let said = words.windows(2).find_map(|pair| match pair {
        [unit, most] if ["EX", "PX"].iter().any(|known| unit.eq_ignore_ascii_case(known)) => {
            most.parse::<u64>().ok().map(|most| format!("{} {most}", unit.to_ascii_uppercase()))
        }
        _ => None,
    });
    said.unwrap_or_else(|| format!("EX {}", lease / 1_000_000_000))
}

/// Whether a command has an option that compares a value, or is one that does.
fn compares(text: &str) -> bool {
    let is_one = |word: &str| {
        ["IFEQ", "IFNE", "IFDEQ", "IFDNE", "DELIFEQ"].iter().any(|it| word.eq_ignore_ascii_case(it))
    };
    text.split(' ').any(is_one)
}

/// The condition of a SET that took a lock or was refused, if it has one or its words are cut.
fn not_exists(text: &str) -> &'static str {
    let has_it = text.split(' ').any(|word| word.eq_ignore_ascii_case("NX"));
    if has_it || text.ends_with('…') { " NX" } else { "" }
}

impl<'a> Words<'a> {
    /// Words about this history, whose locks have these names.
    pub fn new(head: &'a Head, locks: &'a [String], events: &'a [Event]) -> Self {
        let mut owners = BTreeMap::new();
        for event in events {
            let (Some(actor), EventKind::Command(command)) = (event.actor, &event.kind) else {
                continue;
            };
            for effect in &command.effects {
                if let Change::Took { token, .. } | Change::Overwrote { token, .. } = &effect.change
                {
                    owners.entry(token.as_str()).or_insert(actor);
                }
            }
        }
        Self { head, locks, owners }
    }

    /// An actor's name.
    pub fn actor(&self, actor: Option<usize>) -> &'a str {
        let name = actor.and_then(|actor| self.head.actors.get(actor));
        name.map_or("somebody", String::as_str)
    }

    /// Which lock a fault's words speak of.
    pub fn lock_in(&self, what: &str) -> Option<usize> {
        let named = self.head.locks.iter().enumerate().filter(|(_, key)| what.contains(*key));
        named.max_by_key(|(_, key)| key.len()).map(|(lock, _)| lock)
    }

    /// `lock`; with its name, where there are several.
    fn lock(&self, lock: usize) -> String {
        self.named("lock", lock)
    }

    fn named(&self, what: &str, lock: usize) -> String {
        match (self.locks, self.locks.get(lock)) {
            ([_, _, ..], Some(name)) => format!("{what} {name}"),
            _ => what.to_owned(),
        }
    }

    /// Whose token it is, to the eyes of an actor.
    fn token(&self, viewer: Option<usize>, token: &str) -> String {
        match self.owners.get(token) {
            Some(owner) if Some(*owner) == viewer => "own token".into(),
            Some(owner) => format!("{}'s token", self.actor(Some(*owner))),
            None => "a stranger's token".into(),
        }
    }

    /// A command and its reply.
    pub fn command(&self, actor: Option<usize>, command: &Command) -> String {
        let Command { text, reply, effects, .. } = command;
        let name = text.split(' ').next().unwrap_or_default();
        if matches!(name, "EVALSHA" | "EVAL") {
            return self.script(command);
        }
        let first =
            effects.first().map(|Effect { lock, change }| (self.lock(*lock), *lock, change));
        match first {
            _ if compares(text) => {
                format!("{} -> {}", self.comparing(actor, text), self.replied(actor, reply))
            }
            Some((lock, _, Change::Took { lease: Some(lease), .. })) if name == "SET" => {
                format!("SET {lock}{} {} -> {reply}", not_exists(text), lasting(text, *lease))
            }
            Some((lock, _, Change::Took { .. } | Change::Refused)) if name == "SET" => {
                format!("SET {lock}{} -> {reply}", not_exists(text))
            }
            Some((lock, _, Change::Overwrote { .. })) if name == "SET" => {
                format!("SET {lock} -> {reply}")
            }
            Some((lock, _, Change::Saw { token })) if name == "GET" => {
                let seen = token.as_ref().map(|token| self.token(actor, token));
                format!("GET {lock} -> {}", seen.unwrap_or_else(|| "nil".into()))
            }
            Some((_, lock, Change::Flagged { locked })) => {
                format!("HSET {} {locked} -> {reply}", self.named("flag", lock))
            }
            _ => format!("{} -> {}", self.plain(text), self.plain(reply)),
        }
    }

    /// A command that compares a value: its key, condition and lease, with the names of tokens.
    fn comparing(&self, actor: Option<usize>, text: &str) -> String {
        let mut words = text.split(' ');
        let name = words.next().unwrap_or_default().to_ascii_uppercase();
        let is_set = name == "SET";
        let mut shown = vec![name];
        shown.extend(words.next().map(|key| self.plain(key)));
        if is_set {
            // The value that it writes is not shown: it is its own.
            words.next();
        }
        shown.extend(words.map(|word| self.replied(actor, word)));
        cut(&shown.join(" "), LONGEST)
    }

    /// A value that was compared or answered: whose token it holds, if it is known.
    fn replied(&self, actor: Option<usize>, value: &str) -> String {
        match self.owners.keys().find(|token| value.contains(**token)) {
            Some(token) => self.token(actor, token),
            None => self.plain(value),
        }
    }

    /// One of the hardened protocol's scripts, known by what it did.
    fn script(&self, command: &Command) -> String {
        let lock = match command.effects.first() {
            Some(effect) => Some(effect.lock),
            None => self.lock_in(&command.text),
        };
        let of = match (self.locks, lock.and_then(|lock| self.locks.get(lock))) {
            ([_, _, ..], Some(name)) => format!(" of {name}"),
            _ => String::new(),
        };
        let change = command.effects.first().map(|effect| &effect.change);
        let (script, came) = match (change, command.reply.as_str()) {
            (Some(Change::Took { fence: Some(fence), .. }), _) => {
                ("acquire", format!("taken, fence {fence}"))
            }
            (Some(Change::Took { .. }), reply) => ("acquire", self.plain(reply)),
            (Some(Change::Refused), reply) => ("acquire", self.refused(reply)),
            (Some(Change::Extended { .. }), _) => ("extend", "extended".into()),
            (Some(Change::Deleted { .. }), _) => ("release", "released".into()),
            (Some(Change::Saw { .. }), _) => ("release", "gone".into()),
            (None, "-1") => ("release", "not ours".into()),
            (None, "0") => ("extend", "lost".into()),
            (_, reply) => return format!("a script{of} -> {}", self.plain(reply)),
        };
        format!("{script} script{of} -> {came}")
    }

    fn refused(&self, reply: &str) -> String {
        let holder = self.owners.iter().find(|(token, _)| reply.contains(**token));
        match holder {
            Some((_, holder)) => format!("refused ({} holds it)", self.actor(Some(*holder))),
            None => "refused".into(),
        }
    }

    /// The end of a lease.
    pub fn lease_expired(&self, lock: usize) -> String {
        format!("TTL of {} ends", self.lock(lock))
    }

    /// The end of the TTL of a key that is no lock's.
    pub fn key_expired(&self, key: &str) -> String {
        format!("TTL of {} ends", self.plain(key))
    }

    /// A write of the state file.
    pub fn write(&self, lock: Option<usize>, write: Write) -> String {
        let Write { based_on, replaced, wrote } = write;
        let file = self.named("the file", lock.unwrap_or_default());
        let file = if file == "the file" { file } else { file.replace("file ", "file of ") };
        format!("writes revision {wrote} of {file} (had read {based_on}, replaces {replaced})")
    }

    /// How a lock was left.
    pub fn left(&self, left: &Left) -> String {
        let holder = match &left.token {
            None => "free".into(),
            Some(token) => format!("there with {}", self.token(None, token)),
        };
        let (lock, flag) = (self.lock(left.lock), self.named("flag", left.lock));
        format!("all have ended: {lock} {holder}, {flag} {}", left.flag)
    }

    /// Text with keys, flags and payloads said shortly.
    pub fn plain(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (lock, key) in self.head.locks.iter().enumerate() {
            if let Some(flag) = flag_of(key) {
                text = text.replace(&flag, &self.named("flag", lock));
            }
            for quoted in [format!("{key:?}"), key.clone()] {
                text = text.replace(&quoted, &self.lock(lock));
            }
        }
        if let Some((before, _)) = text.split_once("{\"") {
            text = format!("{before}{{…}}");
        }
        cut(&text, LONGEST)
    }
}

/// Where the flag of a lock is, as commands name it: the hash and the field.
fn flag_of(key: &str) -> Option<String> {
    let template = LockName::new("", STATE_FILE);
    let (before, after) = template.key().split_once("::")?;
    let runid = key.strip_prefix(before)?.strip_prefix(':')?;
    let runid = runid.strip_suffix(after)?.strip_suffix(':')?;
    Some(format!("{runid} {}", template.flag()))
}
