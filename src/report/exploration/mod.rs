//! The outcome of exploring a scenario, as plain data: a verdict a protocol, and a picture a
//! counterexample.
//!
//! The time that it took is shown in the table only: without it, the same exploration gives the
//! same bytes.

mod lanes;
mod lines;
mod marks;
mod names;
#[cfg(test)]
pub(in crate::report) mod samples;
mod stages;
#[cfg(test)]
mod tests;
mod text;
mod verdict;
mod words;

pub use lanes::{Lanes, Ordering, Row, SERVER};
pub use stages::{Stage, StageRow};
pub use text::picture;

use super::Outcome;
use super::build::parameters;
use lock_history::check::{Judged, Property, Tried, Verdict};
use lock_history::history::History;
use lock_lab::runtime::{Bounds, Counterexample, Explored, Limit, Strategy};
use lock_lab::scenario::{Action, Plan, RuleEffect, Value};
use serde::{Serialize, Serializer};
use std::time::Duration;

/// Everything that is said of an exploration. The members and their names are the JSON format
/// `nodb-trigger/exploration/v1`: members may be added, none removed or renamed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exploration {
    /// [`Exploration::SCHEMA`].
    pub schema: &'static str,
    /// The scenario's name.
    pub scenario: String,
    /// The scenario's one line.
    pub title: String,
    /// The file that it was read from, as the user wrote it; nothing for a built-in scenario.
    pub file: Option<String>,
    /// Whether each protocol came out as it must.
    pub verdict: Verdict,
    /// One entry a lock protocol; several, where the scenario file asks for several explorations.
    pub protocols: Vec<ProtocolRow>,
}

/// The client from outside that was explored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ClientRow {
    /// Its command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Its Python functions, as `--python` names them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
    /// The exceptions by which these say that the lock is taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
}

impl ClientRow {
    /// The flags that name it, with their values.
    fn flags(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let subject = self.subject.iter().map(|command| ("--subject", &**command));
        let python = self.python.iter().map(|functions| ("--python", &**functions));
        let refused = self.refused.iter().map(|exception| ("--refused", &**exception));
        subject.chain(python).chain(refused)
    }
}

/// The outcome of exploring a scenario under one lock protocol.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProtocolRow {
    /// The protocol's name.
    pub protocol: String,
    /// The protocol's name, with the settings that distinguish this row from others of the
    /// protocol.
    pub name: String,
    /// The client from outside, if the row is about one.
    #[serde(flatten)]
    pub client: Option<ClientRow>,
    /// How many actors there were.
    pub actor_count: usize,
    /// What the scenario's own steps and rules do to actors and commands.
    #[serde(skip)]
    pub own: Own,
    /// Whether what must be found was found, and what must not be found can't be.
    pub verdict: Verdict,
    /// The verdict in the word that reports use.
    pub outcome: Outcome,
    /// Each parameter as the user would write it.
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// `async` or `strict`.
    pub timing: &'static str,
    /// How far it might go.
    pub bounds: BoundsRow,
    /// How many orderings were run.
    pub orderings_run: u64,
    /// How many orderings there are; nothing, where that is not known.
    #[serde(serialize_with = "whole")]
    pub orderings: Option<f64>,
    /// How many different states were met.
    pub states: u64,
    /// The most steps that an ordering had.
    pub depth: usize,
    /// What kept it from covering all orderings; nothing, if it did.
    pub stopped_by: Option<Limit>,
    /// What was tried: one entry for each kind of orderings, in their order.
    pub covered: Vec<StageRow>,
    /// Whether a lease expired under the actor that held it.
    pub lease_expired: bool,
    /// Whether leases are times in values, which end at fewer places than TTLs.
    #[serde(skip)]
    pub lease_in_value: bool,
    /// How many actors share one process of the client.
    #[serde(skip_serializing_if = "is_zero")]
    pub threads: usize,
    /// What was looked for.
    pub judged: Vec<JudgedRow>,
    /// What is not judged, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unjudged: Vec<String>,
    /// The violations that were found, also of what is not judged.
    pub counterexamples: Vec<CounterexampleRow>,
    /// How long it took.
    #[serde(skip)]
    pub took: Duration,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// What a scenario itself does to actors and commands, whatever the bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Own {
    /// Whether an actor crashes.
    pub crash: bool,
    /// Whether a command or a reply is lost, or a command is late.
    pub fault: bool,
}

