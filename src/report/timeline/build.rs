//! From a history to its timeline. Whose a lock was and what an actor believed comes from the
//! checkers; nothing is concluded here.

mod actors;
mod held;
mod locks;
mod many;
mod remarks;
mod words;

use super::{Bar, BarKind, Lane, LaneKind, Mark, MarkKind, Timeline, when};
use crate::report::wording::token_length;
use lock_history::check::{Checked, Possessions, possessions};
use lock_history::history::{History, Moment};
use std::collections::{HashMap, HashSet};

impl Timeline {
    /// The timeline of a history, and of what was found in it.
    pub fn new(history: &History, checked: &Checked) -> Self {
        let possessions = possessions(history);
        let tokens = tokens(&possessions);
        let source = LaneSource {
            history,
            // Tokens of other tools may have long beginnings in common.
            token_length: token_length(tokens.iter().map(String::as_str)).min(words::LONGEST),
            token_of: tokens.iter().zip(0..).map(|(token, at)| (token.as_str(), at)).collect(),
            possessions: &possessions,
            begin: moments(history).min_by_key(|at| when(*at)).unwrap_or_default(),
            end: moments(history).max_by_key(|at| when(*at)).unwrap_or_default(),
        };
        let (mut lanes, lane_of_lock) = locks::lanes(&source, checked);
        let locks = lanes.len();
        let (actors, lane_of) = many::gathered(&source, checked, actors::lives(&source));
        lanes.extend(actors);
        let findings = remarks::remarks(&source, checked, |finding| {
            let lock = lane_of_lock.get(finding.lock).copied();
            let actors = finding.actors.iter().filter_map(|actor| lane_of.get(*actor));
            lock.into_iter().chain(actors.map(|lane| locks + lane)).collect()
        });
        for lane in &mut lanes {
            lane.bars.sort_by_key(|bar| (when(bar.begin), when(bar.end)));
            lane.marks.sort_by_key(|mark| (when(mark.at), mark.kind));
        }
        Self {
            title: source.plain(&history.head.scenario),
            protocol: source.plain(&history.head.protocol),
            began_us: history.head.began_us,
            begin: source.begin,
            end: source.end,
            tokens: tokens.iter().map(|token| source.plain(token)).collect(),
            lanes,
            findings,
            omitted: checked.omitted,
            is_complete: checked.is_complete,
        }
    }
}

/// What lanes are made from.
struct LaneSource<'a> {
    history: &'a History,
    possessions: &'a Possessions,
    /// How many characters distinguish tokens.
    token_length: usize,
    token_of: HashMap<&'a str, usize>,
    begin: Moment,
    end: Moment,
}

impl LaneSource<'_> {
    /// A token's position among the timeline's.
    fn position_of(&self, token: &str) -> Option<usize> {
        self.token_of.get(token).copied()
    }

    /// A time as a moment, after all that happened by then.
    fn moment_at(&self, at: u64) -> Moment {
        let events = &self.history.events;
        let after = events.partition_point(|event| event.moment.at <= at);
        let last = after.checked_sub(1).and_then(|last| events.get(last));
        Moment { order: last.map_or(self.begin.order, |event| event.moment.order), at }
    }
}

fn moments(history: &History) -> impl Iterator<Item = Moment> {
    history.events.iter().map(|event| event.moment)
}

/// All tokens, in the order in which they took a lock.
fn tokens(possessions: &Possessions) -> Vec<String> {
    let mut tenures: Vec<_> = possessions.tenures.iter().collect();
    tenures.sort_by_key(|tenure| when(tenure.from));
    let mut seen = HashSet::new();
    tenures.retain(|tenure| seen.insert(tenure.token.as_str()));
    tenures.into_iter().map(|tenure| tenure.token.clone()).collect()
}

fn mark(at: Moment, kind: MarkKind, what: &str) -> Mark {
    Mark { at, kind, times: 1, detail: format!("{what}\n{}", words::at(at)) }
}

impl Bar {
    /// A bar of no acquisition; never of negative length.
    fn new(kind: BarKind, begin: Moment, end: Moment, label: String, detail: String) -> Self {
        let end = if when(end) < when(begin) { begin } else { end };
        Self { begin, end, kind, token: None, is_lost: false, is_open: false, label, detail }
    }
}

impl Lane {
    /// A lane of one.
    fn new(kind: LaneKind, name: String, bars: Vec<Bar>, marks: Vec<Mark>) -> Self {
        Self { kind, name, stands_for: 1, bars, marks }
    }
}

#[cfg(test)]
mod tests;
