//! Lost update: a write by one whose lock was gone overwrites what it never read.
//!
//! A completed dump counts if the revision that it replaced is not the one that it was based on,
//! nor one that its own actor wrote, and the writer's latest acquisition was surely over when it
//! wrote: before its dump began, or before the dump began that wrote the replaced revision (the
//! revisions prove that it was written earlier). A stale write under a lock that was still held is
//! no lost update, and an actor that never acquired the lock has none to lose.

use super::findings::{Findings, Statement};
use super::sentence::sentence;
use super::trace::{Step, Trace};
use super::words::Words;
use super::{Case, Property, beliefs::Belief};
use crate::history::{Moment, Write};
use std::collections::HashMap;

/// A dump that wrote.
pub(super) struct Dump<'a> {
    /// The step.
    pub step: &'a Step<'a>,
    /// When it was done.
    pub done: Moment,
    /// Of which lock's file.
    pub lock: usize,
    /// What it wrote.
    pub write: Write,
    /// The fencing token that it wrote with.
    pub fence: Option<u64>,
}

/// All dumps that wrote, in the order in which they began.
pub(super) fn dumps<'a>(trace: &'a Trace<'a>) -> impl Iterator<Item = Dump<'a>> {
    trace.steps.iter().filter_map(|step| {
        let end = step.completed()?;
        let lock = end.operation.lock.or(step.operation.lock)?;
        let (write, fence) = (end.operation.write?, end.operation.fence);
        Some(Dump { step, done: end.moment, lock, write, fence })
    })
}

/// Finds each update that was lost.
pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    let dumps: Vec<Dump<'_>> = dumps(case.trace).collect();
    let writers: HashMap<(usize, u64), usize> = dumps
        .iter()
        .enumerate()
        .map(|(position, dump)| ((dump.lock, dump.write.wrote), position))
        .collect();
    let mut beliefs = case.beliefs.iter().peekable();
    let mut latest: HashMap<(usize, usize), &Belief> = HashMap::new();
    for dump in &dumps {
        while let Some(belief) = beliefs.next_if(|next| next.from.order <= dump.step.begun.order) {
            latest.insert((belief.actor, belief.lock), belief);
        }
        if dump.write.replaced == dump.write.based_on {
            continue;
        }
        let replaced = writers.get(&(dump.lock, dump.write.replaced));
        let replaced = replaced.and_then(|position| dumps.get(*position));
        if replaced.is_some_and(|replaced| replaced.step.actor == dump.step.actor) {
            continue;
        }
        let belief = latest.get(&(dump.step.actor, dump.lock));
        let Some(own) = belief.and_then(|belief| belief.tenure) else { continue };
        let at_the_earliest = [Some(dump), replaced].into_iter().flatten().map(|it| it.step.begun);
        let Some(wrote_after) = at_the_earliest.max() else { continue };
        let trace = case.locks.get(dump.lock);
        let tenure = trace.and_then(|trace| trace.tenures.get(own));
        if tenure.is_some_and(|tenure| tenure.is_over_before(wrote_after)) {
            let statement = || statement(case, dump, replaced, own, wrote_after);
            findings.add(Property::LostUpdate, dump.lock, statement);
        }
    }
}

fn statement(
    case: &Case<'_>,
    dump: &Dump<'_>,
    replaced: Option<&Dump<'_>>,
    own: usize,
    wrote_after: Moment,
) -> Statement {
    let words = Words::about(case.trace);
    let writer = words.actor(Some(dump.step.actor));
    let end = case.locks.get(dump.lock).and_then(|trace| words.end(trace, own, wrote_after));
    let end = end.unwrap_or_else(|| format!("{writer}'s lock was gone").into());
    let Write { based_on, replaced: lost, wrote } = dump.write;
    let other = replaced.map(|other| {
        let name = words.actor(Some(other.step.actor));
        sentence![format!("{name} wrote revision {lost}"), words.at(other.done), "; "]
    });
    let text = sentence![
        end,
        "; ",
        other,
        writer,
        "'s write",
        words.at(dump.done),
        format!(
            " overwrote revision {lost}, which it had never read (it had read {based_on}), with \
             revision {wrote}"
        ),
    ];
    let actors = [Some(dump.step.actor), replaced.map(|other| other.step.actor)];
    Statement::new(actors.into_iter().flatten().collect(), dump.done, text)
}
