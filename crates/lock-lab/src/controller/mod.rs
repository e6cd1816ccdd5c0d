//! A controller: a state file guarded by a lock, as the reference's debug controller is. It
//! remembers the token of its acquisition and counts, in the file, what was done under the lock.

mod files;
mod memory;
mod registry;

pub use files::{Content, Files, Replaced, Signature, Written};
pub use memory::{Knowledge, Memory};
pub use registry::{Registry, Shelf};

use crate::intercept::{Link, PausePoint};
use crate::lock::{
    Acquisition, Caller, LockError, LockName, LockProtocol, RunDirectory, Token, TokenSlot, Ttl,
    WriteGuard,
};
use lock_history::history::Write;
use parking_lot::{Mutex, MutexGuard};
use redis::ConnectionLike;
use serde_json::{Map, Value};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// The state file's name (contract, section 1).
pub const STATE_FILE: &str = "debug_lock_test.nodb";
/// The configuration file's name and content (contract, section 1).
pub const CONFIG_FILE: (&str, &str) = ("debug.cfg", "[general]\ndem_db = debug\n");
/// The file that makes a run read-only (contract, section 1).
pub const READONLY_FILE: &str = "READONLY";
/// The database of the cache mirror (contract, section 1).
pub const CACHE_DB: i64 = 13;
/// How long the cache mirror lives, in seconds: 72 h (contract, section 1).
pub const CACHE_SECONDS: u64 = 259_200;

/// The field of the flag hash that says when a file of the run was written last (contract, section 6, U5).
pub(crate) const LAST_MODIFIED: &str = "last_modified";
const COUNT: &str = "operation_count";
const FENCE: &str = "fence";

/// Why an operation of a controller failed.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// The lock library refused, or Redis failed.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The run may not be changed.
    #[error("lock() called on a read-only run ({})", .0.display())]
    ReadOnly(PathBuf),
    /// The file was written since this controller read it, or with a higher fencing token.
    #[error("{}: stale write refused: somebody else has written it meanwhile", .0.display())]
    Stale(PathBuf),
    /// The state file can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The state file holds something else than a JSON object.
    #[error("{}: not a state file ({why}); move it away or choose another run directory", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// What an operation of a controller gives.
pub type Result<T = (), E = ControllerError> = std::result::Result<T, E>;

/// A state file, its lock, and the memory of an acquisition.
#[derive(Debug)]
pub struct Controller {
    directory: PathBuf,
    path: PathBuf,
    lock: LockName,
    files: Arc<Files>,
    slot: TokenSlot,
    state: Mutex<ControllerState>,
    /// Whether the state was read or changed.
    touched: AtomicBool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct ControllerState {
    members: Map<String, Value>,
    signature: Option<Signature>,
    revision: u64,
}

impl Controller {
    /// A new controller of a run directory's state file, which need not exist yet.
    ///
    /// # Errors
    ///
    /// [`ControllerError::File`] if the file exists and can't be read, [`ControllerError::Format`]
    /// if it holds something else than a JSON object.
    pub fn open(run: &RunDirectory, files: &Arc<Files>) -> Result<Self> {
        let path = run.path().join(STATE_FILE);
        let state = load(files, &path)?;
        Ok(Self {
            directory: run.path().into(),
            path,
            lock: run.lock(STATE_FILE),
            files: Arc::clone(files),
            slot: TokenSlot::default(),
            state: Mutex::new(state),
            touched: AtomicBool::new(false),
        })
    }

    /// Fails unless there is a state file at `path`, or nothing.
    ///
    /// # Errors
    ///
    /// [`ControllerError::File`] or [`ControllerError::Format`], as [`open`](Self::open) gives.
    pub fn check(files: &Files, path: &Path) -> Result {
        load(files, path).map(drop)
    }

    /// Reads the file again if it changed since this controller last saw it.
    ///
    /// # Errors
    ///
    /// Fails where [`open`](Self::open) does, and if the caller crashed at the pause point.
    pub fn refresh(&self, link: &mut dyn Link) -> Result {
        link.pause(PausePoint::FileRead).map_err(LockError::from)?;
        self.refresh_now()
    }

