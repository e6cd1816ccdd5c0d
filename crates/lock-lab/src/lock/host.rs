//! Where actors run: all in this process, or each in a process of its own.

use super::{LockName, LockProtocol, Result};
use crate::server::Connection;
use lock_history::history::Sharing;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What actors outside share that run in one process, as a number: as long as it is the same, so is what the
/// process does next.
#[derive(Debug, Default)]
pub struct SharedMemory {
    number: AtomicU32,
    touched: AtomicBool,
}

impl SharedMemory {
    /// The number.
    pub fn get(&self) -> u32 {
        self.touched.store(true, Ordering::Relaxed);
        self.untouched()
    }

    /// Goes over to another one.
    pub fn set(&self, number: u32) {
        self.touched.store(true, Ordering::Relaxed);
        self.number.store(number, Ordering::Relaxed);
    }

    /// The number, for an observer.
    pub(crate) fn untouched(&self) -> u32 {
        self.number.load(Ordering::Relaxed)
    }

    /// Whether it was read or changed since this was last asked.
    pub(crate) fn was_touched(&self) -> bool {
        self.touched.swap(false, Ordering::Relaxed)
    }
}

/// One of the actors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Who {
    /// Its position among the actors.
    pub actor: usize,
    /// A number that no other actor has, nor the same actor when it begins again.
    pub life: u64,
}

/// What runs actors and gives each its side of the lock protocol.
pub trait ActorHost: Send + Sync {
    /// The protocol, for what is no actor's doing.
    fn protocol(&self) -> &Arc<dyn LockProtocol>;

    /// The protocol as this actor speaks it, as long as it lives.
    fn protocol_of(&self, _who: Who) -> Arc<dyn LockProtocol> {
        Arc::clone(self.protocol())
    }

    /// The lock under the key that holds it: what actors name may be another one.
    fn watched(&self, lock: LockName) -> LockName {
        lock
    }

    /// How this many actors share each lock, where it excludes not all others.
    fn sharing(&self, _actors: usize) -> Option<Sharing> {
        None
    }

    /// The processes of the actors, in their order, as payloads name them; none, where all are in
    /// this one.
    fn owners(&self) -> &[String] {
        &[]
    }

    /// What an actor's own code may remember of this life, as a number: as long as it is the same, so is
    /// what the code does next. Exploration sees into our own protocols, and needs it for others only.
    fn memory(&self, _who: Who) -> u32 {
        0
    }

    /// The memory of the process that some actors share, if some do and it is not this one.
    fn shared_memory(&self) -> Option<&SharedMemory> {
        None
    }

    /// About how many bytes are taken by what the host remembers of the actors, for the bound of an exploration.
    fn bytes(&self) -> usize {
        0
    }

    /// How many actors share a process that is not this one.
    fn threads(&self) -> usize {
        0
    }

    /// A run or an exploration begins: what actors share is empty, and what is remembered of it is not used.
    fn begin(&self) {}

    /// Whether the host has learned since this was last asked that what was tried before says nothing: it
    /// must be tried again from the beginning.
    fn take_learned(&self) -> bool {
        false
    }

    /// Learns from two commands with which a client went on after the same replies, the first one earlier:
    /// whether they differ in nothing but a value that it draws. Then what was tried before says nothing.
    fn learn_from(&self, _commands: [&[&[u8]]; 2]) -> bool {
        false
    }

    /// Whether a fresh client can acquire a lock when all leases on this server are over, if that can be
    /// tried. What it does stays on the server.
    ///
    /// # Errors
    ///
    /// If the server or the client fails.
    fn is_available(&self, _lock: &LockName, _link: &mut Connection) -> Result<Option<bool>> {
        Ok(None)
    }

    /// Whether leases are times in values, which clients compare with their clocks or the server's.
    fn leases_are_values(&self) -> bool {
        false
    }

    /// Whether clients set leases of their own, whatever TTL a step names.
    fn leases_are_own(&self) -> bool {
        false
    }

    /// Kills the process of an actor that has one of its own.
    fn kill(&self, _who: Who) {}

    /// Stops the process of an actor that has one of its own, until [`go_on`](Self::go_on).
    fn stop(&self, _who: Who) {}

    /// Lets a process go on that was stopped.
    fn go_on(&self, _who: Who) {}
}

/// All actors in this process.
struct InProcess(Arc<dyn LockProtocol>);

impl ActorHost for InProcess {
    fn protocol(&self) -> &Arc<dyn LockProtocol> {
        &self.0
    }
}

/// Runs all actors in this process.
pub fn in_process(protocol: Arc<dyn LockProtocol>) -> Arc<dyn ActorHost> {
    Arc::new(InProcess(protocol))
}
