//! A controller: a state file guarded by a lock, as the reference's debug controller is. It
//! remembers the token of its acquisition and counts, in the file, what was done under the lock.

mod files;
mod memory;
mod object;
mod on_disk;
mod registry;

pub use files::{Content, Files, Replaced, Signature, Written};
pub use memory::{Knowledge, Memory};
pub use object::INITIAL_STATE;
pub use registry::{Registry, Shelf};

use crate::intercept::{Link, PausePoint};
use crate::lock::{
    Acquisition, Caller, LockError, LockName, LockProtocol, StateFile, Token, TokenSlot, Ttl,
    WriteGuard,
};
use lock_history::history::{Verb, Write};
use object::Object;
use parking_lot::{Mutex, MutexGuard};
use redis::ConnectionLike;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

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
    #[error("{}: not a state file ({why}); move it away, choose another run directory, or leave files \
             alone with --lock-only", path.display())]
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
    file: StateFile,
    lock: LockName,
    files: Arc<Files>,
    slot: TokenSlot,
    state: Mutex<ControllerState>,
    /// Whether the state was read or changed.
    touched: AtomicBool,
}

/// What a dump wrote.
#[derive(Debug)]
pub struct Dumped {
    /// The write, for the history.
    pub write: Write,
    object: Object,
    signature: Signature,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct ControllerState {
    object: Object,
    signature: Option<Signature>,
    revision: u64,
}

impl Controller {
    /// A new controller of a state file, which need not exist yet.
    ///
    /// # Errors
    ///
    /// [`ControllerError::File`] if the file exists and can't be read, [`ControllerError::Format`]
    /// if it holds something else than a JSON object.
    pub fn open(file: &StateFile, files: &Arc<Files>) -> Result<Self> {
        let state = load(files, file.path())?;
        Ok(Self {
            lock: file.lock(),
            file: file.clone(),
            files: Arc::clone(files),
            slot: TokenSlot::default(),
            state: Mutex::new(state),
            touched: AtomicBool::new(false),
        })
    }

    /// Fails unless there is a state file, or nothing, and a fencing token beside it, or nothing.
    ///
    /// # Errors
    ///
    /// [`ControllerError::File`] or [`ControllerError::Format`], as [`open`](Self::open) gives.
    pub fn check(files: &Files, file: &StateFile) -> Result {
        load(files, file.path())?;
        fence(files, file).map(drop).map_err(|source| failed(&file.fence(), source))
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
        let found = self.files.signature(self.path()).map_err(|source| self.failed(source))?;
        let seen = self.state().signature;
        if found != seen {
            let state = load(&self.files, self.path())?;
            *self.state() = state;
        }
        Ok(())
    }

    /// Takes the lock, unless the run is read-only. A fenced protocol gets the highest fencing
    /// token that the file has seen, and its own is stored beside the file at once.
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
        let directory = self.file.directory();
        if self.files.exists(&directory.join(READONLY_FILE)) {
            return Err(ControllerError::ReadOnly(directory.into()));
        }
        let guard = protocol.write_guard();
        if guard == WriteGuard::Signature {
            self.refresh_now()?;
        }
        let is_fenced = guard == WriteGuard::Fence;
        let floor = if is_fenced { self.fence().map_err(|it| self.failed_fence(it))? } else { 0 };
        let acquired = protocol.acquire(&mut caller.at(&self.lock, &self.slot), ttl, floor)?;
        if let Some(fence) = acquired.fence.filter(|_| is_fenced)
            && let Err(error) = self.stamp(caller.link, fence)
        {
            // Otherwise the lock would be held without its owner knowing.
            let _ = protocol.release(&mut caller.at(&self.lock, &self.slot));
            return Err(error);
        }
        Ok(acquired)
    }

    /// Stores the fencing token beside the file, so that earlier holders can no longer write, and
    /// reads the file, whatever is in memory.
    fn stamp(&self, link: &mut dyn Link, own: u64) -> Result {
        link.pause(PausePoint::FileRead).map_err(LockError::from)?;
        let store = || match self.fence()? < own {
            true => self.files.replace(&self.file.fence(), own.to_string().as_bytes()).map(drop),
            false => Ok(()),
        };
        let stored = self.files.exclusively(self.path(), store);
        stored.map_err(|source| self.failed_fence(source))?;
        let state = load(&self.files, self.path())?;
        *self.state() = state;
        Ok(())
    }

