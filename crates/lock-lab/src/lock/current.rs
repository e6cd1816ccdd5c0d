//! The application's protocol of November 2026 (contract, section 6): an acquire looks at the fence before
//! the replacement of a run, a release compares and deletes by one script, and a write needs the
//! acquisition that is in Redis and a file that was not written since it was read.
//!
//! Key and flag still move by two commands, and nothing renews a lease. Where the lease expires between the
//! GET and the script of a release, the flag stays `true` on a free lock and the token stays remembered.

use super::legacy::{force, forget, remember, stored, take};
use super::protocol::{WriteGuard, ask};
use super::script::Script;
use super::{
    Acquisition, Context, LockError, LockProtocol, Operation, Payload, Result, Ttl,
    replacement_fence,
};
use crate::intercept::PausePoint;
use lock_history::check::Property;
use std::sync::{Arc, LazyLock};

/// The application's protocol of today.
#[derive(Clone)]
pub struct Current {
    release: Arc<Script>,
}

/// KEYS: lock key. ARGV: the payload that was read.
const RELEASE: &str = r#"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"#;

static CURRENT: LazyLock<Current> =
    LazyLock::new(|| Current { release: Script::of_protocol(Operation::Release, true, RELEASE) });

impl Default for Current {
    fn default() -> Self {
        CURRENT.clone()
    }
}

impl LockProtocol for Current {
    fn name(&self) -> &str {
        "current"
    }

    fn acquire(&self, at: &mut Context<'_>, ttl: Ttl, _floor: u64) -> Result<Acquisition> {
        refuse_under_replacement(at)?;
        let (acquisition, payload) = take(at, ttl)?;
        if let Err(refused) = refuse_under_replacement(at) {
            self.delete(at, payload.as_bytes())?;
            return Err(refused);
        }
        remember(at, acquisition)
    }

    /// The application has no such operation. As under legacy, the caller sets the TTL, without regard to
    /// the owner of the lock.
    fn extend(&self, at: &mut Context<'_>) -> Result {
        super::Legacy.extend(at)
    }

    fn release(&self, at: &mut Context<'_>) -> Result {
        if let Some(raw) = stored(at.link, at.lock)? {
            at.link.pause(PausePoint::TokenRead)?;
            match at.slot.get() {
                None => return Err(LockError::NotOwner),
                Some(own) if own.token != *Payload::decode(&raw).token() => {
                    return Err(LockError::OtherToken);
                }
                Some(_) if !self.delete(at, &raw)? => return Err(LockError::LostBeforeRelease),
                Some(_) => {}
            }
        }
        forget(at)
    }

    fn force_release(&self, at: &mut Context<'_>) -> Result {
        force(at)
    }

    fn check_write(&self, at: &mut Context<'_>) -> Result {
        let Some(raw) = stored(at.link, at.lock)? else {
            forget(at)?;
            return Err(LockError::NotLocked);
        };
        at.link.pause(PausePoint::TokenRead)?;
        match at.slot.get() {
            None => Err(LockError::WriteNotOwner),
            Some(own) if own.token != *Payload::decode(&raw).token() => {
                Err(LockError::WriteOtherToken)
            }
            Some(_) => Ok(()),
        }
    }

    fn rules_out(&self) -> &[Property] {
        &[Property::ForeignRelease]
    }

    fn first_command(&self) -> &str {
        "GET"
    }

    fn write_guard(&self) -> WriteGuard {
        WriteGuard::Signature
    }
}

impl Current {
    /// Deletes the lock if it still holds this payload, and says whether it did.
    fn delete(&self, at: &mut Context<'_>, payload: &[u8]) -> Result<bool> {
        self.release.eval(at.link, at.lock, |cmd| {
            cmd.arg(payload);
        })
    }
}

fn refuse_under_replacement(at: &mut Context<'_>) -> Result {
    let fence: Option<Vec<u8>> = ask(at.link, "GET", &replacement_fence(at.lock.runid()), |_| ())?;
    fence.map_or(Ok(()), |_| Err(LockError::UnderReplacement))
}

#[cfg(test)]
mod tests {
    use super::super::{Acquisition, Caller, Identity, LockName, TokenSlot};
    use super::*;
    use crate::server::{Connection, Server};
    use redis_sim::Engine;
    use redis_sim::clock::{Clock, VirtualClock};
    use std::time::Duration;

    /// A participant of the lock, beside a connection for what others do.
    struct Participant {
        clock: Arc<VirtualClock>,
        link: Connection,
        others: Connection,
        identity: Identity,
        lock: LockName,
        own: TokenSlot,
        slot: TokenSlot,
    }

