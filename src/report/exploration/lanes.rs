//! What happened in an ordering, as rows: one row a step, in one lane an actor and one for the
//! server.

use super::marks;
use super::words::Words;
use lock_history::check::{Finding, Place, Property, Sentence};
use lock_history::history::{Event, EventKind, Failure, FailureKind, History, Verb};
use lock_lab::scenario::Timing;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The lane of server faults, and of how the server was left.
pub const SERVER: &str = "server";

/// What is said of a command that was carried out, and whose sender never learns it.
pub(super) const REPLY_LOST: &str = ", reply lost";

/// A run whose steps were taken in a chosen order.
#[derive(Debug, Clone, Copy)]
pub struct Ordering<'a> {
    /// What happened.
    pub history: &'a History,
    /// The names of the plan's locks.
    pub locks: &'a [String],
    /// Whether the lock protocol is none of ours: then a row holds no word of ours that its client did not
    /// send.
    pub is_foreign: bool,
    /// When a lease may expire. Unless that is only as time passes, times mean nothing.
    pub timing: Timing,
}

/// An ordering as a picture, before it is drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lanes {
    /// The actors that did anything, in the order of the plan; the server comes last.
    pub names: Vec<String>,
    /// What was done, in its order.
    pub rows: Vec<Row>,
    /// The place of each event, by its place in the order of moments.
    places: BTreeMap<u64, Place>,
    /// Whether times mean something.
    has_times: bool,
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
    /// The rows of an ordering. Without findings, all rows matter and none is marked. `shown` is the number of
    /// the finding that the picture is about.
    ///
    /// These rows matter: the one that completes the violation, and of those before it every change
    /// to the lock key and every fault that hit it, by any actor; and what the actors of the finding
    /// did about that lock (a refused acquire, a notice of a loss, a crash, a command or reply that is
    /// lost; the reads of the actor that did wrong or suffered; writes of the file or of the flag,
    /// where the finding is about these). So does each that a finding's sentence names.
    pub fn of(ordering: Ordering<'_>, findings: &[Finding], shown: usize) -> Self {
        let Ordering { history, locks, is_foreign, timing } = ordering;
        let is_about_files = |finding: &Finding| {
            matches!(finding.property, Property::LostUpdate | Property::FencingOrder)
        };
        let words = Words::new(&history.head, locks, &history.events).of_foreign(
            is_foreign,
            &history.events,
            findings.iter().any(is_about_files),
        );
        let Drafts { drafts, drawn } = Drafts::of(&history.events, &words);
        let finding = findings.get(shown);
        let decisive = finding.map(|finding| marks::decisive(&history.events, &drafts, finding));
        let acting: BTreeSet<usize> = drafts.iter().filter_map(|draft| draft.event.actor).collect();
        let mut names: Vec<String> =
            acting.iter().map(|actor| words.actor(Some(*actor)).to_owned()).collect();
        let server = names.len();
        if drafts.iter().any(|draft| draft.event.actor.is_none()) {
            names.push(SERVER.into());
        }
        let places = places(&history.events, &drafts, &drawn);
        let moments = findings.iter().flat_map(|finding| finding.text.moments());
        let named: BTreeSet<usize> = moments
            .filter_map(|order| places.get(&order).copied())
            .map(|(Place::At(step) | Place::After(step))| step)
            .collect();
        let row = |(index, draft): (usize, &Draft<'_>)| {
            let is_decisive = decisive == Some(Some(index));
            let column = match draft.event.actor {
                Some(actor) => acting.range(..actor).count(),
                None => server,
            };
            let step = index + 1;
            Row {
                step,
                lane: names.get(column).cloned().unwrap_or_default(),
                column,
                position: draft.position,
                text: draft.text.clone(),
                mark: finding.filter(|_| is_decisive).map(|it| marks::mark(&words, draft, it)),
                matters: match (finding, decisive.flatten()) {
                    (Some(finding), Some(last)) => {
                        let leads_to_it = index < last && marks::matters(&words, draft, finding);
                        is_decisive || leads_to_it || named.contains(&step)
                    }
                    _ => true,
                },
            }
        };
        let rows = drafts.iter().enumerate().map(row).collect();
        Self { names, rows, places, has_times: timing == Timing::Strict }
    }

    /// A sentence about the ordering, with the numbers of its steps.
    pub fn say(&self, sentence: &Sentence) -> String {
        sentence.by_steps(|order| self.places.get(&order).copied(), self.has_times)
    }
}

