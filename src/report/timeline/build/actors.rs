//! The lanes of the actors, one each: what they did, step by step, with or without the lock.

use super::held::Held;
use super::words::{failed, heard, span};
use super::{LaneSource, mark};
use crate::report::timeline::{Bar, BarKind, Lane, LaneKind, Mark, MarkKind, when};
use crate::report::wording::nanoseconds;
use lock_history::check::{Belief, How, Tenure, TenureEnd};
use lock_history::history::{
    Change, Event, EventKind, Failure, FailureKind, Moment, NO_END, Operation, Verb,
};

/// An actor's lane, and how its life went.
pub(super) struct Life {
    pub(super) lane: Lane,
    /// How it ended, in a few words; nothing if the history doesn't say.
    pub(super) outcome: Option<&'static str>,
}

/// All actors' lives, in the order of the history's head.
pub(super) fn lives(source: &LaneSource<'_>) -> Vec<Life> {
    let actors = source.history.head.actors.len();
    let mut beliefs: Vec<Vec<&Belief>> = vec![Vec::new(); actors];
    for belief in &source.possessions.beliefs {
        beliefs.get_mut(belief.actor).into_iter().for_each(|of_actor| of_actor.push(belief));
    }
    let reader = |beliefs| Reader::new(source, Held::new(beliefs));
    let mut readers: Vec<Reader<'_>> = beliefs.into_iter().map(reader).collect();
    for event in &source.history.events {
        if let Some(reader) = event.actor.and_then(|actor| readers.get_mut(actor)) {
            reader.read(event);
        }
    }
    let life = |(actor, reader): (usize, Reader<'_>)| reader.finish(actor);
    readers.into_iter().enumerate().map(life).collect()
}

/// What a step is drawn as; nothing, if it is made of others.
fn kind_of(verb: &Verb) -> Option<BarKind> {
    Some(match verb {
        Verb::Locked | Verb::Repeat => return None,
        Verb::Acquire | Verb::Await | Verb::Pause | Verb::Sleep => BarKind::Waits,
        Verb::Work => BarKind::Works,
        Verb::Dump | Verb::ExternalDump => BarKind::Writes,
        _ => BarKind::Asks,
    })
}

struct Open<'a> {
    operation: &'a Operation,
    begun: Moment,
    /// What its actor believed to hold when it began.
    belief: Option<&'a Belief>,
    kind: Option<BarKind>,
}

/// One actor's events, as they are read.
struct Reader<'a> {
    source: &'a LaneSource<'a>,
    held: Held<'a>,
    open: Vec<Open<'a>>,
    bars: Vec<Bar>,
    marks: Vec<Mark>,
    last_failure: Option<&'a Failure>,
    has_crashed: bool,
    outcome: Option<&'static str>,
}

impl<'a> Reader<'a> {
    fn new(source: &'a LaneSource<'a>, held: Held<'a>) -> Self {
        let (open, bars, marks) = (Vec::new(), Vec::new(), Vec::new());
        let (last_failure, has_crashed, outcome) = (None, false, None);
        Self { source, held, open, bars, marks, last_failure, has_crashed, outcome }
    }

    fn read(&mut self, event: &'a Event) {
        let source = self.source;
        match &event.kind {
            EventKind::Invoked(operation) => {
                // A step within one that is drawn belongs to it.
                let is_within = self.open.iter().any(|open| open.kind.is_some());
                let kind = kind_of(&operation.verb).filter(|_| !is_within);
                let belief = self.held.at(event.moment, operation.lock);
                self.open.push(Open { operation, begun: event.moment, belief, kind });
            }
            EventKind::Completed(operation) => {
                self.last_failure = None;
                self.end_step(event.moment, operation, None);
            }
            EventKind::Failed { operation, failure } => {
                self.hear(event.moment, Some(operation), failure);
                self.end_step(event.moment, operation, Some(failure));
            }
            EventKind::Ended { failure } => {
                if let Some(failure) = failure {
                    self.hear(event.moment, None, failure);
                }
                self.outcome =
                    Some(failure.as_ref().map_or("success", |failure| failed(failure.kind)));
            }
            EventKind::Fault { what, lease_of: None, .. } => {
                self.marks.push(mark(event.moment, MarkKind::Fault, &source.plain(what)));
            }
            // No step of its actor shows it, and its actor does not learn its outcome.
            EventKind::Command(command) if command.late.is_some() => {
                let what = format!("runs late: {}", source.plain(&command.text));
                self.marks.push(mark(event.moment, MarkKind::Fault, &what));
            }
            EventKind::Command(_) => self.command(event),
            EventKind::Fault { .. } | EventKind::Started | EventKind::Left(_) => {}
        }
    }

