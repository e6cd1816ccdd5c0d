//! What all writers say of an exploration, in the same words.

use super::{BoundsRow, CounterexampleRow, JudgedRow, ProtocolRow};
use crate::report::wording::{duration, large};
use lock_history::check::Property;
use lock_lab::runtime::{Limit, quoted};
use lock_lab::scenario::Timing;
use std::fmt::Write;

const STRICT: &str = "a lease expires only as time passes";

impl ProtocolRow {
    /// What was looked for and not found, and how far that goes; with the flags that go further, if
    /// the command has them.
    pub fn not_found(&self, with_flags: bool) -> Option<String> {
        let absent = self.judged.iter().filter(|it| !it.found).map(|it| it.property.word());
        let absent = match absent.collect::<Vec<_>>().as_slice() {
            [] => return None,
            [one] => format!("no {one}"),
            several => format!("none of {}", several.join(", ")),
        };
        let name = &self.name;
        let mut tried = self.tried();
        if let Some(flags) = self.flags_to_try().filter(|_| with_flags) {
            let _ = write!(tried, ": {flags}");
        }
        let lease = if self.is_strict() { STRICT } else { "a lease may expire at any step" };
        let actors = count(self.actor_count as f64, "actor", "actors");
        let own = if self.subject.is_some() { ", each with a client of its own" } else { "" };
        let how = format!("{actors}{own}; {lease}; {tried}");
        let Some(limit) = self.stopped_by else {
            let number = self.orderings.unwrap_or(self.orderings_run as f64);
            let any = if number == 1.0 {
                "the only ordering"
            } else {
                &format!("any of {}", orderings(number))
            };
            let states = count(self.states as f64, "state", "states");
            return Some(format!("{name}: {absent} in {any} ({states}; {how})"));
        };
        let bound = self.bound(limit);
        Some(format!("{name}: inconclusive: {bound}; {absent} so far ({how})"))
    }

    /// Which crashes and faults were tried, and which were not.
    fn tried(&self) -> String {
        let beyond = |own: bool| if own { " beyond the scenario's own" } else { "" };
        let BoundsRow { crashes, faults, .. } = self.bounds;
        let (crash, fault) = (beyond(self.own.crash), beyond(self.own.fault));
        let (mut tried, mut not_tried) = (Vec::new(), Vec::new());
        match crashes {
            0 => not_tried.push(format!("no crash{crash}")),
            most => tried.push(format!("up to {}{crash}", count(most.into(), "crash", "crashes"))),
        }
        match faults {
            0 => not_tried.push(format!("no lost command{fault}")),
            most => {
                // Under strict timing no command is late.
                let lost = if self.is_strict() { "lost" } else { "lost or delayed" };
                let (one, many) = (format!("{lost} command"), format!("{lost} commands"));
                tried.push(format!("up to {}{fault}", count(most.into(), &one, &many)));
            }
        }
        let mut parts = Vec::new();
        if !tried.is_empty() {
            parts.push(format!("with {}", tried.join(" and ")));
        }
        if !not_tried.is_empty() {
            parts.push(format!("{} tried", not_tried.join(" and ")));
        }
        parts.join("; ")
    }

    /// The limits of the verdict, in short.
    pub fn scope(&self) -> String {
        let lease = if self.is_strict() { format!("{STRICT}; ") } else { String::new() };
        let flags = self.flags_to_try().map(|flags| format!(" ({flags})")).unwrap_or_default();
        format!("{lease}{}{flags}", self.tried())
    }

    fn is_strict(&self) -> bool {
        self.timing == Timing::Strict.word()
    }

    /// The flags of `explore` and `probe` that try what was not tried.
    fn flags_to_try(&self) -> Option<String> {
        let BoundsRow { crashes, faults, .. } = self.bounds;
        let flags = [("--crashes 1", crashes), ("--faults 1", faults)];
        let flags = flags.into_iter().filter(|(_, most)| *most == 0).map(|(flag, _)| flag);
        Some(flags.collect::<Vec<_>>().join(", ")).filter(|flags| !flags.is_empty())
    }

