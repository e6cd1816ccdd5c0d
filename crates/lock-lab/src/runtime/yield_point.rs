//! Where actors yield so that a scheduler decides which goes on: before each Redis command, before
//! each touch of local state that others share, and where time is to pass. The places are the same
//! for explorations and replays; virtual runs also yield where no other actor can see a difference.

use super::World;
use super::rules::FaultState;
use super::task_body::Outside;
use crate::intercept::{Crashed, Interceptor, PausePoint};
use crate::scenario::Instance;
use crate::server::Connection;
use corosensei::Yielder;
use crossbeam::channel::{Receiver, Sender};
use redis::{ConnectionLike, RedisError, RedisResult, Value};
use redis_sim::clock::{Clock, Stopped, VirtualClock};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Where an actor yielded, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Yield {
    /// Commands want to go out.
    Commands(Commands),
    /// Shared local state is about to be touched.
    Pause(PausePoint),
    /// So much time is to pass.
    Sleep(Duration),
    /// Something must happen first; the task that goes on checks for itself whether it has.
    Blocked,
}

/// Commands that go out at once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Commands {
    /// To which database.
    pub db: i64,
    /// As on the wire.
    pub packed: Vec<u8>,
    /// The number of the first reply that is wanted.
    pub offset: usize,
    /// How many replies are wanted.
    pub count: usize,
}

/// How an actor goes on.
#[derive(Debug)]
pub(super) enum Resume {
    /// It does what it yielded for.
    Go,
    /// Its commands were carried out elsewhere; this is the reply.
    Answer(RedisResult<Vec<Value>>),
    /// What it yielded for is done, but the reply never comes.
    LoseReply,
    /// Its commands are handled elsewhere, and no reply comes.
    NoAnswer,
    /// It crashes here.
    Crash,
    /// The run is over, for this reason.
    GiveUp(Stopped),
}

/// Where actors yield.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum YieldPoints {
    /// At all places.
    Everywhere,
    /// Only where another actor can see a difference.
    WhereShared,
}

/// An actor's place in a coroutine, or in a thread: its interceptor and its clock.
#[derive(Clone)]
pub(super) struct TaskHandle {
    way: Way,
    world: Arc<World>,
    fault_state: Arc<FaultState>,
    /// The time that the actor sees, which its scheduler moves.
    time: Arc<VirtualClock>,
    yields: YieldPoints,
}

/// How an actor yields, and learns how it goes on.
#[derive(Clone)]
enum Way {
    Coroutine(*const Yielder<Resume, Yield>),
    Thread(Wire),
}

/// A thread's end of the channels to the replayer.
#[derive(Clone)]
pub(super) struct Wire {
    /// Where it sends its yields.
    pub yields: Sender<Yield>,
    /// Where it hears how it goes on.
    pub orders: Receiver<Resume>,
    /// When its time began, since 1970.
    pub began: Duration,
}

// SAFETY: a `TaskHandle` with a yielder lives inside the `TaskBody` of the coroutine that it belongs
// to, which stays on the thread of its scheduler; `Send` and `Sync` are asked for by the traits it
// serves, not used.
unsafe impl Send for TaskHandle {}
// SAFETY: as above.
unsafe impl Sync for TaskHandle {}

impl TaskHandle {
    /// The place of the coroutine that has this yielder.
    pub fn new(
        yielder: &Yielder<Resume, Yield>,
        world: Arc<World>,
        outside: &Outside,
        yields: YieldPoints,
    ) -> Self {
        Self::at(Way::Coroutine(yielder), world, outside, yields)
    }

    /// The place of the thread at the end of this wire.
    pub fn of_thread(wire: Wire, world: Arc<World>, outside: &Outside) -> Self {
        Self::at(Way::Thread(wire), world, outside, YieldPoints::WhereShared)
    }

    fn at(way: Way, world: Arc<World>, outside: &Outside, yields: YieldPoints) -> Self {
        let (fault_state, time) = (Arc::clone(&outside.fault_state), Arc::clone(&outside.time));
        Self { way, world, fault_state, time, yields }
    }

    fn stop(&self, stop: Yield) -> Resume {
        match &self.way {
            // SAFETY: the yielder lives as long as the coroutine's body, and so as long as the
            // `TaskBody` that alone holds this `TaskHandle`.
            Way::Coroutine(yielder) => unsafe { &**yielder }.suspend(stop),
            Way::Thread(wire) => {
                let order = wire.yields.send(stop).ok().and_then(|()| wire.orders.recv().ok());
                // Without a replayer, it is over.
                order.unwrap_or(Resume::GiveUp(Stopped::TimedOut))
            }
        }
    }

