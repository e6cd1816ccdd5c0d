//! Findings, put where they happened.

use super::LaneSource;
use crate::report::timeline::{Remark, when};
use lock_history::check::{Checked, Finding, Property};
use lock_history::history::{Event, EventKind, Moment};
use std::collections::BTreeSet;

/// The findings with numbers, and the lanes that they are about.
pub(super) fn remarks(
    source: &LaneSource<'_>,
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
            text: source.plain_sentence(&finding.text.to_string()),
        }
    };
    let mut remarks: Vec<Remark> = checked.findings.iter().map(remark).collect();
    remarks.sort_by_key(|remark| when(remark.at));
    for (number, remark) in (1..).zip(&mut remarks) {
        remark.number = number;
    }
    remarks
}

/// Where it is put: where it was completed or, where that is no step of its actors that is drawn, at the
/// last that they did at its time.
fn moment(source: &LaneSource<'_>, finding: &Finding) -> Moment {
    let events = &source.history.events;
    let at = events.partition_point(|event| event.moment.order < finding.order);
    let is_completed =
        events.get(at).is_some_and(|event| matches!(event.kind, EventKind::Completed(_)));
    match finding.property {
        Property::DoubleGrant
        | Property::Overlap
        | Property::ForeignRelease
        | Property::ForeignOverwrite
        | Property::ForeignExtend
        | Property::LostUpdate
        | Property::FlagDrift
        | Property::StuckLock
        | Property::Unavailable
        | Property::TokenDrift
        | Property::Registered(_) => return finding.moment(),
        Property::SilentLoss if is_completed => return finding.moment(),
        Property::SilentLoss
        | Property::FencingOrder
        | Property::Starvation
        | Property::Deadlock
        | Property::LeaseTooShort => {}
    }
    let is_whose = |event: &Event| event.actor.is_some_and(|it| finding.actors.contains(&it));
    let from = events.partition_point(|event| event.moment.at < finding.at);
    let then = || events.iter().skip(from).take_while(|event| event.moment.at == finding.at);
    let found = then().filter(|event| is_whose(event)).last();
    found.or_else(|| then().last()).map_or(source.moment_at(finding.at), |event| event.moment)
}
