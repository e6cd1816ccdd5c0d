//! Overlap: two actors believe at once that they hold the lock.
//!
//! Two beliefs on one lock overlap if their certain parts have more than a moment in common. No
//! lock with a TTL can rule this out; what matters is what it leads to.

use super::findings::{Findings, Statement};
use super::lease_too_short::Expired;
use super::sentence::sentence;
use super::words::Words;
use super::{Case, Property, beliefs::Belief};
use std::collections::BTreeSet;

/// Finds each pair of beliefs that overlap.
pub(super) fn check(case: &Case<'_>, expired: &Expired, findings: &mut Findings) {
    // Beliefs come in the order in which they began; those that last are kept by their end.
    let mut lasting: Vec<BTreeSet<(u64, usize)>> = vec![BTreeSet::new(); case.locks.len()];
    for (position, belief) in case.beliefs.iter().enumerate() {
        let Some(lasting) = lasting.get_mut(belief.lock) else { continue };
        while lasting.first().is_some_and(|(until, _)| *until <= belief.from.order) {
            lasting.pop_first();
        }
        let mut left = lasting.len() as u64;
        for (_, earlier) in lasting.iter() {
            if !findings.has_room(Property::Overlap, belief.lock) {
                break;
            }
            left -= 1;
            if let Some(earlier) = case.beliefs.get(*earlier) {
                findings.add(Property::Overlap, belief.lock, || Statement {
                    cause: expired.cause(earlier),
                    ..statement(case, earlier, belief)
                });
            }
        }
        findings.omit(left);
        lasting.insert((belief.surely_until.order, position));
    }
}

fn statement(case: &Case<'_>, earlier: &Belief, later: &Belief) -> Statement {
    let words = Words::about(case.trace);
    let lost = earlier.tenure.zip(case.locks.get(earlier.lock));
    let lost = lost.and_then(|(tenure, trace)| words.end(trace, tenure, earlier.surely_until));
    let text = sentence![
        lost.map(|lost| sentence![lost, "; "]),
        words.actor(Some(earlier.actor)),
        " thought it held the lock",
        words.when(" from ", earlier.from),
        words.when(" to ", earlier.surely_until),
        "; ",
        words.actor(Some(later.actor)),
        " acquired it",
        words.at(later.from),
        " and thought it held it, too",
        words.when(", until ", later.surely_until),
    ];
    Statement::new(vec![earlier.actor, later.actor], later.from, text)
}
