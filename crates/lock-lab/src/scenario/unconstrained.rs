//! A plan without what forces an order on it, so that every order can be tried.

use super::plan::{Action, Instance, Plan, Rule, RuleEffect, Step};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

impl Plan {
    /// The plan without what forces an order on it: rules that hold or delay, rules that come late
    /// after one of those, and waits for one of those. Faults stay, and so do waits for steps.
    pub fn unconstrained(mut self) -> Self {
        let mut gone = BTreeSet::new();
        loop {
            let (unconstrained, kept): (Vec<Rule>, Vec<Rule>) =
                self.rules.into_iter().partition(|rule| forces_an_order(&rule.effect, &gone));
            self.rules = kept;
            if unconstrained.is_empty() {
                break;
            }
            gone.extend(unconstrained.into_iter().map(|rule| rule.name));
        }
        for actor in &mut self.actors {
            actor.steps = Arc::from(without_waits(&actor.steps, &gone));
        }
        self
    }

    /// The actors that share the controllers of one process.
    pub fn sharing_a_process(&self) -> BTreeSet<usize> {
        let all = self.actors.iter().enumerate();
        all.filter(|(_, actor)| actor.instance != Instance::Own).map(|(index, _)| index).collect()
    }

    /// The plan for actors that are processes: each has its controllers for itself.
    pub fn of_processes(mut self) -> Self {
        for actor in &mut self.actors {
            actor.instance = Instance::Own;
        }
        self
    }
}

fn forces_an_order(effect: &RuleEffect, gone: &BTreeSet<String>) -> bool {
    match effect {
        RuleEffect::HoldUntil(_) | RuleEffect::Delay(_) => true,
        RuleEffect::RunLate(signal) => gone.contains(signal),
        RuleEffect::Fail(_) | RuleEffect::DropReply | RuleEffect::Forget | RuleEffect::Crash => {
            false
        }
    }
}

fn without_waits(steps: &[Step], gone: &BTreeSet<String>) -> Vec<Step> {
    steps.iter().filter_map(|step| without_wait(step, gone)).collect()
}

fn without_wait(step: &Step, gone: &BTreeSet<String>) -> Option<Step> {
    let mut step = step.clone();
    match &mut step.action {
        Action::Await { signal } if gone.contains(signal) => {
            // Others may wait for its end, or expect something of it.
            step.name.as_ref()?;
            step.action = Action::Sleep { duration: Duration::ZERO };
        }
        Action::Locked { body, .. }
        | Action::Repeat { body, .. }
        | Action::Islocked { body, .. }
        | Action::Redis { body, .. } => {
            *body = without_waits(body, gone);
        }
        _ => {}
    }
    Some(step)
}
