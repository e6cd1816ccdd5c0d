//! Tasks that a scheduler resumes. It picks which is next: the virtual clock and a
//! seed (`coroutines`), a schedule (`replay`), or an exploration.

use super::World;
use super::task_body::{Outside, TaskBody};
use super::yield_point::{Resume, TaskHandle, Yield, YieldPoints};
use crate::intercept::Interceptor;
use crate::lock::Identity;
use crate::server::ServerError;
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult};
use redis_sim::clock::{Stopped, VirtualClock};
use std::ops::Range;
use std::sync::Arc;

const STACK: usize = 256 * 1024;

/// A task that a scheduler resumes.
pub(super) trait Task {
    /// Lets it go on until it yields again; none if it has ended instead.
    fn go_on(&mut self, how: Resume) -> Result<Option<Yield>, Stopped>;

    /// What it shares with its scheduler.
    fn outside(&self) -> &Outside;
}

/// A task in a coroutine.
pub(super) struct CoroutineTask {
    coroutine: Coroutine<Resume, Yield, ()>,
    pub outside: Outside,
}

impl CoroutineTask {
    /// A task of these actors that has not begun. It acquires locks in this name, and `time` is the
    /// time that it sees.
    pub fn new(
        world: &Arc<World>,
        actors: Range<usize>,
        identity: &Arc<Identity>,
        time: Arc<VirtualClock>,
        yields: YieldPoints,
    ) -> Result<Self, ServerError> {
        let connection = world.services.server.connect(0)?;
        let stack = DefaultStack::new(STACK).map_err(|error| {
            ServerError::new(format!("cannot make another coroutine: {error}; use fewer actors"))
        })?;
        let outside = Outside::new(identity, time);
        let (world, shared) = (Arc::clone(world), outside.clone());
        let coroutine = Coroutine::with_stack(stack, move |yielder, _| {
            let handle = TaskHandle::new(yielder, Arc::clone(&world), &shared, yields);
            let clock = handle.clone();
            let new_interceptor = || Box::new(handle.clone()) as Box<dyn Interceptor>;
            TaskBody::new(&world, &clock, connection, new_interceptor(), &new_interceptor, shared)
                .run(actors);
        });
        Ok(Self { coroutine, outside })
    }

    /// Lets it go on until it yields again; none if it has ended instead.
    pub fn resume(&mut self, how: Resume) -> Option<Yield> {
        if self.coroutine.done() {
            return None;
        }
        match self.coroutine.resume(how) {
            CoroutineResult::Yield(stop) => Some(stop),
            CoroutineResult::Return(()) => None,
        }
    }
}

impl Task for CoroutineTask {
    fn go_on(&mut self, how: Resume) -> Result<Option<Yield>, Stopped> {
        Ok(self.resume(how))
    }

    fn outside(&self) -> &Outside {
        &self.outside
    }
}
