//! A subject at work: it gets an instruction, and while it carries that out, what it sends passes through
//! the link of its actor.

use super::canonical::{self, Learned, Symbols, Vocabulary};
use super::client::Client;
use super::gateway::{Event, Gateway};
use super::inbox::Inbox;
use super::instruction::Instruction;
use super::line::{Listening, SubjectConnection};
use super::process::{CANCEL, Process, SubjectError, TIME_OUT, Wrong};
use super::wire::{self, KnownScripts, Words};
use super::{About, Shared, Start};
use crate::intercept::{Crashed, Link};
use crossbeam::channel::{self, RecvTimeoutError};
use redis::{RedisResult, Value};
use redis_sim::Engine;
use redis_sim::clock::{VirtualClock, in_words};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The most commands that one subject may send for one instruction.
const MOST_COMMANDS: u32 = 10_000;
/// The most that it may send for an acquire: one that sends more waits for the lock.
const MOST_OF_AN_ACQUIRE: u32 = 50;
/// How many events of a subject wait to be read. More are read when there is room.
const MOST_EVENTS: usize = 1024;
/// The most connections that one subject may have open.
const MOST_CONNECTIONS: usize = 64;
/// How many connections of one life have ids of their own; more have those of the next actor, and are none that
/// a client makes.
const IDS: i64 = 1000;
/// Why a line is no answer.
const NO_JSON: &str = "that is no JSON";
/// The instruction to forget everything.
const RESET: &str = "reset";
/// What a subject is answered that is to come to an end.
const OVER: &str = "ERR this is over";

/// What a subject answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// Whether it did what the instruction says.
    pub ok: bool,
    /// Why not, in its words.
    pub why: String,
    /// Whether it says that it broke, where nothing was done to it on purpose.
    pub failed: bool,
    /// The last drawn value that it sent meanwhile, by its name.
    pub token: Option<String>,
    /// The fencing token that it got.
    pub fence: Option<u64>,
}

impl Answer {
    /// Where nothing is done to a client, one that says that it broke is wrong.
    pub fn unless_failed(self, instruction: Instruction) -> Result<Self, SubjectError> {
        if !self.failed {
            return Ok(self);
        }
        let doing = instruction.word().to_owned();
        Err(SubjectError::Wrong { doing, wrong: Wrong::Failed(self.why) })
    }
}

type Result<T = (), E = Broken> = std::result::Result<T, E>;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Broken {
    /// The actor crashed, as was chosen.
    Crashed(Crashed),
    /// Something is wrong with the subject.
    Subject(SubjectError),
}

impl From<SubjectError> for Broken {
    fn from(error: SubjectError) -> Self {
        Broken::Subject(error)
    }
}

/// One subject.
pub(super) struct Subject {
    process: Process,
    _gateway: Gateway,
    inbox: Inbox,
    lines: BTreeMap<usize, SubjectConnection>,
    start: Start,
    about: About,
    actor: usize,
    /// Which of the actor's lives it lives.
    life: Option<u64>,
    turn: SubjectTurn,
    symbols: Symbols,
    vocabulary: Arc<Vocabulary>,
    scripts: Arc<KnownScripts>,
    /// Where what is no matter of locks goes: other databases, names of clients.
    aside: Engine,
    /// How much later it is there than when it began.
    aside_ahead: Duration,
}

/// What is known of one actor's instruction and how far the subject has carried it out.
#[derive(Debug, Default)]
pub(super) struct SubjectTurn {
    /// The instruction that it has not answered.
    doing: Option<String>,
    /// How many commands it has sent for it.
    asked: u32,
    /// Whether it was disturbed on purpose since the instruction: a reply was lost, a command was
    /// refused.
    has_suffered: bool,
    /// The connection on which it waits for a reply.
    asks: Option<usize>,
    /// Whether its instruction was cancelled.
    is_cancelled: bool,
    /// Whether it waits for a reply that never comes, and has not shown yet that it gave up.
    waits_in_vain: bool,
    /// The last drawn value that went to the server, by its name.
    token: Option<String>,
}