/// How far an exploration might go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BoundsRow {
    /// `exhaustive`, `random` or `pct`.
    pub strategy: &'static str,
    /// The seed of a strategy that draws.
    pub seed: Option<u64>,
    /// The depth of the bugs that `pct` looks for.
    pub depth: Option<u32>,
    /// How many actors may crash in an ordering.
    pub crashes: u32,
    /// How many commands or replies may be lost, or commands be late, in an ordering.
    pub faults: u32,
    /// How many preemptions an ordering may have.
    pub preemptions: Option<u32>,
    /// How many orderings may be run.
    pub max_schedules: Option<u64>,
    /// How long it may take, as the user would write it.
    pub max_time: Option<String>,
}

/// A property that was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct JudgedRow {
    /// The property.
    pub property: Property,
    /// Whether it must be found; if not, it must be absent.
    pub must_be_found: bool,
    /// Whether it was found.
    pub found: bool,
    /// Why it says nothing that it was not found, if so.
    pub not_tried: Option<&'static str>,
}

/// An ordering that violates a property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CounterexampleRow {
    /// The property.
    pub property: Property,
    /// Whether it must be found.
    pub expected: bool,
    /// Whether the verdict depends on it.
    pub judged: bool,
    /// How many orderings had been run when it was first seen.
    pub after: u64,
    /// How many preemptions it has.
    pub preemptions: u32,
    /// Whether there is none that is shorter; where a bound was hit, that is not known.
    pub is_shortest: bool,
    /// How many turns it takes until the violation is complete.
    pub steps: usize,
    /// The ordering, as `replay` takes it.
    pub schedule: String,
    /// The client that it is of, if that is no protocol of ours.
    #[serde(flatten)]
    pub client: Option<ClientRow>,
    /// The Redis on which it was found, if that was a real one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<String>,
    /// The actors that did anything, in the order of the plan; the server comes last.
    pub actors: Vec<String>,
    /// What was done, in its order.
    pub lanes: Vec<Row>,
    /// What happened and how it came to that.
    pub text: String,
    /// The run itself, to be drawn.
    #[serde(skip)]
    pub history: History,
    /// How long it took to find it.
    #[serde(skip)]
    pub took: Duration,
}

impl Exploration {
    /// The name of the format, and its version.
    pub const SCHEMA: &'static str = "nodb-trigger/exploration/v1";

    /// The outcome of exploring a scenario.
    pub fn new(
        scenario: String,
        title: String,
        file: Option<String>,
        mut protocols: Vec<ProtocolRow>,
    ) -> Self {
        names::disambiguate(&mut protocols);
        let verdict = Verdict::of_parts(protocols.iter().map(|row| row.verdict));
        Self { schema: Self::SCHEMA, scenario, title, file, verdict, protocols }
    }

    /// The first of the counterexamples that are shown.
    pub fn first_shown(&self) -> Option<&CounterexampleRow> {
        self.protocols.iter().find_map(|row| row.shown().next())
    }
}

impl ProtocolRow {
    /// Whether an ordering violates a property, judged or not.
    pub fn has(&self, property: Property) -> bool {
        self.counterexamples.iter().any(|found| found.property == property)
    }

    /// The counterexamples that are shown: those that the verdict depends on.
    pub fn shown(&self) -> impl Iterator<Item = &CounterexampleRow> {
        self.counterexamples.iter().filter(|found| found.judged)
    }

    /// Those of them that must not be there.
    pub fn wrongly_found(&self) -> impl Iterator<Item = &CounterexampleRow> {
        self.shown().filter(|found| !found.expected)
    }

