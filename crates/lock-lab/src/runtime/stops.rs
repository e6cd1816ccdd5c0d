//! Where actors stop so that a scheduler decides which goes on: before each Redis command, before
//! each touch of local state that others share, and where time is to pass. The places are the same
//! for explorations and replays; virtual runs also stop where no other actor can see a difference.

use super::World;
use super::rules::Fate;
use super::strand::Outside;
use crate::gate::{Gate, Killed, PausePoint};
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

/// Where an actor stopped, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Stop {
    /// Commands want to go out.
    Commands(Commands),
    /// Shared local state is about to be touched.
    Pause(PausePoint),
    /// So much time is to pass.
    Sleep(Duration),
    /// Something must happen first; whoever goes on looks for itself whether it has.
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
    /// It does what it stopped for.
    Go,
    /// Its commands were carried out elsewhere; this is the reply.
    Answer(RedisResult<Vec<Value>>),
    /// What it stopped for is done, but the reply never comes.
    LoseReply,
    /// Its commands are somebody else's matter, and no reply comes.
    NoAnswer,
    /// It is killed here.
    Crash,
    /// The run is over, for this reason.
    GiveUp(Stopped),
}

/// Where actors stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stops {
    /// At all places.
    Everywhere,
    /// Only where another actor can see a difference.
    WhereShared,
}

/// An actor's place in a coroutine, or in a thread: its gate and its clock.
#[derive(Clone)]
pub(super) struct Seat {
    way: Way,
    world: Arc<World>,
    fate: Arc<Fate>,
    /// The time that the actor sees, which its scheduler moves.
    time: Arc<VirtualClock>,
    stops: Stops,
}

/// How an actor says that it stopped, and hears how it goes on.
#[derive(Clone)]
enum Way {
    Coroutine(*const Yielder<Resume, Stop>),
    Thread(Wire),
}

/// A thread's end of the wire to whoever directs it.
#[derive(Clone)]
pub(super) struct Wire {
    /// Where it says that it stopped.
    pub stops: Sender<Stop>,
    /// Where it hears how it goes on.
    pub orders: Receiver<Resume>,
    /// When its time began, since 1970.
    pub began: Duration,
}

// SAFETY: a `Seat` with a yielder lives inside the strand of the coroutine that it belongs to, which stays on the
// thread of its scheduler; `Send` and `Sync` are asked for by the traits it serves, not used.
unsafe impl Send for Seat {}
// SAFETY: as above.
unsafe impl Sync for Seat {}

impl Seat {
    /// The place of the coroutine that has this yielder.
    pub fn new(
        yielder: &Yielder<Resume, Stop>,
        world: Arc<World>,
        outside: &Outside,
        stops: Stops,
    ) -> Self {
        Self::at(Way::Coroutine(yielder), world, outside, stops)
    }

    /// The place of the thread at the end of this wire.
    pub fn of_thread(wire: Wire, world: Arc<World>, outside: &Outside) -> Self {
        Self::at(Way::Thread(wire), world, outside, Stops::WhereShared)
    }

    fn at(way: Way, world: Arc<World>, outside: &Outside, stops: Stops) -> Self {
        let (fate, time) = (Arc::clone(&outside.fate), Arc::clone(&outside.time));
        Self { way, world, fate, time, stops }
    }

    fn stop(&self, stop: Stop) -> Resume {
        match &self.way {
            // SAFETY: the yielder lives as long as the coroutine's body, and so as long as the
            // strand that alone holds this `Seat`.
            Way::Coroutine(yielder) => unsafe { &**yielder }.suspend(stop),
            Way::Thread(wire) => {
                let order = wire.stops.send(stop).ok().and_then(|()| wire.orders.recv().ok());
                // With nobody left who directs it, it is over.
                order.unwrap_or(Resume::GiveUp(Stopped::TimedOut))
            }
        }
    }

    /// Stops before commands; gives what came of them.
    fn ask(
        &self,
        commands: Commands,
        carry_out: impl FnOnce() -> RedisResult<Vec<Value>>,
    ) -> RedisResult<Vec<Value>> {
        if self.fate.crashed.load(Ordering::Relaxed) {
            return Err(no_reply());
        }
        match self.stop(Stop::Commands(commands)) {
            Resume::Go => carry_out(),
            Resume::Answer(reply) => reply,
            Resume::LoseReply => {
                let _ = carry_out();
                self.fate.note(self.world.log.moment(), "the reply is lost".into());
                self.fate.injected.store(true, Ordering::Relaxed);
                Err(no_reply())
            }
            Resume::NoAnswer => {
                self.fate.injected.store(true, Ordering::Relaxed);
                Err(no_reply())
            }
            Resume::Crash | Resume::GiveUp(_) => {
                self.fate.crashed.store(true, Ordering::Relaxed);
                Err(no_reply())
            }
        }
    }

    /// Whether it stops at a point: what it alone has, no other actor touches.
    fn stops_at(&self, point: PausePoint) -> bool {
        match point {
            PausePoint::FileRead | PausePoint::FileWrite | PausePoint::Server => true,
            PausePoint::TokenRead
            | PausePoint::TokenWrite
            | PausePoint::Registry
            | PausePoint::Memory => {
                let actor = self.fate.actor.load(Ordering::Relaxed);
                let actor = self.world.plan().actors.get(actor);
                self.stops == Stops::Everywhere
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

impl Gate for Seat {
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

    fn pause(&mut self, point: PausePoint) -> Result<(), Killed> {
        self.fate.check()?;
        if self.stops_at(point) && matches!(self.stop(Stop::Pause(point)), Resume::Crash) {
            self.fate.crashed.store(true, Ordering::Relaxed);
        }
        self.fate.check()
    }

    fn is_alive(&self) -> Result<(), Killed> {
        self.fate.check()
    }
}

impl Clock for Seat {
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
        if duration.is_zero() && self.stops == Stops::WhereShared {
            return Ok(());
        }
        match self.stop(Stop::Sleep(duration)) {
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
            if let Resume::GiveUp(why) = self.stop(Stop::Blocked) {
                return Err(why);
            }
        }
        Ok(())
    }
}