/// What a subject does next.
#[derive(Debug, Clone)]
pub(super) enum Does {
    /// It says a line.
    Says(serde_json::Value),
    /// It asks the server.
    Asks(Arc<Request>),
}

/// What a subject asks the server.
#[derive(Debug)]
pub(super) struct Request {
    /// As on the wire, with names in place of drawn values.
    pub packed: Vec<u8>,
    /// The number of the first reply that is wanted.
    pub offset: usize,
    /// The connection that it came over.
    pub connection: usize,
    /// The names of the commands.
    names: Vec<Vec<u8>>,
    is_transaction: bool,
}

/// Where what is no matter of locks goes. A server gives no two connections the same id (CLIENT ID, HELLO).
fn aside(actor: usize) -> Engine {
    let first = i64::try_from(actor.saturating_add(1)).unwrap_or(i64::MAX).saturating_mul(IDS) + 1;
    Engine::new(Arc::new(VirtualClock::new(None))).numbering_from(first)
}

/// Answers a subject's requests.
enum Server<'a> {
    /// The actor's link, where the scheduler decides.
    Link(&'a mut dyn Link),
    /// None: the subject is to come to an end.
    Absent,
}

impl Subject {
    /// Starts a subject and hears what it says of itself.
    pub fn start(
        start: &Start,
        actor: usize,
        scripts: Arc<KnownScripts>,
        vocabulary: Arc<Vocabulary>,
    ) -> Result<Self, SubjectError> {
        let (sender, events) = channel::bounded(MOST_EVENTS);
        let not_started =
            |why: String| SubjectError::NotStarted { command: start.command.clone(), why };
        let gateway =
            Gateway::open(sender.clone()).map_err(|error| not_started(error.to_string()))?;
        let process = Process::start(&mut start.by_shell(&gateway.url()), sender, &start.processes);
        let process = process.map_err(|error| not_started(error.to_string()))?;
        let mut session = Self {
            process,
            _gateway: gateway,
            inbox: Inbox::new(events, start),
            lines: BTreeMap::new(),
            start: start.clone(),
            about: About::default(),
            actor,
            life: None,
            turn: SubjectTurn { doing: Some("say what it is".into()), ..SubjectTurn::default() },
            symbols: Symbols::new(actor, Arc::clone(&vocabulary)),
            vocabulary,
            scripts,
            aside: aside(actor),
            aside_ahead: Duration::ZERO,
        };
        let said = session.hear(&mut Server::Absent).map_err(|broken| match broken {
            Broken::Subject(error) => error,
            Broken::Crashed(_) => not_started("it was killed".into()),
        })?;
        let name = said.get("subject").and_then(|name| name.as_str());
        let name = name.ok_or_else(|| {
            session.garbled(&said.to_string(), "its first line has no member \"subject\"")
        })?;
        let can = said.get("can").and_then(|can| can.as_array()).into_iter().flatten();
        let shared = Shared::said(&said).map_err(|why| session.garbled(&said.to_string(), why))?;
        let has_own_lease = match said.get("lease") {
            None => false,
            Some(lease) if lease == "own" => true,
            Some(_) => {
                return Err(session.garbled(&said.to_string(), "its \"lease\" must be \"own\""));
            }
        };
        session.about = About {
            name: name.to_owned(),
            can: can.filter_map(|word| word.as_str()).map(str::to_owned).collect(),
            shared,
            has_own_lease,
            threads: said.get("threads").is_some_and(|threads| *threads == true),
        };
        if session.about.threads && [TIME_OUT, CANCEL].into_iter().any(|it| session.about.can(it)) {
            let why = "a process that runs several actors can neither time out nor cancel";
            return Err(session.garbled(&said.to_string(), why));
        }
        session.turn.doing = None;
        Ok(session)
    }

    /// What it says of itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// What it has sent in this life, as it was.
    pub fn requests(&self) -> &[canonical::Request] {
        self.symbols.requests()
    }

    /// What the server has for it, as if another client had written it.
    pub fn of_another(&self, content: &[u8]) -> Vec<u8> {
        self.symbols.of_another(content)
    }

