//! Real lock clients, in any language, as a lock protocol: each actor is a process of its own (a
//! *subject*) that takes instructions and carries them out with its own client. Its requests to
//! Redis arrive at a gateway here and go on over the actor's link, command by command, so the
//! scheduler (exploration, replay) decides about the real client as about our own protocols.
//!
//! A client draws random tokens and reads clocks. So that the same choices lead to the same commands,
//! what it sends for the first time and is long enough to be such a value is given a name
//! (`canonical`), and gets its value back in what the client is answered.
//!
//! Our own locks can be in such processes, too ([`OurProcesses`]), for scenarios that are fired.
//!
//! Instructions to a subject, and its answers, are described in `examples/subjects/README.md`.

mod canonical;
mod gateway;
mod preflight;
mod process;
mod subject;
mod wire;
mod worker;
mod worker_host;
mod worker_protocol;

pub use process::{MEMORY_OF_A_PROCESS, Processes, SubjectError};
pub use worker::obey;
pub use worker_host::{FILES_OF_A_PROCESS, NotStarted, OurProcesses};

use crate::lock::{
    self, Acquisition, ActorHost, Context, LockError, LockName, LockProtocol, Token, TokenSlot,
    Ttl, Who,
};
use crate::server::{Connection, ExclusiveServer, Keys, Server, ServerError};
use canonical::Constants;
use parking_lot::Mutex;
use process::Process;
use redis_sim::clock::{Clock, VirtualClock};
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use subject::{Answer, Broken, Subject};
use wire::KnownScripts;

/// The name of the protocol in schedules and reports.
pub const SUBJECT: &str = "subject";

/// How long a subject may take from one word or command to the next.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The lease of locks in a rehearsal, in milliseconds.
const REHEARSED_TTL: u64 = 30_000;

/// A real client behind a command line: each actor is a process of its own.
pub struct Subjects {
    pool: Arc<Pool>,
    protocol: Arc<dyn LockProtocol>,
}

/// The processes of a client, and what all of them share.
struct Pool {
    start: Start,
    about: About,
    sessions: Mutex<HashMap<usize, Subject>>,
    /// What went wrong with a subject for good, in words.
    failure: Mutex<Option<String>>,
    scripts: Arc<KnownScripts>,
    constants: Arc<Constants>,
}

/// How subjects are started.
#[derive(Clone)]
pub struct Start {
    /// The command line, which the shell runs.
    pub command: String,
    /// How long one may take from one word or command to the next.
    pub patience: Duration,
    /// When this is stopped, subjects are not waited for any more.
    pub clock: Arc<dyn Clock>,
    /// Where those that run are known.
    pub processes: Arc<Processes>,
    /// The real Redis that what they send goes to; if there is none, an embedded server.
    pub upstream: Option<Arc<ExclusiveServer>>,
}

impl Start {
    /// An empty server to rehearse on.
    fn server(&self) -> Result<Server, ServerError> {
        let Some(upstream) = &self.upstream else {
            return Ok(Server::embedded(Arc::new(VirtualClock::new(None))));
        };
        upstream.put(&Keys::new())?;
        Ok(upstream.server())
    }

    /// Why nothing goes on with the server, if so.
    fn check_server(&self) -> Result<(), SubjectError> {
        self.upstream.as_ref().map_or(Ok(()), |upstream| upstream.check().map_err(Into::into))
    }
}

/// What a subject says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct About {
    /// Its name and version, for reports.
    pub name: String,
    /// What it can do besides acquire and release: `extend`, `write`, `time_out` (give up by itself
    /// what it is not answered).
    pub can: Vec<String>,
}

impl Start {
    /// The command that starts one whose Redis is there.
    fn by_shell(&self, url: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(&self.command).env("REDIS_URL", url);
        command
    }
}

impl About {
    fn can(&self, verb: &str) -> bool {
        self.can.iter().any(|can| can == verb)
    }
}