    fn command(&mut self, event: &Event) {
        for effect in event.kind.effects() {
            let lock = self.source.lock(effect.lock);
            let (kind, what) = match effect.change {
                Change::Refused => (MarkKind::Refused, format!("{lock} is taken")),
                Change::Extended { lease: NO_END.. } => {
                    (MarkKind::Extended, format!("removes the TTL of {lock}"))
                }
                Change::Extended { lease } => {
                    (MarkKind::Extended, format!("extends {lock} to {}", nanoseconds(lease)))
                }
                _ => continue,
            };
            self.marks.push(mark(event.moment, kind, &what));
        }
    }

    /// A failure is shown once, where it happened, not again by the steps around it.
    fn hear(&mut self, moment: Moment, operation: Option<&Operation>, failure: &'a Failure) {
        if self.last_failure == Some(failure) {
            return;
        }
        self.last_failure = Some(failure);
        let what = operation.map_or_else(|| "ended".into(), |it| named(self.source, it));
        let mut mark = mark(moment, MarkKind::Failed, &format!("{what}\n{}", heard(failure)));
        match failure.kind {
            FailureKind::AlreadyLocked => {
                let begun = self.open.last().map_or(moment, |open| open.begun);
                let of_step =
                    self.marks.iter_mut().rev().take_while(|mark| when(begun) <= when(mark.at));
                if let Some(last) = of_step.into_iter().find(|it| it.kind == MarkKind::Refused) {
                    last.detail = mark.detail;
                    return;
                }
                mark.kind = MarkKind::Refused;
            }
            FailureKind::Crashed => {
                if std::mem::replace(&mut self.has_crashed, true) {
                    return;
                }
                mark.kind = MarkKind::Crashed;
            }
            _ => {}
        }
        self.marks.push(mark);
    }

    fn end_step(&mut self, end: Moment, operation: &Operation, failure: Option<&Failure>) {
        let is_it = |open: &mut Open<'_>| open.operation.number == operation.number;
        let Some(open) = self.open.pop_if(is_it) else { return };
        self.draw(&open, end, failure, false);
    }

    fn draw(&mut self, open: &Open<'_>, end: Moment, failure: Option<&Failure>, is_open: bool) {
        let source = self.source;
        let Some(kind) = open.kind else { return };
        let kind = match open.belief {
            // An actor that lets time pass with a lock works under it.
            Some(_) if open.operation.verb == Verb::Sleep => BarKind::Works,
            _ => kind,
        };
        let mut detail = named(source, open.operation);
        if let Some(lock) = open.operation.lock {
            detail.push_str(&format!("\n{}", source.lock(lock)));
        }
        if let Some(failure) = failure {
            detail.push_str(&format!("\n{}", heard(failure)));
        } else if is_open {
            detail.push_str("\nits end is not in the history");
        }
        let label = source.plain(open.operation.verb.word());
        let bar = Bar { is_open, ..Bar::new(kind, open.begun, end, label, detail) };
        self.bars.extend(with_lock(source, bar, open.belief));
    }

    fn finish(mut self, actor: usize) -> Life {
        let source = self.source;
        while let Some(open) = self.open.pop() {
            self.draw(&open, source.end, None, true);
        }
        self.bars.sort_by_key(|bar| when(bar.begin));
        let shortest = source.end.at.saturating_sub(source.begin.at) / 1000;
        let mut holds = Vec::new();
        for belief in self.held.all() {
            for (begin, end) in gaps(&self.bars, belief, shortest) {
                let detail = format!("holds {}", source.lock(belief.lock));
                let bar = Bar::new(BarKind::Holds, begin, end, "holds".into(), detail);
                holds.extend(with_lock(source, bar, Some(belief)));
            }
        }
        // With two locks, one bar says it.
        let mut covered = (0, 0);
        holds.sort_by_key(|bar: &Bar| when(bar.begin));
        holds.retain(|bar| {
            let is_free = covered <= when(bar.begin);
            covered = if is_free { when(bar.end) } else { covered };
            is_free
        });
        self.bars.extend(holds);
        let name = source.actor(Some(actor));
        let lane = Lane::new(LaneKind::Actor, name, self.bars, self.marks);
        Life { lane, outcome: self.outcome }
    }
}

