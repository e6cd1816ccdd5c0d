//! The command that runs a scenario again, and gives the same.

use super::args::{DEFAULT_DIRECTORY, RunOptions};
use lock_lab::lock::default_protocol;
use lock_lab::runtime::command_line;
use lock_lab::scenario::{Plan, Value};
use std::path::Path;
use std::time::Duration;

/// The command that repeats a virtual run.
pub(super) fn command(
    options: &RunOptions,
    directory: &Path,
    file: Option<&str>,
    plan: &Plan,
    seed: u64,
) -> String {
    let RunOptions { lock, wait, stage, .. } = options;
    let mut words = vec!["nodb-trigger".to_owned()];
    let of_its_own = directory.as_os_str() != DEFAULT_DIRECTORY;
    let directory = of_its_own.then(|| directory.display().to_string());
    match file {
        Some(file) => {
            words.extend(["run".into(), file.into()]);
            words.extend(directory.into_iter().flat_map(|it| ["--directory".into(), it]));
        }
        None => {
            words.push(plan.scenario.clone());
            words.extend(directory);
            for (name, value) in &plan.parameters {
                words.extend([format!("--{}", name.replace('_', "-")), value.to_string()]);
            }
        }
    }
    words.push("--virtual".into());
    let duration = |duration: Duration| Value::Duration(duration).to_string();
    let flags = [
        ("--lock", (*lock != default_protocol()).then(|| lock.name().to_owned())),
        ("--wait", (!wait.is_zero()).then(|| duration(*wait))),
        ("--seed", (seed != 0).then(|| seed.to_string())),
        ("--timeout", stage.timeout.map(duration)),
        ("--file", stage.file.clone()),
        ("--run-group", stage.run_group.as_ref().map(|(group, name)| format!("{group};;{name}"))),
    ];
    for (flag, value) in flags {
        words.extend(value.into_iter().flat_map(|value| [flag.to_owned(), value]));
    }
    command_line(&words)
}