    impl Participant {
        fn new() -> Self {
            let clock = Arc::new(VirtualClock::new(None));
            let server = Server::Embedded(Engine::new(clock.clone()));
            Self {
                link: server.connect(0).unwrap(),
                others: server.connect(0).unwrap(),
                clock,
                identity: Identity::repeatable(),
                lock: LockName::new("run", "x.nodb"),
                own: TokenSlot::default(),
                slot: TokenSlot::default(),
            }
        }

        fn does<T>(&mut self, operation: impl FnOnce(&Current, &mut Context<'_>) -> T) -> T {
            let Self { link, clock, identity, lock, own, slot, .. } = self;
            let mut caller = Caller { link, clock: &**clock, identity, own };
            operation(&Current::default(), &mut caller.at(lock, slot))
        }

        fn acquire(&mut self) -> Result<Acquisition> {
            let ttl = Ttl::try_from(Duration::from_secs(2)).unwrap();
            self.does(|current, at| current.acquire(at, ttl, 0))
        }

        /// Sends a command of others; `KEY` is the lock key, `FENCE` the run's fence.
        fn others(&mut self, command: &str) -> redis::Value {
            let mut cmd = redis::Cmd::new();
            for word in command.split(' ') {
                match word {
                    "KEY" => cmd.arg(self.lock.key()),
                    "FLAG" => cmd.arg(self.lock.flag()),
                    "FENCE" => cmd.arg(replacement_fence("run")),
                    word => cmd.arg(word),
                };
            }
            cmd.query(&mut self.others).unwrap()
        }

        fn state(&mut self) -> (bool, String, bool) {
            let is_held = self.others("EXISTS KEY") == redis::Value::Int(1);
            let flag = match self.others("HGET run FLAG") {
                redis::Value::BulkString(flag) => String::from_utf8(flag).unwrap(),
                _ => String::from("none"),
            };
            (is_held, flag, self.slot.memory().is_some())
        }
    }

    const HELD: (bool, &str, bool) = (true, "true", true);
    const FREE: (bool, &str, bool) = (false, "false", false);

    #[track_caller]
    fn is_in(participant: &mut Participant, expected: (bool, &str, bool)) {
        let (is_held, flag, remembers) = participant.state();
        assert_eq!((is_held, &*flag, remembers), expected);
    }

    #[test]
    fn u1_no_lock_of_a_run_that_is_being_replaced_is_acquired() {
        let mut it = Participant::new();
        it.others("SET FENCE x");
        assert!(matches!(it.acquire(), Err(LockError::UnderReplacement)));
        is_in(&mut it, (false, "none", false));
        it.others("DEL FENCE");
        it.acquire().unwrap();
        is_in(&mut it, HELD);
    }

    #[test]
    fn u2_a_release_deletes_what_it_read_and_nothing_else() {
        let mut it = Participant::new();
        it.acquire().unwrap();
        it.does(|current, at| current.release(at)).unwrap();
        is_in(&mut it, FREE);
        it.acquire().unwrap();
        it.others("SET KEY theirs");
        let refused = it.does(|current, at| current.release(at));
        assert!(matches!(refused, Err(LockError::OtherToken)), "{refused:?}");
        is_in(&mut it, HELD);
        let deletes = it.does(|current, at| current.delete(at, b"another payload")).unwrap();
        assert!(!deletes);
        it.slot.set(None);
        let refused = it.does(|current, at| current.release(at));
        assert!(matches!(refused, Err(LockError::NotOwner)), "{refused:?}");
        it.others("DEL KEY");
        it.does(|current, at| current.release(at)).unwrap();
        is_in(&mut it, FREE);
    }

    #[test]
    fn u3_a_forced_release_deletes_the_lock_of_any_holder() {
        let mut it = Participant::new();
        it.acquire().unwrap();
        it.others("SET KEY theirs");
        it.does(|current, at| current.force_release(at)).unwrap();
        is_in(&mut it, FREE);
    }

    #[test]
    fn u4_a_write_needs_the_lock_and_its_token() {
        let mut it = Participant::new();
        let writes = |it: &mut Participant| it.does(|current, at| current.check_write(at));
        it.acquire().unwrap();
        writes(&mut it).unwrap();
        it.others("SET KEY theirs");
        assert!(matches!(writes(&mut it), Err(LockError::WriteOtherToken)));
        is_in(&mut it, HELD);
        it.slot.set(None);
        assert!(matches!(writes(&mut it), Err(LockError::WriteNotOwner)));
        it.others("DEL KEY");
        let mut it = Participant::new();
        it.acquire().unwrap();
        it.clock.sleep(Duration::from_secs(3)).unwrap();
        assert!(matches!(writes(&mut it), Err(LockError::NotLocked)));
        is_in(&mut it, FREE);
    }
}