    /// The highest fencing token that the file has seen.
    fn fence(&self) -> io::Result<u64> {
        fence(&self.files, &self.file)
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

    /// Does what a client from outside has an operation of its own for, and says whether its answer is yes.
    ///
    /// # Errors
    ///
    /// [`LockError`] if the client fails.
    pub fn does(
        &self,
        caller: &mut Caller<'_>,
        protocol: &dyn LockProtocol,
        verb: &Verb,
    ) -> Result<Option<bool>, LockError> {
        protocol.does(&mut caller.at(&self.lock, &self.slot), verb)
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
        self.state().object.count_one_more();
    }

    /// How many operations it has counted.
    pub fn operation_count(&self) -> u64 {
        self.state().object.count()
    }

    /// Writes the state to its file without asking for any lock, as a process that knows of none.
    ///
    /// # Errors
    ///
    /// [`ControllerError::File`] if the file can't be written.
    pub fn dump_without_lock(&self) -> Result<Write> {
        let ControllerState { object, revision, .. } = self.state().clone();
        let replaced = self.replace(&object).map_err(|source| self.failed(source))?;
        Ok(Write { based_on: revision, replaced: replaced.old, wrote: replaced.new })
    }

    /// Writes the state to its file, if the protocol allows it now.
    ///
    /// # Errors
    ///
    /// [`ControllerError::Lock`] if the protocol forbids the write or Redis fails,
    /// [`ControllerError::Stale`] if a protocol that guards writes finds that the file was written meanwhile,
    /// [`ControllerError::File`] if it can't be written.
    pub fn dump(&self, caller: &mut Caller<'_>, protocol: &dyn LockProtocol) -> Result<Dumped> {
        protocol.check_write(&mut caller.at(&self.lock, &self.slot))?;
        let own = caller.own.get().and_then(|own| own.fence).unwrap_or(0);
        let guard = protocol.write_guard();
        if guard == WriteGuard::Signature {
            self.check_signature(caller.link)?;
        }
        let ControllerState { object, signature, revision } = self.state().clone();
        caller.link.pause(PausePoint::FileWrite).map_err(LockError::from)?;
        let replaced = match guard {
            WriteGuard::Fence => self.files.exclusively(self.path(), || {
                let is_current = self.files.signature(self.path())? == signature;
                let may = is_current && self.fence()? <= own;
                may.then(|| self.replace(&object)).transpose()
            }),
            WriteGuard::None | WriteGuard::Signature => self.replace(&object).map(Some),
        };
        let replaced = replaced.map_err(|source| self.failed(source))?;
        let replaced = replaced.ok_or_else(|| ControllerError::Stale(self.path().into()))?;
        {
            let mut state = self.state();
            state.signature = Some(replaced.signature);
            state.revision = replaced.new;
        }
        let write = Write { based_on: revision, replaced: replaced.old, wrote: replaced.new };
        Ok(Dumped { write, object, signature: replaced.signature })
    }

    fn replace(&self, object: &Object) -> io::Result<Replaced> {
        self.files.replace_counted(self.path(), object.text().as_bytes(), object.beside())
    }

    /// Mirrors in Redis what was written: the state in the cache, and under a protocol that compares
    /// signatures the time in the hash of flags. A mirror that fails is no failure of the write, which is
    /// committed by then (contract, section 4).
    pub fn mirror(
        &self,
        dumped: &Dumped,
        caller: &mut Caller<'_>,
        guard: WriteGuard,
        cache: Option<&mut dyn ConnectionLike>,
    ) {
        let has_signature = guard == WriteGuard::Signature;
        if let Some(cache) = cache {
            let text = match has_signature {
                true => signed(&dumped.object, dumped.signature),
                false => dumped.object.text().into(),
            };
            self.files.note_mirrored(self.path(), text.as_bytes());
            let mut mirror = redis::cmd("SET");
            mirror.arg(cache_key(self.path())).arg(&text).arg("EX").arg(CACHE_SECONDS);
            let _ = mirror.exec(cache);
        }
        if has_signature {
            let now = caller.clock.unix().as_secs().to_string();
            self.files.note_mirrored(Path::new(LAST_MODIFIED), now.as_bytes());
            let mut modified = redis::cmd("HSET");
            modified.arg(self.lock.runid()).arg(LAST_MODIFIED).arg(now);
            let _ = modified.exec(caller.link);
        }
    }

    /// Fails if the file was written since this controller last saw it.
    fn check_signature(&self, link: &mut dyn Link) -> Result {
        link.pause(PausePoint::FileRead).map_err(LockError::from)?;
        let found = self.files.signature(self.path()).map_err(|source| self.failed(source))?;
        match found == self.state().signature {
            true => Ok(()),
            false => Err(ControllerError::Stale(self.path().into())),
        }
    }

    /// Reads the file back and fails unless it is a state file.
    ///
    /// # Errors
    ///
    /// Fails where [`open`](Self::open) does, and if the caller crashed at the pause point.
    pub fn validate(&self, link: &mut dyn Link) -> Result {
        link.pause(PausePoint::FileRead).map_err(LockError::from)?;
        load(&self.files, self.path()).map(drop)
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

    fn path(&self) -> &Path {
        self.file.path()
    }

    fn failed(&self, source: io::Error) -> ControllerError {
        failed(self.path(), source)
    }

    fn failed_fence(&self, source: io::Error) -> ControllerError {
        failed(&self.file.fence(), source)
    }
}

fn failed(path: &Path, source: io::Error) -> ControllerError {
    ControllerError::File { path: path.into(), source }
}

/// The state with the signature of its file, as the cache mirror carries it (contract, section 6, U5).
fn signed(object: &Object, signature: Signature) -> String {
    let modified = signature.modified.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = modified.map_or(0.0, |since| since.as_secs_f64());
    let size = signature.size;
    object.with_member(&format!(r#""_nodb_mtime":{seconds:?},"_nodb_size":{size}"#))
}

/// The highest fencing token that a state file has seen; 0 if none is kept beside it.
fn fence(files: &Files, file: &StateFile) -> io::Result<u64> {
    let Some(Content { bytes, .. }) = files.read(&file.fence())? else { return Ok(0) };
    let token = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok());
    token.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "this is no fencing token"))
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
    load(files, path).map(|state| state.object.count())
}

fn load(files: &Files, path: &Path) -> Result<ControllerState> {
    let found = files.read(path).map_err(|source| failed(path, source))?;
    let Some(Content { bytes, signature, revision, beside }) = found else {
        return Ok(ControllerState::default());
    };
    let object = Object::parse(bytes, beside)
        .map_err(|why| ControllerError::Format { path: path.into(), why })?;
    Ok(ControllerState { object, signature: Some(signature), revision })
}