    /// Gives it an instruction for one of its actors.
    pub fn say(
        &mut self,
        actor: usize,
        instruction: &serde_json::Value,
    ) -> Result<(), SubjectError> {
        let verb = instruction.get("do").and_then(|verb| verb.as_str()).unwrap_or_default();
        self.turn = SubjectTurn { doing: Some(verb.to_owned()), ..SubjectTurn::default() };
        if let Some(line) = self.inbox.early_line() {
            let is_answer = serde_json::from_str::<serde_json::Value>(&line).is_ok();
            let why = if is_answer { "it had answered already" } else { NO_JSON };
            return Err(self.garbled(&line, why));
        }
        let mut line = instruction.clone();
        if let (true, Some(members)) = (self.about.threads && verb != RESET, line.as_object_mut()) {
            members.insert("actor".into(), actor.into());
        }
        self.inbox.begin();
        if self.process.instruct(&line.to_string()) { Ok(()) } else { Err(self.ended()) }
    }

    /// What it did ends the work with it.
    pub fn went(&mut self, wrong: Wrong) -> Broken {
        let doing = self.turn.doing.take().unwrap_or_default();
        SubjectError::Wrong { doing, wrong }.into()
    }

    /// Waits for the next line that it says, and lets it ask the server meanwhile.
    fn hear(&mut self, server: &mut Server<'_>) -> Result<serde_json::Value> {
        loop {
            match (self.goes_on(matches!(server, Server::Link(_)))?, &mut *server) {
                (Does::Says(said), _) => return Ok(said),
                (Does::Asks(request), Server::Link(link)) => self.ask(&request, &mut **link)?,
                (Does::Asks(_), Server::Absent) => {}
            }
        }
    }

