//! A second snapshot of what looked wrong, so that a working client is not taken for a drift.

use super::super::{LockError, LockName, Result};
use super::reader::LockReader;
use super::{Doubt, Found, Sighting, State};
use crate::intercept::Link;
use redis::{RedisError, Value, from_redis_value};
use redis_sim::clock::Clock;
use std::time::Duration;

/// How long something must be wrong before it is said. Between two commands of a participant there
/// is a round trip.
const SETTLED: Duration = Duration::from_millis(50);
/// How often one looks again at what is otherwise each time.
const ROUNDS: usize = 4;
/// How many keys are watched at a time.
const WATCHED: usize = 20_000;
/// How long one watches, for all locks of a survey together.
const WATCHING: Duration = Duration::from_secs(1);

/// Reads odd locks again.
pub(super) struct Settler<'a> {
    clock: &'a dyn Clock,
    /// What is left of the time for watching.
    left: Duration,
}

impl<'a> Settler<'a> {
    /// At the beginning of a survey.
    pub fn new(clock: &'a dyn Clock) -> Self {
        Self { clock, left: WATCHING }
    }

    /// Looks again at what looks wrong. What is otherwise each time is marked as moving; what looked
    /// the same twice, and could not be watched in time, as unsettled.
    pub fn settle(
        &mut self,
        reader: &mut LockReader,
        link: &mut dyn Link,
        sightings: &mut [Sighting],
    ) -> Result {
        let mut again = Again { reader, link, clock: self.clock };
        let absent = again.read_twice(sightings)?;
        let began = self.clock.now();
        let settled = again.settle_absent(absent, began + self.left);
        self.left = self.left.saturating_sub(self.clock.now().saturating_sub(began));
        settled
    }
}

/// What it takes to look again.
struct Again<'a> {
    reader: &'a mut LockReader,
    link: &'a mut dyn Link,
    clock: &'a dyn Clock,
}

impl Again<'_> {
    /// Gives the flags without a lock that looked the same twice.
    fn read_twice<'s>(&mut self, sightings: &'s mut [Sighting]) -> Result<Vec<&'s mut Sighting>> {
        let mut open: Vec<&mut Sighting> = sightings.iter_mut().filter(|one| is_odd(one)).collect();
        let mut absent = Vec::new();
        for _ in 0..ROUNDS {
            if open.is_empty() || self.clock.sleep(SETTLED).is_err() {
                break;
            }
            let locks = open.iter().map(|one| one.lock.clone());
            let now = self.reader.read_all(self.link, locks)?;
            let mut moving = Vec::new();
            for (sighting, now) in open.into_iter().zip(now) {
                let is_same = is_same(sighting, &now);
                *sighting = now;
                match (is_odd(sighting), is_same) {
                    (true, true) if sighting.found.is_none() => absent.push(sighting),
                    (true, false) => moving.push(sighting),
                    _ => {}
                }
            }
            open = moving;
        }
        open.into_iter().for_each(|sighting| sighting.doubt = Some(Doubt::Moving));
        Ok(absent)
    }

    /// A flag without a lock has no token that would show whether an owner came and went between
    /// two snapshots. So the keys are watched: if they are untouched, none did.
    fn settle_absent(&mut self, mut absent: Vec<&mut Sighting>, until: Duration) -> Result {
        let mut heaps = Vec::new();
        while !absent.is_empty() {
            heaps.push(absent.split_off(absent.len().saturating_sub(WATCHED)));
        }
        while self.clock.now() < until {
            let Some(heap) = heaps.pop() else { return Ok(()) };
            if heap.is_empty() {
                continue;
            }
            match self.watch(&heap)? {
                Watched::Untouched(now) => {
                    for (sighting, (is_held, flag)) in heap.into_iter().zip(now) {
                        if is_held {
                            self.read_again(sighting)?;
                        } else {
                            sighting.flag = flag;
                        }
                    }
                }
                Watched::Touched if heap.len() == 1 => {
                    heap.into_iter().try_for_each(|one| self.read_again(one))?;
                }
                Watched::Touched => {
                    let mut heap = self.still_absent(heap)?;
                    heaps.push(heap.split_off(heap.len() / 2));
                    heaps.push(heap);
                }
                // Two snapshots showed the same, and more can't be had.
                Watched::Refused => {}
            }
        }
        for sighting in heaps.into_iter().flatten() {
            sighting.doubt = Some(Doubt::Unsettled);
        }
        Ok(())
    }

    /// Looks again at locks with one of which a client works; gives those that look as before.
    fn still_absent<'s>(&mut self, heap: Vec<&'s mut Sighting>) -> Result<Vec<&'s mut Sighting>> {
        let locks = heap.iter().map(|one| one.lock.clone());
        let now = self.reader.read_all(self.link, locks)?;
        let mut absent = Vec::new();
        for (sighting, now) in heap.into_iter().zip(now) {
            *sighting = now;
            match (is_odd(sighting), sighting.found.is_none()) {
                (true, true) => absent.push(sighting),
                (true, false) => sighting.doubt = Some(Doubt::Moving),
                _ => {}
            }
        }
        Ok(absent)
    }

    /// Looks at a lock with which a client works.
    fn read_again(&mut self, sighting: &mut Sighting) -> Result {
        for now in self.reader.read_all(self.link, std::iter::once(sighting.lock.clone()))? {
            let doubt = is_odd(&now).then_some(Doubt::Moving);
            *sighting = Sighting { doubt: doubt.or(now.doubt.clone()), ..now };
        }
        Ok(())
    }

    /// Watches the keys of these locks for a while.
    fn watch(&mut self, locks: &[&mut Sighting]) -> Result<Watched> {
        let names = || locks.iter().map(|sighting| &sighting.lock);
        let keys: Vec<&str> = names().map(LockName::key).collect();
        let attempt = redis::cmd("WATCH").arg(&keys).exec(self.link).and_then(|()| {
            // If the clock was stopped, no answer is wanted any more.
            let _ = self.clock.sleep(SETTLED);
            let mut pipeline = redis::pipe();
            pipeline.atomic();
            for lock in names() {
                pipeline.cmd("EXISTS").arg(lock.key());
                pipeline.cmd("HGET").arg(lock.runid()).arg(lock.flag());
            }
            match pipeline.query::<Value>(self.link)? {
                Value::Nil => Ok(Watched::Touched),
                replies => Ok(Watched::Untouched(pairs(from_redis_value(replies)?)?)),
            }
        });
        attempt.or_else(|source| {
            if !source.is_io_error() {
                return Ok(Watched::Refused);
            }
            Err(LockError::redis("WATCH", keys.first().unwrap_or(&""))(source))
        })
    }
}

