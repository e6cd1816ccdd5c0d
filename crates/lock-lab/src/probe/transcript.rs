//! All instructions and answers that a client got since its life began. It is the state of code that we don't
//! see into: exploration takes two places of a client for one only where their transcripts are equal.

use crate::intercept::{Crashed, Link, PausePoint};
use crate::lock::Who;
use parking_lot::Mutex;
use redis::{ConnectionLike, RedisResult, Value};
use std::collections::HashMap;
use std::time::Duration;

/// Transcripts by number: equal numbers stand for equal transcripts. 0 is the empty one.
#[derive(Debug, Default)]
pub(super) struct Transcripts(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The transcript that an entry makes of another one.
    numbers: HashMap<(u32, Box<str>), u32>,
    /// How many bytes the entries take.
    bytes: usize,
    /// The transcript of each actor in the life that it lives.
    current: HashMap<usize, (u64, u32)>,
}

impl Transcripts {
    /// The transcript of an actor in this life.
    pub fn of(&self, who: Who) -> u32 {
        let known = self.0.lock();
        known.current.get(&who.actor).filter(|(life, _)| *life == who.life).map_or(0, |it| it.1)
    }

    /// About how much memory they take.
    pub fn bytes(&self) -> usize {
        let known = self.0.lock();
        known.bytes + known.numbers.capacity() * size_of::<((u32, Box<str>), u32)>()
    }

    /// Adds an instruction or an answer, and how much later it is than by the client's own clock.
    pub fn add(&self, who: Who, entry: String, ahead: Duration) {
        let before = self.of(who);
        let entry = if ahead.is_zero() { entry } else { format!("{ahead:?} {entry}") };
        let mut known = self.0.lock();
        let next = u32::try_from(known.numbers.len() + 1).unwrap_or(u32::MAX);
        let length = entry.len();
        let number = *known.numbers.entry((before, entry.into())).or_insert(next);
        if number == next {
            known.bytes += length;
        }
        known.current.insert(who.actor, (who.life, number));
    }
}

/// A link whose replies go into the transcript of its actor.
pub(super) struct Transcribed<'a> {
    pub link: &'a mut dyn Link,
    pub transcripts: &'a Transcripts,
    pub who: Who,
}

impl Link for Transcribed<'_> {
    fn pause(&mut self, point: PausePoint) -> Result<(), Crashed> {
        self.link.pause(point)
    }

    fn is_alive(&self) -> Result<(), Crashed> {
        self.link.is_alive()
    }

    fn is_tampered_with(&self) -> bool {
        self.link.is_tampered_with()
    }

    fn ahead(&self) -> Duration {
        self.link.ahead()
    }
}

impl ConnectionLike for Transcribed<'_> {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        let reply = self.link.req_packed_command(command);
        self.transcripts.add(self.who, format!("{reply:?}"), self.link.ahead());
        reply
    }

    fn req_packed_commands(
        &mut self,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let replies = self.link.req_packed_commands(commands, offset, count);
        self.transcripts.add(self.who, format!("{replies:?}"), self.link.ahead());
        replies
    }

    fn get_db(&self) -> i64 {
        self.link.get_db()
    }

    fn check_connection(&mut self) -> bool {
        self.link.check_connection()
    }

    fn is_open(&self) -> bool {
        self.link.is_open()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_counts_once() {
        let transcripts = Transcripts::default();
        let who = |life| Who { actor: 0, life };
        let entry = "x".repeat(1_000_000);
        for life in 1..4 {
            transcripts.add(who(life), entry.clone(), Duration::ZERO);
            let bytes = transcripts.bytes();
            assert!((1_000_000..1_100_000).contains(&bytes), "{bytes}");
        }
        transcripts.add(who(3), entry, Duration::ZERO);
        assert!(transcripts.bytes() >= 2_000_000);
    }

    #[test]
    fn equal_numbers_stand_for_equal_transcripts() {
        let transcripts = Transcripts::default();
        let after = |who: Who, entries: &[&str]| {
            entries.iter().for_each(|entry| transcripts.add(who, (*entry).into(), Duration::ZERO));
            transcripts.of(who)
        };
        let life = |actor, life| Who { actor, life };
        let first = after(life(0, 1), &["acquire", "OK", "release"]);
        assert_eq!(after(life(1, 1), &["acquire", "OK", "release"]), first);
        assert_eq!(after(life(0, 2), &["acquire", "OK", "release"]), first, "a new life");
        let others = [&["acquire", "nil", "release"][..], &["acquire", "OK"], &["acquireOK"], &[]];
        let mut all: Vec<u32> = (3..).zip(others).map(|(n, it)| after(life(0, n), it)).collect();
        all.push(first);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 5, "{all:?}");
    }
}
