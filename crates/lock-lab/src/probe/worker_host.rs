//! Our own locks in processes of their own, one an actor. What the lock protocol does is done
//! there; each command comes back here before it goes out, over the actor's own link, so that
//! interceptors that see, hold or count commands notice no difference. What is remembered goes
//! along each time.

use super::PATIENCE;
use super::gateway::Event;
use super::process::{Process, Processes};
use super::worker_protocol::{Done, Message, OperationCall, Said, Verb};
use crate::intercept::Link;
use crate::lock::{
    self, Acquisition, ActorHost, Context, LockError, LockProtocol, Ttl, Who, WriteGuard, hostname,
};
use crossbeam::channel::{self, Receiver, RecvTimeoutError};
use parking_lot::Mutex;
use redis::{RedisError, RedisResult, Value};
use redis_sim::clock::{Clock, Stopped, in_words};
use redis_sim::server::{Format, write};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// How often we look whether the run was stopped while a process is at work.
const GLANCE: Duration = Duration::from_millis(100);
/// How long a process may say nothing when the run was stopped.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// Why not all processes could be started.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// They are not wanted any more.
    #[error("{0} while processes were started")]
    Stopped(Stopped),
    /// One of them can't be had.
    #[error(
        "cannot start the process of {name} ({number} of {of}): {why}; use fewer actors, or raise \
         the limit (ulimit -u)"
    )]
    Failed {
        /// The actor's name.
        name: String,
        /// Which one it is, from 1.
        number: usize,
        /// How many there are.
        of: usize,
        /// What the system or the process said.
        why: String,
    },
}

/// A lock protocol whose callers are processes.
pub struct OurProcesses {
    inner: Arc<dyn LockProtocol>,
    owners: Vec<String>,
    pool: Arc<Pool>,
}

/// The processes, one an actor.
struct Pool {
    clock: Arc<dyn Clock>,
    /// Those that live and are not at work.
    idle: Vec<Mutex<Option<Actor>>>,
}

/// An actor's process.
struct Actor {
    process: Process,
    events: Receiver<Event>,
    name: String,
}

/// How many open files a process takes here.
pub const FILES_OF_A_PROCESS: u64 = 3;

impl OurProcesses {
    /// Starts a process for each actor of these names, by commands that run [`obey`](super::obey)
    /// with the same lock protocol, and waits until all are ready. They end with the thread that
    /// started them.
    ///
    /// # Errors
    ///
    /// [`NotStarted::Failed`] if a process can't be started or is not ready,
    /// [`NotStarted::Stopped`] if the clock is stopped meanwhile.
    pub fn start(
        inner: Arc<dyn LockProtocol>,
        names: &[&str],
        command: impl Fn(&str) -> Command,
        processes: &Arc<Processes>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, NotStarted> {
        let failed = |index: usize, name: &str, why: String| {
            let (name, number, of) = (name.to_owned(), index + 1, names.len());
            NotStarted::Failed { name, number, of, why }
        };
        let mut actors = Vec::new();
        for (number, name) in names.iter().enumerate() {
            clock.check().map_err(NotStarted::Stopped)?;
            let (said, events) = channel::unbounded();
            let process = Process::start(&mut command(name), said, processes);
            let process = process.map_err(|error| failed(number, name, error.to_string()))?;
            actors.push(Actor { process, events, name: (*name).into() });
        }
        for (number, actor) in actors.iter().enumerate() {
            let heard = actor.hear(&*clock, "begin");
            clock.check().map_err(NotStarted::Stopped)?;
            match heard {
                Ok(Said::Ready) => {}
                Ok(_) => return Err(failed(number, &actor.name, "it was not ready".into())),
                Err(why) => return Err(failed(number, &actor.name, why)),
            }
        }
        let owner = |actor: &Actor| format!("{}:{}", hostname(), actor.process.pid());
        let owners = actors.iter().map(owner).collect();
        let idle = actors.into_iter().map(|actor| Mutex::new(Some(actor))).collect();
        Ok(Self { inner, owners, pool: Arc::new(Pool { clock, idle }) })
    }

    /// Ends all of them.
    pub fn end(&self) {
        self.pool.idle.iter().for_each(|actor| drop(actor.lock().take()));
    }
}

impl Pool {
    fn with_process(&self, who: Who, act: impl FnOnce(&Process)) {
        let actor = self.idle.get(who.actor).map(Mutex::lock);
        if let Some(actor) = actor.as_ref().and_then(|actor| actor.as_ref()) {
            act(&actor.process);
        }
    }
}

impl Actor {
    /// Sends an instruction and lets the process ask the server; gives the outcome, and how the
    /// server failed last.
    fn obeys(
        &mut self,
        message: Message,
        doing: &str,
        clock: &dyn Clock,
        link: &mut dyn Link,
    ) -> lock::Result<(Done, Option<RedisError>)> {
        let (mut message, mut failure) = (message, None);
        loop {
            let line = serde_json::to_string(&message).unwrap_or_default();
            if !self.process.instruct(&line) {
                return Err(LockError::Client(self.ended(doing)));
            }
            message = match self.hear(clock, doing).map_err(LockError::Client)? {
                Said::Send(command) => {
                    let reply = link.req_packed_command(&command);
                    if reply.is_err() {
                        // One that crashed gets no answer any more.
                        link.is_alive()?;
                    }
                    failure = reply.clone().and_then(Value::extract_error).err();
                    answer(&reply)
                }
                Said::Pause(point) => {
                    link.pause(point)?;
                    Message::GoOn
                }
                Said::Done(done) => return Ok((*done, failure)),
                Said::Ready => return Err(LockError::Client(self.odd(doing, "ready"))),
            };
        }
    }

