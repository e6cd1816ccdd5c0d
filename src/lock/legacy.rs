//! The reference's protocol, command for command (contract, section 3), with all its races: lock
//! key and flag are moved by two commands, a release compares and deletes in two, nothing renews a
//! lease, and a write asks only whether anybody holds the lock.

use super::protocol::{ask, set_flag};
use super::{
    Acquisition, Caller, LockError, LockName, Payload, Protocol, TokenSlot, Ttl, encode_payload,
};
use crate::gate::{Link, PausePoint};
use std::time::Duration;

/// The reference's protocol.
#[derive(Debug, Clone, Copy)]
pub struct Legacy;

impl Protocol for Legacy {
    fn name(&self) -> &'static str {
        "legacy"
    }

    fn acquire(
        &self,
        caller: &mut Caller<'_>,
        lock: &LockName,
        slot: &TokenSlot,
        ttl: Ttl,
        _floor: u64,
    ) -> Result<Acquisition, LockError> {
        let token = caller.identity.issue();
        let payload = encode_payload(&token, caller.identity.owner(), caller.clock.unix(), ttl);
        let taken: Option<String> = ask(caller.link, "SET", lock.key(), |cmd| {
            cmd.arg(&payload).arg("NX").arg("EX").arg(ttl.seconds());
        })?;
        if taken.is_none() {
            let holder = stored(caller.link, lock)?;
            return Err(LockError::already_locked(holder.as_ref()));
        }
        set_flag(caller.link, lock, true)?;
        caller.link.pause(PausePoint::TokenWrite)?;
        let acquisition = Acquisition { token, fence: None, ttl };
        slot.set(Some(acquisition.clone()));
        Ok(acquisition)
    }

    /// The reference has no such operation. This is what careless clients do: whoever asks sets
    /// the TTL, without looking whose lock it is.
    fn extend(
        &self,
        caller: &mut Caller<'_>,
        lock: &LockName,
        slot: &TokenSlot,
    ) -> Result<(), LockError> {
        caller.link.pause(PausePoint::TokenRead)?;
        let ttl = slot.get().ok_or(LockError::NotOwner)?.ttl;
        ask(caller.link, "EXPIRE", lock.key(), |cmd| {
            cmd.arg(ttl.seconds());
        })
    }

    fn release(
        &self,
        caller: &mut Caller<'_>,
        lock: &LockName,
        slot: &TokenSlot,
    ) -> Result<(), LockError> {
        if let Some(payload) = stored(caller.link, lock)? {
            caller.link.pause(PausePoint::TokenRead)?;
            match slot.get() {
                None => return Err(LockError::NotOwner),
                Some(own) if own.token != *payload.token() => return Err(LockError::OtherToken),
                Some(_) => delete(caller, lock)?,
            }
        }
        forget(caller, lock, slot)
    }

    fn force_release(
        &self,
        caller: &mut Caller<'_>,
        lock: &LockName,
        slot: &TokenSlot,
    ) -> Result<(), LockError> {
        if stored(caller.link, lock)?.is_some() {
            delete(caller, lock)?;
        }
        forget(caller, lock, slot)
    }

    fn check_write(
        &self,
        caller: &mut Caller<'_>,
        lock: &LockName,
        _slot: &TokenSlot,
    ) -> Result<(), LockError> {
        if is_locked(caller.link, lock)? { Ok(()) } else { Err(LockError::NotLocked) }
    }

    fn renewal(&self, _ttl: Ttl) -> Option<Duration> {
        None
    }

    /// The reference does not wait; who does, asks ten times a second.
    fn back_off(&self, _failed: u32, _random: u64) -> Duration {
        Duration::from_millis(100)
    }

    fn is_fenced(&self) -> bool {
        false
    }
}

fn delete(caller: &mut Caller<'_>, lock: &LockName) -> Result<(), LockError> {
    ask(caller.link, "DEL", lock.key(), |_| ())
}

fn forget(caller: &mut Caller<'_>, lock: &LockName, slot: &TokenSlot) -> Result<(), LockError> {
    set_flag(caller.link, lock, false)?;
    caller.link.pause(PausePoint::TokenWrite)?;
    slot.set(None);
    Ok(())
}

/// Whether anybody holds the lock; a flag that says so while nobody does is set to `false`.
pub fn is_locked(link: &mut dyn Link, lock: &LockName) -> Result<bool, LockError> {
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

fn stored(link: &mut dyn Link, lock: &LockName) -> Result<Option<Payload>, LockError> {
    let raw: Option<Vec<u8>> = ask(link, "GET", lock.key(), |_| ())?;
    Ok(raw.as_deref().map(Payload::decode))
}
