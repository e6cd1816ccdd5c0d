//! The model as a test body for Shuttle: a server that runs one command at a time, clients, and one
//! expiry.
//!
//! There are two of it. Shuttle has a scheduling point where a mutex is taken and one more where it
//! is given back, so that a server behind Shuttle's mutex, which is how anybody would write it, has
//! two to a command. `Style::Lean` has as few as we could manage: one to a command, none where the
//! start of a thread is one already, a mutex that Shuttle does not know, nobody joined. Both cover
//! the same orders of commands.

use shuttle::scheduler::Scheduler;
use shuttle::sync::Mutex;
use shuttle::{Config, FailurePersistence, Runner, thread};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

/// After how many schedules a depth-first search is stopped that would not end.
pub const DFS_BOUND: usize = 200_000;

/// How the model is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// The server behind Shuttle's mutex; the body joins the threads.
    Plain,
    /// One scheduling point to a command, and as little else as can be.
    Lean,
}

/// What came of a run.
pub struct Explored {
    /// How many schedules were run.
    pub schedules: u64,
    /// In how many of them a write was lost or went through without the lock.
    pub bad: u64,
    /// How many different orders of commands and expiry there were among them, if it was counted.
    pub orders: Option<usize>,
}

/// What is known of all schedules together. Real atomics: Shuttle must not see them.
#[derive(Default)]
struct Tally {
    bad: AtomicU64,
    orders: Option<StdMutex<HashSet<u64>>>,
}

/// The server: a lock key whose lease may end, and the value that the lock guards.
struct Server {
    holder: Option<u64>,
    value: u64,
    written_without_lock: bool,
    /// Who sent a command, from first to last, in base 8. It says all: what a client sends next
    /// depends only on the replies.
    order: u64,
    tally: Arc<Tally>,
}

impl Server {
    fn new(tally: Arc<Tally>) -> Self {
        Self { holder: None, value: 0, written_without_lock: false, order: 1, tally }
    }

    fn set_nx(&mut self, client: u64) -> bool {
        self.order = self.order * 8 + client;
        let free = self.holder.is_none();
        if free {
            self.holder = Some(client);
        }
        free
    }

    fn read(&mut self, client: u64) -> u64 {
        self.order = self.order * 8 + client;
        self.value
    }

    fn write(&mut self, client: u64, value: u64) {
        self.order = self.order * 8 + client;
        self.written_without_lock |= self.holder != Some(client);
        self.value = value;
    }

    fn compare_and_release(&mut self, client: u64) {
        self.order = self.order * 8 + client;
        if self.holder == Some(client) {
            self.holder = None;
        }
    }

    fn expire(&mut self) {
        self.order *= 8;
        self.holder = None;
    }
}

impl Drop for Server {
    /// The end of a schedule: everybody has let go of the server.
    fn drop(&mut self) {
        if self.written_without_lock {
            self.tally.bad.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(orders) = &self.tally.orders {
            orders.lock().unwrap_or_else(PoisonError::into_inner).insert(self.order);
        }
    }
}

/// Where commands are sent to.
trait Commands: Clone + Send + 'static {
    fn send<T>(&self, command: impl FnOnce(&mut Server) -> T) -> T;

    /// The first command of a thread.
    fn first<T>(&self, command: impl FnOnce(&mut Server) -> T) -> T {
        self.send(command)
    }
}

#[derive(Clone)]
struct Plain(Arc<Mutex<Server>>);

impl Commands for Plain {
    fn send<T>(&self, command: impl FnOnce(&mut Server) -> T) -> T {
        command(&mut self.0.lock().unwrap())
    }
}

#[derive(Clone)]
struct Lean(Arc<StdMutex<Server>>);

impl Commands for Lean {
    fn send<T>(&self, command: impl FnOnce(&mut Server) -> T) -> T {
        // Under Shuttle nothing but a scheduling point.
        thread::sleep(Duration::ZERO);
        command(&mut self.0.lock().unwrap())
    }

    /// The start of a thread is a scheduling point already.
    fn first<T>(&self, command: impl FnOnce(&mut Server) -> T) -> T {
        command(&mut self.0.lock().unwrap())
    }
}

fn client(server: &impl Commands, client: u64) {
    if server.first(|server| server.set_nx(client)) {
        let value = server.send(|server| server.read(client));
        server.send(|server| server.write(client, value + 1));
        server.send(|server| server.compare_and_release(client));
    }
}

fn plain(clients: u64, tally: &Arc<Tally>) {
    let server = Plain(Arc::new(Mutex::new(Server::new(Arc::clone(tally)))));
    let spawn = |number| {
        let server = server.clone();
        thread::spawn(move || client(&server, number))
    };
    let threads: Vec<_> = (1..=clients).map(spawn).collect();
    server.send(Server::expire);
    for thread in threads {
        thread.join().unwrap();
    }
}

fn lean(clients: u64, tally: &Arc<Tally>) {
    let server = Lean(Arc::new(StdMutex::new(Server::new(Arc::clone(tally)))));
    for number in 1..=clients {
        let server = server.clone();
        // Shuttle goes on until everybody is done, joined or not, if the handle is not dropped.
        std::mem::forget(thread::spawn(move || client(&server, number)));
    }
    server.send(Server::expire);
}

/// Runs the model under a scheduler.
pub fn explore(
    style: Style,
    clients: u64,
    scheduler: impl Scheduler + 'static,
    count_orders: bool,
) -> Explored {
    let orders = count_orders.then(StdMutex::default);
    let tally = Arc::new(Tally { orders, ..Tally::default() });
    let of_bodies = Arc::clone(&tally);
    let runner = Runner::new(scheduler, config());
    let schedules = runner.run(move || match style {
        Style::Plain => plain(clients, &of_bodies),
        Style::Lean => lean(clients, &of_bodies),
    });
    let orders = tally.orders.as_ref();
    Explored {
        schedules: schedules as u64,
        bad: tally.bad.load(Ordering::Relaxed),
        orders: orders.map(|orders| orders.lock().unwrap_or_else(PoisonError::into_inner).len()),
    }
}

/// Nothing printed, nothing kept, no bound that is asked after, small stacks.
fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 0x4000;
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = shuttle::MaxSteps::None;
    config.silence_warnings = true;
    config
}
