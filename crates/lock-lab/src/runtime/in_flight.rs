//! In-flight commands that their senders have given up: exploration and replay number them in the
//! same order, since schedules count them.

use super::World;
use super::rules::FaultState;
use super::transactions::is_about_watches;
use super::wire_log;
use super::yield_point::Commands;
use crate::lock::{LockName, Operation, script_operation};
use crate::server::ServerError;
use lock_history::history::{EventKind, Verb};
use redis::ConnectionLike;
use redis_sim::{only_reads, requests};

/// What is on its way: task by task, and in each task in the order in which it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct InFlight<R>(Vec<Sent<R>>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Sent<R> {
    task: usize,
    sender: Sender,
    request: R,
}

/// The sender of a command that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Sender {
    pub actor: usize,
    /// The verb of the step that it was sent in.
    pub verb: Verb,
}

impl<R> Default for InFlight<R> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<R> InFlight<R> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The senders.
    pub fn senders(&self) -> impl Iterator<Item = &Sender> {
        self.0.iter().map(|sent| &sent.sender)
    }

    /// An actor of a task gives up what it has sent.
    pub fn add(&mut self, task: usize, sender: Sender, request: R) {
        let after = self.0.partition_point(|other| other.task <= task);
        self.0.insert(after, Sent { task, sender, request });
    }

    /// Takes out the one of this number, counted from 0.
    pub fn take(&mut self, number: usize) -> Option<(Sender, R)> {
        let Sent { sender, request, .. } =
            (number < self.0.len()).then(|| self.0.remove(number))?;
        Some((sender, request))
    }
}

/// Whether it can make a difference that commands come late. What they do must depend on no connection
/// (`WATCH`, `EXEC` of its own), and be more than to read.
pub(super) fn may_be_late(packed: &[u8]) -> bool {
    !is_about_watches(packed) && !requests(packed).iter().all(|request| only_reads(request))
}

/// Writes down that an actor gets no reply to what it is about to send: it is lost, or late.
pub(super) fn note_kept_back(
    world: &World,
    fault_state: &FaultState,
    commands: &Commands,
    is_late: bool,
) {
    let what = in_short(&commands.packed, &world.setup.locks);
    fault_state.note(
        world.log.moment(),
        match is_late {
            true => format!("{what} is given up while it is in flight"),
            false => format!("{what} never reaches the server"),
        },
    );
}

/// Carries out what an actor sent, and gave up: on a connection of its own. No client hears the
/// reply.
pub(super) fn carry_out(
    world: &World,
    sender: &Sender,
    commands: &Commands,
) -> Result<(), ServerError> {
    let Commands { db, packed, offset, count } = commands;
    let mut connection = world.services.connect(*db)?;
    world.listen(&mut connection);
    let replies = connection.req_packed_commands(packed, *offset, *count);
    let mut events = wire_log::read(sender.actor, connection.recorded(), &world.setup.locks);
    for event in &mut events {
        if let EventKind::Command(command) = &mut event.kind {
            command.late = Some(sender.verb.clone());
        }
    }
    world.log.late_events.lock().extend(events);
    replies.map(drop).map_err(|error| world.services.server.explain_known(&error))
}

/// The names of commands, and the lock that they are about.
fn in_short(packed: &[u8], locks: &[LockName]) -> String {
    let requests = requests(packed);
    let names: Vec<_> = requests.iter().map(|request| name_of(request)).collect();
    let is_named = |key: &str| requests.iter().flatten().any(|word| *word == key.as_bytes());
    let key = locks.iter().map(|lock| lock.key()).find(|key| is_named(key));
    [names.join(", "), key.unwrap_or_default().into()].join(" ").trim_end().to_owned()
}

/// What a request is called: the name of its command, or what its script is for.
fn name_of(request: &[&[u8]]) -> String {
    let name = request.first().map(|name| String::from_utf8_lossy(name).to_ascii_uppercase());
    let name = name.unwrap_or_default();
    match (name.as_str(), script_operation(request)) {
        (_, Some(Operation::Acquire)) => "acquire script on".into(),
        (_, Some(Operation::Extend)) => "extend script on".into(),
        (_, Some(Operation::Release)) => "release script on".into(),
        ("EVAL" | "EVALSHA", None) => "a script on".into(),
        _ => name,
    }
}
