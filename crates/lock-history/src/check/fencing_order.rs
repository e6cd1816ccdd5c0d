//! Fencing order: a fencing token does not rise, or a write with a lower one than an earlier write
//! succeeds.
//!
//! An acquisition that surely came after another must have a higher fencing token, and no two may
//! have the same. Writes are in the order of the revisions that they wrote; there the same fencing
//! token may come again.

use super::findings::{Findings, Statement};
use super::lost_update::{Dump, dumps};
use super::sentence::sentence;
use super::tenure::LockTrace;
use super::words::Words;
use super::{Case, Property};
use std::collections::HashMap;

/// Finds each acquisition and each write whose fencing token is too low.
pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    for (lock, trace) in case.locks.iter().enumerate() {
        check_acquisitions(case, lock, trace, findings);
    }
    let mut dumps: Vec<Dump<'_>> = dumps(case.trace).collect();
    dumps.sort_by_key(|dump| (dump.lock, dump.write.wrote, dump.done));
    check_writes(case, &dumps, findings);
}

fn check_acquisitions(
    case: &Case<'_>,
    lock: usize,
    trace: &LockTrace<'_>,
    findings: &mut Findings,
) {
    // For each tenure, the one with the highest fencing token so far, in the order of replies.
    let mut highest: Vec<Option<(u64, usize)>> = Vec::with_capacity(trace.tenures.len());
    let mut with_fence: HashMap<u64, usize> = HashMap::new();
    for (position, tenure) in trace.tenures.iter().enumerate() {
        let so_far = highest.last().copied().flatten();
        let Some(fence) = tenure.fence else {
            highest.push(so_far);
            continue;
        };
        let sent = tenure.access.span.sent.order;
        let surely_before = trace.tenures.get(..position).unwrap_or_default();
        let surely_before =
            surely_before.partition_point(|before| before.access.span.received.order < sent);
        let before = surely_before.checked_sub(1).and_then(|last| *highest.get(last)?);
        let before = before.filter(|(highest, _)| *highest > fence).map(|(_, tenure)| tenure);
        let same = with_fence.insert(fence, position);
        if let Some(before) = before.or(same) {
            findings.add(Property::FencingOrder, lock, || {
                acquisition_statement(case, trace, before, position)
            });
        }
        highest.push(so_far.max(Some((fence, position))));
    }
}

fn acquisition_statement(
    case: &Case<'_>,
    trace: &LockTrace<'_>,
    before: usize,
    tenure: usize,
) -> Statement {
    let words = Words::about(case.trace);
    let fence =
        |tenure: usize| trace.tenures.get(tenure).and_then(|tenure| tenure.fence).unwrap_or(0);
    let text = sentence![
        words.beginning(trace, before),
        format!(" with fencing token {}; ", fence(before)),
        words.beginning(trace, tenure),
        format!(" with fencing token {}, which is not higher", fence(tenure)),
    ];
    let access = |tenure: usize| trace.tenures.get(tenure).map(|tenure| tenure.access);
    let actors =
        [access(tenure), access(before)].into_iter().flatten().filter_map(|access| access.actor);
    let at = access(tenure).map(|access| access.span.received).unwrap_or_default();
    Statement::new(actors.collect(), at, text)
}

fn check_writes(case: &Case<'_>, dumps: &[Dump<'_>], findings: &mut Findings) {
    let mut highest: Option<(usize, u64, &Dump<'_>)> = None;
    for dump in dumps {
        let Some(fence) = dump.fence else { continue };
        match highest {
            Some((lock, before, by)) if lock == dump.lock && fence < before => {
                findings.add(Property::FencingOrder, lock, || {
                    let words = Words::about(case.trace);
                    let of = |dump: &Dump<'_>| {
                        let name = words.actor(Some(dump.step.actor));
                        let wrote = format!("{name} wrote revision {}", dump.write.wrote);
                        sentence![wrote, words.at(dump.done)]
                    };
                    let text = sentence![
                        of(by),
                        format!(" with fencing token {before}; "),
                        of(dump),
                        format!(" with fencing token {fence}, which is lower"),
                    ];
                    let actors = vec![dump.step.actor, by.step.actor];
                    Statement::new(actors, dump.done, text)
                });
            }
            _ => highest = Some((dump.lock, fence, dump)),
        }
    }
}
