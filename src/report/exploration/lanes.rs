//! What happened in an ordering, as rows: one row a step, in one lane an actor and one for the
//! server.

use super::marks;
use super::words::Words;
use lock_history::check::Finding;
use lock_history::history::{Event, EventKind, Failure, FailureKind, History};
use serde::Serialize;
use std::collections::BTreeSet;

/// The lane of server faults, and of how the server was left.
pub const SERVER: &str = "server";

/// What is said of a command that was carried out, and whose sender never learns it.
pub(super) const REPLY_LOST: &str = ", reply lost";

/// An ordering as a picture, before it is drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lanes {
    /// The actors that did anything, in the order of the plan; the server comes last.
    pub names: Vec<String>,
    /// What was done, in its order.
    pub rows: Vec<Row>,
}

/// One thing that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Counted from 1.
    pub step: usize,
    /// The actor.
    pub lane: String,
    /// The position of that in [`Lanes::names`].
    #[serde(skip)]
    pub column: usize,
    /// The position of its event in the history.
    #[serde(skip)]
    pub position: usize,
    /// What was done.
    pub text: String,
    /// What went wrong with it, if it completes the violation.
    pub mark: Option<String>,
    /// Whether the violation can't be understood without it.
    pub matters: bool,
}

impl Lanes {
    /// The rows of a history. `locks` are the names of the plan's locks. Without a finding, all rows
    /// matter and none is marked.
    ///
    /// With one, these rows matter: the one that completes the violation, and of those before it
    /// every change to the lock key and every fault that hit it, by any actor; and what the actors
    /// of the finding did about that lock (a refused acquire, a notice of a loss, a crash, a
    /// command or reply that is lost; the reads of the actor that did wrong or suffered; writes of
    /// the file or of the flag, where the finding is about these).
    pub fn of(history: &History, locks: &[String], finding: Option<&Finding>) -> Self {
        let words = Words::new(&history.head, locks, &history.events);
        let drafts = drafts(&history.events, &words);
        let decisive = finding.map(|finding| marks::decisive(&history.events, &drafts, finding));
        let acting: BTreeSet<usize> = drafts.iter().filter_map(|draft| draft.event.actor).collect();
        let mut names: Vec<String> =
            acting.iter().map(|actor| words.actor(Some(*actor)).to_owned()).collect();
        let server = names.len();
        if drafts.iter().any(|draft| draft.event.actor.is_none()) {
            names.push(SERVER.into());
        }
        let row = |(index, draft): (usize, &Draft<'_>)| {
            let is_decisive = decisive == Some(Some(index));
            let column = match draft.event.actor {
                Some(actor) => acting.range(..actor).count(),
                None => server,
            };
            Row {
                step: index + 1,
                lane: names.get(column).cloned().unwrap_or_default(),
                column,
                position: draft.position,
                text: draft.text.clone(),
                mark: finding.filter(|_| is_decisive).map(|it| marks::mark(&words, draft, it)),
                matters: match (finding, decisive.flatten()) {
                    (Some(finding), Some(last)) => {
                        is_decisive || index < last && marks::matters(&words, draft, finding)
                    }
                    _ => true,
                },
            }
        };
        let rows = drafts.iter().enumerate().map(row).collect();
        Self { names, rows }
    }
}

/// A row in the making.
pub(super) struct Draft<'a> {
    /// What happened.
    pub event: &'a Event,
    /// Its position in the history.
    pub position: usize,
    /// The same in words.
    pub text: String,
}

impl Draft<'_> {
    /// Whether it is a command.
    pub fn is_command(&self) -> bool {
        matches!(self.event.kind, EventKind::Command(_))
    }
}

fn drafts<'a>(events: &'a [Event], words: &Words<'_>) -> Vec<Draft<'a>> {
    let mut drafts: Vec<Draft<'a>> = Vec::new();
    for (position, event) in events.iter().enumerate() {
        let last = drafts.iter_mut().rfind(|draft| draft.event.actor == event.actor);
        let text = match (&event.kind, last) {
            (kind, Some(last)) if loses_a_reply(kind) && last.is_command() => {
                if !last.text.ends_with(REPLY_LOST) {
                    last.text.push_str(REPLY_LOST);
                }
                continue;
            }
            // A step within a step fails with it.
            (EventKind::Failed { failure, .. }, Some(last))
                if message(failure).is_some_and(|message| message == last.text) =>
            {
                continue;
            }
            (kind, _) => text(event, kind, words),
        };
        drafts.extend(text.map(|text| Draft { event, position, text }));
    }
    drafts
}

/// Whether the command before it was carried out, and its reply was lost. A command that a rule
/// kept from the server has a row of its own that says so.
fn loses_a_reply(kind: &EventKind) -> bool {
    match kind {
        EventKind::Fault { what, .. } => what.starts_with("the reply"),
        EventKind::Failed { failure, .. } => failure.kind == FailureKind::Injected,
        _ => false,
    }
}

/// What an event is called; nothing, if it is no step that others could see.
fn text(event: &Event, kind: &EventKind, words: &Words<'_>) -> Option<String> {
    match kind {
        EventKind::Command(command) => {
            let late = if command.late.is_some() { ", late" } else { "" };
            Some(words.command(event.actor, command) + late)
        }
        EventKind::Fault { lease_of: Some(lock), in_value: false, .. } => {
            Some(words.lease_expired(*lock))
        }
        EventKind::Fault { expired_key: Some(key), .. } => Some(words.key_expired(key)),
        EventKind::Fault { what, .. } => Some(words.plain(what)),
        EventKind::Completed(operation) => {
            operation.write.map(|write| words.write(operation.lock, write))
        }
        EventKind::Failed { failure, .. } => message(failure),
        EventKind::Ended { failure } => Some(ended(failure.as_ref())),
        EventKind::Left(left) => Some(words.left(left)),
        EventKind::Started | EventKind::Invoked(_) => None,
    }
}

/// The message to the actor when a step fails.
fn message(failure: &Failure) -> Option<String> {
    match failure.kind {
        FailureKind::LostLock => Some("is told that its lock was lost".into()),
        FailureKind::Refused => Some(format!("is refused: {}", failure.message)),
        _ => None,
    }
}

fn ended(failure: Option<&Failure>) -> String {
    match failure.map(|failure| (failure.kind, &failure.message)) {
        None => "ends".into(),
        Some((FailureKind::Crashed, _)) => "is killed".into(),
        Some((FailureKind::AlreadyLocked, _)) => "gives up, the lock is taken".into(),
        // It was shown before.
        Some((FailureKind::LostLock | FailureKind::Refused | FailureKind::Injected, _)) => {
            "ends with that".into()
        }
        Some((_, message)) => format!("ends: {message}"),
    }
}
