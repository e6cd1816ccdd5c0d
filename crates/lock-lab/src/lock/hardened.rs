//! The protocol that mends the reference's races and keeps its key, flag and payload, so that both
//! exclude each other (contract, section 4).
//!
//! Acquire, extend, release and force-release each change Redis by one script (which runs as one
//! command), so lock key and flag move together. A fencing token, counted in the flag hash and never
//! below what the resource has seen, lets the resource refuse a holder whose lock was taken over
//! (Kleppmann, "How to do distributed locking"). No script runs when a lease expires: the flag then
//! says "locked" until the next acquire, or until the former holder learns of it. The actor that
//! acquires remembers its token itself, so threads that share a controller don't take each other's
//! token for their own. A lost lock is always reported.

use super::protocol::{WriteGuard, ask};
use super::script::Script;
use super::{
    Acquisition, Context, LockError, LockProtocol, Operation, Payload, Result, Token, Ttl,
    encode_payload,
};
use crate::intercept::{Crashed, Link, PausePoint};
use lock_history::check::Property;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// The hardened protocol.
#[derive(Clone)]
pub struct Hardened {
    acquire: Arc<Script>,
    extend: Arc<Script>,
    release: Arc<Script>,
    force_release: Arc<Script>,
}

/// KEYS: lock key, flag hash. ARGV: payload up to the fencing token, TTL in seconds, flag field,
/// fence field, floor. The payload is `{...,"fence":` and the script closes it.
const ACQUIRE: &str = r#"
local holder = redis.call('GET', KEYS[1])
if holder then return {0, holder} end
local fence = redis.call('HINCRBY', KEYS[2], ARGV[4], 1)
if fence <= tonumber(ARGV[5]) then
  fence = tonumber(ARGV[5]) + 1
  redis.call('HSET', KEYS[2], ARGV[4], string.format('%.0f', fence))
end
redis.call('SET', KEYS[1], ARGV[1] .. string.format('%.0f', fence) .. '}', 'EX', ARGV[2])
redis.call('HSET', KEYS[2], ARGV[3], 'true')
return {1, fence}
"#;

