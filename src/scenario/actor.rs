//! The actors of a scenario file: how many, when they start, and what they do.

use super::error::ScenarioError;
use super::parameter::MOST;
use super::plan::{Action, ActorPlan, Instance, Start, Step};
use super::read::{Field, Table};
use super::step::{Around, Scope, StepSpec};
use super::sum::{Binding, Sum};
use super::vocabulary::{Member, Shape, names, needed, optional, words};
use std::sync::Arc;

/// The most steps that the actors of a plan may take, all together.
pub(super) const MOST_STEPS: u64 = 1_000_000;

/// What an actor may say.
pub(super) const MEMBERS: [Member; 9] = [
    needed("name", Shape::Name, "what expectations, rules and reports call it"),
    optional("count", Shape::Count, "how many there are; 1 if left out"),
    needed("start", Shape::Word(|| words(&STARTS)), "when it begins"),
    optional("pause", Shape::Time, "in_sequence: between one's end and the next one's start"),
    optional("delay", Shape::Time, "after: how long after the beginning of the run"),
    optional("every", Shape::Time, "after: how much later each of several starts"),
    optional("instance", Shape::Word(|| words(&INSTANCES)), "whose controllers it uses"),
    optional("limit", Shape::Time, "how long until its client gives up on it"),
    needed("steps", Shape::List("step"), "what it does"),
];

const INSTANCES: [(&str, Instance); 3] =
    [("shared", Instance::Shared), ("own", Instance::Own), ("racy", Instance::Racy)];
const STARTS: [(&str, &str); 3] =
    [("together", "together"), ("in_sequence", "in_sequence"), ("after", "after")];

/// A group of actors with its sums not worked out.
#[derive(Debug, Clone)]
pub(super) struct ActorSpec {
    pub(super) name: String,
    /// Where the file names it.
    pub(super) name_at: usize,
    /// Where the file says how many there are.
    pub(super) count_at: usize,
    count: Sum,
    start: StartSpec,
    instance: Instance,
    limit: Option<Sum>,
    steps: Vec<StepSpec>,
}

#[derive(Debug, Clone)]
enum StartSpec {
    Together,
    InSequence { pause: Option<Sum> },
    After { delay: Sum, every: Option<Sum> },
}

impl ActorSpec {
    /// The verb of a step that is for one protocol only, and that protocol.
    pub(super) fn only_for_a_protocol(&self) -> Option<(&'static str, &'static str)> {
        StepSpec::only_for_a_protocol(&self.steps)
    }

    pub(super) fn read(item: Field<'_>, scope: &mut Scope<'_>) -> Result<Self, ScenarioError> {
        let table = item.table("an actor")?;
        table.only(&names(&MEMBERS))?;
        let name = table.need("name")?;
        let (name, name_at) = (name.name('_')?, name.at);
        let (count, count_at) = match table.get("count") {
            Some(field) => (Sum::count(field, &mut scope.parameters)?, field.at),
            None => (Sum::one(item.at, 1), item.at),
        };
        let start = StartSpec::read(&table, scope)?;
        let instance = table.get("instance").map(|field| field.word(&INSTANCES)).transpose()?;
        let instance = instance.unwrap_or(Instance::Shared);
        let limit = scope.time(&table, "limit")?;
        let list = table.need("steps")?;
        let steps = StepSpec::read_all(list, scope, &Around::actor(&name))?;
        if matches!(start, StartSpec::Together) && steps.first().is_some_and(StepSpec::awaits) {
            let message = "who starts together with others can't begin by waiting; \
                           use start = \"after\" with delay = \"0s\"";
            return Err(list.error(message));
        }
        Ok(Self { name, name_at, count_at, count, start, instance, limit, steps })
    }

    /// How many actors it makes.
    pub(super) fn count(&self, binding: &Binding) -> Result<u32, ScenarioError> {
        self.count.to_count(binding, MOST)
    }

    /// The actors that it makes.
    pub(super) fn bind(
        &self,
        binding: &Binding,
        count: u32,
    ) -> Result<Vec<ActorPlan>, ScenarioError> {
        let steps: Arc<[Step]> = StepSpec::bind_all(&self.steps, binding)?.into();
        let limit = self.limit.as_ref().map(|sum| sum.to_duration(binding)).transpose()?;
        let name = |number| match count {
            1 => self.name.clone(),
            _ => format!("{}_{number}", self.name),
        };
        let actor = |number| {
            Ok(ActorPlan {
                name: name(number),
                group: self.name.clone(),
                start: self.start.bind(binding, number)?,
                instance: self.instance,
                limit,
                steps: steps.clone(),
            })
        };
        (1..=count).map(actor).collect()
    }
}

/// How many steps these are when all are taken.
pub(super) fn unrolled(steps: &[Step]) -> u64 {
    let size = |step: &Step| match &step.action {
        Action::Locked { body, .. } => unrolled(body),
        Action::Repeat { times, body } => unrolled(body).saturating_mul((*times).into()),
        _ => 0,
    };
    steps.iter().fold(0, |sum: u64, step| sum.saturating_add(size(step)).saturating_add(1))
}

impl StartSpec {
    fn read(table: &Table<'_>, scope: &mut Scope<'_>) -> Result<Self, ScenarioError> {
        let start = table.need("start")?.word(&STARTS)?;
        for (member, fits) in [("pause", "in_sequence"), ("delay", "after"), ("every", "after")] {
            if let Some(field) = table.get(member)
                && start != fits
            {
                let message = format!("\"{member}\" goes with start = \"{fits}\" only");
                return Err(field.error_at_key(message));
            }
        }
        Ok(match start {
            "together" => Self::Together,
            "after" => {
                let delay = Sum::time(table.need("delay")?, &mut scope.parameters)?;
                Self::After { delay, every: scope.time(table, "every")? }
            }
            _ => Self::InSequence { pause: scope.time(table, "pause")? },
        })
    }

    /// When the one with this number of a group starts, from 1.
    fn bind(&self, binding: &Binding, number: u32) -> Result<Start, ScenarioError> {
        let duration = |sum: &Option<Sum>, times| {
            let sum = sum.as_ref().map(|sum| sum.to_duration_times(times, binding));
            sum.transpose().map(Option::unwrap_or_default)
        };
        Ok(match self {
            Self::Together => Start::Together,
            Self::InSequence { pause } => Start::InSequence { pause: duration(pause, 1)? },
            Self::After { delay, every } => {
                let delay = delay.to_duration(binding)?;
                Start::After { delay: delay + duration(every, number.saturating_sub(1))? }
            }
        })
    }
}
