//! The actors of a scenario file: how many, when they start, and what they do.

use super::error::ScenarioError;
use super::parameter::MOST;
use super::plan::{ActorPlan, Instance, Start, Step};
use super::read::{Field, Table};
use super::step::{Scope, StepSpec};
use super::sum::{Binding, Sum};
use std::sync::Arc;

/// A group of actors with its sums not worked out.
#[derive(Debug, Clone)]
pub(super) struct ActorSpec {
    pub(super) name: String,
    /// Where the file says how many there are.
    pub(super) count_at: usize,
    count: Sum,
    start: StartSpec,
    instance: Instance,
    steps: Vec<StepSpec>,
}

#[derive(Debug, Clone)]
enum StartSpec {
    Together,
    InSequence { pause: Option<Sum> },
    After { delay: Sum },
}

const INSTANCES: [(&str, Instance); 2] = [("shared", Instance::Shared), ("own", Instance::Own)];
const STARTS: [(&str, &str); 3] =
    [("together", "together"), ("in_sequence", "in_sequence"), ("after", "after")];

impl ActorSpec {
    pub(super) fn read(item: Field<'_>, scope: &mut Scope<'_>) -> Result<Self, ScenarioError> {
        let table = item.table("an actor")?;
        table.only(&["name", "count", "start", "pause", "delay", "instance", "steps"])?;
        let name = table.need("name")?.name('_')?;
        let (count, count_at) = match table.get("count") {
            Some(field) => (Sum::count(field, &mut scope.parameters)?, field.at),
            None => (Sum::one(item.at, 1), item.at),
        };
        let start = StartSpec::read(&table, scope)?;
        let instance = table.get("instance").map(|field| field.word(&INSTANCES)).transpose()?;
        let instance = instance.unwrap_or(Instance::Shared);
        let steps = StepSpec::read_all(table.need("steps")?, scope, None)?;
        Ok(Self { name, count_at, count, start, instance, steps })
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
        let start = self.start.bind(binding)?;
        let steps: Result<Vec<Step>, _> =
            self.steps.iter().map(|step| step.bind(binding)).collect();
        let steps: Arc<[Step]> = steps?.into();
        let name = |number| match count {
            1 => self.name.clone(),
            _ => format!("{}_{number}", self.name),
        };
        let actor = |number| ActorPlan {
            name: name(number),
            group: self.name.clone(),
            start,
            instance: self.instance,
            steps: steps.clone(),
        };
        Ok((1..=count).map(actor).collect())
    }
}

impl StartSpec {
    fn read(table: &Table<'_>, scope: &mut Scope<'_>) -> Result<Self, ScenarioError> {
        let start = table.need("start")?.word(&STARTS)?;
        for (member, fits) in [("pause", "in_sequence"), ("delay", "after")] {
            if let Some(field) = table.get(member)
                && start != fits
            {
                let message = format!("\"{member}\" goes with start = \"{fits}\" only");
                return Err(field.error_at_key(message));
            }
        }
        let parameters = &mut scope.parameters;
        Ok(match start {
            "together" => Self::Together,
            "after" => Self::After { delay: Sum::time(table.need("delay")?, parameters)? },
            _ => {
                let pause = table.get("pause").map(|field| Sum::time(field, parameters));
                Self::InSequence { pause: pause.transpose()? }
            }
        })
    }

    fn bind(&self, binding: &Binding) -> Result<Start, ScenarioError> {
        Ok(match self {
            Self::Together => Start::Together,
            Self::InSequence { pause } => {
                let pause = pause.as_ref().map(|sum| sum.to_duration(binding)).transpose()?;
                Start::InSequence { pause: pause.unwrap_or_default() }
            }
            Self::After { delay } => Start::After { delay: delay.to_duration(binding)? },
        })
    }
}
