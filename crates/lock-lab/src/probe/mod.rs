//! Real lock clients, in any language, as a lock protocol: each actor is a process of its own (a
//! *subject*) that takes instructions and carries them out with its own client. Its requests to
//! Redis arrive at a gateway here and go on over the actor's link, command by command, so the
//! scheduler (exploration, replay) decides about the real client as about our own protocols.
//!
//! A client draws random tokens and reads clocks. So that the same choices lead to the same commands,
//! what is such a value by all that is seen of it is given a name
//! (`canonical`), and gets its value back in what the client is answered.
//!
//! Our own locks can be in such processes, too ([`OurProcesses`]), for scenarios that are fired.
//!
//! Instructions to a subject, and its answers, are described in `examples/subjects/README.md`.

mod canonical;
mod client;
mod gateway;
#[cfg(test)]
mod generated;
mod inbox;
mod instruction;
mod line;
mod pool;
mod preflight;
mod process;
mod rehearsal;
mod shared;
mod subject;
mod threads;
mod transcript;
mod wire;
mod worker;
mod worker_host;
mod worker_protocol;

#[cfg(test)]
pub(crate) use generated::{Circumstances, Program};
pub use preflight::{Exclusion, Fencing, Preflight};
pub use process::{MEMORY_OF_A_PROCESS, Processes, SubjectError};
pub use rehearsal::MOST_LESSONS;
pub use shared::Shared;
pub use worker::obey;
pub use worker_host::{FILES_OF_A_PROCESS, NotStarted, OurProcesses};

use crate::lock::{
    self, Acquisition, ActorHost, Context, LockError, LockName, LockProtocol, SharedMemory, Token,
    TokenSlot, Ttl, Who,
};
use crate::server::{Connection, ExclusiveServer, Keys, Server, ServerError};
use canonical::{Vocabulary, is_time};
use client::Client;
use instruction::Instruction;
use lock_history::history::{Sharing, Verb};
use pool::{Lent, Pool};
use process::Process;
use redis::RedisError;
use redis_sim::clock::{Clock, VirtualClock};
use std::collections::{BTreeSet, HashMap};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use subject::{Answer, Broken, Subject};
use threads::Threads;
use transcript::Transcribed;
use wire::KnownScripts;

/// The name of the protocol in schedules and reports.
pub const SUBJECT: &str = "subject";

/// How long a subject may take from one word or command to the next.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A real client behind a command line: each actor is a process of its own.
pub struct Subjects {
    pool: Arc<Pool>,
    protocol: Arc<dyn LockProtocol>,
    /// Starts a process that several actors share.
    shared_starter: Option<Arc<threads::Starter>>,
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
    /// what it is not answered), `cancel` (give that up when that is the instruction).
    pub can: Vec<String>,
    /// How clients share its locks, where these exclude not all others.
    pub shared: Option<Shared>,
    /// Whether its leases are its own: no instruction changes them.
    pub has_own_lease: bool,
    /// Whether one process runs several actors, each in a thread of its own.
    pub threads: bool,
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
    pub(crate) fn can(&self, verb: &str) -> bool {
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
        let scripts = Arc::<KnownScripts>::default();
        let vocabulary = Arc::<Vocabulary>::default();
        let subject = {
            let (start, vocabulary) = (start.clone(), Arc::clone(&vocabulary));
            move |actor| {
                Subject::start(&start, actor, Arc::clone(&scripts), Arc::clone(&vocabulary))
            }
        };
        if start.upstream.is_some() {
            vocabulary.set_real();
        }
        let mut pair = [subject(0)?, subject(1)?];
        let about = pair[0].about().clone();
        check_abilities(&about, &pair[1])?;
        let watched = rehearsal::rehearse(&mut pair, locks, &vocabulary, &start)?;
        // It leaves nothing behind.
        start.server()?;
        let boxed = |subject: Subject| Box::new(subject) as Box<dyn Client>;
        if let Some(upstream) = &start.upstream {
            let key = |lock: &LockName| watched.get(lock.key()).cloned();
            upstream.set_locks(locks.iter().map(|it| key(it).unwrap_or(it.key().to_owned())));
        }
        let (known, shared) = (about.clone(), subject.clone());
        let starter = move |actor| {
            let started = subject(actor)?;
            check_abilities(&known, &started)?;
            Ok(boxed(started))
        };
        let mut subjects = Self::of_clients(start, about, watched, vocabulary, starter);
        subjects.shared_starter = Some(Arc::new(move || shared(0)));
        subjects.pool.sessions.lock().extend(pair.map(boxed).into_iter().enumerate());
        Ok(subjects)
    }

