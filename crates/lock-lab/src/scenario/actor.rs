//! The actors of a scenario file: how many, when they start, and what they do.

use super::form::*;
use super::parameter::MOST;
use super::plan::{Action, ActorPlan, Instance, Start, Step};
use super::step::{Around, StepForm, steps};
use std::sync::Arc;
use std::time::Duration;

/// The most steps that the actors of a plan may take, all together.
const MOST_STEPS: u64 = 1_000_000;

form! {
    /// What an actor may say.
    ActorForm<'a>: "actor", "an actor" {
        name: At<Name> = "what expectations, rules and reports call it",
        count: Option<At<Count<0, MOST>>> = "how many there are; 1 if left out",
        start: Word<Start> = "when it begins",
        pause: Option<Time> = "in_sequence: between one's end and the next one's start",
        delay: Option<Time> = "after: how long after the beginning of the run",
        every: Option<Repeated> = "after: how much later each of several starts",
        instance: Option<Word<Instance>> = "whose controllers it uses",
        limit: Option<Time> = "how long until its client gives up on it",
        killed_after: Option<Time> = "how long until it crashes",
        steps: At<List<StepForm<'a>>> = "what it does",
    }
}

/// Without its times.
impl Words for Start {
    fn words() -> Vec<(&'static str, Self)> {
        let (pause, delay) = (Duration::ZERO, Duration::ZERO);
        vec![
            ("together", Self::Together),
            ("in_sequence", Self::InSequence { pause }),
            ("after", Self::After { delay }),
        ]
    }
}

impl Words for Instance {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("shared", Self::Shared), ("own", Self::Own), ("racy", Self::Racy)]
    }
}

/// The actors of a plan as they are read, and how many steps they take.
#[derive(Default)]
pub(super) struct Actors {
    plans: Vec<ActorPlan>,
    steps: u64,
}

impl Actors {
    /// Reads all actors.
    pub(super) fn read(
        list: &Placed<'_, Vec<Field<'_>>>,
        scope: &mut Scope<'_>,
    ) -> Result<Vec<ActorPlan>> {
        let Some(first) = list.value.first() else {
            return Err(list.field.error("a scenario needs at least one actor"));
        };
        let mut actors = Self::default();
        for item in &list.value {
            actors.add(*item, scope)?;
        }
        if actors.plans.is_empty() {
            let first = first.table(ActorForm::WHAT)?.get("count").unwrap_or(*first);
            scope.late.push(first.error("a plan needs at least one actor"));
        }
        Ok(actors.plans)
    }

    /// Reads the actors of one name.
    fn add(&mut self, item: Field<'_>, scope: &mut Scope<'_>) -> Result<()> {
        let table = ActorForm::table(item)?;
        check_start(&table)?;
        let form = ActorForm::read(table, scope)?;
        let group = &form.name.value;
        let body = steps(&form.steps.value, scope, &Around::actor(group))?;
        if form.start == Start::Together && begins_by_waiting(&form) {
            let message = "who starts together with others can't begin by waiting; \
                           use start = \"after\" with delay = \"0s\"";
            return Err(form.steps.field.error(message));
        }
        if !scope.groups.insert(group.clone()) {
            let message = format!("two actors are called \"{group}\"");
            return Err(form.name.field.error(message));
        }
        self.expand(item, &form, &body.into(), scope);
        Ok(())
    }

    /// Adds the actors that a form makes.
    fn expand(
        &mut self,
        item: Field<'_>,
        form: &ActorForm<'_>,
        steps: &Arc<[Step]>,
        scope: &mut Scope<'_>,
    ) {
        let (count, count_field) = form.count.as_ref().map_or((1, item), |it| (it.value, it.field));
        self.steps = self.steps.saturating_add(unrolled(steps).saturating_mul(count.into()));
        let total = self.plans.len() + count as usize;
        if total > MOST as usize {
            let message = format!("a plan has at most {MOST} actors; this makes it {total}");
            return scope.late.push(count_field.error(message));
        }
        if self.steps > MOST_STEPS {
            let message = format!("a plan has at most {MOST_STEPS} steps, repeats unrolled");
            return scope.late.push(form.name.field.error(message));
        }
        for number in 1..=count {
            let group = &form.name.value;
            let name = if count == 1 { group.clone() } else { format!("{group}_{number}") };
            if !scope.actors.insert(name.clone()) {
                let message = format!("two actors would be called \"{name}\"");
                return scope.late.push(form.name.field.error(message));
            }
            self.plans.push(ActorPlan {
                name,
                group: group.clone(),
                start: start(form, number, scope),
                instance: form.instance.unwrap_or(Instance::Shared),
                limit: form.limit,
                killed_after: form.killed_after,
                steps: steps.clone(),
            });
        }
    }
}

/// How many steps these are when all are taken.
fn unrolled(steps: &[Step]) -> u64 {
    let size = |step: &Step| match &step.action {
        Action::Locked { body, .. }
        | Action::Islocked { body, .. }
        | Action::Redis { body, .. } => unrolled(body),
        Action::Repeat { times, body } => unrolled(body).saturating_mul((*times).into()),
        _ => 0,
    };
    steps.iter().fold(0, |sum: u64, step| sum.saturating_add(size(step)).saturating_add(1))
}

/// Refuses what doesn't go with an actor's start, and what the start lacks.
fn check_start(table: &Table<'_>) -> Result<()> {
    let start = table.get("start").and_then(|field| field.as_text());
    let Some(start) = start.filter(|word| words::<Start>().contains(word)) else { return Ok(()) };
    for (member, fits) in [("pause", "in_sequence"), ("delay", "after"), ("every", "after")] {
        if let Some(field) = table.get(member)
            && start != fits
        {
            let message = format!("\"{member}\" goes with start = \"{fits}\" only");
            return Err(field.error_at_key(message));
        }
    }
    if start == "after" { table.need("delay").map(drop) } else { Ok(()) }
}

/// Whether the first step waits for another actor.
fn begins_by_waiting(form: &ActorForm<'_>) -> bool {
    let first = form.steps.value.first().and_then(|item| item.table(StepForm::WHAT).ok());
    first.is_some_and(|step| step.get("await").is_some())
}

/// When the one with this number of a group starts, from 1.
fn start(form: &ActorForm<'_>, number: u32, scope: &mut Scope<'_>) -> Start {
    let every = form.every.as_ref().map(|every| every.times(number - 1, scope));
    match form.start {
        Start::Together => Start::Together,
        Start::InSequence { .. } => Start::InSequence { pause: form.pause.unwrap_or_default() },
        Start::After { .. } => {
            Start::After { delay: form.delay.unwrap_or_default() + every.unwrap_or_default() }
        }
    }
}
