//! What a client from outside can't do: it only acquires, extends, releases and writes.

use super::file::Scenario;
use super::plan::{Action, Matches, Plan, Rule, RuleEffect, Step};
use crate::intercept::PausePoint;
use crate::probe::About;

/// The hazards of actors that share one controller, as only threads of one process can.
const SHARING: [&str; 4] = ["shared-token-slot", "singleton", "forked-child", "dirty-memory"];

impl Scenario {
    /// Why clients from outside can't run it that have a process each, if it needs others.
    pub fn needs_threads(&self) -> Option<String> {
        let hazard = self.hazards().iter().find(|it| SHARING.contains(&it.as_str()))?;
        Some(format!(
            "it is about threads that share one controller ({hazard}), and the client does not say that it \
             runs several actors in one process (\"threads\")"
        ))
    }

    /// Why no client from outside can run it, if none can.
    pub fn unplayable(&self) -> Option<String> {
        let (what, only) = self.only_under()?;
        let protocols = if only.names().count() == 1 { "lock protocol" } else { "lock protocols" };
        let names = only.words();
        Some(format!("{what} is only for the {protocols} {names}, and would be left out"))
    }
}

impl Plan {
    /// What this client can't do of it, if there is anything.
    pub fn unplayable(&self, about: &About) -> Option<String> {
        let registry = Matches::Pause(PausePoint::Registry);
        if let Some(rule) = self.rules.iter().find(|rule| rule.matches == registry) {
            return Some(format!("its rule {:?} is for the registry of controllers", rule.name));
        }
        if !self.has(|action| matches!(action, Action::Acquire { .. } | Action::Locked { .. })) {
            return Some("it never acquires a lock".into());
        }
        if about.threads && self.crashes_a_thread() {
            return Some("it crashes an actor that shares its process with others".into());
        }
        let mut steps = self.actors.iter().flat_map(|actor| &*actor.steps);
        steps.find_map(|step| unplayable(step, about))
    }

    /// Whether an actor crashes that shares a process: all others there would crash with it.
    fn crashes_a_thread(&self) -> bool {
        let sharing = self.sharing_a_process();
        let crashes = |action: &Action| matches!(action, Action::Crash);
        let is_crashed = |rule: &Rule| matches!(rule.effect, RuleEffect::Crash);
        let steps = || sharing.iter().filter_map(|actor| self.actors.get(*actor));
        sharing.len() > 1
            && (self.rules.iter().any(is_crashed)
                || steps().any(|actor| actor.killed_after.is_some() || actor.has(crashes)))
    }
}

fn unplayable(step: &Step, about: &About) -> Option<String> {
    let within = |body: &[Step]| body.iter().find_map(|step| unplayable(step, about));
    let needs = |ability: &str| {
        let name = &about.name;
        let why = format!("{name} does not say that it can \"{ability}\"");
        (!about.can(ability)).then_some(why)
    };
    match &step.action {
        Action::Locked { body, .. } | Action::Repeat { body, .. } | Action::Redis { body, .. } => {
            within(body)
        }
        Action::Islocked { body, .. } => needs("islocked").or_else(|| within(body)),
        Action::LockStatuses { .. } => needs("statuses"),
        Action::Release { force: true, .. } => needs("force_release"),
        Action::ClearLocks { .. } => needs("clear"),
        Action::GetInstance { .. } => needs("get_instance"),
        // These are about the token, the payload or the controllers of the application.
        action @ (Action::ForgetToken { .. }
        | Action::ReplaceToken { .. }
        | Action::PlantOrphan { .. }
        | Action::Cached { .. }) => {
            Some(format!("a client has no instruction for {}", action.verb()))
        }
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
        | Action::Snapshot { .. } => None,
    }
}