/// KEYS: lock key, flag hash. ARGV: how our payload begins, TTL in seconds, flag field. A lock that is
/// gone has its flag mended.
const EXTEND: &str = r#"
local holder = redis.call('GET', KEYS[1])
if not holder then redis.call('HSET', KEYS[2], ARGV[3], 'false') end
if holder and string.sub(holder, 1, #ARGV[1]) == ARGV[1] then
  return redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return 0
"#;

/// KEYS: lock key, flag hash. ARGV: how our payload begins, flag field. 1 released, 0 it was gone,
/// -1 another owner has it.
const RELEASE: &str = r#"
local holder = redis.call('GET', KEYS[1])
if holder and string.sub(holder, 1, #ARGV[1]) ~= ARGV[1] then return -1 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[2], ARGV[2], 'false')
if holder then return 1 end
return 0
"#;

/// KEYS: lock key, flag hash. ARGV: the payload that was observed, flag field.
const FORCE_RELEASE: &str = r#"
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return -1 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[2], ARGV[2], 'false')
if holder then return 1 end
return 0
"#;

static HARDENED: LazyLock<Hardened> = LazyLock::new(|| Hardened {
    acquire: Script::of_protocol(Operation::Acquire, true, ACQUIRE),
    extend: Script::of_protocol(Operation::Extend, true, EXTEND),
    release: Script::of_protocol(Operation::Release, true, RELEASE),
    force_release: Script::of_protocol(Operation::Release, true, FORCE_RELEASE),
});

impl Default for Hardened {
    fn default() -> Self {
        HARDENED.clone()
    }
}

/// How the payload of an acquisition begins: its token comes first (contract, section 2).
fn beginning(token: &Token) -> String {
    format!(r#"{{"token":"{}","#, token.as_str())
}

impl LockProtocol for Hardened {
    fn name(&self) -> &str {
        "hardened"
    }

    /// Loads the scripts, so that each operation is one command from the first time on.
    fn prepare(&self, link: &mut dyn Link) -> Result {
        let Self { acquire, extend, release, force_release } = self;
        [acquire, extend, release, force_release].into_iter().try_for_each(|script| {
            ask(link, "SCRIPT", "LOAD", |cmd| {
                cmd.arg(&script.text);
            })
        })
    }

    fn acquire(&self, at: &mut Context<'_>, ttl: Ttl, floor: u64) -> Result<Acquisition> {
        if at.own.get().is_some() {
            // A holder that lost the lock is notified before it acquires again.
            self.check_write(at)?;
        }
        let token = at.identity.issue();
        let payload = encode_payload(&token, at.identity.owner(), at.clock.unix(), ttl);
        let open = format!(r#"{},"fence":"#, payload.strip_suffix('}').unwrap_or(&payload));
        let (taken, found): (bool, redis::Value) = self.acquire.run(at.link, at.lock, |cmd| {
            cmd.arg(&open).arg(ttl.seconds()).arg(at.lock.flag()).arg(at.lock.fence()).arg(floor);
        })?;
        if !taken {
            let holder = match found {
                redis::Value::BulkString(raw) => Some(Payload::decode(&raw)),
                _ => None,
            };
            return Err(LockError::already_locked(holder.as_ref()));
        }
        let fence = match found {
            redis::Value::Int(fence) => u64::try_from(fence).ok(),
            _ => None,
        };
        let acquisition = Acquisition { token, fence, ttl };
        at.own.set(Some(acquisition.clone()));
        at.link.pause(PausePoint::TokenWrite)?;
        at.slot.set(Some(acquisition.clone()));
        Ok(acquisition)
    }

    fn extend(&self, at: &mut Context<'_>) -> Result {
        let own = at.own.get().ok_or(LockError::NotOwner)?;
        let still_ours: bool = self.extend.run(at.link, at.lock, |cmd| {
            cmd.arg(beginning(&own.token)).arg(own.ttl.seconds()).arg(at.lock.flag());
        })?;
        if still_ours {
            return Ok(());
        }
        self.lost(at, &own, "it could not be extended")
    }

    fn release(&self, at: &mut Context<'_>) -> Result {
        let own = at.own.get().ok_or(LockError::NotOwner)?;
        let released: i64 = self.release.run(at.link, at.lock, |cmd| {
            cmd.arg(beginning(&own.token)).arg(at.lock.flag());
        })?;
        match released {
            1 => forget(at, &own).map_err(LockError::from),
            0 => self.lost(at, &own, "it was gone before it was released"),
            _ => self.lost(at, &own, "somebody else had it when it was to be released"),
        }
    }

    fn force_release(&self, at: &mut Context<'_>) -> Result {
        let observed: Option<Vec<u8>> = ask(at.link, "GET", at.lock.key(), |_| ())?;
        let observed = observed.unwrap_or_default();
        let released: i64 = self.force_release.run(at.link, at.lock, |cmd| {
            cmd.arg(&observed).arg(at.lock.flag());
        })?;
        if let Some(own) = at.own.get() {
            forget(at, &own)?;
        }
        if released < 0 { Err(LockError::OtherToken) } else { Ok(()) }
    }

    fn check_write(&self, at: &mut Context<'_>) -> Result {
        let own = at.own.get().ok_or(LockError::NotOwner)?;
        let raw: Option<Vec<u8>> = ask(at.link, "GET", at.lock.key(), |_| ())?;
        match raw.as_deref().map(Payload::decode) {
            Some(payload) if *payload.token() == own.token => Ok(()),
            Some(_) => self.lost(at, &own, "somebody else has it now"),
            None => {
                // A release of a lock that is gone repairs the flag, unless a new owner has come
                // meanwhile.
                self.release.run::<i64>(at.link, at.lock, |cmd| {
                    cmd.arg(beginning(&own.token)).arg(at.lock.flag());
                })?;
                self.lost(at, &own, "it is gone")
            }
        }
    }

    fn rules_out(&self) -> &[Property] {
        &Property::RULED_OUT
    }

    fn first_command(&self) -> &str {
        "EVALSHA"
    }

    fn renewal(&self, ttl: Ttl) -> Option<Duration> {
        Some(ttl.duration() / 3)
    }

    /// Doubles from 25 ms to 1 s, less up to half of it, so that waiters for the same lock don't
    /// come back together (AWS Architecture Blog, "Exponential backoff and jitter").
    fn back_off(&self, failed: u32, random: u64) -> Duration {
        let whole = u64::min(25 << failed.min(10), 1000) * 1000;
        Duration::from_micros(whole - random % (whole / 2))
    }

    fn write_guard(&self) -> WriteGuard {
        WriteGuard::Fence
    }
}

impl Hardened {
    /// Forgets an acquisition that is over, and notifies the caller.
    fn lost(&self, at: &mut Context<'_>, own: &Acquisition, why: &str) -> Result {
        forget(at, own)?;
        Err(LockError::Lost(why.into()))
    }
}

/// Forgets an acquisition; what other users of the controller remember is not touched.
fn forget(at: &mut Context<'_>, own: &Acquisition) -> Result<(), Crashed> {
    at.own.set(None);
    at.link.pause(PausePoint::TokenWrite)?;
    if at.slot.get().is_some_and(|now| now.token == own.token) {
        at.slot.set(None);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Caller, Identity, Legacy, LockName, TokenSlot};
    use super::*;
    use crate::server::{Connection, Server};
    use redis_sim::Engine;
    use redis_sim::clock::{Clock, VirtualClock};
    use std::sync::Arc;

    /// Two participants of one lock, each with a memory of its own.
    struct Two {
        clock: Arc<VirtualClock>,
        link: Connection,
        identity: Identity,
        lock: LockName,
        own: [TokenSlot; 2],
        slots: [TokenSlot; 2],
    }

    impl Two {
        fn new() -> Self {
            let clock = Arc::new(VirtualClock::new(None));
            let server = Server::Embedded(Engine::new(clock.clone()));
            Self {
                link: server.connect(0).unwrap(),
                clock,
                identity: Identity::repeatable(),
                lock: LockName::new("run", "x.nodb"),
                own: Default::default(),
                slots: Default::default(),
            }
        }

        fn ask<T>(&mut self, who: usize, operation: impl FnOnce(&mut Context<'_>) -> T) -> T {
            let mut caller = Caller {
                link: &mut self.link,
                clock: &*self.clock,
                identity: &self.identity,
                own: &self.own[who],
            };
            operation(&mut caller.at(&self.lock, &self.slots[who]))
        }

        fn acquire(&mut self, who: usize, by: &dyn LockProtocol) -> Result<Acquisition, LockError> {
            let ttl = Ttl::try_from(Duration::from_secs(2)).unwrap();
            self.ask(who, |at| by.acquire(at, ttl, 7))
        }

        fn release(&mut self, who: usize, by: &dyn LockProtocol) -> Result<(), LockError> {
            self.ask(who, |at| by.release(at))
        }

        fn stored(&mut self) -> (Option<String>, Option<String>) {
            let key = redis::cmd("GET").arg(self.lock.key()).query(&mut self.link).unwrap();
            let mut flag = redis::cmd("HGET");
            flag.arg(self.lock.runid()).arg(self.lock.flag());
            (key, flag.query(&mut self.link).unwrap())
        }
    }

    #[test]
    fn legacy_and_hardened_participants_exclude_each_other() {
        let protocols: [&dyn LockProtocol; 2] = [&Legacy, &Hardened::default()];
        for (first, second) in [(0, 1), (1, 0), (1, 1), (0, 0)] {
            let (first, second) = (protocols[first], protocols[second]);
            let mut two = Two::new();
            let holder = two.acquire(0, first).unwrap();
            let (payload, flag) = two.stored();
            assert_eq!(Payload::decode(payload.unwrap().as_bytes()).token(), &holder.token);
            assert_eq!(flag.as_deref(), Some("true"));
            let refused = two.acquire(1, second).unwrap_err();
            assert!(
                matches!(refused, LockError::AlreadyLocked { owner: Some(_), .. }),
                "{refused}"
            );
            assert!(matches!(two.release(1, second), Err(LockError::NotOwner)));

            // The holder's lease expires, the rival acquires the lock, and the holder must leave it
            // alone.
            two.clock.sleep(Duration::from_secs(3)).unwrap();
            let successor = two.acquire(1, second).unwrap();
            let error = two.release(0, first).unwrap_err();
            assert!(matches!(error, LockError::Lost(_) | LockError::OtherToken), "{error}");
            let (payload, flag) = two.stored();
            assert_eq!(Payload::decode(payload.unwrap().as_bytes()).token(), &successor.token);
            assert_eq!(flag.as_deref(), Some("true"));
            two.release(1, second).unwrap();
            assert_eq!(two.stored(), (None, Some("false".into())));
        }
    }

    #[test]
    fn fencing_tokens_rise_and_never_fall_below_what_the_resource_has_seen() {
        let mut two = Two::new();
        let mut fences = Vec::new();
        for _ in 0..3 {
            fences.push(two.acquire(0, &Hardened::default()).unwrap().fence.unwrap());
            two.release(0, &Hardened::default()).unwrap();
        }
        assert_eq!(fences, [8, 9, 10], "above the floor of 7");
        redis::cmd("FLUSHALL").exec(&mut two.link).unwrap();
        assert_eq!(
            two.acquire(0, &Hardened::default()).unwrap().fence,
            Some(8),
            "also when Redis forgot"
        );
    }

    #[test]
    fn a_server_that_forgot_the_scripts_is_taught_them_again() {
        let mut two = Two::new();
        Hardened::default().prepare(&mut two.link).unwrap();
        redis::cmd("SCRIPT").arg("FLUSH").exec(&mut two.link).unwrap();
        two.acquire(0, &Hardened::default()).unwrap();
        two.ask(0, |at| Hardened::default().extend(at)).unwrap();
        two.release(0, &Hardened::default()).unwrap();
    }

    #[test]
    fn a_holder_that_lost_the_lock_is_notified_before_it_acquires_again() {
        let mut two = Two::new();
        two.acquire(0, &Hardened::default()).unwrap();
        two.clock.sleep(Duration::from_secs(3)).unwrap();
        let error = two.acquire(0, &Hardened::default()).unwrap_err();
        assert!(matches!(error, LockError::Lost(_)), "{error}");
        two.acquire(0, &Hardened::default()).unwrap();
    }

    #[test]
    fn a_forced_release_spares_an_owner_that_came_after_the_snapshot() {
        let mut two = Two::new();
        let holder = two.acquire(0, &Hardened::default()).unwrap();
        two.ask(1, |at| Hardened::default().force_release(at)).unwrap();
        assert_eq!(two.stored(), (None, Some("false".into())));
        assert!(
            matches!(two.release(0, &Hardened::default()), Err(LockError::Lost(_))),
            "{holder:?}"
        );
    }
}

/// The protocol with one of its cures left out, to see that the checkers notice.
#[cfg(test)]
pub(crate) mod mutants {
    use super::*;

    static BLIND: LazyLock<Arc<Script>> = LazyLock::new(|| {
        let release = RELEASE.replace("then return -1 end", "then holder = holder end");
        Script::of_protocol(Operation::Release, false, &release)
    });
    static GREEDY: LazyLock<Arc<Script>> = LazyLock::new(|| {
        let acquire = ACQUIRE.replace("if holder then return {0, holder} end", "");
        assert_ne!(acquire, ACQUIRE);
        Script::of_protocol(Operation::Acquire, false, &acquire)
    });
    static CARELESS: LazyLock<Arc<Script>> = LazyLock::new(|| {
        let compare = "if holder and string.sub(holder, 1, #ARGV[1]) == ARGV[1] then";
        let extend = EXTEND.replace(compare, "if holder then");
        assert_ne!(extend, EXTEND);
        Script::of_protocol(Operation::Extend, false, &extend)
    });
    static FLAGLESS: LazyLock<Arc<Script>> = LazyLock::new(|| {
        let release = RELEASE.replace("redis.call('HSET', KEYS[2], ARGV[2], 'false')", "");
        Script::of_protocol(Operation::Release, true, &release)
    });

    fn releasing_by(release: &Arc<Script>) -> Arc<dyn LockProtocol> {
        Arc::new(Hardened { release: Arc::clone(release), ..Hardened::default() })
    }

    /// Releases whosever lock it is.
    pub fn skips_compare() -> Arc<dyn LockProtocol> {
        releasing_by(&BLIND)
    }
    /// Acquires also a lock that is held, as SET does without NX.
    pub fn skips_nx() -> Arc<dyn LockProtocol> {
        Arc::new(Hardened { acquire: Arc::clone(&GREEDY), ..Hardened::default() })
    }
    /// Extends whosever lease it is.
    pub fn skips_compare_of_extend() -> Arc<dyn LockProtocol> {
        Arc::new(Hardened { extend: Arc::clone(&CARELESS), ..Hardened::default() })
    }
    /// Leaves the flag as it is when it releases.
    pub fn skips_flag() -> Arc<dyn LockProtocol> {
        releasing_by(&FLAGLESS)
    }
    /// Writes without asking for the fencing token.
    pub fn skips_fence() -> Arc<dyn LockProtocol> {
        Arc::new(Without {
            write_guard: WriteGuard::None,
            renews: true,
            hardened: Hardened::default(),
        })
    }
    /// Never extends a lease.
    pub fn skips_renewal() -> Arc<dyn LockProtocol> {
        Arc::new(Without {
            write_guard: WriteGuard::Fence,
            renews: false,
            hardened: Hardened::default(),
        })
    }

    struct Without {
        write_guard: WriteGuard,
        renews: bool,
        hardened: Hardened,
    }

    impl LockProtocol for Without {
        fn name(&self) -> &str {
            self.hardened.name()
        }
        fn prepare(&self, link: &mut dyn Link) -> Result {
            self.hardened.prepare(link)
        }
        fn acquire(&self, at: &mut Context<'_>, ttl: Ttl, floor: u64) -> Result<Acquisition> {
            self.hardened.acquire(at, ttl, floor)
        }
        fn extend(&self, at: &mut Context<'_>) -> Result {
            self.hardened.extend(at)
        }
        fn release(&self, at: &mut Context<'_>) -> Result {
            self.hardened.release(at)
        }
        fn force_release(&self, at: &mut Context<'_>) -> Result {
            self.hardened.force_release(at)
        }
        fn check_write(&self, at: &mut Context<'_>) -> Result {
            self.hardened.check_write(at)
        }
        fn first_command(&self) -> &str {
            self.hardened.first_command()
        }
        fn renewal(&self, ttl: Ttl) -> Option<Duration> {
            self.hardened.renewal(ttl).filter(|_| self.renews)
        }
        fn back_off(&self, failed: u32, random: u64) -> Duration {
            self.hardened.back_off(failed, random)
        }
        fn write_guard(&self) -> WriteGuard {
            self.write_guard
        }
    }
}
