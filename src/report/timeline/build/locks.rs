//! The lanes of the locks: who owned each, and when its flag said `true`.

use super::words::{at, span};
use super::{Source, effects, mark};
use crate::check::{Checked, How, Reign};
use crate::clock::in_words;
use crate::history::{Change, EventKind, Moment};
use crate::report::timeline::{Bar, BarKind, Lane, LaneKind, Mark, MarkKind, when};
use std::collections::BTreeSet;
use std::time::Duration;

/// How many locks have lanes; where there are more, those with findings and those taken most often.
const DRAWN: usize = 12;

/// Each lock's lane, and its flag's, if it was ever seen to be set; and for each lock the position
/// of its lane. Locks that are too many have one lane together, which says so.
pub(super) fn lanes(source: &Source<'_>, checked: &Checked) -> (Vec<Lane>, Vec<usize>) {
    let number = source.history.head.locks.len();
    let mut reigns: Vec<Vec<&Reign>> = vec![Vec::new(); number];
    for reign in &source.possessions.reigns {
        if let Some(reigns) = reigns.get_mut(reign.lock) {
            reigns.push(reign);
        }
    }
    let drawn = drawn(&reigns, checked);
    let mut lanes = Vec::new();
    let mut lane_of = vec![0; number];
    for (lock, mut reigns) in reigns.into_iter().enumerate() {
        if !drawn.contains(&lock) {
            continue;
        }
        if let Some(lane_of) = lane_of.get_mut(lock) {
            *lane_of = lanes.len();
        }
        reigns.sort_by_key(|reign| when(reign.from));
        lanes.extend(of_lock(source, lock, &reigns));
    }
    let left_out = number - drawn.len();
    if left_out > 0 {
        for (lock, lane_of) in lane_of.iter_mut().enumerate() {
            if !drawn.contains(&lock) {
                *lane_of = lanes.len();
            }
        }
        let name = format!("{left_out} more locks: not drawn");
        let (bars, marks) = (Vec::new(), Vec::new());
        lanes.push(Lane { kind: LaneKind::Lock, name, stands_for: left_out, bars, marks });
    }
    (lanes, lane_of)
}

fn drawn(reigns: &[Vec<&Reign>], checked: &Checked) -> BTreeSet<usize> {
    let mut often: Vec<usize> = (0..reigns.len()).collect();
    often.sort_by_key(|lock| std::cmp::Reverse(reigns.get(*lock).map_or(0, Vec::len)));
    let mut drawn = BTreeSet::new();
    for lock in checked.findings.iter().map(|finding| finding.lock).chain(often) {
        if drawn.len() < DRAWN && lock < reigns.len() {
            drawn.insert(lock);
        }
    }
    drawn
}

fn of_lock(source: &Source<'_>, lock: usize, reigns: &[&Reign]) -> Vec<Lane> {
    let name = source.words.lock(lock);
    let mut marks = others_doing(source, lock);
    let mut bars = Vec::new();
    for (position, reign) in reigns.iter().enumerate() {
        let next = reigns.get(position + 1).map(|next| next.from);
        bars.push(bar(source, reign, next));
        marks.extend(mark_of_end(source, reign));
    }
    let lane = Lane { kind: LaneKind::Lock, name: name.clone(), stands_for: 1, bars, marks };
    let bars = flag(source, lock);
    let flag = Lane { kind: LaneKind::Flag, name, stands_for: 1, bars, marks: Vec::new() };
    let mut lanes = vec![lane];
    lanes.extend(Some(flag).filter(|flag| !flag.bars.is_empty()));
    lanes
}

fn bar(source: &Source<'_>, reign: &Reign, next: Option<Moment>) -> Bar {
    let words = &source.words;
    let known = reign.end.as_ref().map(|end| end.at);
    let end = known.into_iter().chain(next).min_by_key(|end| when(*end)).unwrap_or(source.end);
    let end = if when(end) < when(reign.from) { reign.from } else { end };
    let owner = words.actor(reign.actor);
    let mut detail = format!("{owner} owned the lock\n{}", span(reign.from, end));
    detail.push_str(&format!("\ntoken {}", words.token(&reign.token)));
    if let Some(fence) = reign.fence {
        detail.push_str(&format!(", fencing token {fence}"));
    }
    let lease = reign.lease.map(|lease| in_words(Duration::from_nanos(lease)));
    detail.push_str(&lease.map_or("\nno lease".into(), |lease| format!("\nlease {lease}")));
    detail.push('\n');
    detail.push_str(&how_it_ended(source, reign));
    let is_open = reign.end.as_ref().is_none_or(|end| end.how == How::Gone);
    let token = source.token(&reign.token);
    let kind = BarKind::Holds;
    Bar { begin: reign.from, end, kind, token, is_lost: false, is_open, label: owner, detail }
}

