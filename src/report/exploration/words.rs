//! Commands, replies and faults as a person says them: no keys, no tokens, no payloads, and nothing that
//! was not sent or answered.

use crate::report::wording::cut;
use lock_history::history::{Change, Command, Effect, Event, EventKind, Head, Left, Verb, Write};
use lock_lab::lock::{FLAG_PREFIX, KEY_PREFIX, replacement_fence};
use std::collections::BTreeMap;

/// A longer text is cut here.
const LONGEST: usize = 60;

/// Words about one history.
pub(super) struct Words<'a> {
    head: &'a Head,
    locks: &'a [String],
    /// Which actor acquired with which token.
    owners: BTreeMap<&'a str, usize>,
    /// Whether the protocol is none of ours.
    is_foreign: bool,
    /// Whether the flag is a part of the protocol.
    has_flag: bool,
    /// Whether revisions of the file are of interest.
    has_revisions: bool,
}

/// The options of a SET, as they were sent, with a space before each.
fn options(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let is_one_of =
        |word: &str, names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(word));
    // The command's name, the key and the value come first.
    let mut first = words.len();
    while let Some([.., before, last]) = words.get(2..first) {
        let is_time =
            last.parse::<u64>().is_ok() && is_one_of(before, &["EX", "PX", "EXAT", "PXAT"]);
        let length = match is_time {
            true => 2,
            false if is_one_of(last, &["NX", "XX", "GET", "KEEPTTL"]) => 1,
            false => break,
        };
        if first - length < 3 {
            break;
        }
        first -= length;
    }
    words.iter().skip(first).map(|word| format!(" {word}")).collect()
}