    /// The next that it says. A run that was stopped lets its actors give their locks back.
    fn hear(&self, clock: &dyn Clock, doing: &str) -> Result<Said, String> {
        let mut waited = Duration::ZERO;
        loop {
            match self.events.recv_timeout(GLANCE) {
                Ok(Event::Said(line)) => {
                    return serde_json::from_str(&line).map_err(|_| self.odd(doing, &line));
                }
                Ok(Event::Ended) | Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.ended(doing));
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => waited += GLANCE,
            }
            let most = if clock.check().is_ok() { PATIENCE } else { LAST_PATIENCE };
            if waited >= most {
                let name = &self.name;
                let most = in_words(most);
                return Err(format!(
                    "the process of {name} said nothing for {most} while it was to {doing}"
                ));
            }
        }
    }

    fn ended(&self, doing: &str) -> String {
        let (name, last_words) = (&self.name, self.process.last_words());
        format!("the process of {name} ended while it was to {doing}{last_words}")
    }

    fn odd(&self, doing: &str, said: &str) -> String {
        let said: String = said.chars().take(100).collect();
        format!("the process of {} was to {doing} and said {said:?}", self.name)
    }
}

fn answer(reply: &RedisResult<Value>) -> Message {
    let Ok(reply) = reply else { return Message::NoReply };
    let mut bytes = Vec::new();
    write(reply, Format { resp3: true, no_list: false }, &mut bytes);
    Message::Reply(bytes)
}

/// The process of one actor.
struct WorkerProcess {
    inner: Arc<dyn LockProtocol>,
    pool: Arc<Pool>,
    who: Who,
}

impl WorkerProcess {
    /// Lets the caller's process do something.
    fn call(&self, at: &mut Context<'_>, verb: Verb) -> lock::Result<Option<Acquisition>> {
        let gone = || LockError::Client("its process is gone".into());
        let place = self.pool.idle.get(self.who.actor).ok_or_else(gone)?;
        let mut actor = place.lock().take().ok_or_else(gone)?;
        let doing = verb.words();
        let call = OperationCall {
            verb,
            runid: at.lock.runid().into(),
            file: at.lock.file().into(),
            own: at.own.memory(),
            slot: at.slot.memory(),
        };
        // A crashed or misbehaving worker is dropped.
        let (done, failure) = actor.obeys(Message::Do(call), doing, &*self.pool.clock, at.link)?;
        *place.lock() = Some(actor);
        let Done { result, own, slot: held } = done;
        at.own.set(own);
        at.slot.set(held);
        result.map_err(|refused| refused.restored(failure))
    }
}

impl LockProtocol for WorkerProcess {
    fn name(&self) -> &str {
        self.inner.name()
    }

    /// The token is drawn here, so that it is known whose lock it is, whatever becomes of the process.
    fn acquire(&self, at: &mut Context<'_>, ttl: Ttl, floor: u64) -> lock::Result<Acquisition> {
        let token = at.identity.issue();
        let acquired = self.call(at, Verb::Acquire { token, ttl, floor })?;
        acquired.ok_or_else(|| LockError::Client("its process says nothing of its lock".into()))
    }

    fn extend(&self, at: &mut Context<'_>) -> lock::Result {
        self.call(at, Verb::Extend).map(drop)
    }

    fn release(&self, at: &mut Context<'_>) -> lock::Result {
        self.call(at, Verb::Release).map(drop)
    }

    fn force_release(&self, at: &mut Context<'_>) -> lock::Result {
        self.call(at, Verb::ForceRelease).map(drop)
    }

    fn check_write(&self, at: &mut Context<'_>) -> lock::Result {
        self.call(at, Verb::CheckWrite).map(drop)
    }

    fn first_command(&self) -> &str {
        self.inner.first_command()
    }

    fn write_guard(&self) -> WriteGuard {
        self.inner.write_guard()
    }
}

impl ActorHost for OurProcesses {
    fn protocol(&self) -> &Arc<dyn LockProtocol> {
        &self.inner
    }

    fn protocol_of(&self, who: Who) -> Arc<dyn LockProtocol> {
        let (inner, pool) = (Arc::clone(&self.inner), Arc::clone(&self.pool));
        Arc::new(WorkerProcess { inner, pool, who })
    }

    fn owners(&self) -> &[String] {
        &self.owners
    }

    fn kill(&self, who: Who) {
        if let Some(actor) = self.pool.idle.get(who.actor) {
            let killed = actor.lock().take();
            drop(killed);
        }
    }

    fn stop(&self, who: Who) {
        self.pool.with_process(who, Process::stop);
    }

    fn go_on(&self, who: Who) {
        self.pool.with_process(who, Process::go_on);
    }
}
