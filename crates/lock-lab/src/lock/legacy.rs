//! The reference's protocol, command for command (contract, section 3), with all its races: lock
//! key and flag are moved by two commands, a release compares and deletes in two, nothing renews a
//! lease, and a write asks only whether the lock is held.

use super::protocol::{ask, set_flag};
use super::{
    Acquisition, Context, LockError, LockName, LockProtocol, Payload, Result, Ttl, encode_payload,
};
use crate::intercept::{Link, PausePoint};

/// The reference's protocol.
#[derive(Debug, Clone, Copy)]
pub struct Legacy;

impl LockProtocol for Legacy {
    fn name(&self) -> &str {
        "legacy"
    }

    fn acquire(&self, at: &mut Context<'_>, ttl: Ttl, _floor: u64) -> Result<Acquisition> {
        let (acquisition, _) = take(at, ttl)?;
        remember(at, acquisition)
    }

    /// The reference has no such operation. This is what careless clients do: the caller sets the
    /// TTL, without regard to the owner of the lock.
    fn extend(&self, at: &mut Context<'_>) -> Result {
        at.link.pause(PausePoint::TokenRead)?;
        let ttl = at.slot.get().ok_or(LockError::NotOwner)?.ttl;
        ask(at.link, "EXPIRE", at.lock.key(), |cmd| {
            cmd.arg(ttl.seconds());
        })
    }

    fn release(&self, at: &mut Context<'_>) -> Result {
        if let Some(raw) = stored(at.link, at.lock)? {
            at.link.pause(PausePoint::TokenRead)?;
            match at.slot.get() {
                None => return Err(LockError::NotOwner),
                Some(own) if own.token != *Payload::decode(&raw).token() => {
                    return Err(LockError::OtherToken);
                }
                Some(_) => delete(at)?,
            }
        }
        forget(at)
    }

    fn force_release(&self, at: &mut Context<'_>) -> Result {
        force(at)
    }

    fn check_write(&self, at: &mut Context<'_>) -> Result {
        if is_locked(at.link, at.lock)? { Ok(()) } else { Err(LockError::NotLocked) }
    }

    fn first_command(&self) -> &str {
        "SET"
    }
}

/// Sets the lock key if it is free; gives the acquisition, and the payload that the key holds now.
pub(super) fn take(at: &mut Context<'_>, ttl: Ttl) -> Result<(Acquisition, String)> {
    let token = at.identity.issue();
    let payload = encode_payload(&token, at.identity.owner(), at.clock.unix(), ttl);
    let taken: Option<String> = ask(at.link, "SET", at.lock.key(), |cmd| {
        cmd.arg(&payload).arg("NX").arg("EX").arg(ttl.seconds());
    })?;
    if taken.is_none() {
        let holder = stored(at.link, at.lock)?;
        return Err(LockError::already_locked(holder.as_deref().map(Payload::decode).as_ref()));
    }
    Ok((Acquisition { token, fence: None, ttl }, payload))
}

/// Says that the lock is held, and remembers the acquisition.
pub(super) fn remember(at: &mut Context<'_>, acquisition: Acquisition) -> Result<Acquisition> {
    set_flag(at.link, at.lock, true)?;
    at.link.pause(PausePoint::TokenWrite)?;
    at.slot.set(Some(acquisition.clone()));
    Ok(acquisition)
}

/// Releases the lock of any holder.
pub(super) fn force(at: &mut Context<'_>) -> Result {
    if stored(at.link, at.lock)?.is_some() {
        delete(at)?;
    }
    forget(at)
}

fn delete(at: &mut Context<'_>) -> Result {
    ask(at.link, "DEL", at.lock.key(), |_| ())
}

/// Says that the lock is free, and remembers no acquisition any more.
pub(super) fn forget(at: &mut Context<'_>) -> Result {
    set_flag(at.link, at.lock, false)?;
    at.link.pause(PausePoint::TokenWrite)?;
    at.slot.set(None);
    Ok(())
}

/// Whether the lock is held; a flag that says so while it is free is set to `false`.
///
/// # Errors
///
/// [`LockError::Redis`] if a command fails.
pub fn is_locked(link: &mut dyn Link, lock: &LockName) -> Result<bool> {
    if stored(link, lock)?.is_some() {
        return Ok(true);
    }
    let flag: Option<Vec<u8>> = ask(link, "HGET", lock.runid(), |cmd| {
        cmd.arg(lock.flag());
    })?;
    if flag.is_some_and(|flag| flag != b"false") {
        set_flag(link, lock, false)?;
    }
    Ok(false)
}

/// The payload in Redis.
pub(super) fn stored(link: &mut dyn Link, lock: &LockName) -> Result<Option<Vec<u8>>> {
    ask(link, "GET", lock.key(), |_| ())
}