    /// The outcome of exploring a plan in stages; there is at least one.
    pub fn new(plan: &Plan, stages: &[Stage], judged: &Judged) -> Self {
        let explored: Vec<&Explored> = stages.iter().filter_map(Stage::explored).collect();
        let mut all: Vec<&Counterexample> = Vec::new();
        for found in explored.iter().flat_map(|stage| &stage.found) {
            if all.iter().all(|known| known.property != found.property) {
                all.push(found);
            }
        }
        let all_found: Vec<Property> = all.iter().map(|found| found.property).collect();
        let tried = explored.iter().fold(Tried::default(), |all, stage| all.and(stage.tried));
        let row = |property| JudgedRow::new(property, judged, tried, &all_found);
        let judged_rows: Vec<JudgedRow> = judged.all().map(row).collect();
        let locks: Vec<String> = plan.locks.iter().map(|lock| lock.name.clone()).collect();
        let is_foreign = explored.iter().any(|stage| stage.is_foreign);
        let row =
            |found: &&Counterexample| CounterexampleRow::new(found, &locks, is_foreign, judged);
        let counterexamples = all.iter().map(row);
        // What was asked for comes first.
        let (mut counterexamples, others): (Vec<_>, Vec<_>) =
            counterexamples.partition(|it| it.judged);
        counterexamples.extend(others);
        let covered = StageRow::all(stages);
        let is_covered = covered.iter().all(StageRow::is_covered);
        let is_tried = judged_rows.iter().all(|row| row.not_tried.is_none());
        let verdict = judged.verdict(&all_found, is_covered, is_tried);
        let protocol = explored.first().map(|stage| stage.protocol.clone()).unwrap_or_default();
        Self {
            name: protocol.clone(),
            protocol,
            client: None,
            actor_count: plan.actors.len(),
            own: Own::of(plan),
            verdict,
            outcome: Outcome::of_scenario(verdict, judged),
            parameters: parameters(plan),
            timing: stages.first().map_or("", |stage| stage.bounds.timing.word()),
            bounds: BoundsRow::new(stages),
            orderings_run: explored.iter().map(|stage| stage.orderings_run).sum(),
            orderings: explored
                .iter()
                .map(|stage| stage.orderings)
                .sum::<Option<f64>>()
                .filter(|_| is_covered),
            states: explored.iter().map(|stage| stage.states).sum(),
            depth: explored.iter().map(|stage| stage.depth).max().unwrap_or_default(),
            stopped_by: covered.iter().find_map(|stage| stage.stopped_by),
            covered,
            lease_expired: tried.lease_expired,
            lease_in_value: false,
            threads: 0,
            judged: judged_rows,
            unjudged: Vec::new(),
            counterexamples,
            took: explored.iter().map(|stage| stage.took).sum(),
        }
    }

