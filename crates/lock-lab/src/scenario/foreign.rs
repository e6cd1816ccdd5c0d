//! What a client from outside can't do: it only acquires, extends, releases and writes.

use super::file::Scenario;
use super::plan::{Action, Matches, Plan, Step};
use crate::intercept::PausePoint;
use lock_history::history::Verb;

/// The hazards of actors that share one controller, as only threads of one process can.
const SHARING: [&str; 4] = ["shared-token-slot", "singleton", "forked-child", "dirty-memory"];

impl Scenario {
    /// Why clients from outside can't run it, if they can't.
    pub fn unplayable(&self) -> Option<String> {
        if let Some(hazard) = self.hazards().iter().find(|it| SHARING.contains(&it.as_str())) {
            return Some(format!(
                "it is about threads that share one controller ({hazard}), and each client has its own"
            ));
        }
        let (what, only) = self.only_under()?;
        let protocols = if only.names().count() == 1 { "lock protocol" } else { "lock protocols" };
        let names = only.words();
        Some(format!("{what} is only for the {protocols} {names}, and would be left out"))
    }
}

impl Plan {
    /// What clients from outside can't do of it, if there is anything.
    pub fn unplayable(&self) -> Option<String> {
        let registry = Matches::Pause(PausePoint::Registry);
        if let Some(rule) = self.rules.iter().find(|rule| rule.matches == registry) {
            return Some(format!("its rule {:?} is for the registry of controllers", rule.name));
        }
        if !self.has(|action| matches!(action, Action::Acquire { .. } | Action::Locked { .. })) {
            return Some("it never acquires a lock".into());
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
        // These are about the token, the payload or the controllers of the application.
        action @ (Action::Release { force: true, .. }
        | Action::ForgetToken { .. }
        | Action::ReplaceToken { .. }
        | Action::PlantOrphan { .. }
        | Action::ClearLocks { .. }
        | Action::GetInstance { .. }
        | Action::Cached { .. }) => Some(action.verb()),
        Action::Acquire { .. }
        | Action::Work { .. }
        | Action::Sleep { .. }
        | Action::Dump { .. }
        | Action::Release { force: false, .. }
        | Action::Extend { .. }
        | Action::Pause { .. }
        | Action::Crash
        | Action::Await { .. }
        | Action::Amnesia
        | Action::ClockJump { .. }
        | Action::Evict { .. }
        | Action::ExternalDump { .. }
        | Action::MakeReadonly { .. }
        | Action::Sees { .. }
        | Action::Redis { .. }
        | Action::Snapshot { .. } => None,
    }
}
