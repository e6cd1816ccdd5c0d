//! Deadlock: actors wait for each other's locks in a circle.
//!
//! An actor waits while it is in an acquire that waits: one that was refused more than once, did
//! not end, or was ended by a deadline or an interruption. (An acquire that is refused and gives up
//! does not wait.) It waits for the actor that last came to believe that it holds that lock, as
//! long as it certainly believes so and its tenure is not surely over. A circle closes when an
//! acquire begins; each time that one closes is a finding.

use super::beliefs::Belief;
use super::findings::{Findings, Statement};
use super::sentence::{Sentence, sentence};
use super::trace::Step;
use super::words::{Words, list};
use super::{Case, Property};
use crate::history::{Change, EventKind, FailureKind, Moment};

/// How many waits may be followed for each event of the history, so that no history takes long.
const FOLLOWED: usize = 64;

/// Finds each circle; says whether all could be followed.
pub(super) fn check(case: &Case<'_>, findings: &mut Findings) -> bool {
    let mut graph = Graph {
        case,
        waits: vec![None; case.trace.head.actors.len()],
        holds: vec![None; case.locks.len()],
        seen: vec![0; case.trace.head.actors.len()],
        searches: 0,
        left: case.trace.events.len().saturating_mul(FOLLOWED),
    };
    for (_, turn) in turns(case) {
        graph.take(turn, findings);
    }
    graph.left > 0 || case.trace.events.is_empty()
}

/// What changes which actor waits for which; the order decides which comes first at the same
/// moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    StopsWaiting(usize),
    StopsHolding(usize),
    Holds(usize),
    Waits(usize),
}

fn turns(case: &Case<'_>) -> Vec<(u64, Turn)> {
    let mut turns = Vec::new();
    let waits = waiting(case);
    if !waits.contains(&true) {
        return turns;
    }
    let end_of_all = case.trace.end_of_all().order.saturating_add(1);
    for (position, step) in case.trace.steps.iter().enumerate() {
        if waits.get(position) == Some(&true) {
            let end = step.end.as_ref().map_or(end_of_all, |end| end.moment.order);
            turns.push((step.begun.order, Turn::Waits(position)));
            turns.push((end, Turn::StopsWaiting(position)));
        }
    }
    for (position, belief) in case.beliefs.iter().enumerate() {
        if belief.from.order < belief.surely_until.order {
            turns.push((belief.from.order, Turn::Holds(position)));
            turns.push((belief.surely_until.order, Turn::StopsHolding(position)));
        }
    }
    turns.sort_unstable();
    turns
}

/// Which steps are acquires that wait.
fn waiting(case: &Case<'_>) -> Vec<bool> {
    let mut refusals: Vec<u64> = vec![0; case.trace.steps.len()];
    for (event, step) in case.trace.events.iter().zip(&case.trace.step_of) {
        let EventKind::Command(command) = &event.kind else { continue };
        let refused = command.effects.iter().any(|effect| effect.change == Change::Refused);
        if let Some(count) = step.and_then(|step| refusals.get_mut(step)).filter(|_| refused) {
            *count += 1;
        }
    }
    let ends_waiting = |step: &Step<'_>| {
        let end = step.end.as_ref();
        end.is_none_or(|end| is_end_of_wait(end.failure.map(|failure| failure.kind)))
    };
    let steps = case.trace.steps.iter().zip(refusals);
    steps.map(|(step, count)| step.is_acquire() && (count > 1 || ends_waiting(step))).collect()
}

/// Whether an acquire that ends in this way has waited, however often it was refused.
pub(super) fn is_end_of_wait(failure: Option<FailureKind>) -> bool {
    matches!(failure, Some(FailureKind::TimedOut | FailureKind::Interrupted))
}

/// In which step each actor waits, and by which belief each lock is held.
struct Graph<'a> {
    case: &'a Case<'a>,
    waits: Vec<Option<usize>>,
    holds: Vec<Option<usize>>,
    /// In which search each actor was last met.
    seen: Vec<usize>,
    searches: usize,
    left: usize,
}

impl<'a> Graph<'a> {
    fn take(&mut self, turn: Turn, findings: &mut Findings) {
        match turn {
            Turn::Waits(position) => {
                let Some(step) = self.case.trace.steps.get(position) else { return };
                if let Some(waits) = self.waits.get_mut(step.actor) {
                    *waits = Some(position);
                }
                if let Some(circle) = self.circle(step)
                    && let Some(lock) = step.operation.lock
                {
                    findings.add(Property::Deadlock, lock, || {
                        statement(self.case, &circle, step.begun)
                    });
                }
            }
            Turn::StopsWaiting(position) => {
                let actor = self.case.trace.steps.get(position).map(|step| step.actor);
                let waits = actor.and_then(|actor| self.waits.get_mut(actor));
                if let Some(waits) = waits.filter(|waits| **waits == Some(position)) {
                    *waits = None;
                }
            }
            Turn::Holds(position) => {
                if let Some(holds) = self.held_by(position) {
                    *holds = Some(position);
                }
            }
            Turn::StopsHolding(position) => {
                let holds = self.held_by(position);
                if let Some(holds) = holds.filter(|holds| **holds == Some(position)) {
                    *holds = None;
                }
            }
        }
    }

    fn held_by(&mut self, belief: usize) -> Option<&mut Option<usize>> {
        let lock = self.case.beliefs.get(belief)?.lock;
        self.holds.get_mut(lock)
    }

    /// The waits from this step on, if they lead back to its actor.
    fn circle(&mut self, first: &'a Step<'a>) -> Option<Vec<(&'a Step<'a>, &'a Belief)>> {
        self.searches += 1;
        let mut circle = Vec::new();
        let mut step = first;
        loop {
            self.left = self.left.checked_sub(1)?;
            let lock = step.operation.lock?;
            let belief = self.case.beliefs.get((*self.holds.get(lock)?)?)?;
            let trace = self.case.locks.get(lock)?;
            let tenure = belief.tenure.and_then(|tenure| trace.tenures.get(tenure));
            if tenure.is_some_and(|tenure| tenure.is_over_before(first.begun)) {
                return None;
            }
            circle.push((step, belief));
            if belief.actor == first.actor {
                return (circle.len() > 1).then_some(circle);
            }
            let seen = self.seen.get_mut(belief.actor)?;
            if std::mem::replace(seen, self.searches) == self.searches {
                return None;
            }
            step = self.case.trace.steps.get((*self.waits.get(belief.actor)?)?)?;
        }
    }
}

fn statement(case: &Case<'_>, circle: &[(&Step<'_>, &Belief)], closed: Moment) -> Statement {
    let words = Words::about(case.trace);
    // Each wait is for the lock that the next one in the circle holds.
    let parts: Vec<Sentence> = circle
        .iter()
        .map(|(step, belief)| {
            sentence![
                words.actor(Some(step.actor)),
                " waited",
                words.when(" from ", step.begun),
                format!(" for {}, which ", words.lock(belief.lock)),
                words.actor(Some(belief.actor)),
                " held",
                words.when(" since ", belief.from),
            ]
        })
        .collect();
    let text = sentence![list(parts, "; "), "the circle closed", words.at(closed)];
    Statement::new(circle.iter().map(|(step, _)| step.actor).collect(), closed, text)
}
