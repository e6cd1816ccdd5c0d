//! The loopback server: clients in any language, over TCP or a socket file of this machine.
//!
//! | file | what it is for |
//! |---|---|
//! | `framing.rs`, `words.rs` | requests out of bytes |
//! | `reply.rs` | replies to bytes |
//! | `connection.rs` | reads one client's requests and has them answered |
//! | `outbox.rs` | what goes to a client, which may be slow |
//! | `client.rs`, `advance.rs` | the engine as a service, also on a clock that clients move |
//!
//! Each connection has a thread, and a second one as soon as its client is slow to read or
//! subscribes to something. Requests are answered by a [`Service`]: the engine itself, or a layer
//! before it.

mod advance;
mod client;
mod connection;
mod framing;
mod outbox;
mod reply;
mod words;

pub use advance::Advancing;
pub use framing::{Framer, Malformed};
pub use outbox::Outbox;
pub use reply::{Format, write};

use parking_lot::{Condvar, Mutex, MutexGuard};
use rustix::io::retry_on_intr;
use rustix::net::sockopt::set_tcp_nodelay;
use rustix::net::{SocketFlags, accept_with};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How many clients may be connected at a time.
pub const MAX_CLIENTS: usize = 2048;

/// The stack of a connection's thread. Scripts run on one of their own.
const STACK: usize = 512 * 1024;

/// How many clients may wait to be let in. By default it would be 128, and if more come at once,
/// some would wait for a second.
const BACKLOG: i32 = 1024;

/// How long to wait before asking again for what the system refused: a file, a thread.
const AGAIN: Duration = Duration::from_millis(50);

/// Answers the requests of one client.
pub trait Handler: Send {
    /// Answers a request: puts the reply, as it goes over the wire, into `outbox`.
    ///
    /// It may take its time; only this client waits for it.
    fn answer(&mut self, argv: &[&[u8]], outbox: &Outbox) -> Next;
}

/// What becomes of a connection after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Its next request is read.
    Read,
    /// It is closed once the client has read its replies.
    Close,
}

/// Where clients come in.
pub trait Service: Send + Sync {
    /// A client has connected. What is sent to it unasked goes into `outbox`.
    fn open(&self, outbox: &Outbox) -> Box<dyn Handler>;
}

/// Where to listen. There is no way to listen to other machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A port of 127.0.0.1; 0 is any that is free.
    Port(u16),
    /// A socket file that is not there yet.
    Socket(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Port(port) => write!(f, "127.0.0.1:{port}"),
            Address::Socket(path) => path.display().fmt(f),
        }
    }
}

/// Why a server can't be started.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Listening there failed.
    #[error("cannot listen on {address}: {}", why(address, error))]
    Listen {
        /// Where.
        address: Address,
        /// What the system said.
        error: io::Error,
    },
    /// There is no thread to be had.
    #[error("cannot start a thread for the server: {0}; end something else and try again")]
    Thread(io::Error),
}

/// The system's words for an error, without its number.
pub fn of_system(error: &impl fmt::Display) -> String {
    let mut words = error.to_string();
    words.truncate(words.find(" (os error ").unwrap_or(words.len()));
    words
}

/// What the system said, and what to do.
fn why(address: &Address, error: &io::Error) -> String {
    match (address, error.kind()) {
        (Address::Port(_), io::ErrorKind::AddrInUse) => {
            "the port is taken; choose another, or none to get a free one".into()
        }
        (Address::Socket(_), io::ErrorKind::AddrInUse) => {
            "the file exists; remove it if no server has it, or choose another path".into()
        }
        _ => format!("{}; choose another address", of_system(error)),
    }
}

/// How long a server that ends waits for what its clients asked for last. A script may take longer.
const GRACE: Duration = Duration::from_millis(500);

/// A server at work. Dropping it ends it: its clients are hung up on, its socket file is gone, and its
/// threads have ended, but for those in the middle of a script that takes long.
pub struct Server {
    shared: Arc<Shared>,
    address: Address,
    acceptor: Option<JoinHandle<()>>,
    listener: Arc<OwnedFd>,
    /// The socket file's own number, so that no other file is removed.
    inode: Option<u64>,
}

struct Shared {
    service: Arc<dyn Service>,
    state: Mutex<ServerState>,
    /// A client went, or it is over.
    changed: Condvar,
}

#[derive(Default)]
struct ServerState {
    stopping: bool,
    clients_ever: u64,
    clients: BTreeMap<u64, (Outbox, Option<JoinHandle<()>>)>,
    /// The threads of clients that went after the server was stopped.
    gone: Vec<JoinHandle<()>>,
}

/// One client's connection. To the system it is a socket like any other, whichever way it came in.
type Stream = UnixStream;

