//! What a client from outside can't play: it only acquires, extends, releases and writes.

use super::file::Scenario;
use super::plan::{Action, Matches, Plan, Step};
use crate::gate::PausePoint;
use crate::history::Verb;

/// The hazards of actors that share one controller, as only threads of one process can.
const SHARING: [&str; 2] = ["shared-token-slot", "singleton"];

impl Scenario {
    /// Why clients from outside can't play it, if they can't.
    pub fn unplayable(&self) -> Option<String> {
        if let Some(hazard) = self.hazards().iter().find(|it| SHARING.contains(&it.as_str())) {
            return Some(format!(
                "it is about threads that share one controller ({hazard}), and each client has its own"
            ));
        }
        let (what, protocol) = self.only_for_a_protocol()?;
        Some(format!("{what} is only for the lock protocol {protocol}, and would be left out"))
    }
}

impl Plan {
    /// What clients from outside can't do of it, if there is anything.
    pub fn unplayable(&self) -> Option<String> {
        let registry = Matches::Pause(PausePoint::Registry);
        if let Some(rule) = self.rules.iter().find(|rule| rule.matches == registry) {
            return Some(format!("its rule {:?} is for the registry of controllers", rule.name));
        }
        let steps = self.actors.iter().flat_map(|actor| &*actor.steps);
        let verb = steps.map(unplayable).find_map(|verb| verb)?;
        Some(format!("a client has no instruction for {verb}"))
    }
}

fn unplayable(step: &Step) -> Option<Verb> {
    match &step.action {
        Action::Locked { body, .. } | Action::Repeat { body, .. } => {
            body.iter().find_map(unplayable)
        }
        action @ (Action::Release { force: true, .. }
        | Action::ClearLocks { .. }
        | Action::GetInstance { .. }
        | Action::Cached { .. }) => Some(action.verb()),
        _ => None,
    }
}