impl Subjects {
    /// Starts two subjects, hears what they say of themselves, and learns which of the words that
    /// they send are the same in both. `locks` are the locks that they will be asked for.
    ///
    /// # Errors
    ///
    /// [`SubjectError`] if a subject can't be started, ends early, does not answer as it should, or
    /// sends nothing to database 0 for a lock, and if the server fails.
    pub fn new(start: Start, locks: &[LockName]) -> Result<Self, SubjectError> {
        let pool = Pool {
            start,
            about: About::default(),
            sessions: Mutex::default(),
            failure: Mutex::default(),
            scripts: Arc::default(),
            constants: Arc::default(),
        };
        let mut pair = [pool.start(0)?, pool.start(1)?];
        let about = pair[0].about().clone();
        for lock in locks {
            let sent = pair.each_mut().map(|session| rehearse(session, lock, &about, &pool.start));
            pool.start.check_server()?;
            let [one, other] = sent;
            let (one, other) = (one?, other?);
            if one.is_empty() {
                let what = format!(
                    "to take and release {} it sent nothing to database 0, where locks are; if its \
                     client selects another, take that away",
                    lock.key()
                );
                return Err(SubjectError::NotRehearsed(what));
            }
            let both = one.into_iter().filter(|word| other.contains(word));
            pool.constants.add(both);
        }
        // It leaves nothing behind.
        pool.start.server()?;
        let sessions = Mutex::new(pair.into_iter().enumerate().collect());
        let pool = Arc::new(Pool { about, sessions, ..pool });
        let protocol = Arc::new(SubjectClient { pool: Arc::clone(&pool), who: Who::default() });
        Ok(Self { pool, protocol })
    }

    /// What the client says of itself.
    pub fn about(&self) -> &About {
        &self.pool.about
    }

    /// Whether the client's lock is one: it has the key that the client was given, refuses a second
    /// client, and can be acquired again after its release. Nothing has been explored before.
    ///
    /// # Errors
    ///
    /// [`SubjectError`] if the client's lock fails one of these tests, if a subject ends or does
    /// not answer, or if the server fails.
    pub fn preflight(&self, locks: &[LockName]) -> Result<(), SubjectError> {
        let mut sessions = self.pool.sessions.lock();
        for lock in locks {
            let mut pair = sessions.values_mut();
            let (Some(one), Some(other)) = (pair.next(), pair.next()) else { break };
            preflight::preflight([one, other], lock, &self.pool.start)?;
        }
        self.pool.start.server()?;
        Ok(())
    }

    /// What went wrong with a subject, if anything did that is no matter of locks.
    pub fn failure(&self) -> Option<String> {
        self.pool.failure.lock().clone()
    }
}

impl Pool {
    fn lend<'a>(&self, who: Who, lent: &'a mut Lent<'_>) -> Result<&'a mut Subject, Broken> {
        let known = self.sessions.lock().remove(&who.actor);
        let mut session = known.map_or_else(|| self.start(who.actor), Ok)?;
        if session.begin(who.life).is_err() {
            // It does not come back from where it was left.
            session = self.start(who.actor)?;
            session.begin(who.life)?;
        }
        Ok(lent.session.insert(session))
    }

    /// Acts on the process of a participant, if it got an instruction in this life.
    fn with_process(&self, who: Who, act: impl FnOnce(&Process)) {
        let sessions = self.sessions.lock();
        let session = sessions.get(&who.actor).filter(|session| session.lives(who.life));
        if let Some(session) = session {
            act(session.process());
        }
    }

    fn start(&self, actor: usize) -> Result<Subject, SubjectError> {
        let (scripts, constants) = (Arc::clone(&self.scripts), Arc::clone(&self.constants));
        Subject::start(&self.start, actor, scripts, constants)
    }
}

/// A session that is at work. It goes back also where the work is given up in the middle.
struct Lent<'a> {
    pool: &'a Pool,
    actor: usize,
    session: Option<Subject>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.pool.sessions.lock().insert(self.actor, session);
        }
    }
}

/// How the lock of a subject is disturbed during rehearsal, between its acquire and the rest.
const SPOILT: [Option<[&str; 2]>; 3] = [None, Some(["DEL", ""]), Some(["SET", "somebody-else"])];

/// Lets a subject do everything once, on a server of its own, with success and without; gives all
/// words that it sent.
fn rehearse(
    session: &mut Subject,
    lock: &LockName,
    about: &About,
    start: &Start,
) -> Result<HashSet<Vec<u8>>, SubjectError> {
    let mut sent = HashSet::new();
    for (life, spoil) in (0..).zip(SPOILT) {
        let mut server = start.server()?.connect(0)?;
        let well = |answered: Result<(), Broken>| match answered {
            Err(Broken::Subject(error)) => Err(error),
            _ => Ok(()),
        };
        well(session.begin(u64::MAX - life))?;
        let mut instruct = |verb: &str, link: &mut Connection| {
            let instruction = json!({"do": verb, "lock": lock.key(), "ttl_ms": REHEARSED_TTL});
            well(session.instruct(&instruction, link).map(drop))
        };
        instruct("acquire", &mut server)?;
        if let Some([command, value]) = spoil {
            let value = Some(value).filter(|value| !value.is_empty());
            let spoilt = redis::cmd(command).arg(lock.key()).arg(value).exec(&mut server);
            spoilt.map_err(preflight::failed)?;
        }
        for verb in ["write", "extend"].into_iter().filter(|verb| about.can(verb)) {
            instruct(verb, &mut server)?;
        }
        instruct("release", &mut server)?;
        instruct("acquire", &mut server)?;
        sent.extend(session.sent());
    }
    Ok(sent)
}