    /// Mutual exclusion, where it is not judged of a client.
    pub fn not_judged(&self) -> Option<&'static str> {
        let excludes = |property| matches!(property, Property::DoubleGrant | Property::Overlap);
        let is_judged = self.judged.iter().any(|it| excludes(it.property));
        let is_open = self.subject.is_some() && !is_judged;
        is_open.then_some("not judged: whether two clients hold the lock at once")
    }

    /// What kept it from covering all orderings.
    fn bound(&self, limit: Limit) -> String {
        let bounds = &self.bounds;
        let run = orderings(self.orderings_run as f64);
        let flag = |name: &str, value: Option<String>| {
            let value = value.map(|value| format!(" {value}")).unwrap_or_default();
            format!("--{name}{value} was reached")
        };
        let hit = match limit {
            Limit::Schedules => {
                flag("max-schedules", bounds.max_schedules.map(|most| most.to_string()))
            }
            Limit::Time => flag("max-time", bounds.max_time.clone()),
            Limit::Preemptions => {
                flag("preemptions", bounds.preemptions.map(|most| most.to_string()))
            }
            Limit::Memory => "the memory for states was full".into(),
            Limit::Interrupted => "it was interrupted".into(),
            Limit::Satisfied => "all that was looked for was found".into(),
        };
        match bounds.preemptions.filter(|_| limit != Limit::Preemptions) {
            Some(most) => format!("{hit} after {run} with up to {}", preemptions(most)),
            None => format!("{hit} after {run}"),
        }
    }

    /// What did not come out as it must; empty, if all did. What was not found is wrongly absent only
    /// if all orderings were covered.
    pub fn wrong(&self) -> String {
        let is_covered = self.stopped_by.is_none();
        let is_wrong = |it: &&JudgedRow| it.found != it.must_be_found && (it.found || is_covered);
        let wrong = self.judged.iter().filter(is_wrong);
        let wrong = wrong.map(|it| {
            format!("{} was {}found", it.property.word(), if it.found { "" } else { "not " })
        });
        wrong.collect::<Vec<_>>().join(", ")
    }

    /// How a counterexample was found.
    pub fn found(&self, found: &CounterexampleRow) -> String {
        let is_shortest = if found.is_shortest { "shortest: " } else { "" };
        format!(
            "{}: {} after {} ({}); {is_shortest}{}",
            self.name,
            found.property.word(),
            orderings(found.after as f64),
            duration(found.took.as_secs_f64() * 1e3),
            preemptions(found.preemptions),
        )
    }

    /// What was found that is not judged.
    pub fn also_possible(&self) -> Option<String> {
        let found = self.counterexamples.iter().filter(|found| !found.judged);
        let words: Vec<_> = found.map(|found| found.property.word()).collect();
        let (first, more) = words.split_first()?;
        let which = if more.is_empty() { first } else { "WORD" };
        Some(format!(
            "{}: also possible: {} (--property {which} shows {})",
            self.name,
            words.join(", "),
            if more.is_empty() { "it" } else { "one" },
        ))
    }
}

impl CounterexampleRow {
    /// The command that replays it.
    pub fn replay(&self) -> String {
        let flags = [("--subject", &self.subject), ("--redis", &self.redis)];
        let flags = flags.into_iter().filter_map(|(flag, value)| Some((flag, value.as_deref()?)));
        let flags = flags.map(|(flag, value)| format!(" {flag} {}", quoted(value)));
        format!("nodb-trigger replay {}{}", quoted(&self.schedule), flags.collect::<String>())
    }
}

fn orderings(number: f64) -> String {
    count(number, "ordering", "orderings")
}

fn preemptions(number: u32) -> String {
    count(number.into(), "preemption", "preemptions")
}

fn count(number: f64, one: &str, many: &str) -> String {
    format!("{} {}", large(number), if number == 1.0 { one } else { many })
}