/// `release "late release"`.
fn named(source: &LaneSource<'_>, operation: &Operation) -> String {
    let verb = source.plain(operation.verb.word());
    match &operation.name {
        Some(name) => format!("{verb} \"{}\"", source.plain(name)),
        None => verb,
    }
}

/// The bar with the acquisition under which it lies; in pieces, where that was lost on the way.
fn with_lock(source: &LaneSource<'_>, bar: Bar, belief: Option<&Belief>) -> Vec<Bar> {
    let (what, rest) = match bar.detail.split_once('\n') {
        Some((what, rest)) => (what, format!("\n{rest}")),
        None => (bar.detail.as_str(), String::new()),
    };
    let piece = |begin, end, more: &str| {
        let detail = format!("{what}\n{}{more}{rest}", span(begin, end));
        Bar { begin, end, detail, is_open: bar.is_open && end == bar.end, ..bar.clone() }
    };
    let Some(belief) = belief else { return vec![piece(bar.begin, bar.end, "")] };
    let tenure = belief.tenure.and_then(|tenure| source.possessions.tenures.get(tenure));
    let token = tenure.and_then(|tenure| source.position_of(&tenure.token));
    let word = tenure.map(|tenure| format!(", token {}", source.token(&tenure.token)));
    let word = word.unwrap_or_default();
    let owned = owned(source, belief);
    let inside = |edge: &Moment| when(bar.begin) < when(*edge) && when(*edge) < when(bar.end);
    let edges = owned.iter().flat_map(|(begin, end)| [Some(*begin), *end]).flatten();
    let mut edges: Vec<Moment> = edges.filter(inside).collect();
    edges.sort_by_key(|edge| when(*edge));
    edges.dedup();
    let begins = [bar.begin].into_iter().chain(edges.iter().copied());
    let pieces = begins.zip(edges.iter().copied().chain([bar.end])).map(|(begin, end)| {
        let is_owned = |(from, until): &(Moment, Option<Moment>)| {
            when(*from) <= when(begin) && until.is_none_or(|until| when(begin) < when(until))
        };
        let is_lost = !owned.is_empty() && !owned.iter().any(is_owned);
        let more = if is_lost {
            "believes to hold the lock, but it is no longer its own"
        } else {
            "with the lock"
        };
        Bar { token, is_lost, ..piece(begin, end, &format!("\n{more}{word}")) }
    });
    pieces.collect()
}

/// From when to when the lock was the believer's own, under the token that it knows. An end of its
/// own making is none: of that it knows.
fn owned(source: &LaneSource<'_>, belief: &Belief) -> Vec<(Moment, Option<Moment>)> {
    let tenures = &source.possessions.tenures;
    let Some(first) = belief.tenure.and_then(|tenure| tenures.get(tenure)) else {
        return Vec::new();
    };
    let is_same = |tenure: &&Tenure| tenure.actor == first.actor && tenure.token == first.token;
    let lost = |end: &TenureEnd| {
        (end.how != How::Released && end.by != Some(belief.actor)).then_some(end.at)
    };
    let later = tenures.iter().skip(belief.tenure.unwrap_or_default());
    let is_then =
        |tenure: &&Tenure| tenure.lock == first.lock && tenure.from.order <= belief.until.order;
    let during = later.take_while(is_then).filter(is_same);
    during.map(|tenure| (tenure.from, tenure.end.as_ref().and_then(lost))).collect()
}

/// Where a belief lasts and nothing else is drawn, for longer than an actor needs to begin its next
/// step.
fn gaps(bars: &[Bar], belief: &Belief, shortest: u64) -> Vec<(Moment, Moment)> {
    let mut gaps = Vec::new();
    let mut from = belief.from;
    let first = bars.partition_point(|bar| when(bar.end) <= when(from));
    for bar in bars.iter().skip(first) {
        if when(belief.until) <= when(bar.begin) {
            break;
        }
        gaps.push((from, bar.begin));
        from = if when(bar.end) > when(from) { bar.end } else { from };
    }
    gaps.push((from, belief.until));
    gaps.retain(|(begin, end)| {
        let length = end.at.saturating_sub(begin.at);
        length > shortest && when(*begin) < when(*end)
    });
    gaps
}