fn is_odd(sighting: &Sighting) -> bool {
    !matches!(sighting.state(), State::Held | State::Free | State::Hidden)
}

/// Whether it is the same acquisition, and wrong in the same way.
fn is_same(one: &Sighting, other: &Sighting) -> bool {
    let same_value = match (&one.found, &other.found) {
        (
            Some(Found::Payload { payload: one, .. }),
            Some(Found::Payload { payload: other, .. }),
        ) => one.token() == other.token(),
        (one, other) => one == other,
    };
    same_value && one.state() == other.state()
}

enum Watched {
    /// The keys were not touched; whether they exist, and what the flags say.
    Untouched(Vec<(bool, Option<String>)>),
    /// One of them was touched.
    Touched,
    /// The server doesn't let us watch.
    Refused,
}

fn pairs(replies: Vec<Value>) -> Result<Vec<(bool, Option<String>)>, RedisError> {
    let mut replies = replies.into_iter();
    let mut pairs = Vec::new();
    while let (Some(exists), Some(flag)) = (replies.next(), replies.next()) {
        let flag: Option<Vec<u8>> = from_redis_value(flag)?;
        let flag = flag.map(|flag| String::from_utf8_lossy(&flag).into_owned());
        pairs.push((from_redis_value(exists)?, flag));
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Server;
    use redis_sim::Engine;
    use redis_sim::clock::VirtualClock;
    use std::sync::Arc;

    #[test]
    fn a_flag_that_could_not_be_watched_in_time_still_drifts() {
        let clock = Arc::new(VirtualClock::new(None));
        let mut link = Server::Embedded(Engine::new(clock.clone())).connect(0).unwrap();
        redis::cmd("HSET").arg("run").arg("locked:x").arg("true").exec(&mut link).unwrap();
        for (left, doubt) in [(WATCHING, None), (Duration::ZERO, Some(Doubt::Unsettled))] {
            let mut seen = [super::super::sight(&mut link, "run", "x").unwrap()];
            let mut settler = Settler { clock: &*clock, left };
            settler.settle(&mut LockReader::default(), &mut link, &mut seen).unwrap();
            assert_eq!((seen[0].state(), &seen[0].doubt), (State::ExpiredFlag, &doubt));
            assert!(settler.left < WATCHING, "what was used is gone");
        }
    }
}
