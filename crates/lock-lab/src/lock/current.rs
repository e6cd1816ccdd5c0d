//! The application's protocol of November 2026 (contract, section 6): an acquire looks at the fence before
//! the replacement of a run, a release compares and deletes by one script, and a write needs the
//! acquisition that is in Redis and a file that was not written since it was read.
//!
//! Key and flag still move by two commands, and nothing renews a lease. Where the lease expires between the
//! GET and the script of a release, the flag stays `true` on a free lock and the token stays remembered.

use super::legacy::{force, forget, stored};
use super::protocol::{WriteGuard, ask, set_flag};
use super::script::Script;
use super::{
    Acquisition, Context, LockError, LockProtocol, Operation, Payload, Result, Ttl, encode_payload,
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
        let token = at.identity.issue();
        let payload = encode_payload(&token, at.identity.owner(), at.clock.unix(), ttl);
        let taken: Option<String> = ask(at.link, "SET", at.lock.key(), |cmd| {
            cmd.arg(&payload).arg("NX").arg("EX").arg(ttl.seconds());
        })?;
        if taken.is_none() {
            let holder = stored(at.link, at.lock)?;
            return Err(LockError::already_locked(holder.as_deref().map(Payload::decode).as_ref()));
        }
        if let Err(refused) = refuse_under_replacement(at) {
            self.delete(at, payload.as_bytes())?;
            return Err(refused);
        }
        set_flag(at.link, at.lock, true)?;
        at.link.pause(PausePoint::TokenWrite)?;
        let acquisition = Acquisition { token, fence: None, ttl };
        at.slot.set(Some(acquisition.clone()));
        Ok(acquisition)
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
