//! From a history to its timeline. Whose a lock was and what an actor believed comes from the
//! checkers; nothing is concluded here.

mod actors;
mod locks;
mod many;
mod remarks;
mod words;

use super::{Lane, Mark, MarkKind, Timeline, when};
use crate::check::{Checked, Possessions, possessions};
use crate::history::{Effect, Event, EventKind, History, Moment};
use std::collections::HashMap;
use words::Words;

impl Timeline {
    /// The timeline of a history, and of what was found in it.
    pub fn new(history: &History, checked: &Checked) -> Self {
        let possessions = possessions(history);
        let tokens = tokens(&possessions);
        let source = Source {
            history,
            words: Words::new(history, &tokens),
            token_of: positions(&tokens),
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
            title: source.words.plain(&history.head.scenario),
            protocol: source.words.plain(&history.head.protocol),
            begin: source.begin,
            end: source.end,
            tokens: tokens.iter().map(|token| source.words.plain(token)).collect(),
            lanes,
            findings,
            omitted: checked.omitted,
            is_whole: checked.is_whole,
        }
    }
}

/// What lanes are made from.
struct Source<'a> {
    history: &'a History,
    possessions: &'a Possessions,
    words: Words<'a>,
    token_of: HashMap<&'a str, usize>,
    begin: Moment,
    end: Moment,
}

impl Source<'_> {
    /// A token's position among the timeline's.
    fn token(&self, token: &str) -> Option<usize> {
        self.token_of.get(token).copied()
    }

    /// The token of a reign, as a position among the timeline's.
    fn token_of_reign(&self, reign: Option<usize>) -> Option<usize> {
        self.token(&self.possessions.reigns.get(reign?)?.token)
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
    let mut reigns: Vec<_> = possessions.reigns.iter().collect();
    reigns.sort_by_key(|reign| when(reign.from));
    let mut tokens: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for reign in reigns {
        if seen.insert(reign.token.as_str()) {
            tokens.push(reign.token.clone());
        }
    }
    tokens
}

fn positions(tokens: &[String]) -> HashMap<&str, usize> {
    tokens.iter().enumerate().map(|(position, token)| (token.as_str(), position)).collect()
}

/// What an event did to the locks.
fn effects(event: &Event) -> &[Effect] {
    match &event.kind {
        EventKind::Command(command) => &command.effects,
        EventKind::Fault { effects, .. } => effects,
        _ => &[],
    }
}

fn mark(at: Moment, kind: MarkKind, detail: String) -> Mark {
    Mark { at, kind, times: 1, detail }
}

impl Lane {
    /// When something first was on it, and when last.
    fn span(&self) -> Option<(Moment, Moment)> {
        let bars = self.bars.iter().flat_map(|bar| [bar.begin, bar.end]);
        let all = || bars.clone().chain(self.marks.iter().map(|mark| mark.at));
        Some((all().min_by_key(|at| when(*at))?, all().max_by_key(|at| when(*at))?))
    }
}

#[cfg(test)]
mod tests;
