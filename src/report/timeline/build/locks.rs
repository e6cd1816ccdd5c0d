//! The lanes of the locks: the owner of each, and when its flag said `true`.

use super::words::{at, span};
use super::{LaneSource, mark};
use crate::report::timeline::{Bar, BarKind, Lane, LaneKind, Mark, MarkKind, when};
use crate::report::wording::nanoseconds;
use lock_history::check::{Checked, How, Tenure};
use lock_history::history::{Change, EventKind, Moment, NO_END};
use std::collections::{BTreeMap, BTreeSet};

/// How many locks have lanes; where there are more, those with findings and those taken most often.
const DRAWN: usize = 12;

/// Each lock's lane, and its flag's, if it was ever seen to be set; and for each lock the position
/// of its lane. Locks that are too many have one lane together, which says so.
pub(super) fn lanes(source: &LaneSource<'_>, checked: &Checked) -> (Vec<Lane>, Vec<usize>) {
    let number = source.history.head.locks.len();
    let drawn = drawn(source, checked, number);
    let mut lanes = Vec::new();
    let mut lane_of = BTreeMap::new();
    for lock in &drawn {
        lane_of.insert(*lock, lanes.len());
        lanes.extend(of_lock(source, *lock));
    }
    let rest = lanes.len();
    if let left_out @ 1.. = number - drawn.len() {
        let name = format!("{left_out} more locks: not drawn");
        let lane = Lane::new(LaneKind::Lock, name, Vec::new(), Vec::new());
        lanes.push(Lane { stands_for: left_out, ..lane });
    }
    (lanes, (0..number).map(|lock| lane_of.get(&lock).copied().unwrap_or(rest)).collect())
}

fn drawn(source: &LaneSource<'_>, checked: &Checked, number: usize) -> BTreeSet<usize> {
    let mut taken = vec![0_usize; number];
    for tenure in &source.possessions.tenures {
        taken.get_mut(tenure.lock).into_iter().for_each(|taken| *taken += 1);
    }
    let mut often: Vec<usize> = (0..number).collect();
    often.sort_by_key(|lock| std::cmp::Reverse(taken.get(*lock)));
    let mut drawn = BTreeSet::new();
    for lock in checked.findings.iter().map(|finding| finding.lock).chain(often) {
        if drawn.len() < DRAWN && lock < number {
            drawn.insert(lock);
        }
    }
    drawn
}

fn of_lock(source: &LaneSource<'_>, lock: usize) -> Vec<Lane> {
    let name = source.lock(lock);
    let tenures = source.possessions.tenures.iter();
    let mut tenures: Vec<&Tenure> = tenures.filter(|tenure| tenure.lock == lock).collect();
    tenures.sort_by_key(|tenure| when(tenure.from));
    let mut marks = others_doing(source, lock);
    marks.extend(tenures.iter().filter_map(|tenure| mark_of_end(source, tenure)));
    let next = tenures.iter().skip(1).map(|next| Some(next.from)).chain([None]);
    let bars = tenures.iter().zip(next).map(|(tenure, next)| bar(source, tenure, next)).collect();
    let flag = Lane::new(LaneKind::Flag, name.clone(), flag(source, lock), Vec::new());
    let lane = Lane::new(LaneKind::Lock, name, bars, marks);
    [lane].into_iter().chain(Some(flag).filter(|flag| !flag.bars.is_empty())).collect()
}

fn bar(source: &LaneSource<'_>, tenure: &Tenure, next: Option<Moment>) -> Bar {
    let known = tenure.end.as_ref().map(|end| end.at);
    let end = known.into_iter().chain(next).min_by_key(|end| when(*end)).unwrap_or(source.end);
    let mut bar =
        Bar::new(BarKind::Holds, tenure.from, end, source.actor(tenure.actor), String::new());
    let fence = tenure.fence.map(|fence| format!(", fencing token {fence}")).unwrap_or_default();
    let lease = tenure.lease.map(|lease| format!("lease {}", nanoseconds(lease)));
    bar.detail = format!(
        "{} owned the lock\n{}\ntoken {}{fence}\n{}\n{}",
        bar.label,
        span(bar.begin, bar.end),
        source.token(&tenure.token),
        lease.unwrap_or_else(|| "no lease".into()),
        how_it_ended(source, tenure)
    );
    bar.is_open = tenure.end.as_ref().is_none_or(|end| end.how == How::Gone);
    bar.token = source.position_of(&tenure.token);
    bar
}

