//! What a client is instructed to do with a lock: the same members each time, in a rehearsal and later.

use crate::lock::LockName;
use lock_history::history::Verb;
use serde_json::{Value, json};

/// What a client does with a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instruction {
    Acquire,
    Extend,
    Release,
    Write,
    ForceRelease,
    Clear,
    Islocked,
    Statuses,
    GetInstance,
}

impl Instruction {
    /// Its word in the line that the client reads.
    pub fn word(self) -> &'static str {
        match self {
            Self::Acquire => "acquire",
            Self::Extend => "extend",
            Self::Release => "release",
            Self::Write => "write",
            Self::ForceRelease => "force_release",
            Self::Clear => "clear",
            Self::Islocked => "islocked",
            Self::Statuses => "statuses",
            Self::GetInstance => "get_instance",
        }
    }

    /// That of a verb for which clients may have an operation of their own.
    pub fn of(verb: &Verb) -> Option<Self> {
        match verb {
            Verb::ClearLocks => Some(Self::Clear),
            Verb::Islocked => Some(Self::Islocked),
            Verb::LockStatuses => Some(Self::Statuses),
            Verb::GetInstance => Some(Self::GetInstance),
            _ => None,
        }
    }

    /// The line that the client reads. `ttl_ms` is the lease, where it is about one; `kind` is how the
    /// client uses the lock, where there are several ways.
    pub fn line(self, lock: &LockName, ttl_ms: u64, kind: Option<Kind>) -> Value {
        let (word, key) = (self.word(), lock.key());
        let mut line = match self {
            Self::Acquire | Self::Extend => json!({"do": word, "lock": key, "ttl_ms": ttl_ms}),
            _ => json!({"do": word, "lock": key}),
        };
        if let (Some(kind), Some(members)) = (kind, line.as_object_mut()) {
            members.insert("kind".into(), kind.word().into());
        }
        line
    }
}

/// How a client uses a lock that readers share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
}

impl Kind {
    /// Its word in the line that the client reads, and in the first line of the client.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_named_only_where_one_begins() {
        let lock = LockName::new("run", "file.nodb");
        let line = |instruction: Instruction| instruction.line(&lock, 30_000, None).to_string();
        for instruction in [Instruction::Acquire, Instruction::Extend] {
            let key = "nodb-lock:run:file.nodb";
            let expected = json!({"do": instruction.word(), "lock": key, "ttl_ms": 30_000});
            assert_eq!(line(instruction), expected.to_string());
        }
        let read = Instruction::Release.line(&lock, 0, Some(Kind::Read));
        let key = "nodb-lock:run:file.nodb";
        assert_eq!(read, json!({"do": "release", "lock": key, "kind": "read"}));
        for instruction in [Instruction::Release, Instruction::Write] {
            assert!(!line(instruction).contains("ttl_ms"), "{}", line(instruction));
        }
    }
}
