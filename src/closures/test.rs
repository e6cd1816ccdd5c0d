//! The test that explores, as a command that starts it again in a process of its own.

use super::actor::ACTOR;
use lock_lab::runtime::quoted;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The tests of this process that have explored.
static EXPLORED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The variable that has the schedule to replay.
pub(super) const REPLAY: &str = "NODB_REPLAY";

/// A test, or a program whose `main` explores.
pub(super) struct Test {
    /// None: a program.
    name: Option<String>,
}

impl Test {
    /// The one that runs in this thread, or else the one in which the type of this closure was made.
    pub fn of<F>() -> Self {
        Self::named(thread::current().name(), std::any::type_name::<F>())
    }

    fn named(thread: Option<&str>, closure: &str) -> Self {
        // One test at a time runs in the main thread.
        if let Some(name) = thread.filter(|name| *name != "main") {
            return Self { name: Some(name.to_owned()) };
        }
        let path = closure.split("::{{closure}}").next().unwrap_or(closure);
        let path = path.split_once("::").map_or(path, |(_, path)| path);
        let is_program = path.split("::").any(|part| part == "main");
        Self { name: (!is_program).then(|| path.to_owned()) }
    }

    /// What reports call it.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("main")
    }

    /// Whether this is the first exploration of the test.
    pub fn explores_first(&self) -> bool {
        let mut explored = EXPLORED.lock().unwrap_or_else(PoisonError::into_inner);
        explored.insert(self.name().to_owned())
    }

    /// The shell's command for the process of an actor.
    ///
    /// # Errors
    ///
    /// If this program is not found.
    pub fn command(&self) -> Result<String, String> {
        let program = std::env::current_exe();
        let program = program.map_err(|error| format!("this program is not found: {error}"))?;
        let mut words = vec![program.display().to_string()];
        match &self.name {
            Some(name) => {
                words.extend(["--exact", name, "--nocapture", "--include-ignored"].map(Into::into));
            }
            None => words.extend(std::env::args().skip(1)),
        }
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        let name = quoted(self.name());
        Ok(format!("exec 3>&1 >/dev/null; {ACTOR}={name} exec {}", words.join(" ")))
    }

    /// The command that runs a schedule again.
    pub fn replay(&self, schedule: &str) -> String {
        let schedule = quoted(schedule);
        match &self.name {
            Some(name) => {
                format!("replay: {REPLAY}={schedule} cargo test {} -- --exact", quoted(name))
            }
            None => format!("replay: run this program with {REPLAY}={schedule}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_known_by_its_thread_or_by_the_function_of_its_closure() {
        let name = |thread, closure| Test::named(thread, closure).name;
        assert_eq!(name(Some("locks::ours"), "x::helper::{{closure}}").unwrap(), "locks::ours");
        let closure = "my_crate::locks::ours::{{closure}}";
        assert_eq!(name(Some("main"), closure).unwrap(), "locks::ours");
        assert_eq!(name(None, "my_crate::ours::{{closure}}::{{closure}}").unwrap(), "ours");
        assert_eq!(name(Some("main"), "my_program::main::{{closure}}"), None);
        assert_eq!(name(Some("main"), "rust_out::__doctest_0::main::{{closure}}"), None);
    }
}