fn how_it_ended(source: &LaneSource<'_>, tenure: &Tenure) -> String {
    let Some(end) = &tenure.end else {
        return "its end is not in the history".into();
    };
    let when = at(end.at);
    let by = source.actor(end.by);
    match &end.how {
        How::Released => format!("released {when}"),
        How::Deleted => format!("deleted by {by} {when}"),
        How::Overwritten => format!("overwritten by {by} {when}"),
        How::Expired => format!("its lease ended {when}"),
        How::TakenAway(what) => format!("taken away {when}: {}", source.plain(what)),
        How::Gone => format!("gone {when} at the latest, no deletion of it was recorded"),
    }
}

fn mark_of_end(source: &LaneSource<'_>, tenure: &Tenure) -> Option<Mark> {
    let end = tenure.end.as_ref()?;
    let kind = match end.how {
        How::Expired => MarkKind::Expired,
        How::Deleted | How::Overwritten | How::TakenAway(_) => MarkKind::Cleared,
        How::Released | How::Gone => return None,
    };
    let detail = format!("{}'s lock: {}", source.actor(tenure.actor), how_it_ended(source, tenure));
    Some(Mark { at: end.at, kind, times: 1, detail })
}

/// Extensions, and server faults.
fn others_doing(source: &LaneSource<'_>, lock: usize) -> Vec<Mark> {
    let mut marks = Vec::new();
    for event in &source.history.events {
        let mut own = event.kind.effects().iter().filter(|effect| effect.lock == lock);
        match &event.kind {
            EventKind::Command(_) => {
                for effect in own {
                    let Change::Extended { lease } = effect.change else { continue };
                    let who = source.actor(event.actor);
                    let what = match lease {
                        NO_END.. => format!("{who} removed the TTL"),
                        lease => format!("{who} extended the lease to {}", nanoseconds(lease)),
                    };
                    marks.push(mark(event.moment, MarkKind::Extended, &what));
                }
            }
            EventKind::Fault { lease_of: Some(_), .. } => {}
            EventKind::Fault { what, effects, .. }
                if event.actor.is_none() && (effects.is_empty() || own.next().is_some()) =>
            {
                marks.push(mark(event.moment, MarkKind::Fault, &source.plain(what)));
            }
            _ => {}
        }
    }
    marks
}

/// When the flag said `true`. What lowers it without a command is seen only by the last snapshot.
fn flag(source: &LaneSource<'_>, lock: usize) -> Vec<Bar> {
    let mut bars = Vec::new();
    let mut raised: Option<(Moment, Option<usize>)> = None;
    let mut end = |raised: (Moment, Option<usize>), end: Moment, how: &str, is_open: bool| {
        let (begin, by) = (raised.0, source.actor(raised.1));
        let detail = format!("the flag said true\n{}\nraised by {by}\n{how}", span(begin, end));
        let bar = Bar::new(BarKind::Raised, begin, end, "true".into(), detail);
        bars.push(Bar { is_open, ..bar });
    };
    for event in &source.history.events {
        if let EventKind::Left(left) = &event.kind {
            if let Some(up) = raised.take_if(|_| left.lock == lock && !left.flag) {
                let how = "false in the last snapshot, no command that lowered it was recorded";
                end(up, event.moment, how, true);
            }
            continue;
        }
        for effect in event.kind.effects().iter().filter(|effect| effect.lock == lock) {
            match effect.change {
                Change::Flagged { locked: true } => {
                    raised.get_or_insert((event.moment, event.actor));
                }
                Change::Flagged { locked: false } => {
                    if let Some(up) = raised.take() {
                        let who = source.actor(event.actor);
                        let how = format!("lowered by {who} {}", at(event.moment));
                        end(up, event.moment, &how, false);
                    }
                }
                _ => {}
            }
        }
    }
    if let Some(up) = raised {
        end(up, source.end, "still true when the history ends", true);
    }
    bars
}