impl Server {
    /// Listens at `address` and answers clients by `service`.
    ///
    /// # Errors
    ///
    /// [`ServeError`] if the address can't be listened on, or if there is no thread to be had.
    pub fn start(address: Address, service: Arc<dyn Service>) -> Result<Self, ServeError> {
        let listen = |error| ServeError::Listen { address: address.clone(), error };
        let (listener, address) = bind(&address).map_err(listen)?;
        let inode = match &address {
            Address::Port(_) => None,
            Address::Socket(path) => fs::symlink_metadata(path).ok().map(|about| about.ino()),
        };
        let listener = Arc::new(listener);
        let (state, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { service, state, changed });
        let stop = Arc::clone(&listener);
        let mut server = Self { shared, address, acceptor: None, listener: stop, inode };
        let shared = Arc::clone(&server.shared);
        let acceptor = thread::Builder::new().name("accept".into()).stack_size(STACK);
        let acceptor = acceptor.spawn(move || accept(&listener, &shared));
        server.acceptor = Some(acceptor.map_err(ServeError::Thread)?);
        Ok(server)
    }

    /// Where it listens, with the port that it got.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The URL for clients.
    pub fn url(&self) -> String {
        match &self.address {
            Address::Port(port) => format!("redis://127.0.0.1:{port}"),
            Address::Socket(path) => format!("unix://{}", path.display()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.state.lock().stopping = true;
        self.shared.changed.notify_all();
        // On a listener, this makes the thread that waits for clients stop waiting.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        // A thread that panicked has ended, too.
        let _ = self.acceptor.take().map(JoinHandle::join);
        let mut state = self.shared.state.lock();
        state.clients.values().for_each(|(outbox, _)| outbox.close());
        let has_clients = |state: &mut ServerState| !state.clients.is_empty();
        self.shared.changed.wait_while_for(&mut state, has_clients, GRACE);
        let gone = std::mem::take(&mut state.gone);
        drop(state);
        for thread in gone {
            let _ = thread.join();
        }
        if let (Address::Socket(path), Some(inode)) = (&self.address, self.inode)
            && fs::symlink_metadata(path).is_ok_and(|about| about.ino() == inode)
        {
            let _ = fs::remove_file(path);
        }
    }
}

/// Listens at an address; gives it with the port that it got.
fn bind(address: &Address) -> io::Result<(OwnedFd, Address)> {
    let (listener, address) = match address {
        Address::Port(port) => {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, *port))?;
            let port = listener.local_addr()?.port();
            (OwnedFd::from(listener), Address::Port(port))
        }
        Address::Socket(path) => {
            // Clients need not be where this process is.
            let path = std::path::absolute(path)?;
            (OwnedFd::from(UnixListener::bind(&path)?), Address::Socket(path))
        }
    };
    rustix::net::listen(&listener, BACKLOG)?;
    Ok((listener, address))
}

/// Lets clients in until the server is stopped.
fn accept(listener: &OwnedFd, shared: &Arc<Shared>) {
    loop {
        let accepted = retry_on_intr(|| accept_with(listener, SocketFlags::CLOEXEC));
        let mut state = shared.state.lock();
        if state.stopping {
            return;
        }
        match accepted {
            Ok(stream) => {
                // Refused only if the client has gone again, or came through a socket file.
                let _ = set_tcp_nodelay(&stream, true);
                admit(Arc::new(Stream::from(stream)), state, shared);
            }
            // Too many open files, mostly: asking at once would be answered the same.
            Err(_) => {
                let until = |state: &mut ServerState| !state.stopping;
                shared.changed.wait_while_for(&mut state, until, AGAIN);
            }
        }
    }
}

/// Gives a client a thread, or an error that says why there is none.
fn admit(stream: Arc<Stream>, mut state: MutexGuard<'_, ServerState>, shared: &Arc<Shared>) {
    let outbox = Outbox::new(Arc::clone(&stream));
    if state.clients.len() >= MAX_CLIENTS {
        drop(state);
        outbox.reply(b"-ERR max number of clients reached\r\n");
        outbox.flush();
        outbox.end();
        return;
    }
    state.clients_ever += 1;
    let number = state.clients_ever;
    let thread = thread::Builder::new().name("client".into()).stack_size(STACK).spawn({
        let (outbox, shared) = (outbox.clone(), Arc::clone(shared));
        move || {
            let gone = Gone { number, outbox, shared };
            let mut handler = gone.shared.service.open(&gone.outbox);
            connection::serve(&stream, &gone.outbox, &mut *handler);
        }
    });
    match thread {
        Ok(thread) => drop(state.clients.insert(number, (outbox, Some(thread)))),
        Err(_) => outbox.end(),
    }
}

/// Signs a client off when its thread ends, however it does.
struct Gone {
    number: u64,
    outbox: Outbox,
    shared: Arc<Shared>,
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.outbox.end();
        let mut state = self.shared.state.lock();
        let thread = state.clients.remove(&self.number).and_then(|(_, thread)| thread);
        if state.stopping {
            state.gone.extend(thread);
            self.shared.changed.notify_all();
        }
    }
}
