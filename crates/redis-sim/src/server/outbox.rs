//! What goes to a client: its replies, and what others send it, in the order in which they were given.
//!
//! The sender never waits for the client. The connection's own thread writes; as soon as the client
//! is slow to read, or another sender has something for it, a second thread takes the writing over.

use parking_lot::{Condvar, Mutex, MutexGuard};
use std::fmt;
use std::io::{self, Write};
use std::mem;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::Stream;

/// How much others may have sent a client that does not read; Redis hangs up on it then, too.
const MAX_PUSHED: usize = 32 * 1024 * 1024;

/// How much may wait for a client in all.
const MAX_WAITING: usize = 1024 * 1024 * 1024;

/// How long the connection's own thread waits for the client to read.
const BRIEFLY: Duration = Duration::from_millis(2);

/// How long the last words for a client may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// The way to one client; clones lead to the same one.
#[derive(Clone)]
pub struct Outbox(Arc<Shared>);

struct Shared {
    /// Without one, its content is never read.
    stream: Option<Arc<Stream>>,
    state: Mutex<OutboxState>,
    changed: Condvar,
}

#[derive(Default)]
struct OutboxState {
    waiting: Vec<u8>,
    /// Whether a thread writes right now.
    writing: bool,
    /// The second thread, once there is one.
    writer: Option<JoinHandle<()>>,
    closed: bool,
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

impl Outbox {
    pub(super) fn new(stream: Arc<Stream>) -> Self {
        // If it is refused, the client has gone.
        let _ = stream.set_write_timeout(Some(BRIEFLY));
        Self(Arc::new(Shared {
            stream: Some(stream),
            state: Mutex::default(),
            changed: Condvar::new(),
        }))
    }

    /// One that leads nowhere: what is put in can only be taken out again.
    pub fn detached() -> Self {
        Self(Arc::new(Shared { stream: None, state: Mutex::default(), changed: Condvar::new() }))
    }

    /// The client's address as MONITOR shows it: of a client of a socket file, that file.
    pub(super) fn address(&self) -> Option<String> {
        let stream = self.0.stream.as_ref()?;
        let peer = rustix::net::getpeername(stream).ok().flatten();
        if let Some(peer) = peer.and_then(|peer| SocketAddr::try_from(peer).ok()) {
            return Some(peer.to_string());
        }
        let path = stream.local_addr().ok()?.as_pathname()?.display().to_string();
        Some(format!("unix:{path}"))
    }

    /// Takes everything out that waits, to look at it or to put it into another one.
    pub fn take(&self) -> Vec<u8> {
        mem::take(&mut self.0.state.lock().waiting)
    }

    /// Adds a reply. It leaves when the connection's thread has answered all that came together.
    pub fn reply(&self, bytes: &[u8]) {
        drop(self.add(bytes, MAX_WAITING));
    }

    /// Adds something that the client did not ask for just now. It leaves at once.
    pub fn push(&self, bytes: &[u8]) {
        let mut state = self.add(bytes, MAX_PUSHED);
        if !state.writing {
            self.start_writer(&mut state);
        }
    }

    fn add(&self, bytes: &[u8], most: usize) -> MutexGuard<'_, OutboxState> {
        let mut state = self.0.state.lock();
        if state.waiting.len().saturating_add(bytes.len()) > most {
            self.hang_up(&mut state);
        } else if !state.closed {
            state.waiting.extend_from_slice(bytes);
            if state.writer.is_some() {
                self.0.changed.notify_all();
            }
        }
        state
    }

    /// Writes what waits, for as long as the client reads; then leaves it to the second thread.
    pub(super) fn flush(&self) {
        let mut state = self.0.state.lock();
        while state.writer.is_none() && !state.waiting.is_empty() && !state.closed {
            if !self.write(&mut state) {
                self.start_writer(&mut state);
            }
        }
    }

    /// Writes what waits now; gives up, with the rest waiting, when nothing moves for a while.
    fn write(&self, state: &mut MutexGuard<'_, OutboxState>) -> bool {
        let Some(stream) = &self.0.stream else { return true };
        let mut bytes = mem::take(&mut state.waiting);
        state.writing = true;
        let (mut written, mut ended) = (0, Ok(()));
        MutexGuard::unlocked(state, || {
            while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
                match (&**stream).write(rest) {
                    Ok(0) => ended = Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => written += count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => ended = Err(error),
                }
                if ended.is_err() {
                    break;
                }
            }
        });
        state.writing = false;
        match ended {
            Ok(()) if state.waiting.is_empty() && bytes.capacity() <= MAX_PUSHED => {
                bytes.clear();
                state.waiting = bytes;
            }
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                bytes.drain(..written);
                bytes.append(&mut state.waiting);
                state.waiting = bytes;
                return false;
            }
            Err(_) => self.hang_up(state),
        }
        true
    }

    /// Lets the second thread write from now on.
    fn start_writer(&self, state: &mut OutboxState) {
        if state.writer.is_some() || state.closed || self.0.stream.is_none() {
            return;
        }
        let outbox = self.clone();
        let started = thread::Builder::new()
            .name("writer".into())
            .stack_size(super::STACK)
            .spawn(move || outbox.write_on());
        match started {
            Ok(writer) => state.writer = Some(writer),
            Err(_) => self.hang_up(state),
        }
    }

    fn write_on(&self) {
        if let Some(stream) = &self.0.stream {
            let _ = stream.set_write_timeout(Some(LAST_WORDS));
        }
        let mut state = self.0.state.lock();
        while !state.closed {
            if state.waiting.is_empty() {
                self.0.changed.notify_all();
                self.0.changed.wait(&mut state);
            } else {
                self.write(&mut state);
            }
        }
    }

    /// Waits for the client to read its last words, but not long.
    pub(super) fn drain(&self) {
        self.flush();
        let unread =
            |state: &mut OutboxState| !state.closed && (state.writing || !state.waiting.is_empty());
        self.0.changed.wait_while_for(&mut self.0.state.lock(), unread, LAST_WORDS);
    }

    /// Hangs up and ends the second thread.
    pub(super) fn end(&self) {
        self.close();
        let writer = self.0.state.lock().writer.take();
        // It has no reason to panic, and the error could not be reported.
        let _ = writer.map(JoinHandle::join);
    }

    /// Hangs up: reads and writes there fail at once.
    pub(super) fn close(&self) {
        self.hang_up(&mut self.0.state.lock());
    }

    fn hang_up(&self, state: &mut OutboxState) {
        state.closed = true;
        state.waiting = Vec::new();
        if let Some(stream) = &self.0.stream {
            // It may have ended already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.0.changed.notify_all();
    }
}