    /// What it does next that is not answered here. Without a server it is refused what it asks.
    pub fn goes_on(&mut self, has_server: bool) -> Result<Does> {
        loop {
            match self.inbox.next() {
                Ok(Event::Said(line)) => {
                    self.turn.waits_in_vain = false;
                    let said = serde_json::from_str(&line).map(Does::Says);
                    return Ok(said.map_err(|_| self.garbled(&line, NO_JSON))?);
                }
                Ok(Event::Opened(..)) if self.lines.len() >= MOST_CONNECTIONS => {
                    return Err(self.went(Wrong::TooManyConnections(MOST_CONNECTIONS)));
                }
                Ok(Event::Opened(number, stream)) => {
                    let line = SubjectConnection::new(stream, self.aside.connect(0));
                    self.lines.insert(number, line);
                }
                Ok(Event::Closed(number)) => {
                    let closed = self.lines.remove(&number);
                    self.turn.waits_in_vain &= !closed.is_some_and(|line| line.is_dead);
                }
                Ok(Event::Asked(number, words)) => {
                    self.check_count()?;
                    if let Some(request) = self.answer(number, &words, has_server)? {
                        return Ok(Does::Asks(Arc::new(request)));
                    }
                }
                Ok(Event::Ended) | Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.ended().into());
                }
                Err(RecvTimeoutError::Timeout) => return Err(self.silent().into()),
            }
        }
    }

    /// Fails if it has sent too many commands for its instruction.
    fn check_count(&mut self) -> Result {
        self.turn.asked += 1;
        let asked = self.turn.asked;
        let acquires = self.turn.doing.as_deref() == Some(Instruction::Acquire.word());
        if acquires && !self.turn.has_suffered && asked > MOST_OF_AN_ACQUIRE {
            return Err(self.went(Wrong::Waits(MOST_OF_AN_ACQUIRE)));
        }
        if asked > MOST_COMMANDS {
            return Err(self.went(Wrong::TooManyCommands(MOST_COMMANDS)));
        }
        Ok(())
    }

    fn silent(&mut self) -> SubjectError {
        let doing = self.turn.doing.take().unwrap_or_default();
        let (patience, last_words) = (in_words(self.start.patience), self.process.last_words());
        if self.turn.waits_in_vain {
            let ability = if self.about.can(CANCEL) { CANCEL } else { TIME_OUT };
            SubjectError::NeverGivesUp { ability, doing, patience, last_words }
        } else if self.lines.values().any(SubjectConnection::listens) {
            SubjectError::Listens { doing, patience, last_words }
        } else {
            SubjectError::Silent { doing, patience, last_words }
        }
    }

    fn ended(&mut self) -> SubjectError {
        SubjectError::Ended {
            doing: self.turn.doing.take().unwrap_or_default(),
            last_words: self.process.last_words(),
        }
    }

    fn garbled(&self, said: &str, why: &'static str) -> SubjectError {
        let doing = self.turn.doing.clone().unwrap_or_default();
        SubjectError::Wrong { doing, wrong: Wrong::Garbled(said.chars().take(200).collect(), why) }
    }

    /// Answers one request, or gives what goes to the server.
    fn answer(
        &mut self,
        number: usize,
        words: &[Vec<u8>],
        has_server: bool,
    ) -> Result<Option<Request>> {
        let Some(line) = self.lines.get_mut(&number) else { return Ok(None) };
        self.turn.waits_in_vain = false;
        if line.is_dead {
            line.close();
            self.turn.has_suffered = true;
            return Ok(None);
        }
        let word = |at: usize| words.get(at).map(Vec::as_slice).unwrap_or_default();
        let upper = |at: usize| String::from_utf8_lossy(word(at)).to_ascii_uppercase();
        let answered = match (upper(0).as_str(), &mut line.queue) {
            ("MULTI", queue @ None) => {
                *queue = Some(Vec::new());
                Ok(vec![Value::Okay])
            }
            ("DISCARD", queue @ Some(_)) => {
                *queue = None;
                Ok(vec![Value::Okay])
            }
            ("EXEC", queue @ Some(_)) => {
                let requests = queue.take().unwrap_or_default();
                return self.request(number, requests, true, has_server);
            }
            (_, Some(queue)) => {
                queue.push(words.to_vec());
                Ok(vec![Value::SimpleString("QUEUED".into())])
            }
            ("SCRIPT", None) if upper(1) == "LOAD" => {
                Ok(vec![Value::BulkString(self.scripts.learn(word(2)).into_bytes())])
            }
            (name, None) if let Some(listening) = Listening::of(name) => {
                let names = words.get(1..).unwrap_or_default();
                line.listen(listening, names, &mut self.symbols);
                return Ok(None);
            }
            (name, None) if line.db != 0 || wire::is_aside(name) => line.aside(words),
            _ => return self.request(number, vec![words.to_vec()], false, has_server),
        };
        line.write(&answered, &mut self.symbols, false);
        Ok(None)
    }

    /// What goes to the server of some requests; those of a transaction go together.
    fn request(
        &mut self,
        connection: usize,
        requests: Vec<Words>,
        is_transaction: bool,
        has_server: bool,
    ) -> Result<Option<Request>> {
        if !has_server {
            self.write(connection, &wire::refusal_at_the_end(&requests, OVER));
            return Ok(None);
        }
        let offset = if is_transaction { requests.len() + 1 } else { 0 };
        let names: Vec<Vec<u8>> = requests.iter().filter_map(|it| it.first()).cloned().collect();
        let packed = self.packed(requests, is_transaction);
        if let Err(Broken::Subject(SubjectError::Learned)) = packed {
            // It is answered when the next life begins.
            self.turn.asks = Some(connection);
        }
        let Some(packed) = packed? else {
            let unknown = wire::refusal("NOSCRIPT No matching script. Please use EVAL.");
            self.write(connection, &unknown);
            return Ok(None);
        };
        self.turn.asks = Some(connection);
        Ok(Some(Request { packed, offset, connection, names, is_transaction }))
    }

    /// Lets a request go on to the actor's link, and answers it.
    fn ask(&mut self, request: &Request, link: &mut dyn Link) -> Result {
        let times_out = self.about.can(TIME_OUT) && !self.about.can(CANCEL);
        // Its time must not pass while others go on.
        let stopped = times_out.then(|| Stopped::new(&self.process));
        let answered = link.req_packed_commands(&request.packed, request.offset, 1);
        if answered.is_err()
            && let Err(crashed) = link.is_alive()
        {
            stopped.into_iter().for_each(Stopped::stay);
            return Err(Broken::Crashed(crashed));
        }
        drop(stopped);
        self.is_answered(request, answered, link.is_tampered_with())
    }

    /// Gives the subject the server's answer to what it asked.
    pub fn is_answered(
        &mut self,
        request: &Request,
        answered: RedisResult<Vec<Value>>,
        is_tampered_with: bool,
    ) -> Result {
        if let Some(command) = wire::lacking(&answered) {
            let command = command.unwrap_or_else(|| self.lacking_in_script(&request.packed));
            let is_real = self.start.upstream.is_some();
            let lacks = if is_real { Wrong::Unknown } else { Wrong::Lacking };
            return Err(self.went(lacks(command)));
        }
        let answered = wire::with_refusals(answered);
        self.turn.has_suffered |= answered.is_err() || is_tampered_with;
        self.turn.asks = None;
        let Some(line) = self.lines.get_mut(&request.connection) else { return Ok(()) };
        let cancels = self.about.can(CANCEL);
        if answered.is_err() && (cancels || self.about.can(TIME_OUT)) {
            line.is_dead = true;
            self.leave_waiting(cancels);
            return Ok(());
        }
        let is_exec = request.is_transaction;
        let answered = match line.resp3 {
            true => answered.map(|all| wire::in_resp3(&request.names, all, is_exec)),
            false => answered,
        };
        line.write(&answered, &mut self.symbols, is_exec);
        Ok(())
    }

    /// It is so much later than by its own clock, for all of an instruction: when it reads its clock is not known.
    pub fn set_ahead(&mut self, ahead: Duration) {
        let ahead = self.symbols.set_ahead(ahead);
        // It may ask for the server's time.
        self.aside.shift_clock(ahead.saturating_sub(self.aside_ahead));
        self.aside_ahead = ahead;
    }

    /// Gives no answer to what it asked. One that can be instructed to give that up is, once.
    fn leave_waiting(&mut self, cancels: bool) {
        self.turn.waits_in_vain = true;
        if cancels && !std::mem::replace(&mut self.turn.is_cancelled, true) {
            self.process.instruct(&json!({"do": CANCEL}).to_string());
        }
    }

    /// The command that a script of these requests calls and the server lacks.
    fn lacking_in_script(&self, packed: &[u8]) -> String {
        let is_real = self.start.upstream.is_some();
        let mut server = self.aside.connect(0);
        let is_lacking = |name: &String| {
            let asked = redis::cmd(name).query::<Value>(&mut server);
            is_real || wire::lacking(&asked.map(|answer| vec![answer])).is_some()
        };
        let names: Vec<_> = wire::called(packed).into_iter().filter(is_lacking).collect();
        match names.is_empty() {
            true => "a script with a command".into(),
            false => format!("a script with {}", names.join(" or ")),
        }
    }

    /// Requests as they go to the server, with full scripts and drawn values named; none, if one
    /// calls a script that was never sent.
    fn packed(&mut self, requests: Vec<Words>, is_transaction: bool) -> Result<Option<Vec<u8>>> {
        let mut packed = Vec::new();
        if is_transaction {
            wire::packed(&[b"MULTI".to_vec()], &mut packed);
        }
        for words in requests {
            let Some(words) = wire::whole_script(words, &self.scripts) else { return Ok(None) };
            let is_real = self.start.upstream.is_some();
            if let Some(command) = is_real.then(|| wire::kept_back(&words)).flatten() {
                return Err(self.went(Wrong::NotPassedOn(command)));
            }
            if let Some(command) = wire::with_digest(&words) {
                return Err(self.went(Wrong::Digest(command)));
            }
            let named = self.symbols.named(words);
            let (words, token) = named.map_err(|Learned| SubjectError::Learned)?;
            self.turn.token = token.or(self.turn.token.take());
            wire::packed(&words, &mut packed);
        }
        if is_transaction {
            wire::packed(&[b"EXEC".to_vec()], &mut packed);
        }
        Ok(Some(packed))
    }

    fn write(&mut self, number: usize, answer: &RedisResult<Vec<Value>>) {
        if let Some(line) = self.lines.get_mut(&number) {
            line.write(answer, &mut self.symbols, false);
        }
    }
}

