//! What all writers say of an exploration, in the same words.

use super::{CounterexampleRow, ProtocolRow};
use crate::report::wording::{duration, large};
use crate::runtime::{Limit, quoted};

impl ProtocolRow {
    /// What was looked for and not found, and how far that goes.
    pub fn not_found(&self) -> Option<String> {
        let absent = self.judged.iter().filter(|it| !it.found).map(|it| it.property.word());
        let absent = absent.collect::<Vec<_>>().join(", ");
        if absent.is_empty() {
            return None;
        }
        let protocol = &self.protocol;
        let Some(limit) = self.stopped_by else {
            let all = orderings(self.orderings.unwrap_or(self.orderings_run as f64));
            let states = count(self.states as f64, "state", "states");
            let timing = self.timing;
            return Some(format!(
                "{protocol}: all {all} ({states}), no {absent} ({timing} timing)"
            ));
        };
        let bound = self.bound(limit);
        Some(format!("{protocol}: inconclusive: {bound}; none of {absent} so far"))
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
        let wrong = self.judged.iter().filter(|it| match it.found {
            true => !it.must_be_found,
            false => it.must_be_found && is_covered,
        });
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
            self.protocol,
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
            self.protocol,
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