    /// Takes back what a counterexample may show wrongly, for a reason: then its property was not tried.
    pub fn withhold(
        mut self,
        judged: &Judged,
        is_doubtful: impl Fn(&CounterexampleRow) -> bool,
        why: &'static str,
    ) -> Self {
        let all = std::mem::take(&mut self.counterexamples);
        let (doubtful, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(is_doubtful);
        for row in &mut self.judged {
            if doubtful.iter().any(|found| found.property == row.property) {
                (row.found, row.not_tried) = (false, Some(why));
            }
        }
        let found: Vec<Property> = kept.iter().map(|found| found.property).collect();
        let is_covered = self.covered.iter().all(StageRow::is_covered);
        let is_tried = self.judged.iter().all(|row| row.not_tried.is_none());
        let verdict = judged.verdict(&found, is_covered, is_tried);
        Self { verdict, counterexamples: kept, ..self }
    }

    /// The same of this client, explored on the Redis at this URL, if that
    /// was a real one. A client need not know of our flags, and what it remembers is not known, so what
    /// is wrong with those is left out.
    pub fn of_client(mut self, client: &ClientRow, redis: Option<&str>) -> Self {
        self.client = Some(client.clone());
        // What must be found is shown by a client as by a scenario.
        let is_broken = self.wrongly_found().next().is_some();
        if is_broken || self.judged.iter().all(|row| !row.must_be_found) {
            self.outcome = Outcome::of_subject(self.verdict);
        }
        let is_known = |property| !matches!(property, Property::FlagDrift | Property::TokenDrift);
        // What actors read that share a process is not known either.
        let is_about_reads = |property| self.threads > 0 && property == Property::LostUpdate;
        self.counterexamples.retain(|found| {
            found.judged || is_known(found.property) && !is_about_reads(found.property)
        });
        for found in &mut self.counterexamples {
            found.client = Some(client.clone());
            found.redis = redis.map(str::to_owned);
        }
        self
    }
}

impl JudgedRow {
    fn new(property: Property, judged: &Judged, tried: Tried, found: &[Property]) -> Self {
        let must_be_found = judged.must_find.contains(&property);
        let is_found = found.contains(&property);
        let not_tried = judged.why_untested(property).or(tried.why_not(property));
        let not_tried = not_tried.or(judged.why_hidden(property, found));
        let not_tried = not_tried.filter(|_| !is_found && !must_be_found);
        Self { property, must_be_found, found: is_found, not_tried }
    }
}

impl Own {
    /// What this plan does by itself.
    pub fn of(plan: &Plan) -> Self {
        let does = |which: fn(&RuleEffect) -> bool| plan.rules.iter().any(|it| which(&it.effect));
        let crashes = |action: &Action| matches!(action, Action::Crash);
        let is_killed = plan.actors.iter().any(|actor| actor.killed_after.is_some());
        Self {
            crash: is_killed || does(|it| matches!(it, RuleEffect::Crash)) || plan.has(crashes),
            fault: does(|it| {
                use RuleEffect::{DropReply, Forget, RunLate};
                matches!(it, DropReply | Forget | RunLate(_))
            }),
        }
    }
}

impl CounterexampleRow {
    fn new(found: &Counterexample, locks: &[String], is_foreign: bool, judged: &Judged) -> Self {
        let property = found.property;
        let (history, timing) = (&found.outcome.history, found.schedule.timing);
        let ordering = Ordering { history, locks, is_foreign, timing };
        let lanes = Lanes::of(ordering, std::slice::from_ref(&found.finding), 0);
        Self {
            property,
            expected: judged.must_find.contains(&property),
            judged: judged.all().any(|judged| judged == property),
            after: found.after,
            preemptions: found.preemptions,
            is_shortest: found.is_shortest,
            steps: found.decisive,
            schedule: found.schedule.to_string(),
            client: None,
            redis: None,
            text: lanes.say(&found.finding.text),
            actors: lanes.names,
            lanes: lanes.rows,
            history: history.clone(),
            took: found.took,
        }
    }
}

impl BoundsRow {
    /// Of all stages, each the most.
    fn new(stages: &[Stage]) -> Self {
        let none = Bounds::default();
        let bounds = stages.first().map_or(&none, |stage| &stage.bounds);
        let most = |of: fn(&Bounds) -> u32| {
            stages.iter().map(|stage| of(&stage.bounds)).max().unwrap_or_default()
        };
        let (strategy, seed, depth) = match bounds.strategy {
            Strategy::Exhaustive => ("exhaustive", None, None),
            Strategy::Random { seed } => ("random", Some(seed), None),
            Strategy::Pct { seed, depth } => ("pct", Some(seed), Some(depth)),
        };
        Self {
            strategy,
            seed,
            depth,
            crashes: most(|bounds| bounds.crashes),
            faults: most(|bounds| bounds.faults),
            preemptions: bounds.preemptions,
            max_schedules: bounds.max_schedules,
            max_time: bounds.max_time.map(|time| Value::Duration(time).to_string()),
        }
    }
}

/// A count of orderings: a whole number, as long as it is exact.
fn whole<S: Serializer>(orderings: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match orderings {
        Some(number) if (0.0..=EXACT).contains(number) => serializer.serialize_u64(*number as u64),
        Some(number) => serializer.serialize_f64(*number),
        None => serializer.serialize_none(),
    }
}
