//! Where there are too many actors to read, those that matter are drawn each, and the others
//! together by how they ended, with their number.

use super::LaneSource;
use super::actors::Life;
use super::words::span;
use crate::report::timeline::{Bar, BarKind, Lane, LaneKind, Mark, MarkKind, when};
use lock_history::check::Checked;
use lock_history::history::Moment;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Up to how many actors have a lane each.
const ALL: usize = 40;
/// How many have one if there are more: those with findings, with faults, and that held a lock.
const ALONE: usize = 28;
/// Into how many parts the time of a lane that stands for several is divided.
const PARTS: u64 = 12;
/// How many names are listed.
const LISTED: usize = 12;

/// The lanes, and for each actor the position of its own.
pub(super) fn gathered(
    source: &LaneSource<'_>,
    checked: &Checked,
    lives: Vec<Life>,
) -> (Vec<Lane>, Vec<usize>) {
    if lives.len() <= ALL {
        let lane_of = (0..lives.len()).collect();
        return (lives.into_iter().map(|life| life.lane).collect(), lane_of);
    }
    let alone = alone(source, checked, &lives);
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (actor, life) in lives.iter().enumerate().filter(|(actor, _)| !alone.contains(actor)) {
        groups.entry(life.outcome.unwrap_or("no end seen")).or_default().push(actor);
    }
    let alone = alone.into_iter().map(|actor| ("", vec![actor]));
    let mut lane_of = vec![0; lives.len()];
    let mut lanes: Vec<Lane> = Vec::new();
    for (outcome, actors) in alone.chain(groups) {
        for actor in &actors {
            lane_of.get_mut(*actor).into_iter().for_each(|of| *of = lanes.len());
        }
        let members = actors.iter().filter_map(|actor| lives.get(*actor));
        lanes.push(together(source, outcome, members.map(|life| &life.lane).collect()));
    }
    (lanes, lane_of)
}

/// The actors drawn alone: first those named by findings, then those hit by faults, then holders.
fn alone(source: &LaneSource<'_>, checked: &Checked, lives: &[Life]) -> BTreeSet<usize> {
    let named = checked.findings.iter().flat_map(|finding| finding.actors.iter().copied());
    let is_hurt = |kind| matches!(kind, MarkKind::Fault | MarkKind::Crashed | MarkKind::Failed);
    let hurt = lives
        .iter()
        .enumerate()
        .filter(|(_, life)| life.lane.marks.iter().any(|mark| is_hurt(mark.kind)));
    let holders = source.possessions.tenures.iter().filter_map(|tenure| tenure.actor);
    let mut alone = BTreeSet::new();
    for actor in named.chain(hurt.map(|(actor, _)| actor)).chain(holders) {
        if alone.len() < ALONE && actor < lives.len() {
            alone.insert(actor);
        }
    }
    alone
}

fn together(source: &LaneSource<'_>, outcome: &str, members: Vec<&Lane>) -> Lane {
    if let [one] = members.as_slice() {
        return (*one).clone();
    }
    let number = members.len();
    let name = format!("{number} actors: {outcome}");
    let bars = members.iter().flat_map(|lane| &lane.bars).flat_map(|bar| [bar.begin, bar.end]);
    let marks = members.iter().flat_map(|lane| &lane.marks).map(|mark| mark.at);
    let all = bars.chain(marks);
    let begin = all.clone().min_by_key(|at| when(*at)).unwrap_or(source.begin);
    let end = all.max_by_key(|at| when(*at)).unwrap_or(source.end);
    let parts = Parts { begin, end };
    let who = who(&members);
    let bars = parts.bars(source, &members, &who);
    let lane = Lane::new(LaneKind::Actor, name, bars, parts.marks(&members));
    Lane { stands_for: number, ..lane }
}

fn who(members: &[&Lane]) -> String {
    let names: Vec<&str> = members.iter().take(LISTED).map(|lane| lane.name.as_str()).collect();
    let mut who = names.join(", ");
    if let Some(more) = members.len().checked_sub(LISTED).filter(|more| *more > 0) {
        let _ = write!(who, " and {more} more");
    }
    who
}