    fn refresh_now(&self) -> Result {
        let found = self.files.signature(&self.path).map_err(|source| self.failed(source))?;
        let seen = self.state().signature;
        if found != seen {
            let state = load(&self.files, &self.path)?;
            *self.state() = state;
        }
        Ok(())
    }

    /// Takes the lock, unless the run is read-only. A fenced protocol gets the highest fencing
    /// token in the file, and its own is stored in the file at once.
    ///
    /// # Errors
    ///
    /// [`ControllerError::ReadOnly`] if the run is read-only, [`ControllerError::Lock`] if the
    /// protocol refuses or Redis fails. Under a fenced protocol also if the file can't be read or
    /// written; the lock is released then.
    pub fn acquire(
        &self,
        caller: &mut Caller<'_>,
        protocol: &dyn LockProtocol,
        ttl: Ttl,
    ) -> Result<Acquisition> {
        caller.link.pause(PausePoint::FileRead).map_err(LockError::from)?;
        if self.files.exists(&self.directory.join(READONLY_FILE)) {
            return Err(ControllerError::ReadOnly(self.directory.clone()));
        }
        let guard = protocol.write_guard();
        if guard != WriteGuard::None {
            self.refresh_now()?;
        }
        let floor = fence(&self.state().members);
        let acquired = protocol.acquire(&mut caller.at(&self.lock, &self.slot), ttl, floor)?;
        if let Some(fence) = acquired.fence.filter(|_| guard == WriteGuard::Fence)
            && let Err(error) = self.stamp(caller.link, fence)
        {
            // Otherwise the lock would be held without its owner knowing.
            let _ = protocol.release(&mut caller.at(&self.lock, &self.slot));
            return Err(error);
        }
        Ok(acquired)
    }

    /// Reads the file under the lock, whatever is in memory, and stores the fencing token in it, so
    /// that earlier holders can no longer write.
    fn stamp(&self, link: &mut dyn Link, own: u64) -> Result {
        link.pause(PausePoint::FileRead).map_err(LockError::from)?;
        let mut state = load(&self.files, &self.path)?;
        state.members.insert(FENCE.into(), Value::from(own));
        let text = encode(&state.members);
        let seen = state.signature;
        let may = |now: Option<&Content>| {
            now.map(|now| now.signature) == seen && now.is_none_or(|now| fence_in(&now.bytes) < own)
        };
        let stamped = self.files.replace_if(&self.path, text.as_bytes(), may);
        if let Some(stamped) = stamped.map_err(|source| self.failed(source))? {
            state.signature = Some(stamped.signature);
            state.revision = stamped.new;
        }
        *self.state() = state;
        Ok(())
    }

    /// Gives the lock its full lease again.
    ///
    /// # Errors
    ///
    /// [`ControllerError::Lock`] if the protocol refuses, as when the lock was lost, or if Redis
    /// fails.
    pub fn extend(&self, caller: &mut Caller<'_>, protocol: &dyn LockProtocol) -> Result {
        Ok(protocol.extend(&mut caller.at(&self.lock, &self.slot))?)
    }

    /// Gives the lock back.
    ///
    /// # Errors
    ///
    /// [`ControllerError::Lock`] if the caller does not own the lock, or if Redis fails.
    pub fn release(&self, caller: &mut Caller<'_>, protocol: &dyn LockProtocol) -> Result {
        Ok(protocol.release(&mut caller.at(&self.lock, &self.slot))?)
    }

    /// Takes the lock away from its present owner.
    ///
    /// # Errors
    ///
    /// [`ControllerError::Lock`] if Redis fails.
    pub fn force_release(&self, caller: &mut Caller<'_>, protocol: &dyn LockProtocol) -> Result {
        Ok(protocol.force_release(&mut caller.at(&self.lock, &self.slot))?)
    }

    /// Counts one more operation, in memory.
    pub fn count_operation(&self) {
        let mut state = self.state();
        let count = operation_count(&state.members);
        state.members.insert(COUNT.into(), Value::from(count + 1));
    }

