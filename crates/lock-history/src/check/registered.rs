//! Judges of other crates, each of one property. They judge event by event, so that the exploration of
//! orderings can ask them, too.

use super::Property;
use super::findings::{Findings, Statement};
use crate::history::{Command, EventKind, History};
use crate::registry::{RegisterError, Registry};
use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// How many judges can be registered.
pub(super) const MOST: usize = 16;

static JUDGES: Registry<Arc<dyn Begin>> = Registry::empty();

/// Judges one property.
pub trait Judge: Send + Sync + 'static {
    /// What it remembers of the events so far. Two that are equal must judge all that follows alike:
    /// exploration goes on from only one of them.
    type Memory: Clone + Default + Eq + Hash + fmt::Debug + Send + Sync;

    /// The property's word in reports, in scenario files and after `--property`: lower-case letters,
    /// digits and `_`.
    fn word(&self) -> &'static str;

    /// Takes in the next event; gives what it violates. Runs and explorations show the same: of a
    /// command its effects, and in which step a late one was sent; of a fault its effects, and
    /// whose lease expired. Texts, replies and times are left out.
    ///
    /// That nothing was found says nothing of whether it could have been: use a scenario in which it
    /// can.
    fn read(
        &self,
        memory: &mut Self::Memory,
        actor: Option<usize>,
        event: &EventKind,
    ) -> Option<Violation>;
}

/// How a property was violated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The lock's position in the history's head.
    pub lock: usize,
    /// The actors' positions in the history's head: the one that did wrong or suffered first.
    pub actors: Vec<usize>,
    /// What happened, in one sentence.
    pub text: String,
}

/// Adds a judge. Call it first in `main`.
///
/// # Errors
///
/// [`RegisterError`] if the word is that of a property or of another judge, has other characters
/// than `a-z`, `0-9` and `_`, comes after the judges were first used, or if there is no room for
/// one more.
pub fn register(judge: impl Judge) -> Result<(), RegisterError> {
    let word = judge.word();
    if Property::ALL.iter().any(|property| property.word() == word) {
        return Err(RegisterError::NameTaken(word.into()));
    }
    JUDGES.add(word, Arc::new(Arc::new(judge)), |known| known.word(), MOST)
}

/// The properties of registered judges.
pub(super) fn properties() -> impl Iterator<Item = Property> {
    (0..).zip(judges()).map(|(number, _)| Property::Registered(number))
}

/// The word of a registered property.
pub(super) fn word(number: u8) -> &'static str {
    judges().get(usize::from(number)).map_or("unknown", |judge| judge.word())
}

/// Judges a history by all registered judges.
pub(super) fn check(history: &History, findings: &mut Findings) {
    let mut judging = Judging::begin();
    for event in &history.events {
        judging.read(event.actor, &event.kind, |property, violation| {
            let Violation { lock, actors, text } = violation;
            findings.add(property, lock, || Statement::new(actors, event.moment, text.into()));
        });
    }
}

fn judges() -> &'static [Arc<dyn Begin>] {
    JUDGES.all(Vec::new)
}

/// All registered judges at work.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Judging(Vec<Box<dyn AtWork>>);

impl Judging {
    /// Nothing has happened yet.
    pub fn begin() -> Self {
        Self(judges().iter().map(|judge| judge.begin()).collect())
    }

    /// Takes in the next event; gives each violation to `found`.
    pub fn read(
        &mut self,
        actor: Option<usize>,
        event: &EventKind,
        mut found: impl FnMut(Property, Violation),
    ) {
        if self.0.is_empty() {
            return;
        }
        let Some(event) = as_explored(event) else { return };
        for (number, judge) in (0..).zip(&mut self.0) {
            if let Some(violation) = judge.read(actor, &event) {
                found(Property::Registered(number), violation);
            }
        }
    }
}

/// An event as an exploration has it, so that a run is not judged by more than an exploration is.
fn as_explored(event: &EventKind) -> Option<Cow<'_, EventKind>> {
    match event {
        EventKind::Command(command) => {
            let (effects, late) = (command.effects.clone(), command.late.clone());
            let command = Command { effects, late, ..Command::default() };
            Some(Cow::Owned(EventKind::Command(command)))
        }
        EventKind::Fault { effects, lease_of: None, .. } if effects.is_empty() => None,
        EventKind::Fault { effects, lease_of, in_value, is_restart, .. } => {
            let (what, effects) = (String::new(), effects.clone());
            let (lease_of, in_value, is_restart) = (*lease_of, *in_value, *is_restart);
            let (expired_key, clock_jump) = (None, None);
            let fault = EventKind::Fault {
                what,
                effects,
                lease_of,
                in_value,
                expired_key,
                is_restart,
                clock_jump,
            };
            Some(Cow::Owned(fault))
        }
        other => Some(Cow::Borrowed(other)),
    }
}

impl Clone for Judging {
    fn clone(&self) -> Self {
        Self(self.0.iter().map(|judge| judge.boxed()).collect())
    }
}

/// A judge of any type.
trait Begin: Send + Sync {
    fn word(&self) -> &'static str;
    fn begin(&self) -> Box<dyn AtWork>;
}

/// A judge of any type, and what it remembers.
trait AtWork: fmt::Debug + Send + Sync {
    fn read(&mut self, actor: Option<usize>, event: &EventKind) -> Option<Violation>;
    fn boxed(&self) -> Box<dyn AtWork>;
    fn memory(&self) -> &dyn Any;
    fn equals(&self, other: &dyn Any) -> bool;
    fn hash_into(&self, state: &mut dyn Hasher);
}

impl PartialEq for dyn AtWork {
    fn eq(&self, other: &Self) -> bool {
        self.equals(other.memory())
    }
}

impl Eq for dyn AtWork {}

impl Hash for dyn AtWork {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash_into(state);
    }
}

impl<J: Judge> Begin for Arc<J> {
    fn word(&self) -> &'static str {
        J::word(self)
    }

    fn begin(&self) -> Box<dyn AtWork> {
        Box::new(One { judge: Arc::clone(self), memory: J::Memory::default() })
    }
}

struct One<J: Judge> {
    judge: Arc<J>,
    memory: J::Memory,
}

impl<J: Judge> fmt::Debug for One<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.judge.word(), self.memory)
    }
}

impl<J: Judge> AtWork for One<J> {
    fn read(&mut self, actor: Option<usize>, event: &EventKind) -> Option<Violation> {
        self.judge.read(&mut self.memory, actor, event)
    }

    fn boxed(&self) -> Box<dyn AtWork> {
        Box::new(Self { judge: Arc::clone(&self.judge), memory: self.memory.clone() })
    }

    fn memory(&self) -> &dyn Any {
        &self.memory
    }

    fn equals(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<J::Memory>() == Some(&self.memory)
    }

    fn hash_into(&self, mut state: &mut dyn Hasher) {
        self.memory.hash(&mut state);
    }
}
