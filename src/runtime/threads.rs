//! Each strand an OS thread, on the machine's clock.

use super::strand::{Outside, Strand};
use super::volley::Volley;
use super::{Buffer, World};
use crate::clock::{Clock, Stopped, WallClock};
use crate::gate::{Gate, Open};
use crate::scenario::Start;
use crate::server::{Server, ServerError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::ops::Range;
use std::thread;
use std::time::Duration;

/// What a thread needs at most; with a thousand of them the default of 2 MiB is a lot of address
/// space.
const STACK: usize = 512 * 1024;
/// Addresses that the process uses besides the stacks: code, and the allocator's areas.
const OTHER_MEMORY: u64 = 256 << 20;
/// Files that the process has open besides the connections.
const OTHER_FILES: u64 = 64;

/// Runs all strands to their end. Every connection is open and every thread started before the
/// first command of those that start together goes out; gives the volley's width as well.
pub(super) fn run(
    world: &World,
    clock: &WallClock,
    strands: Vec<Range<usize>>,
) -> Result<(Vec<Buffer>, Option<Duration>), ServerError> {
    check_memory(strands.len())?;
    allow_files(&world.server, strands.len())?;
    let connect = |_| {
        clock.check().map_err(|why| ServerError::new(format!("{why} while connecting")))?;
        world.server.connect(0)
    };
    let connections = strands.iter().map(connect).collect::<Result<Vec<_>, _>>()?;
    let volley = Volley::new();
    thread::scope(|scope| {
        let mut threads = Vec::with_capacity(strands.len());
        for (number, (strand, connection)) in strands.iter().zip(connections).enumerate() {
            let together =
                world.plan.actors.get(strand.start).is_some_and(|a| a.start == Start::Together);
            let gate: Box<dyn Gate> =
                if together { Box::new(volley.ticket()) } else { Box::new(Open) };
            let actors = strand.clone();
            let body = move || {
                let new_gate = || Box::new(Open) as Box<dyn Gate>;
                let outside = Outside::new(&world.identity);
                Strand::new(world, clock, connection, gate, &new_gate, outside).run(actors)
            };
            let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, body);
            let thread = thread.map_err(|error| {
                clock.stop(Stopped::CalledOff);
                ServerError::new(format!(
                    "cannot start thread {} of {}: {error}; use fewer, or raise the limit (ulimit -u)",
                    number + 1,
                    strands.len()
                ))
            })?;
            threads.push(thread);
        }
        let skew = volley.fire(clock);
        let join = |thread: thread::ScopedJoinHandle<'_, Buffer>| {
            thread.join().map_err(|_| ServerError::new("a thread of ours panicked".into()))
        };
        Ok((threads.into_iter().map(join).collect::<Result<Vec<_>, _>>()?, skew))
    })
}

/// Makes sure that all threads have a place for their stacks: a process that runs out of addresses
/// while threads start is aborted, and cleans nothing up.
fn check_memory(strands: usize) -> Result<(), ServerError> {
    let needed = (strands as u64).saturating_mul(STACK as u64).saturating_add(OTHER_MEMORY);
    match getrlimit(Resource::As).current {
        Some(limit) if limit < needed => Err(ServerError::new(format!(
            "{strands} threads need {} MiB of addresses, and this process may have {}; raise the \
             limit (ulimit -v), or use fewer actors",
            needed >> 20,
            limit >> 20
        ))),
        _ => Ok(()),
    }
}

/// Makes sure that all connections can be open at once: each strand's own, and one to the cache.
fn allow_files(server: &Server, strands: usize) -> Result<(), ServerError> {
    if matches!(server, Server::Embedded(_)) {
        return Ok(());
    }
    let needed = 2 * strands as u64 + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        return Err(ServerError::new(format!(
            "{strands} connections need {needed} open files, and this process may have {}; \
             raise the hard limit (ulimit -Hn), or use fewer actors",
            limit.maximum.unwrap_or_default()
        )));
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: limit.maximum }).map_err(
        |error| {
            ServerError::new(format!("cannot raise the limit of open files to {needed}: {error}"))
        },
    )
}