/// The place of each event among the steps: those that have no row are put where a reader of the rows
/// sees them. The beginning of an actor's step is seen by its first row, the end by its last one.
fn places(events: &[Event], drafts: &[Draft<'_>], drawn: &[Option<usize>]) -> BTreeMap<u64, Place> {
    let mut places = BTreeMap::new();
    // The first row of each actor after the event that is read, if that is in the same step.
    let mut next: BTreeMap<Option<usize>, usize> = BTreeMap::new();
    for (event, drawn) in events.iter().zip(drawn).rev() {
        match (&event.kind, drawn) {
            (kind, Some(_)) if is_late(kind) => {}
            (_, Some(row)) => drop(next.insert(event.actor, *row)),
            (EventKind::Invoked(_), None) => {
                let first = next.get(&event.actor);
                places.extend(first.map(|row| (event.moment.order, Place::At(row + 1))));
            }
            // A crash is drawn where its actor ends.
            (EventKind::Failed { failure, .. }, None) if failure.kind == FailureKind::Crashed => {
                let end = next.get(&event.actor);
                places.extend(end.map(|row| (event.moment.order, Place::At(row + 1))));
            }
            (EventKind::Completed(_) | EventKind::Failed { .. }, None) => {
                next.remove(&event.actor);
            }
            _ => {}
        }
    }
    // How many rows there are so far, and the first that each actor's step may have.
    let mut count = 0;
    let mut begun: BTreeMap<Option<usize>, usize> = BTreeMap::new();
    for (event, drawn) in events.iter().zip(drawn) {
        if let EventKind::Invoked(_) = event.kind {
            begun.insert(event.actor, count);
        }
        count = count.max(drawn.map_or(0, |row| row + 1));
        let last = count.checked_sub(1).and_then(|last| drafts.get(last));
        let is_of_its =
            |last: &Draft<'_>| last.event.actor == event.actor && !is_late(&last.event.kind);
        let is_own = last.is_some_and(is_of_its)
            && begun.get(&event.actor).is_some_and(|begun| *begun < count);
        let place = match drawn {
            Some(row) => Some(Place::At(row + 1)),
            None if is_own && ends_a_step(&event.kind) => Some(Place::At(count)),
            None => (count > 0).then_some(Place::After(count)),
        };
        if let Some(place) = place {
            places.entry(event.moment.order).or_insert(place);
        }
    }
    places
}

/// Whether it is a command of an earlier step, which its sender gave up.
fn is_late(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Command(command) if command.late.is_some())
}

fn ends_a_step(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Completed(_) | EventKind::Failed { .. })
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

/// All rows, and for each event the position of the one that shows it.
struct Drafts<'a> {
    drafts: Vec<Draft<'a>>,
    drawn: Vec<Option<usize>>,
}

impl<'a> Drafts<'a> {
    fn of(events: &'a [Event], words: &Words<'_>) -> Self {
        let mut drafts: Vec<Draft<'a>> = Vec::new();
        let mut drawn = Vec::with_capacity(events.len());
        // The steps in which each actor is, the innermost last.
        let mut steps: BTreeMap<Option<usize>, Vec<&Verb>> = BTreeMap::new();
        for (position, event) in events.iter().enumerate() {
            let steps = steps.entry(event.actor).or_default();
            match &event.kind {
                EventKind::Invoked(operation) => steps.push(&operation.verb),
                kind if ends_a_step(kind) => drop(steps.pop()),
                _ => {}
            }
            let last = drafts.iter().rposition(|draft| draft.event.actor == event.actor);
            let known = last.and_then(|last| Some((last, drafts.get_mut(last)?)));
            let text = match (&event.kind, known) {
                (kind, Some((last, draft))) if loses_a_reply(kind) && draft.is_command() => {
                    if !draft.text.ends_with(REPLY_LOST) {
                        draft.text.push_str(REPLY_LOST);
                    }
                    drawn.push(Some(last));
                    continue;
                }
                // A step within a step fails with it.
                (EventKind::Failed { failure, .. }, Some((last, draft)))
                    if message(failure, words).is_some_and(|message| message == draft.text) =>
                {
                    drawn.push(Some(last));
                    continue;
                }
                (kind, _) => text(event, kind, steps.last().copied(), words),
            };
            drawn.push(text.as_ref().map(|_| drafts.len()));
            drafts.extend(text.map(|text| Draft { event, position, text }));
        }
        Self { drafts, drawn }
    }
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
fn text(event: &Event, kind: &EventKind, verb: Option<&Verb>, words: &Words<'_>) -> Option<String> {
    match kind {
        EventKind::Command(command) => {
            let late = if command.late.is_some() { ", late" } else { "" };
            let verb = command.late.as_ref().or(verb);
            Some(words.command(event.actor, command, verb) + late)
        }
        EventKind::Fault { lease_of: Some(lock), in_value: false, .. } => {
            Some(words.lease_expired(*lock))
        }
        EventKind::Fault { expired_key: Some(key), .. } => Some(words.key_expired(key)),
        EventKind::Fault { what, .. } => Some(words.plain(what)),
        EventKind::Completed(operation) => {
            operation.write.map(|write| words.write(operation.lock, write))
        }
        EventKind::Failed { failure, .. } => message(failure, words),
        EventKind::Ended { failure } => Some(ended(failure.as_ref())),
        EventKind::Left(left) => Some(words.left(left)),
        EventKind::Started | EventKind::Invoked(_) => None,
    }
}

/// The message to the actor when a step fails.
fn message(failure: &Failure, words: &Words<'_>) -> Option<String> {
    match failure.kind {
        FailureKind::LostLock => Some(words.lost_lock().into()),
        FailureKind::Refused => Some(format!("is refused: {}", failure.message)),
        _ => None,
    }
}

fn ended(failure: Option<&Failure>) -> String {
    match failure.map(|failure| (failure.kind, &failure.message)) {
        None => "ends".into(),
        Some((FailureKind::Crashed, _)) => "crashes".into(),
        Some((FailureKind::AlreadyLocked, _)) => "gives up, the lock is taken".into(),
        // It was shown before.
        Some((FailureKind::LostLock | FailureKind::Refused | FailureKind::Injected, _)) => {
            "ends with that failure".into()
        }
        Some((_, message)) => format!("ends: {message}"),
    }
}
