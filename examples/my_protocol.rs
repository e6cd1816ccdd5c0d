//! The program with one more lock protocol and one more judge.
//!
//! The protocol `plain` has a random token that one script deletes if it is still there. The judge
//! finds `barging`: an actor acquires the lock twice in a row, with no other acquire in between.
//!
//! ```text
//! cargo run --example my_protocol -- explore mutual_exclusion --lock plain
//! cargo run --example my_protocol -- thundering_herd --virtual --lock plain
//! cargo run --example my_protocol -- explore starvation --property barging
//! ```

use lock_history::check::{self, Judge, Violation};
use lock_history::history::{EventKind, Verb};
use lock_history::registry::RegisterError;
use lock_lab::lock::{self, Acquisition, Context, LockError, LockProtocol, Token, Ttl};
use redis::{Cmd, FromRedisValue};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

/// Deletes the lock if it has this token, and says whether it had.
const RELEASE: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then \
    return redis.call('DEL', KEYS[1]) else return 0 end";

struct Plain;

impl LockProtocol for Plain {
    fn name(&self) -> &str {
        "plain"
    }

    fn acquire(&self, at: &mut Context<'_>, ttl: Ttl, _: u64) -> Result<Acquisition, LockError> {
        let token = at.identity.issue();
        let mut set = redis::cmd("SET");
        set.arg(at.lock.key()).arg(token.as_str()).arg("NX").arg("EX").arg(ttl.seconds());
        if ask::<Option<String>>(at, "SET", &set)?.is_none() {
            return Err(LockError::AlreadyLocked { owner: None, token: None });
        }
        let acquisition = Acquisition { token, fence: None, ttl };
        at.own.set(Some(acquisition.clone()));
        Ok(acquisition)
    }

    /// Two commands: the lease may end between them, and another client acquire.
    fn extend(&self, at: &mut Context<'_>) -> Result<(), LockError> {
        let ttl = at.own.get().ok_or(LockError::NotOwner)?.ttl;
        self.check_write(at)?;
        let mut expire = redis::cmd("EXPIRE");
        ask(at, "EXPIRE", expire.arg(at.lock.key()).arg(ttl.seconds()))
    }

    fn release(&self, at: &mut Context<'_>) -> Result<(), LockError> {
        let own = at.own.get().ok_or(LockError::NotOwner)?;
        let mut eval = redis::cmd("EVAL");
        eval.arg(RELEASE).arg(1).arg(at.lock.key()).arg(own.token.as_str());
        let was_there: bool = ask(at, "EVAL", &eval)?;
        at.own.set(None);
        was_there.then_some(()).ok_or_else(|| LockError::Lost("its token was gone".into()))
    }

    fn force_release(&self, at: &mut Context<'_>) -> Result<(), LockError> {
        ask(at, "DEL", redis::cmd("DEL").arg(at.lock.key()))
    }

    fn check_write(&self, at: &mut Context<'_>) -> Result<(), LockError> {
        let own: Token = at.own.get().ok_or(LockError::NotOwner)?.token;
        let found: Option<String> = ask(at, "GET", redis::cmd("GET").arg(at.lock.key()))?;
        match found.as_deref() == Some(own.as_str()) {
            true => Ok(()),
            false => Err(LockError::Lost("its token is gone".into())),
        }
    }

    fn first_command(&self) -> &str {
        "SET"
    }

    /// What its commands do is read from the lock's key.
    fn is_foreign(&self) -> bool {
        true
    }
}

fn ask<T: FromRedisValue>(
    at: &mut Context<'_>,
    command: &'static str,
    cmd: &Cmd,
) -> Result<T, LockError> {
    let failed = |source| LockError::Redis { command, key: at.lock.key().into(), source };
    cmd.query(at.link).map_err(failed)
}

struct Barging;

impl Judge for Barging {
    /// The actor that acquired last, for each lock.
    type Memory = BTreeMap<usize, usize>;

    fn word(&self) -> &'static str {
        "barging"
    }

    fn read(
        &self,
        last: &mut Self::Memory,
        actor: Option<usize>,
        event: &EventKind,
    ) -> Option<Violation> {
        let EventKind::Completed(operation) = event else { return None };
        let (actor, lock) = (actor?, operation.lock?);
        if operation.verb != Verb::Acquire || last.insert(lock, actor) != Some(actor) {
            return None;
        }
        let text = "one actor acquired the lock twice in a row".into();
        Some(Violation { lock, actors: vec![actor], text })
    }
}

fn registered() -> Result<(), RegisterError> {
    lock::register(Arc::new(Plain))?;
    check::register(Barging)
}

fn main() -> ExitCode {
    if let Err(error) = registered() {
        eprintln!("my_protocol: {error}");
        return ExitCode::FAILURE;
    }
    nodb_trigger::cli::main()
}