    /// Yields before commands; gives their outcome.
    fn ask(
        &self,
        commands: Commands,
        carry_out: impl FnOnce() -> RedisResult<Vec<Value>>,
    ) -> RedisResult<Vec<Value>> {
        if self.fault_state.crashed.load(Ordering::Relaxed) {
            return Err(no_reply());
        }
        match self.stop(Yield::Commands(commands)) {
            Resume::Go => carry_out(),
            Resume::Answer(reply) => reply,
            Resume::LoseReply => {
                let _ = carry_out();
                self.fault_state.note(self.world.log.moment(), "the reply is lost".into());
                self.fault_state.injected.store(true, Ordering::Relaxed);
                Err(no_reply())
            }
            Resume::NoAnswer => {
                self.fault_state.injected.store(true, Ordering::Relaxed);
                Err(no_reply())
            }
            Resume::Crash | Resume::GiveUp(_) => {
                self.fault_state.crashed.store(true, Ordering::Relaxed);
                Err(no_reply())
            }
        }
    }

    /// Whether it yields at a point: what it alone has, no other actor touches.
    fn stops_at(&self, point: PausePoint) -> bool {
        match point {
            PausePoint::FileRead
            | PausePoint::FileWrite
            | PausePoint::Server
            | PausePoint::Held => true,
            PausePoint::TokenRead
            | PausePoint::TokenWrite
            | PausePoint::Registry
            | PausePoint::Memory => {
                let actor = self.fault_state.actor.load(Ordering::Relaxed);
                let actor = self.world.plan().actors.get(actor);
                self.yields == YieldPoints::Everywhere
                    || actor.is_none_or(|actor| actor.instance != Instance::Own)
            }
        }
    }
}

/// What a client sees whose reply never comes.
pub(super) fn no_reply() -> RedisError {
    RedisError::from(io::Error::new(
        io::ErrorKind::TimedOut,
        "gave no reply (the schedule dropped it)",
    ))
}

impl Interceptor for TaskHandle {
    fn command(&mut self, connection: &mut Connection, command: &[u8]) -> RedisResult<Value> {
        let (db, packed) = (connection.get_db(), command.to_vec());
        let commands = Commands { db, packed, offset: 0, count: 1 };
        let replies =
            self.ask(commands, || connection.req_packed_command(command).map(|it| vec![it]));
        replies.map(|replies| replies.into_iter().next().unwrap_or(Value::Nil))
    }

    fn pipeline(
        &mut self,
        connection: &mut Connection,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let (db, packed) = (connection.get_db(), commands.to_vec());
        self.ask(Commands { db, packed, offset, count }, || {
            connection.req_packed_commands(commands, offset, count)
        })
    }

    fn pause(&mut self, point: PausePoint) -> Result<(), Crashed> {
        self.fault_state.check()?;
        if self.stops_at(point) && matches!(self.stop(Yield::Pause(point)), Resume::Crash) {
            self.fault_state.crashed.store(true, Ordering::Relaxed);
        }
        self.fault_state.check()
    }

    fn is_alive(&self) -> Result<(), Crashed> {
        self.fault_state.check()
    }

    fn ahead(&self) -> Duration {
        self.fault_state.ahead()
    }
}

impl Clock for TaskHandle {
    fn now(&self) -> Duration {
        self.time.now()
    }

    fn unix(&self) -> Duration {
        match &self.way {
            Way::Coroutine(_) => self.time.unix(),
            Way::Thread(wire) => wire.began.saturating_add(self.time.now()),
        }
    }

    fn sleep(&self, duration: Duration) -> Result<(), Stopped> {
        if duration.is_zero() && self.yields == YieldPoints::WhereShared {
            return Ok(());
        }
        match self.stop(Yield::Sleep(duration)) {
            Resume::GiveUp(why) => Err(why),
            _ => Ok(()),
        }
    }

    fn check(&self) -> Result<(), Stopped> {
        self.time.wake(Duration::ZERO).1
    }

    fn notify(&self) {
        self.time.notify();
    }

    fn wait_until(&self, done: &dyn Fn() -> bool) -> Result<(), Stopped> {
        while !done() {
            if self.time.deadline().is_some_and(|deadline| deadline <= self.time.now()) {
                return Err(Stopped::TimedOut);
            }
            if let Resume::GiveUp(why) = self.stop(Yield::Blocked) {
                return Err(why);
            }
        }
        Ok(())
    }
}