impl Subject {
    /// Ends an instruction that it was left in the middle of: it gets no answer to what it asked.
    pub fn give_up(&mut self) -> Result {
        let asking = self.turn.asks.take().and_then(|number| self.lines.get_mut(&number));
        if let Some(line) = asking {
            line.write(&wire::refusal(OVER), &mut self.symbols, false);
        }
        self.process.go_on();
        self.inbox.begin();
        self.hear(&mut Server::Absent)?;
        self.turn.doing = None;
        Ok(())
    }

    /// Goes over to the instruction of another actor; gives that of the one before.
    pub fn turn_to(&mut self, turn: SubjectTurn) -> SubjectTurn {
        std::mem::replace(&mut self.turn, turn)
    }

    /// What a line says that answers an instruction, which is over with it.
    pub fn read_answer(&mut self, said: &serde_json::Value) -> Result<Answer, SubjectError> {
        let answer = self.answer_in(said);
        self.turn.doing = None;
        answer
    }

    fn answer_in(&self, said: &serde_json::Value) -> Result<Answer, SubjectError> {
        let garbled = |what| Err(self.garbled(&said.to_string(), what));
        let text = |member: &str| said.get(member).and_then(|it| it.as_str()).map(str::to_owned);
        let (ok, why, failed) = match (text("error"), said.get("ok")) {
            // One that was disturbed has not got what it wanted. That is what was to be tried.
            (Some(why), _) => (false, why, !self.turn.has_suffered),
            (None, Some(serde_json::Value::Bool(ok))) => {
                (*ok, text("why").unwrap_or_default(), false)
            }
            (None, Some(_)) => {
                return garbled(
                    "\"ok\" must be true (done) or false (refused, or the lock is lost)",
                );
            }
            (None, None) => return garbled("it has no member \"ok\", which must be true or false"),
        };
        let fence = said.get("fence").map(serde_json::Value::as_u64);
        if fence == Some(None) {
            return garbled("\"fence\" must be a whole number, 0 or more");
        }
        Ok(Answer { ok, why, failed, token: self.turn.token.clone(), fence: fence.flatten() })
    }
}