    /// How many operations it has counted.
    pub fn operation_count(&self) -> u64 {
        operation_count(&self.state().members)
    }

    /// Writes the state to its file without asking for any lock, as a process that knows of none.
    ///
    /// # Errors
    ///
    /// [`ControllerError::File`] if the file can't be written.
    pub fn dump_without_lock(&self) -> Result<Write> {
        let (text, based_on) = {
            let state = self.state();
            (encode(&state.members), state.revision)
        };
        let replaced = self.files.replace(&self.path, text.as_bytes());
        let replaced = replaced.map_err(|source| self.failed(source))?;
        Ok(Write { based_on, replaced: replaced.old, wrote: replaced.new })
    }

    /// Writes the state to its file, if the protocol allows it now, and mirrors it in the cache.
    /// A mirror that fails is no failure of the write, which is committed by then (contract,
    /// section 4).
    ///
    /// # Errors
    ///
    /// [`ControllerError::Lock`] if the protocol forbids the write or Redis fails,
    /// [`ControllerError::Stale`] if a protocol that guards writes finds that the file was written meanwhile,
    /// [`ControllerError::File`] if it can't be written.
    pub fn dump(
        &self,
        caller: &mut Caller<'_>,
        protocol: &dyn LockProtocol,
        cache: Option<&mut dyn ConnectionLike>,
    ) -> Result<Write> {
        protocol.check_write(&mut caller.at(&self.lock, &self.slot))?;
        let own = caller.own.get().and_then(|own| own.fence);
        let guard = protocol.write_guard();
        if guard == WriteGuard::Signature {
            self.check_signature(caller.link)?;
        }
        let (text, based_on, seen) = {
            let mut state = self.state();
            if let Some(own) = own.filter(|_| guard == WriteGuard::Fence) {
                state.members.insert(FENCE.into(), Value::from(own));
            }
            (encode(&state.members), state.revision, state.signature)
        };
        caller.link.pause(PausePoint::FileWrite).map_err(LockError::from)?;
        let replaced = if guard == WriteGuard::Fence {
            let may = |now: Option<&Content>| {
                let unchanged = now.map(|now| now.signature) == seen;
                unchanged && now.is_none_or(|now| fence_in(&now.bytes) <= own.unwrap_or(0))
            };
            self.files.replace_if(&self.path, text.as_bytes(), may).transpose()
        } else {
            Some(self.files.replace(&self.path, text.as_bytes()))
        };
        let Some(replaced) = replaced else {
            return Err(ControllerError::Stale(self.path.clone()));
        };
        let replaced = replaced.map_err(|source| self.failed(source))?;
        {
            let mut state = self.state();
            state.signature = Some(replaced.signature);
            state.revision = replaced.new;
        }
        if let Some(cache) = cache {
            let text = match guard {
                WriteGuard::Signature => self.signed(replaced.signature),
                WriteGuard::None | WriteGuard::Fence => text,
            };
            self.files.note_mirrored(&self.path, text.as_bytes());
            let mut mirror = redis::cmd("SET");
            mirror.arg(cache_key(&self.path)).arg(&text).arg("EX").arg(CACHE_SECONDS);
            let _ = mirror.exec(cache);
        }
        if guard == WriteGuard::Signature {
            let now = caller.clock.unix().as_secs().to_string();
            self.files.note_mirrored(Path::new(LAST_MODIFIED), now.as_bytes());
            let mut modified = redis::cmd("HSET");
            modified.arg(self.lock.runid()).arg(LAST_MODIFIED).arg(now);
            let _ = modified.exec(caller.link);
        }
        Ok(Write { based_on, replaced: replaced.old, wrote: replaced.new })
    }

    /// The state with the signature of its file, as the cache mirror carries it (contract, section 6, U5).
    fn signed(&self, signature: Signature) -> String {
        let mut members = self.state().members.clone();
        let modified = signature.modified.duration_since(SystemTime::UNIX_EPOCH);
        let seconds = modified.map_or(0.0, |since| since.as_secs_f64());
        members.insert("_nodb_mtime".into(), seconds.into());
        members.insert("_nodb_size".into(), signature.size.into());
        encode(&members)
    }

