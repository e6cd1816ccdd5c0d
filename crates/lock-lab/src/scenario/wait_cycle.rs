//! Waits that can never end, as far as a plan shows it without being run.

use super::first_command::{First, held};
use super::plan::{Action, ActorPlan, Plan, Rule, Start, Step};
use crate::lock;
use std::collections::{BTreeMap, BTreeSet};

/// An actor that waits in vain.
pub(super) struct Stuck<'a> {
    /// The group of actors.
    pub(super) group: &'a str,
    /// The name that it waits for.
    pub(super) name: &'a str,
    /// The rule that makes it wait, before its first command; nothing if it is a step.
    pub(super) rule: Option<&'a str>,
}

/// What an actor does about names, in order.
enum Event<'a> {
    /// It waits for a name: in a step, or because this rule holds its first command.
    Waits(&'a str, Option<&'a Rule>),
    /// It has its first command ready for the volley of all actors that start together.
    Arrives,
    Ends(&'a str),
}

/// The name of what happens when all have their first commands ready. No step or rule has it.
const VOLLEY: &str = "";

/// All actors of one name; they do the same.
struct Group<'a> {
    name: &'a str,
    is_next: bool,
    events: Vec<Event<'a>>,
    /// How many of the events have happened.
    taken: usize,
}

/// The actors that wait in vain, but for those that would not if others among them did not. The plan is
/// read favourably: every rule matches at once, every step that can go on does. So an actor that is
/// stuck here is stuck in every run that comes so far; not every actor that is stuck in a run is seen
/// here.
pub(super) fn stuck<'a>(plan: &'a Plan, protocol: &str) -> Vec<Stuck<'a>> {
    let mut actors: Vec<&ActorPlan> = Vec::new();
    for actor in &plan.actors {
        if actors.last().is_none_or(|last| last.group != actor.group) {
            actors.push(actor);
        }
    }
    let firsts = actors.iter().filter_map(|actor| Some((&*actor.group, First::of(actor)?)));
    let firsts: BTreeMap<&str, First<'_>> = firsts.collect();
    let protocol = lock::protocol(protocol);
    let held = held(plan, &firsts, protocol.map(|protocol| &**protocol));
    let group = |(number, actor): (usize, &&'a ActorPlan)| {
        let mut events = Vec::new();
        let first = firsts.get(&*actor.group).map_or(0, |first| first.position);
        let (before, after) = actor.steps.split_at(first);
        list_events(before, &mut events);
        if firsts.contains_key(&*actor.group) {
            let rules = held.get(&*actor.group).into_iter().flatten();
            events.extend(rules.map(|(rule, until)| Event::Waits(until, Some(rule))));
            events.extend([Event::Arrives, Event::Waits(VOLLEY, None)]);
        }
        list_events(after, &mut events);
        let is_next = number > 0 && matches!(actor.start, Start::InSequence { .. });
        Group { name: &actor.group, is_next, events, taken: 0 }
    };
    let groups = actors.iter().enumerate().map(group).collect();
    BestRun::new(plan, groups, firsts.len()).stuck()
}

/// A kind run of a plan.
struct BestRun<'a> {
    groups: Vec<Group<'a>>,
    happened: BTreeSet<&'a str>,
    waiting: BTreeMap<&'a str, Vec<(usize, Option<&'a Rule>)>>,
    /// How many first commands the volley still waits for.
    missing: usize,
    ready: Vec<usize>,
}

impl<'a> BestRun<'a> {
    fn new(plan: &'a Plan, groups: Vec<Group<'a>>, missing: usize) -> Self {
        let happened = plan.rules.iter().map(|rule| &*rule.name).collect();
        let leads = groups.iter().enumerate().filter(|(_, group)| !group.is_next);
        let ready = leads.map(|(number, _)| number).collect();
        Self { groups, happened, waiting: BTreeMap::new(), missing, ready }
    }

    fn stuck(mut self) -> Vec<Stuck<'a>> {
        /// More than these are not looked for.
        const MOST: usize = 100;
        let mut all = Vec::new();
        while all.len() < MOST {
            self.run();
            let Some(stuck) = self.first_stuck() else { break };
            // The others, as if this one did not wait in vain.
            self.happen(stuck.name);
            all.push(stuck);
        }
        all
    }

    fn run(&mut self) {
        while let Some(number) = self.ready.pop() {
            if self.ends(number) && self.groups.get(number + 1).is_some_and(|next| next.is_next) {
                self.ready.push(number + 1);
            }
        }
    }

    fn first_stuck(&self) -> Option<Stuck<'a>> {
        // The actor that is held keeps all the others waiting for the volley, and so is the cause.
        let others = self.waiting.iter().filter(|(name, _)| **name != VOLLEY);
        let each = others.flat_map(|(name, waiting)| {
            waiting.iter().map(|(number, rule)| (*number, rule.map(|rule| &*rule.name), *name))
        });
        let (number, rule, name) =
            each.min_by_key(|(number, rule, name)| (rule.is_none(), *number, *name))?;
        self.groups.get(number).map(|group| Stuck { group: group.name, name, rule })
    }

    /// Lets a group go on; whether it comes to its end.
    fn ends(&mut self, number: usize) -> bool {
        loop {
            let Some(group) = self.groups.get_mut(number) else { return false };
            let Some(event) = group.events.get(group.taken) else { return true };
            group.taken += 1;
            let name = match event {
                Event::Waits(name, _) if self.happened.contains(name) => continue,
                Event::Waits(name, rule) => {
                    self.waiting.entry(name).or_default().push((number, *rule));
                    return false;
                }
                Event::Arrives => {
                    self.missing = self.missing.saturating_sub(1);
                    if self.missing > 0 {
                        continue;
                    }
                    VOLLEY
                }
                Event::Ends(name) => name,
            };
            self.happen(name);
        }
    }

    /// Lets those go on that wait for this.
    fn happen(&mut self, name: &'a str) {
        if self.happened.insert(name) {
            let waited = self.waiting.remove(name).unwrap_or_default();
            self.ready.extend(waited.into_iter().map(|(number, _)| number));
        }
    }
}

fn list_events<'a>(steps: &'a [Step], events: &mut Vec<Event<'a>>) {
    for step in steps {
        let body: &[Step] = match &step.action {
            Action::Await { signal } => {
                events.push(Event::Waits(signal, None));
                &[]
            }
            Action::Repeat { times: 0, .. } => &[],
            Action::Locked { body, .. }
            | Action::Repeat { body, .. }
            | Action::Islocked { body, .. }
            | Action::Redis { body, .. } => body,
            _ => &[],
        };
        // A step may fail before its body's end, and has then ended too.
        if let Some(name) = &step.name {
            events.push(Event::Ends(name));
        }
        list_events(body, events);
    }
}
