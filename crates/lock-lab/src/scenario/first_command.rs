//! What an actor surely sends first, as far as a plan shows it without being run. The first
//! commands of actors that start together go out in one volley, which waits for all of them.

use super::plan::{Action, ActorPlan, Instance, Matches, Plan, Rule, RuleEffect, Start, Step};
use crate::intercept::PausePoint;
use crate::lock::{LockProtocol, Operation, WriteGuard};
use std::collections::BTreeMap;

/// The first command of a group that starts together.
pub(super) struct First<'a> {
    /// The position of the step that sends it, or that contains the one that does.
    pub(super) position: usize,
    action: &'a Action,
    instance: Instance,
}

impl<'a> First<'a> {
    /// That of this actor; none if it doesn't start together with others, or is unknown.
    pub(super) fn of(actor: &'a ActorPlan) -> Option<Self> {
        let (position, action) = first(&actor.steps)?;
        let first = Self { position, action, instance: actor.instance };
        (actor.start == Start::Together).then_some(first)
    }

    /// Whether a rule matches it, or a pause point that comes before it.
    fn is_matched(&self, rule: &Rule, protocol: Option<&dyn LockProtocol>) -> bool {
        let acquires = matches!(self.action, Action::Acquire { .. } | Action::Locked { .. });
        match &rule.matches {
            Matches::Pause(PausePoint::Registry) => self.instance == Instance::Shared,
            Matches::Pause(PausePoint::FileRead) => {
                let is_fenced =
                    |protocol: &dyn LockProtocol| protocol.write_guard() == WriteGuard::Fence;
                acquires && protocol.is_some_and(is_fenced)
            }
            Matches::Pause(_) => false,
            Matches::Operation(wanted) => {
                let takes = protocol.is_none_or(|protocol| protocol.first_command() != "GET");
                acquires && takes && *wanted == Operation::Acquire && self.is_about(rule)
            }
            Matches::Command(wanted) => {
                let is_named = match self.action {
                    Action::Redis { arguments, .. } => arguments.first() == Some(wanted),
                    _ if acquires => {
                        protocol.is_some_and(|protocol| wanted == protocol.first_command())
                    }
                    _ => wanted == "SET",
                };
                is_named && self.is_about(rule)
            }
        }
    }

    /// Whether it is about the rule's lock, if the rule has one.
    fn is_about(&self, rule: &Rule) -> bool {
        rule.lock.is_none_or(|lock| self.action.lock() == Some(lock))
    }
}

/// The step that surely sends the first command, and its position in the outermost list.
fn first(steps: &[Step]) -> Option<(usize, &Action)> {
    for (position, step) in steps.iter().enumerate() {
        match &step.action {
            Action::Sleep { .. }
            | Action::Pause { .. }
            | Action::Work { .. }
            | Action::Await { .. }
            | Action::Repeat { times: 0, .. } => {}
            Action::Repeat { body, .. } => {
                return first(body).map(|(_, action)| (position, action));
            }
            action @ (Action::Acquire { .. }
            | Action::Locked { .. }
            | Action::PlantOrphan { .. }
            | Action::Redis { .. }) => return Some((position, action)),
            _ => return None,
        }
    }
    None
}

/// The rules that surely hold the first command of an actor that starts together with others, and
/// what they wait for, by group. Where a rule is for several groups, one of them stands for all:
/// the volley waits for each.
pub(super) fn held<'a>(
    plan: &'a Plan,
    firsts: &BTreeMap<&'a str, First<'a>>,
    protocol: Option<&dyn LockProtocol>,
) -> BTreeMap<&'a str, Vec<(&'a Rule, &'a str)>> {
    let mut held: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    let names = plan.actors.iter().map(|actor| (&*actor.name, &*actor.group));
    let groups: BTreeMap<&str, &str> = names.collect();
    let group_of = |name: &'a str| groups.get(name).copied().unwrap_or(name);
    let mut leaders =
        plan.actors.iter().enumerate().filter(|(number, actor)| {
            *number == 0 || !matches!(actor.start, Start::InSequence { .. })
        });
    let all_together = leaders.all(|(_, actor)| actor.start == Start::Together);
    for rule in plan.rules.iter().filter(|rule| rule.from == 1) {
        let RuleEffect::HoldUntil(signal) = &rule.effect else { continue };
        let matched = |first: &First<'_>| first.is_matched(rule, protocol);
        let group = match &rule.actor {
            Some(name) => {
                Some(group_of(name)).filter(|group| firsts.get(group).is_some_and(matched))
            }
            // The rule may be for another actor's command only.
            None if rule.to.is_some() && !all_together => None,
            None => firsts.iter().find(|(_, first)| matched(first)).map(|(group, _)| *group),
        };
        if let Some(group) = group {
            held.entry(group).or_default().push((rule, &**signal));
        }
    }
    held
}
