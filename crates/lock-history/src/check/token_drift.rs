//! Token drift: a controller remembers an acquisition that is not the one in Redis, when nobody is
//! active.

use super::findings::{Findings, Statement};
use super::tenure::LockTrace;
use super::words::{Words, time, token};
use super::{Case, Property};
use crate::history::{Left, Moment};

/// Finds each token that is remembered for nothing.
pub(super) fn check(case: &Case<'_>, findings: &mut Findings) {
    for (lock, line) in case.locks.iter().enumerate() {
        let Some((moment, left)) = line.left else { continue };
        for remembered in drifting(left) {
            let tell = || tell(case, line, moment, left, remembered);
            findings.add(Property::TokenDrift, lock, tell);
        }
    }
}

/// The tokens that are remembered for nothing.
pub(super) fn drifting(left: &Left) -> impl Iterator<Item = &String> {
    left.remembered.iter().filter(|remembered| left.token.as_ref() != Some(remembered))
}

fn tell(
    case: &Case<'_>,
    line: &LockTrace<'_>,
    moment: Moment,
    left: &Left,
    remembered: &str,
) -> Statement {
    let words = Words::about(case.trace);
    let tenure = line.tenure_of(remembered);
    let began = tenure.map(|tenure| {
        let end = words.end(line, tenure, moment).map(|end| format!("; {end}"));
        format!("{}{}; ", words.beginning(line, tenure), end.unwrap_or_default())
    });
    let holds = match &left.token {
        Some(key) => format!("holds {}", token(key)),
        None => "is free".into(),
    };
    let text = format!(
        "{}when no actor was left at {}, a controller still remembered token {}, but the lock key \
         {holds}",
        began.unwrap_or_default(),
        time(moment.at),
        token(remembered),
    );
    let owner = tenure.and_then(|tenure| line.tenures.get(tenure)?.access.actor);
    Statement { actors: owner.into_iter().collect(), at: moment, text }
}
