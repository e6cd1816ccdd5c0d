//! Findings, put where they happened.

use super::Source;
use crate::check::{Checked, Finding, Property};
use crate::history::{Change, Event, EventKind, Moment, Verb};
use crate::report::timeline::{Remark, when};
use std::collections::BTreeSet;

/// The findings with numbers, and the lanes that they are about.
pub(super) fn remarks(
    source: &Source<'_>,
    checked: &Checked,
    lanes_of: impl Fn(&Finding) -> Vec<usize>,
) -> Vec<Remark> {
    let remark = |finding: &Finding| {
        let (mut lanes, mut seen) = (lanes_of(finding), BTreeSet::new());
        lanes.retain(|lane| seen.insert(*lane));
        Remark {
            at: moment(source, finding),
            number: 0,
            property: finding.property.word(),
            lanes,
            text: source.plain_sentence(&finding.text),
        }
    };
    let mut remarks: Vec<Remark> = checked.findings.iter().map(remark).collect();
    remarks.sort_by_key(|remark| when(remark.at));
    for (number, remark) in (1..).zip(&mut remarks) {
        remark.number = number;
    }
    remarks
}

/// What completed it: of all that its actors did at its time, the last that can have.
fn moment(source: &Source<'_>, finding: &Finding) -> Moment {
    let events = &source.history.events;
    let is_whose = |event: &Event| event.actor.is_some_and(|it| finding.actors.contains(&it));
    let from = events.partition_point(|event| event.moment.at < finding.at);
    let then = || events.iter().skip(from).take_while(|event| event.moment.at == finding.at);
    let found = then().filter(|event| is_such(event, finding)).last();
    let found = found.or_else(|| then().filter(|event| is_whose(event)).last());
    found.or_else(|| then().last()).map_or(source.moment_at(finding.at), |event| event.moment)
}

fn is_such(event: &Event, finding: &Finding) -> bool {
    let is_by =
        |nth: usize| event.actor.is_some() && event.actor == finding.actors.get(nth).copied();
    let did = |is_such: fn(&Change) -> bool| {
        event.kind.effects().iter().any(|it| it.lock == finding.lock && is_such(&it.change))
    };
    match (finding.property, &event.kind) {
        (Property::ForeignRelease, _) => is_by(0) && did(|it| matches!(it, Change::Deleted { .. })),
        (Property::LostUpdate, EventKind::Completed(operation)) => {
            is_by(0) && operation.write.is_some_and(|write| write.replaced != write.based_on)
        }
        (Property::Overlap, EventKind::Completed(operation)) => {
            is_by(1) && operation.verb == Verb::Acquire && operation.lock == Some(finding.lock)
        }
        (Property::SilentLoss, EventKind::Completed(operation)) => {
            let verb = &operation.verb;
            is_by(0)
                && operation.lock == Some(finding.lock)
                && (*verb == Verb::Acquire || verb.releases())
        }
        (
            Property::FlagDrift | Property::StuckLock | Property::TokenDrift,
            EventKind::Left(left),
        ) => left.lock == finding.lock,
        _ => false,
    }
}
