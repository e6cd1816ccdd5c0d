//! The reference's protocol, command for command (contract, section 3), with all its races: lock
//! key and flag are moved by two commands, a release compares and deletes in two, nothing renews a
//! lease, and a write asks only whether anybody holds the lock.

use super::protocol::{ask, set_flag};
use super::{Caller, LockError, LockName, Payload, Protocol, TokenSlot, Ttl, encode_payload};
use crate::gate::{Link, PausePoint};

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
    ) -> Result<(), LockError> {
        let token = caller.identity.issue();
        let payload = encode_payload(&token, caller.identity, caller.clock.unix(), ttl);
        let taken: Option<String> = ask(caller.link, "SET", lock.key(), |cmd| {
            cmd.arg(&payload).arg("NX").arg("EX").arg(ttl.seconds());
        })?;
        if taken.is_none() {
            let holder = stored(caller.link, lock)?;
            return Err(LockError::AlreadyLocked {
                owner: holder.as_ref().and_then(|payload| payload.owner()).map(str::to_string),
                token: holder.map(|payload| payload.token().as_str().to_string()),
            });
        }
        set_flag(caller.link, lock, true)?;
        caller.link.pause(PausePoint::TokenWrite);
        slot.set(Some(token));
        Ok(())
    }

    fn release(
        &self,
        caller: &mut Caller<'_>,
        lock: &LockName,
        slot: &TokenSlot,
        force: bool,
    ) -> Result<(), LockError> {
        if let Some(payload) = stored(caller.link, lock)? {
            caller.link.pause(PausePoint::TokenRead);
            match slot.get() {
                _ if force => {}
                None => return Err(LockError::NotOwner),
                Some(token) if token != *payload.token() => return Err(LockError::OtherToken),
                Some(_) => {}
            }
            ask::<()>(caller.link, "DEL", lock.key(), |_| ())?;
        }
        set_flag(caller.link, lock, false)?;
        caller.link.pause(PausePoint::TokenWrite);
        slot.set(None);
        Ok(())
    }

    fn check_write(
        &self,
        caller: &mut Caller<'_>,
        lock: &LockName,
        _slot: &TokenSlot,
    ) -> Result<(), LockError> {
        if is_locked(caller.link, lock)? { Ok(()) } else { Err(LockError::NotLocked) }
    }
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
