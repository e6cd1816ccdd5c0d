//! Each task an OS thread, on the machine's clock.

use super::task_body::{Outside, TaskBody};
use super::volley::Volley;
use super::{Buffer, World};
use crate::intercept::{Interceptor, PassThrough};
use crate::scenario::Start;
use crate::server::{Connection, Server, ServerError};
use redis_sim::clock::{Clock, Stopped, VirtualClock, WallClock};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::ops::Range;
use std::sync::Arc;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

/// What a thread needs at most; with a thousand of them the default of 2 MiB is a lot of address
/// space.
const STACK: usize = 512 * 1024;
/// The same, for code that counts addresses.
pub const THREAD_MEMORY: u64 = STACK as u64;
/// Addresses that the process uses besides the stacks: code, and the allocator's areas.
const OTHER_MEMORY: u64 = 256 << 20;
/// Files that the process has open besides the connections.
const OTHER_FILES: u64 = 64;

/// Runs all tasks to their end. Every connection is open and every thread started before the
/// first command of those that start together goes out; gives the volley's width as well.
pub(super) fn run(
    world: &World,
    clock: &WallClock,
    tasks: Vec<Range<usize>>,
) -> Result<(Vec<Buffer>, Option<Duration>), ServerError> {
    let connections = connections(world, clock, tasks.len())?;
    let volley = Volley::new();
    let outside = || Outside::new(&world.setup.identity, Arc::new(VirtualClock::new(None)));
    let outsides: Vec<Outside> = tasks.iter().map(|_| outside()).collect();
    let skew = thread::scope(|scope| {
        let mut threads = Vec::with_capacity(tasks.len());
        for ((actors, connection), outside) in tasks.iter().zip(connections).zip(&outsides) {
            let first = world.plan().actors.get(actors.start);
            let interceptor: Box<dyn Interceptor> = match first.map(|actor| actor.start) {
                Some(Start::Together) => Box::new(volley.ticket()),
                _ => Box::new(PassThrough),
            };
            let body = move || {
                let new_interceptor = || Box::new(PassThrough) as Box<dyn Interceptor>;
                TaskBody::new(
                    world,
                    clock,
                    connection,
                    interceptor,
                    &new_interceptor,
                    outside.clone(),
                )
                .run(actors.clone());
            };
            let thread = start(scope, threads.len() + 1, tasks.len(), body);
            threads.push(thread.inspect_err(|_| clock.stop(Stopped::CalledOff))?);
        }
        let skew = volley.fire(clock);
        join(threads)?;
        Ok(skew)
    })?;
    Ok((outsides.iter().map(Outside::take_events).collect(), skew))
}

/// Opens a connection for each task, if there is room for all of them and their threads.
pub(super) fn connections(
    world: &World,
    clock: &WallClock,
    tasks: usize,
) -> Result<Vec<Connection>, ServerError> {
    check_memory(tasks as u64 * THREAD_MEMORY, &format!("{tasks} threads"))?;
    allow_connections(&world.services.server, tasks)?;
    let connect = |_| {
        clock.check().map_err(|why| ServerError::new(format!("{why} while connecting")))?;
        world.services.connect(0)
    };
    (0..tasks).map(connect).collect()
}

/// Starts the thread of a task.
pub(super) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    number: usize,
    of: usize,
    body: impl FnOnce() + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, ()>, ServerError> {
    let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, body);
    thread.map_err(|error| {
        ServerError::new(format!(
            "cannot start thread {number} of {of}: {error}; use fewer, or raise the limit (ulimit -u)"
        ))
    })
}

/// Waits for threads to end.
pub(super) fn join(threads: Vec<ScopedJoinHandle<'_, ()>>) -> Result<(), ServerError> {
    threads.into_iter().try_for_each(|thread| {
        thread.join().map_err(|_| ServerError::new("a thread of ours panicked".into()))
    })
}

/// Makes sure that all threads have a place for their stacks, which take `wanted` bytes: a process
/// that runs out of addresses while threads start is aborted, and cleans nothing up. The error
/// names `who` as the user of the memory.
///
/// # Errors
///
/// [`ServerError`] if the limit of addresses of this process is lower.
pub fn check_memory(wanted: u64, who: &str) -> Result<(), ServerError> {
    let needed = wanted.saturating_add(OTHER_MEMORY);
    match getrlimit(Resource::As).current {
        Some(limit) if limit < needed => Err(ServerError::new(format!(
            "{who} need {} MiB of addresses, and this process may have {}; raise the limit \
             (ulimit -v), or use fewer actors",
            needed >> 20,
            limit >> 20
        ))),
        _ => Ok(()),
    }
}

/// Makes sure that all connections can be open at once: each task's own, and one to the cache.
fn allow_connections(server: &Server, tasks: usize) -> Result<(), ServerError> {
    if matches!(server, Server::Embedded(_)) {
        return Ok(());
    }
    allow_files(2 * tasks as u64, "connections")
}

/// Makes sure that `wanted` files can be open at once besides those that always are. `what` needs
/// them.
///
/// # Errors
///
/// [`ServerError`] if the hard limit of open files is lower, or if the limit can't be raised.
pub fn allow_files(wanted: u64, what: &str) -> Result<(), ServerError> {
    let needed = wanted.saturating_add(OTHER_FILES);
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        return Err(ServerError::new(format!(
            "the {what} need {needed} open files, and this process may have {}; raise the hard \
             limit (ulimit -Hn), or use fewer actors",
            limit.maximum.unwrap_or_default()
        )));
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: limit.maximum }).map_err(
        |error| {
            ServerError::new(format!("cannot raise the limit of open files to {needed}: {error}"))
        },
    )
}