fn how_it_ended(source: &Source<'_>, reign: &Reign) -> String {
    let Some(end) = &reign.end else {
        return "its end is not in the history".into();
    };
    let when = at(end.at);
    let by = source.words.actor(end.by);
    match &end.how {
        How::Released => format!("released {when}"),
        How::Deleted => format!("deleted by {by} {when}"),
        How::Overwritten => format!("overwritten by {by} {when}"),
        How::Expired => format!("its lease ended {when}"),
        How::TakenAway(what) => format!("taken away {when}: {}", source.words.plain(what)),
        How::Gone => format!("gone {when} at the latest, nobody was seen to delete it"),
    }
}

fn mark_of_end(source: &Source<'_>, reign: &Reign) -> Option<Mark> {
    let end = reign.end.as_ref()?;
    let kind = match end.how {
        How::Expired => MarkKind::Expired,
        How::Deleted | How::Overwritten | How::TakenAway(_) => MarkKind::Cleared,
        How::Released | How::Gone => return None,
    };
    let owner = source.words.actor(reign.actor);
    Some(mark(end.at, kind, format!("{owner}'s lock: {}", how_it_ended(source, reign))))
}

/// Extensions, and what befell the server.
fn others_doing(source: &Source<'_>, lock: usize) -> Vec<Mark> {
    let mut marks = Vec::new();
    for event in &source.history.events {
        let mut own = effects(event).iter().filter(|effect| effect.lock == lock);
        match &event.kind {
            EventKind::Command(_) => {
                for effect in own {
                    let Change::Extended { lease } = effect.change else { continue };
                    let lease = in_words(Duration::from_nanos(lease));
                    let who = source.words.actor(event.actor);
                    let detail =
                        format!("{who} extended the lease to {lease}\n{}", at(event.moment));
                    marks.push(mark(event.moment, MarkKind::Extended, detail));
                }
            }
            EventKind::Fault { lease_of: Some(_), .. } => {}
            EventKind::Fault { what, effects, .. }
                if event.actor.is_none() && (effects.is_empty() || own.next().is_some()) =>
            {
                let detail = format!("{}\n{}", source.words.plain(what), at(event.moment));
                marks.push(mark(event.moment, MarkKind::Fault, detail));
            }
            _ => {}
        }
    }
    marks
}

/// When the flag said `true`. What lowers it without a command is seen only by the last look.
fn flag(source: &Source<'_>, lock: usize) -> Vec<Bar> {
    let mut bars = Vec::new();
    let mut raised: Option<(Moment, Option<usize>)> = None;
    let mut end = |raised: (Moment, Option<usize>), end: Moment, how: String, is_open: bool| {
        let (begin, by) = raised;
        let detail = format!(
            "the flag said true\n{}\nraised by {}\n{how}",
            span(begin, end),
            source.words.actor(by)
        );
        bars.push(Bar {
            begin,
            end,
            kind: BarKind::Raised,
            token: None,
            is_lost: false,
            is_open,
            label: "true".into(),
            detail,
        });
    };
    for event in &source.history.events {
        if let EventKind::Left(left) = &event.kind {
            if let Some(up) = raised.take_if(|_| left.lock == lock && !left.flag) {
                let how = "false when it was looked at last, nobody was seen to lower it";
                end(up, event.moment, how.into(), true);
            }
            continue;
        }
        for effect in effects(event).iter().filter(|effect| effect.lock == lock) {
            match effect.change {
                Change::Flagged { locked: true } => {
                    raised.get_or_insert((event.moment, event.actor));
                }
                Change::Flagged { locked: false } => {
                    if let Some(up) = raised.take() {
                        let who = source.words.actor(event.actor);
                        let how = format!("lowered by {who} {}", at(event.moment));
                        end(up, event.moment, how, false);
                    }
                }
                _ => {}
            }
        }
    }
    if let Some(up) = raised {
        end(up, source.end, "still true when the history ends".into(), true);
    }
    bars
}