    /// The clients that `starter` starts, one for each actor.
    fn of_clients(
        start: Start,
        about: About,
        watched: HashMap<String, String>,
        vocabulary: Arc<Vocabulary>,
        starter: impl Fn(usize) -> Result<Box<dyn Client>, SubjectError> + Send + Sync + 'static,
    ) -> Self {
        let pool = Arc::new(Pool::new(start, about, watched, vocabulary, Box::new(starter)));
        let protocol = Arc::new(SubjectClient { pool: Arc::clone(&pool), who: Who::default() });
        Self { pool, protocol, shared_starter: None }
    }

    /// Has these actors share one process.
    pub fn share_process(&self, actors: BTreeSet<usize>) {
        let Some(starter) = &self.shared_starter else { return };
        let vocabulary = Arc::clone(&self.pool.vocabulary);
        let _ = self.pool.threads.set(Threads::new(actors, vocabulary, Arc::clone(starter)));
    }

    /// The keys in its instructions under which the client does not keep its locks, and those under which
    /// it does.
    pub fn watched_keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pool.watched_keys()
    }

    /// Two of these locks that the client keeps under one key, by position, and that key: what it does to one
    /// of them looks as if it did it to both.
    pub fn one_key_of_two(&self, locks: &[LockName]) -> Option<([usize; 2], String)> {
        let mut seen: HashMap<String, usize> = HashMap::new();
        locks.iter().enumerate().find_map(|(at, lock)| {
            let key = self.watched(lock.clone()).key().to_owned();
            let other = seen.insert(key.clone(), at)?;
            Some(([other, at], key))
        })
    }

    /// What the client says of itself.
    pub fn about(&self) -> &About {
        &self.pool.about
    }

    /// What the client's locks are like without any race. Nothing has been explored before.
    ///
    /// # Errors
    ///
    /// If a lock can't be acquired when it is free, or the client or the server fails.
    pub fn preflight(&self, locks: &[LockName]) -> Result<Preflight, SubjectError> {
        let all = locks
            .iter()
            .map(|lock| rehearsal::until_learned(|| preflight::preflight(&self.pool, lock)));
        let all = all.collect::<Result<Vec<_>, _>>()?;
        self.pool.start.server()?;
        self.pool.vocabulary.take_learned();
        let all = all.into_iter().reduce(Preflight::and).unwrap_or_default();
        self.pool.set_leases_are_values(all.lease_in_value);
        Ok(all)
    }
}

fn not_tried(error: RedisError) -> LockError {
    LockError::Client(format!("can't try to acquire the lock at the end: {error}"))
}

fn unheard(broken: Broken) -> LockError {
    match broken {
        Broken::Crashed(crashed) => crashed.into(),
        Broken::Subject(error) => LockError::Client(error.to_string()),
    }
}

