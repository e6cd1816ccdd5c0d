//! The actors of a scenario file: how many, when they start, and what they do.

use super::error::quoted;
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
        name: Name = "what expectations, rules and reports call it",
        count: Option<Count<0, MOST>> = "how many there are; 1 if left out",
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
    pub(super) fn read(list: &Placed<'_, Vec<Field<'_>>>, scope: &mut Scope<'_>) -> Vec<ActorPlan> {
        let Some(first) = list.value.first() else {
            scope.flaws.push(list.field.error("a scenario needs at least one actor"));
            return Vec::new();
        };
        let (flaws, late) = (scope.flaws.len(), scope.late.len());
        let mut actors = Self::default();
        for item in &list.value {
            if scope.flaws.is_full() {
                break;
            }
            let added = actors.add(*item, scope);
            scope.note(added);
        }
        let is_sound = (flaws, late) == (scope.flaws.len(), scope.late.len());
        if is_sound && actors.plans.is_empty() && scope.uncounted.is_empty() {
            let first = first.table(ActorForm::WHAT).ok().and_then(|table| table.get("count"));
            let first = first.unwrap_or(list.field);
            scope.late.push(first.error("a plan needs at least one actor"));
        }
        actors.plans
    }

    /// Reads the actors of one name.
    fn add(&mut self, item: Field<'_>, scope: &mut Scope<'_>) -> Result<()> {
        let table = ActorForm::table(item, scope)?;
        check_start(&table, scope);
        let form = ActorForm::read(table, scope);
        let own = form.table.get("name").and_then(|name| Some((name, name.as_text()?)));
        let (name, group) = own.unwrap_or((item, ""));
        let around = Around::actor(group);
        let body = steps(form.steps.as_ref().map_or(&[], |steps| &*steps.value), scope, &around);
        if let Some(list) = &form.steps
            && form.start == Some(Start::Together)
            && begins_by_waiting(&list.value)
        {
            let message = "who starts together with others can't begin by waiting; \
                           use start = \"after\" with delay = \"0s\"";
            scope.flaws.push(list.field.error(message));
        }
        if form.steps.is_none() {
            scope.steps.open();
            scope.labels.open();
        }
        if own.is_none() {
            scope.groups.open();
            return Err(Unread::Noted);
        }
        if !scope.groups.add(group, None) {
            scope.groups.open();
            return Err(name.error(format!("two actors are called {}", quoted(group))));
        }
        let expanded = self.expand(item, &form, &body.into(), scope);
        if expanded.is_none() {
            scope.uncounted.push(group.to_owned());
        }
        Ok(())
    }

    /// Adds the actors that a form makes; gives nothing if that can't be done.
    fn expand(
        &mut self,
        item: Field<'_>,
        form: &ActorForm<'_>,
        steps: &Arc<[Step]>,
        scope: &mut Scope<'_>,
    ) -> Option<()> {
        let name = form.table.get("name")?;
        let group = name.as_text()?;
        let count_field = form.table.get("count");
        let count = if form.table.may_have("count") { form.count? } else { 1 };
        let total = self.plans.len() + count as usize;
        if total > MOST as usize {
            let message = format!("a plan has at most {MOST} actors; this makes it {total}");
            scope.late.push(count_field.unwrap_or(item).error(message));
            return None;
        }
        let had_room = self.steps <= MOST_STEPS;
        self.steps = self.steps.saturating_add(unrolled(steps).saturating_mul(count.into()));
        if self.steps > MOST_STEPS {
            let message = format!("a plan has at most {MOST_STEPS} steps, repeats unrolled");
            // More steps than that are too many, whatever comes after.
            had_room.then(|| scope.late.push(name.error(message)));
            return None;
        }
        for number in 1..=count {
            let name_in_plan =
                if count == 1 { group.to_owned() } else { format!("{group}_{number}") };
            if !scope.actors.insert(name_in_plan.clone()) {
                let message = format!("two actors would be called {}", quoted(&name_in_plan));
                scope.late.push(name.error(message));
                return None;
            }
            self.plans.push(ActorPlan {
                name: name_in_plan,
                group: group.to_owned(),
                start: start(form, number, scope)?,
                instance: form.instance.unwrap_or(Instance::Shared),
                limit: form.limit,
                killed_after: form.killed_after,
                steps: steps.clone(),
            });
        }
        Some(())
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

/// Notes what doesn't go with an actor's start, and what the start lacks.
fn check_start(table: &Table<'_>, scope: &mut Scope<'_>) {
    let start = table.get("start").and_then(|field| field.as_text());
    let Some(start) = start.filter(|word| words::<Start>().contains(word)) else { return };
    for (member, fits) in [("pause", "in_sequence"), ("delay", "after"), ("every", "after")] {
        if let Some(field) = table.get(member)
            && start != fits
            && !field.is_guess()
        {
            let message = format!("\"{member}\" goes with start = \"{fits}\" only");
            scope.flaws.push(field.error_at_key(message));
        }
    }
    if start == "after" {
        scope.note(table.need("delay"));
    }
}

/// Whether the first of these steps waits for another actor.
fn begins_by_waiting(steps: &[Field<'_>]) -> bool {
    let first = steps.first().and_then(|item| item.table(StepForm::WHAT).ok());
    first.is_some_and(|step| step.has("await"))
}

/// When the one with this number of a group starts, from 1.
fn start(form: &ActorForm<'_>, number: u32, scope: &mut Scope<'_>) -> Option<Start> {
    let every = form.every.as_ref().map(|every| every.times(number - 1, scope)).transpose();
    let every = scope.note(every)?;
    Some(match form.start? {
        Start::Together => Start::Together,
        Start::InSequence { .. } => Start::InSequence { pause: form.pause.unwrap_or_default() },
        Start::After { .. } => {
            Start::After { delay: form.delay.unwrap_or_default() + every.unwrap_or_default() }
        }
    })
}