/// Whether a command has an option that compares a value, or is one that does.
fn compares(text: &str) -> bool {
    let mut words = text.split(' ');
    let name = words.next().unwrap_or_default();
    // The key comes first, and the value that a SET writes.
    let options = words.skip(if name.eq_ignore_ascii_case("SET") { 2 } else { 1 });
    let is_condition = |word: &str| {
        ["IFEQ", "IFNE", "IFDEQ", "IFDNE"].iter().any(|it| word.eq_ignore_ascii_case(it))
    };
    name.eq_ignore_ascii_case("DELIFEQ") || options.into_iter().any(is_condition)
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
        Self { head, locks, owners, is_foreign: false, has_flag: true, has_revisions: true }
    }

    /// The same of a protocol that may be none of ours.
    pub fn of_foreign(self, is_foreign: bool, events: &[Event], is_about_files: bool) -> Self {
        let flags = |effect: &Effect| matches!(effect.change, Change::Flagged { .. });
        let has_flag = || events.iter().any(|event| event.kind.effects().iter().any(flags));
        Self {
            is_foreign,
            has_flag: !is_foreign || has_flag(),
            has_revisions: !is_foreign || is_about_files,
            ..self
        }
    }

    /// An actor's name.
    pub fn actor(&self, actor: Option<usize>) -> &'a str {
        let name = actor.and_then(|actor| self.head.actors.get(actor));
        name.map_or("an unknown actor", String::as_str)
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
            None => "an unknown token".into(),
        }
    }

    /// Whether it is known whose token it is: it is none, or one of an acquire, or the protocol is ours.
    fn is_known(&self, token: Option<&str>) -> bool {
        !self.is_foreign || token.is_none_or(|token| self.owners.contains_key(token))
    }

    /// A command and its reply. `verb` is that of the step in which it was sent.
    pub fn command(&self, actor: Option<usize>, command: &Command, verb: Option<&Verb>) -> String {
        let Command { text, reply, effects, .. } = command;
        let name = text.split(' ').next().unwrap_or_default();
        if ["EVALSHA", "EVAL"].iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return self.script(command, verb);
        }
        let first =
            effects.first().map(|Effect { lock, change }| (self.lock(*lock), *lock, change));
        match first {
            _ if compares(text) => {
                format!("{} -> {}", self.comparing(actor, text), self.replied(actor, reply))
            }
            Some((lock, _, Change::Took { .. } | Change::Overwrote { .. } | Change::Refused))
                if name.eq_ignore_ascii_case("SET") =>
            {
                format!("{name} {lock}{} -> {}", options(text), self.plain(reply))
            }
            Some((lock, _, Change::Saw { token }))
                if name.eq_ignore_ascii_case("GET") && self.is_known(token.as_deref()) =>
            {
                let seen = token.as_ref().map(|token| self.token(actor, token));
                format!("{name} {lock} -> {}", seen.unwrap_or_else(|| "nil".into()))
            }
            Some((_, lock, Change::Flagged { locked })) if !self.is_foreign => {
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

    /// A script, which is known by what its step is. One of the hardened protocol is known by what it did.
    fn script(&self, command: &Command, verb: Option<&Verb>) -> String {
        let lock = match command.effects.first() {
            Some(effect) => Some(effect.lock),
            None => self.lock_in(&command.text),
        };
        let of = match (self.locks, lock.and_then(|lock| self.locks.get(lock))) {
            ([_, _, ..], Some(name)) => format!(" of {name}"),
            _ => String::new(),
        };
        if self.is_foreign {
            let name = match verb {
                Some(Verb::Dump) => "write script",
                Some(verb) => &format!("{} script", verb.word()),
                None => "a script",
            };
            return format!("{name}{of} -> {}", self.plain(&command.reply));
        }
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

    /// How an actor learns that its lock is lost.
    pub fn lost_lock(&self) -> &'static str {
        match self.is_foreign {
            true => "reports that its lock was lost",
            false => "is notified that its lock was lost",
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
        if !self.has_revisions {
            return format!("writes {file}");
        }
        format!("writes revision {wrote} of {file} (had read {based_on}, replaces {replaced})")
    }

    /// How a lock was left.
    pub fn left(&self, left: &Left) -> String {
        // Of a foreign protocol it is the lock when all leases are over.
        let when = if self.is_foreign { ", and all leases are over" } else { "" };
        let holder = match &left.token {
            None => "free".into(),
            // What several actors wrote is no one's token.
            Some(token) if self.head.sharing.is_none() && self.is_known(Some(token)) => {
                format!("still there with {}", self.token(None, token))
            }
            Some(_) => "still there".into(),
        };
        let (lock, flag) = (self.lock(left.lock), self.named("flag", left.lock));
        let flag = if self.has_flag { format!(", {flag} {}", left.flag) } else { String::new() };
        format!("all have ended{when}: {lock} {holder}{flag}")
    }

    /// Text with keys, flags and payloads said shortly.
    pub fn plain(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (lock, key) in self.head.locks.iter().enumerate() {
            if let Some((runid, file)) = run_and_file(key).filter(|_| !self.is_foreign) {
                let flag = format!("{runid} {FLAG_PREFIX}{file}");
                text = text.replace(&flag, &self.named("flag", lock));
                text = text.replace(&replacement_fence(runid), "fence of the run");
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

/// The run and the file of a lock of ours. No colon is in the name of a file.
fn run_and_file(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix(KEY_PREFIX)?.rsplit_once(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_the_options_that_were_sent_and_no_others() {
        for (sent, shown) in [
            ("SET k token NX PX 21600000", " NX PX 21600000"),
            ("SET k token PX 21600000 NX", " PX 21600000 NX"),
            ("set k token ex 30 nx get", " ex 30 nx get"),
            ("SET k token", ""),
            ("SET k token PX 5", " PX 5"),
            ("SET k two words NX", " NX"),
            ("SET k NX", ""),
            ("SET k 5", ""),
            ("SET k EX 5 NX", " NX"),
            ("SET k xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…", ""),
        ] {
            assert_eq!(options(sent), shown, "{sent}");
        }
    }
}