/// Each process of a client can do the same.
fn check_abilities(known: &About, subject: &Subject) -> Result<(), SubjectError> {
    let about = subject.about();
    if known.shared != about.shared {
        let what = "two of its processes differ in how clients share the lock";
        return Err(SubjectError::NotRehearsed(what.into()));
    }
    if known.has_own_lease != about.has_own_lease {
        let what = "two of its processes differ in whether their leases are their own";
        return Err(SubjectError::NotRehearsed(what.into()));
    }
    let can = &about.can;
    if known.can == *can {
        return Ok(());
    }
    let words = |can: &[String]| format!("[{}]", can.join(", "));
    let (known, can) = (words(&known.can), words(can));
    let what = format!("two of its processes differ in what they can do: {known} and {can}");
    Err(SubjectError::NotRehearsed(what))
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
        instruction: Instruction,
        lease: Option<Ttl>,
    ) -> lock::Result<Answer> {
        let (pool, who) = (&*self.pool, self.who);
        let ttl_ms = lease.map_or(0, |lease| lease.seconds() * 1000);
        let kind = pool.about.shared.and_then(|shared| shared.kind(who.actor));
        let instruction = instruction.line(at.lock, ttl_ms, kind);
        if let Some(threads) = pool.threads_of(who.actor) {
            pool.vocabulary.add_lease(&instruction);
            let answered = threads.instruct(who.actor, instruction, at.link).map_err(unheard)?;
            let token = answered.token.as_deref();
            token.into_iter().for_each(|token| at.identity.claim(Token::from(token)));
            return Ok(answered);
        }
        let mut lent = Lent::new(pool, who.actor);
        let transcripts = &pool.transcripts;
        transcripts.add(who, instruction.to_string(), at.link.ahead());
        pool.vocabulary.add_lease(&instruction);
        let mut link = Transcribed { link: &mut *at.link, transcripts, who };
        let answered =
            pool.lend(who, &mut lent).and_then(|session| session.instruct(&instruction, &mut link));
        let token = lent.session.as_ref().and_then(|session| session.token());
        token.into_iter().for_each(|token| at.identity.claim(Token::from(token)));
        answered.map_err(|broken| match broken {
            // It is left where it is, until it crashes, too, or is reset and forgets everything.
            Broken::Crashed(crashed) => crashed.into(),
            Broken::Subject(error) => {
                // With the session the process ends.
                lent.session = None;
                LockError::Client(error.to_string())
            }
        })
    }
}

impl LockProtocol for SubjectClient {
    fn name(&self) -> &str {
        &self.pool.about.name
    }

    fn acquire(&self, at: &mut Context<'_>, ttl: Ttl, _floor: u64) -> lock::Result<Acquisition> {
        let answer = self.instruct(at, Instruction::Acquire, Some(ttl))?;
        if !answer.ok {
            if at.slot.get().is_none() {
                at.own.set(None);
            }
            return Err(LockError::AlreadyLocked { owner: None, token: None });
        }
        let token = Token::from(answer.token.as_deref().unwrap_or_default());
        let remembered = Acquisition { token, fence: None, ttl };
        at.slot.set(Some(remembered.clone()));
        at.own.set(Some(remembered.clone()));
        // Writes are without it: no resource of ours checks it. Times don't grow while orderings are explored.
        let fence = answer.fence.filter(|fence| !is_time(fence.to_string().as_bytes()));
        Ok(Acquisition { fence, ..remembered })
    }

    fn extend(&self, at: &mut Context<'_>) -> lock::Result {
        if !self.pool.about.can("extend") {
            let what = "the subject cannot extend a lock, as this scenario does";
            return Err(LockError::Client(what.into()));
        }
        let granted = at.own.get().ok_or(LockError::NotOwner)?;
        self.instruct(at, Instruction::Extend, Some(granted.ttl))?.kept(at.slot)
    }

    fn release(&self, at: &mut Context<'_>) -> lock::Result {
        // Of actors that share a process, one may release what another one acquired.
        if at.own.get().is_none() && self.pool.threads_of(self.who.actor).is_none() {
            return Err(LockError::NotOwner);
        }
        let answer = self.instruct(at, Instruction::Release, None)?;
        at.slot.set(None);
        answer.kept(at.slot)
    }