/// The time of a lane that stands for several actors, in equal parts.
struct Parts {
    begin: Moment,
    end: Moment,
}

impl Parts {
    fn length(&self) -> u64 {
        self.end.at.saturating_sub(self.begin.at)
    }

    fn edge(&self, source: &LaneSource<'_>, part: u64) -> Moment {
        match part {
            0 => self.begin,
            PARTS => self.end,
            _ => source.moment_at(self.time(part * 2)),
        }
    }

    /// A time in half parts.
    fn time(&self, halves: u64) -> u64 {
        let passed = u128::from(self.length()) * u128::from(halves) / u128::from(PARTS * 2);
        self.begin.at.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }

    /// How many do what in the middle of each part; equal parts are one bar.
    fn bars(&self, source: &LaneSource<'_>, members: &[&Lane], who: &str) -> Vec<Bar> {
        if self.length() == 0 {
            let label = format!("{} actors", members.len());
            return vec![many(self.begin, self.end, label, who)];
        }
        let mut bars: Vec<Bar> = Vec::new();
        let mut counts: Vec<BTreeMap<BarKind, usize>> = vec![BTreeMap::new(); PARTS as usize];
        for bar in members.iter().flat_map(|lane| &lane.bars) {
            let (first, last) = (self.part_of(bar.begin.at), self.part_of(bar.end.at));
            for part in first..=last {
                let middle = self.time(part * 2 + 1);
                if (bar.begin.at..bar.end.at).contains(&middle)
                    && let Some(count) = counts.get_mut(part as usize)
                {
                    *count.entry(bar.kind).or_default() += 1;
                }
            }
        }
        for (part, count) in (0..).zip(&counts) {
            let doing: Vec<String> =
                count.iter().map(|(kind, count)| format!("{count} {}", verb(*kind))).collect();
            if doing.is_empty() {
                continue;
            }
            let label = doing.join(", ");
            let (begin, end) = (self.edge(source, part), self.edge(source, part + 1));
            match bars.last_mut().filter(|last| last.label == label && last.end == begin) {
                Some(last) => *last = many(last.begin, end, label, who),
                None => bars.push(many(begin, end, label, who)),
            }
        }
        bars
    }

    fn part_of(&self, at: u64) -> u64 {
        let passed = u128::from(at.saturating_sub(self.begin.at)) * u128::from(PARTS);
        let part = passed / u128::from(self.length().max(1));
        u64::try_from(part).unwrap_or(u64::MAX).min(PARTS - 1)
    }

    /// Marks of one kind in one part are one, with their number.
    fn marks(&self, members: &[&Lane]) -> Vec<Mark> {
        let mut found: BTreeMap<(u64, MarkKind), Mark> = BTreeMap::new();
        for mark in members.iter().flat_map(|lane| &lane.marks) {
            found
                .entry((self.part_of(mark.at.at), mark.kind))
                .and_modify(|first| {
                    first.times += mark.times;
                    first.at = if when(mark.at) < when(first.at) { mark.at } else { first.at };
                })
                .or_insert_with(|| mark.clone());
        }
        let counted = |mark: Mark| match mark.times {
            1 => mark,
            times => Mark { detail: format!("{times} times, such as\n{}", mark.detail), ..mark },
        };
        found.into_values().map(counted).collect()
    }
}

fn many(begin: Moment, end: Moment, label: String, who: &str) -> Bar {
    let detail = format!("{label}\n{}\n{who}", span(begin, end));
    Bar::new(BarKind::Many, begin, end, label, detail)
}

fn verb(kind: BarKind) -> &'static str {
    match kind {
        BarKind::Holds => "hold",
        BarKind::Waits => "wait",
        BarKind::Works => "work",
        BarKind::Writes => "write",
        BarKind::Asks | BarKind::Raised | BarKind::Many => "ask",
    }
}