    /// Fails if the file was written since this controller last saw it.
    fn check_signature(&self, link: &mut dyn Link) -> Result {
        link.pause(PausePoint::FileRead).map_err(LockError::from)?;
        let found = self.files.signature(&self.path).map_err(|source| self.failed(source))?;
        match found == self.state().signature {
            true => Ok(()),
            false => Err(ControllerError::Stale(self.path.clone())),
        }
    }

    /// Reads the file back and fails unless it is a state file.
    ///
    /// # Errors
    ///
    /// Fails where [`open`](Self::open) does, and if the caller crashed at the pause point.
    pub fn validate(&self, link: &mut dyn Link) -> Result {
        link.pause(PausePoint::FileRead).map_err(LockError::from)?;
        load(&self.files, &self.path).map(drop)
    }

    /// The lock's names.
    pub fn lock(&self) -> &LockName {
        &self.lock
    }

    /// The acquisition that this controller remembers.
    pub fn acquisition(&self) -> Option<Acquisition> {
        self.slot.get()
    }

    /// The token that this controller remembers.
    pub fn local_token(&self) -> Option<Token> {
        self.slot.get().map(|own| own.token)
    }

    /// Forgets the acquisition, as a step of an actor.
    ///
    /// # Errors
    ///
    /// [`ControllerError::Lock`] if the actor crashed at the pause point.
    pub fn forget_token(&self, link: &mut dyn Link) -> Result {
        link.pause(PausePoint::TokenWrite).map_err(LockError::from)?;
        self.forget_acquisition();
        Ok(())
    }

    /// Forgets the acquisition, as a crash does.
    pub fn forget_acquisition(&self) {
        self.slot.set(None);
    }

    fn state(&self) -> MutexGuard<'_, ControllerState> {
        self.touched.store(true, Ordering::Relaxed);
        self.untouched_state()
    }

    fn untouched_state(&self) -> MutexGuard<'_, ControllerState> {
        self.state.lock()
    }

    fn failed(&self, source: io::Error) -> ControllerError {
        ControllerError::File { path: self.path.clone(), source }
    }
}

/// The key of the cache mirror: the file's absolute path (contract, section 1).
pub fn cache_key(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

/// The `operation_count` that a state file holds; 0 if there is no such file yet.
///
/// # Errors
///
/// [`ControllerError::File`] if the file exists and can't be read, [`ControllerError::Format`] if
/// it holds something else than a JSON object.
pub fn count_on_file(files: &Files, path: &Path) -> Result<u64> {
    load(files, path).map(|state| operation_count(&state.members))
}

/// The text of a state file in which nothing has been counted yet.
pub fn initial_state() -> String {
    encode(&Map::from_iter([(COUNT.to_string(), Value::from(0))]))
}

fn encode(members: &Map<String, Value>) -> String {
    Value::Object(members.clone()).to_string()
}

fn operation_count(members: &Map<String, Value>) -> u64 {
    members.get(COUNT).and_then(Value::as_u64).unwrap_or(0)
}

/// The highest fencing token that the state has seen.
fn fence(members: &Map<String, Value>) -> u64 {
    members.get(FENCE).and_then(Value::as_u64).unwrap_or(0)
}

fn fence_in(bytes: &[u8]) -> u64 {
    serde_json::from_slice(bytes).map_or(0, |members| fence(&members))
}

fn load(files: &Files, path: &Path) -> Result<ControllerState> {
    let found =
        files.read(path).map_err(|source| ControllerError::File { path: path.into(), source })?;
    let Some(Content { bytes, signature, revision }) = found else {
        return Ok(ControllerState::default());
    };
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(members)) => {
            Ok(ControllerState { members, signature: Some(signature), revision })
        }
        Ok(_) => Err(ControllerError::Format { path: path.into(), why: "no JSON object".into() }),
        Err(error) => Err(ControllerError::Format { path: path.into(), why: error.to_string() }),
    }
}