    fn force_release(&self, at: &mut Context<'_>) -> lock::Result {
        let answer = self.instruct(at, Instruction::ForceRelease, None)?;
        at.own.set(None);
        at.slot.set(None);
        answer.kept(at.slot)
    }

    fn does(&self, at: &mut Context<'_>, verb: &Verb) -> lock::Result<Option<bool>> {
        let Some(instruction) = Instruction::of(verb) else { return Ok(None) };
        let answer = self.instruct(at, instruction, None)?;
        if answer.failed || !answer.ok && *verb != Verb::Islocked {
            return Err(LockError::Client(answer.why));
        }
        Ok(Some(answer.ok))
    }

    fn check_write(&self, at: &mut Context<'_>) -> lock::Result {
        if !self.pool.about.can("write") {
            return Ok(());
        }
        let answer = self.instruct(at, Instruction::Write, None)?;
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

    /// Tried when all leases are over, by the server's clock and by the client's. The clock of a real server
    /// can't be moved: there a refusal says nothing.
    fn is_available(&self, lock: &LockName, link: &mut Connection) -> lock::Result<Option<bool>> {
        let pool = &self.pool;
        let later = preflight::until_all_are_over(link, pool.vocabulary.longest_lease());
        let later = later.map_err(not_tried)?;
        let watched = pool.watched(lock.clone());
        let is_held = preflight::outlasts(link, watched.key(), later).map_err(not_tried)?;
        let mut is_granted = pool.grants_fresh_clients(lock, link, later).map_err(unheard)?;
        if !is_granted && is_held && pool.leases_are_values() {
            // Its lease may be longer than what was asked for.
            is_granted = pool.grants_fresh_clients(lock, link, preflight::LONG).map_err(unheard)?;
        }
        // A lock that is there for good is stuck, unless its value stands for a free one.
        let is_known = is_granted || !is_held && pool.start.upstream.is_none();
        Ok(is_known.then_some(is_granted))
    }

    fn sharing(&self, actors: usize) -> Option<Sharing> {
        self.pool.about.shared.map(|shared| shared.among(actors))
    }

    fn learn_from(&self, commands: [&[&[u8]]; 2]) -> bool {
        let owned = |words: &[&[u8]]| words.iter().map(|word| word.to_vec()).collect();
        self.pool.vocabulary.learn_from(&commands.map(owned))
    }

    fn take_learned(&self) -> bool {
        let is_learned = self.pool.vocabulary.take_learned();
        if is_learned {
            self.pool.threads.get().into_iter().for_each(Threads::forget);
        }
        is_learned
    }

    fn shared_memory(&self) -> Option<&SharedMemory> {
        self.pool.threads.get().map(|threads| &threads.transcript)
    }

    fn bytes(&self) -> usize {
        self.pool.transcripts.bytes() + self.pool.threads.get().map_or(0, Threads::bytes)
    }

    fn threads(&self) -> usize {
        self.pool.threads.get().map_or(0, |threads| threads.actors.len())
    }

    fn begin(&self) {
        self.pool.threads.get().into_iter().for_each(Threads::begin);
    }

    fn watched(&self, lock: LockName) -> LockName {
        self.pool.watched(lock)
    }

    fn leases_are_values(&self) -> bool {
        self.pool.leases_are_values()
    }

    fn leases_are_own(&self) -> bool {
        self.pool.about.has_own_lease
    }

    /// A client's state is all instructions and answers that it got.
    fn memory(&self, who: Who) -> u32 {
        self.pool.transcripts.of(who)
    }

    /// A process without an instruction in this life may live the next one.
    fn kill(&self, who: Who) {
        let is_it = |actor: &usize, session: &mut Box<dyn Client>| {
            *actor == who.actor && session.lives(who.life)
        };
        let killed: Vec<_> = self.pool.sessions.lock().extract_if(is_it).collect();
        drop(killed);
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