/// The client of one actor.
struct SubjectClient {
    pool: Arc<Pool>,
    who: Who,
}

impl SubjectClient {
    /// Has the actor's subject carry out an instruction and passes on what it sends meanwhile.
    fn instruct(
        &self,
        at: &mut Context<'_>,
        instruction: serde_json::Value,
    ) -> lock::Result<Answer> {
        let (pool, who) = (&*self.pool, self.who);
        let mut lent = Lent { pool, actor: who.actor, session: None };
        let answered = pool
            .lend(who, &mut lent)
            .and_then(|session| session.instruct(&instruction, &mut *at.link));
        let token = lent.session.as_ref().and_then(Subject::token);
        token.into_iter().for_each(|token| at.identity.claim(Token::from(token)));
        answered.map_err(|broken| match broken {
            // It is left where it is, until it crashes, too, or is reset and forgets everything.
            Broken::Crashed(crashed) => crashed.into(),
            Broken::Subject(error) => {
                // With the session the process ends.
                lent.session = None;
                let what = error.to_string();
                pool.failure.lock().get_or_insert(what.clone());
                LockError::Client(what)
            }
        })
    }
}

impl LockProtocol for SubjectClient {
    fn name(&self) -> &str {
        &self.pool.about.name
    }

    fn acquire(&self, at: &mut Context<'_>, ttl: Ttl, _floor: u64) -> lock::Result<Acquisition> {
        let ttl_ms = ttl.seconds() * 1000;
        let instruction = json!({"do": "acquire", "lock": at.lock.key(), "ttl_ms": ttl_ms});
        let answer = self.instruct(at, instruction)?;
        if !answer.ok {
            return Err(LockError::AlreadyLocked { owner: None, token: None });
        }
        let token = Token::from(answer.token.as_deref().unwrap_or_default());
        let acquisition = Acquisition { token, fence: None, ttl };
        at.slot.set(Some(acquisition.clone()));
        Ok(acquisition)
    }

    fn extend(&self, at: &mut Context<'_>) -> lock::Result {
        if !self.pool.about.can("extend") {
            let what = "the subject cannot extend a lock, as this scenario does";
            return Err(LockError::Client(what.into()));
        }
        let ttl = at.slot.get().ok_or(LockError::NotOwner)?.ttl;
        let ttl_ms = ttl.seconds() * 1000;
        let instruction = json!({"do": "extend", "lock": at.lock.key(), "ttl_ms": ttl_ms});
        self.instruct(at, instruction)?.kept(at.slot)
    }

    fn release(&self, at: &mut Context<'_>) -> lock::Result {
        if at.slot.get().is_none() {
            return Err(LockError::NotOwner);
        }
        let answer = self.instruct(at, json!({"do": "release", "lock": at.lock.key()}))?;
        at.slot.set(None);
        answer.kept(at.slot)
    }

    fn force_release(&self, _at: &mut Context<'_>) -> lock::Result {
        Err(LockError::Client("a subject is never told to release by force".into()))
    }

    fn check_write(&self, at: &mut Context<'_>) -> lock::Result {
        if !self.pool.about.can("write") {
            return Ok(());
        }
        let answer = self.instruct(at, json!({"do": "write", "lock": at.lock.key()}))?;
        if answer.ok { Ok(()) } else { Err(LockError::Lost(answer.why)) }
    }

    /// It is not known before it comes.
    fn first_command(&self) -> &str {
        ""
    }

    fn is_foreign(&self) -> bool {
        true
    }
}

impl ActorHost for Subjects {
    fn protocol(&self) -> &Arc<dyn LockProtocol> {
        &self.protocol
    }

    fn protocol_of(&self, who: Who) -> Arc<dyn LockProtocol> {
        Arc::new(SubjectClient { pool: Arc::clone(&self.pool), who })
    }

    /// A process without an instruction in this life may live the next one.
    fn kill(&self, who: Who) {
        let is_it =
            |actor: &usize, session: &mut Subject| *actor == who.actor && session.lives(who.life);
        let crashed: Vec<_> = self.pool.sessions.lock().extract_if(is_it).collect();
        drop(crashed);
    }

    fn stop(&self, who: Who) {
        self.pool.with_process(who, Process::stop);
    }

    fn go_on(&self, who: Who) {
        self.pool.with_process(who, Process::go_on);
    }
}

impl Answer {
    /// What it means for a holder of the lock.
    fn kept(self, slot: &TokenSlot) -> lock::Result {
        if self.ok {
            return Ok(());
        }
        slot.set(None);
        Err(LockError::Lost(self.why))
    }
}