impl Client for Subject {
    fn begin(&mut self, life: u64) -> Result {
        if self.life == Some(life) {
            return Ok(());
        }
        if self.turn.doing.is_some() {
            self.give_up()?;
        }
        if self.life.is_some() {
            let old: Vec<usize> = self.lines.keys().copied().collect();
            self.aside = aside(self.actor);
            self.aside_ahead = Duration::ZERO;
            self.say(self.actor, &json!({"do": RESET}))?;
            self.hear(&mut Server::Absent)?;
            self.turn.doing = None;
            // What an earlier life still has to say comes over these.
            let old = old.into_iter().filter_map(|number| self.lines.remove(&number));
            old.for_each(|line| line.close());
        }
        self.symbols = Symbols::new(self.actor, Arc::clone(&self.vocabulary));
        (self.life, self.turn) = (Some(life), SubjectTurn::default());
        Ok(())
    }

    fn lives(&self, life: u64) -> bool {
        self.life == Some(life)
    }

    fn is_busy(&self) -> bool {
        self.turn.doing.is_some()
    }

    fn instruct(&mut self, instruction: &serde_json::Value, link: &mut dyn Link) -> Result<Answer> {
        self.set_ahead(link.ahead());
        self.say(self.actor, instruction)?;
        let said = self.hear(&mut Server::Link(link))?;
        Ok(self.read_answer(&said)?)
    }

    fn token(&self) -> Option<&str> {
        self.turn.token.as_deref()
    }

    fn process(&self) -> Option<&Process> {
        Some(&self.process)
    }
}

/// A process that stands still until this is dropped.
struct Stopped<'a>(Option<&'a Process>);

impl<'a> Stopped<'a> {
    fn new(process: &'a Process) -> Self {
        process.stop();
        Self(Some(process))
    }

    /// Leaves it where it is: until it crashes, or begins the next life.
    fn stay(mut self) {
        self.0 = None;
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.into_iter().for_each(Process::go_on);
    }
}
