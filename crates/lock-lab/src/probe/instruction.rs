//! What a client is instructed to do with a lock: the same members each time, in a rehearsal and later.

use crate::lock::LockName;
use serde_json::{Value, json};

/// What a client does with a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instruction {
    Acquire,
    Extend,
    Release,
    Write,
}

impl Instruction {
    /// Its word in the line that the client reads.
    pub fn word(self) -> &'static str {
        match self {
            Self::Acquire => "acquire",
            Self::Extend => "extend",
            Self::Release => "release",
            Self::Write => "write",
        }
    }

    /// The line that the client reads. `ttl_ms` is the lease, where it is about one.
    pub fn line(self, lock: &LockName, ttl_ms: u64) -> Value {
        let (word, key) = (self.word(), lock.key());
        match self {
            Self::Acquire | Self::Extend => json!({"do": word, "lock": key, "ttl_ms": ttl_ms}),
            Self::Release | Self::Write => json!({"do": word, "lock": key}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_named_only_where_one_begins() {
        let lock = LockName::new("run", "file.nodb");
        let line = |instruction: Instruction| instruction.line(&lock, 30_000).to_string();
        for instruction in [Instruction::Acquire, Instruction::Extend] {
            let key = "nodb-lock:run:file.nodb";
            let expected = json!({"do": instruction.word(), "lock": key, "ttl_ms": 30_000});
            assert_eq!(line(instruction), expected.to_string());
        }
        for instruction in [Instruction::Release, Instruction::Write] {
            assert!(!line(instruction).contains("ttl_ms"), "{}", line(instruction));
        }
    }
}
