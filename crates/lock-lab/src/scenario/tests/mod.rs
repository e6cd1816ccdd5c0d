//! Tests of whole files: their errors, their plans, the embedded ones, and broken ones.

mod broken;
mod builtin;
mod explorations;
mod hazards;
mod mistakes;
mod mistakes_of_rules;
mod plans;
mod rules;
mod schema;
mod several;
mod unconstrained;
mod volleys;

use super::{Plan, Scenario, ScenarioError, Value};
use crate::lock::Ttl;
use std::time::Duration;

/// A small file that uses every part of the format.
const EXAMPLE: &str = r#"format = 1
name = "example"
title = "An example."
text = """
Two paragraphs,

no more."""
hazards = ["herd"]

[parameters.threads]
type = "count"
default = 3
help = "How many."

[parameters.hold]
type = "duration"
default = "2s"
help = "How long."

[parameters.ttl]
type = "ttl"
help = "How long at most."

[locks.main]
[locks.other]
run_suffix = "_2"

[[actors]]
name = "thread"
count = "$threads"
start = "together"
steps = [
  { locked = "main", ttl = "$ttl", body = [ { work = "$hold" } ] },
  { release = "other", name = "let go", go_on = true },
]

[[actors]]
name = "late"
start = "after"
delay = "1.5s"
instance = "own"
steps = [
  { snapshot = "main", label = "seen late" },
]

[[expect]]
when = "$hold < $ttl"
succeeded = 1
already_locked = "$threads - 1"

[[expect]]
protocol = "legacy"
all = [
  { step = "let go", status = "error", error = "not ours" },
  { actor = "late", status = "success" },
  { snapshot = "seen late", diagnosis = "consistent" },
  { updates = 1, lock = "main" },
]
"#;

/// A small file that uses rules, waits, faults and what only one protocol has.
const RACE: &str = r#"format = 1
name = "race"
title = "A race."
text = "Two meet."
hazards = []

[parameters.ttl]
type = "ttl"
default = "1s"
help = "How long at most."

[parameters.tries]
type = "count"
default = 3
help = "How often."

[locks.main]

[[actors]]
name = "holder"
start = "after"
delay = "0s"
instance = "own"
limit = "30s"
steps = [
  { acquire = "main", ttl = "$ttl", wait = "2s", name = "taken" },
  { repeat = "$tries", body = [{ extend = "main" }, { pause = "10ms" }] },
  { redis = ["SET", "{key}", "{payload}", "PX", "$ttl"], name = "renewal", protocol = "legacy" },
  { extend = "main", name = "renewal", protocol = "hardened" },
  { await = "rival has it" },
  { release = "main", name = "late release", go_on = true },
  { crash = true },
]

[[actors]]
name = "rival"
count = 2
start = "after"
delay = "1s"
every = "500ms"
instance = "racy"
steps = [
  { await = "release held", protocol = "hardened" },
  { locked = "main", wait = "$ttl", name = "rival has it", body = [{ sees = "$tries", fresh = true }] },
]

[[rules]]
name = "release held"
actor = "holder"
operation = "release"
lock = "main"
occurrence = 1
hold_until = "rival has it"
protocol = "hardened"

[[rules]]
name = "slow write"
actor = "rival_2"
pause = "file_write"
from = 2
to = "$tries"
delay = "$ttl + 1s"

[[expect]]
protocol = "legacy"
finds = "foreign_release"

[[expect]]
finds = ["overlap", "silent_loss"]
free_of = ["deadlock"]

[[explore]]
protocol = "hardened"
timing = "strict"
crashes = "$tries - 1"
faults = 1
preemptions = 4
max_time = "$ttl + 20s"
finds = ["stuck_lock", "token_drift"]
free_of = "lost_update"
with = { tries = 2, ttl = "40s" }
"#;

/// Puts `new` in place of `old` in a file, which is the only mistake then. `^` in `new` marks its place
/// and isn't part of the file.
fn check_in(file: &str, old: &str, new: &str, message: &str) {
    assert_eq!(file.matches(old).count(), 1, "{old}");
    let marked = file.replacen(old, new, 1);
    let before = marked.split_once('^').map(|(before, _)| before).unwrap();
    let line = before.split('\n').count();
    let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
    let found = mistakes(&marked.replacen('^', "", 1));
    assert_eq!(found, [(line, column, message.to_owned())], "{new}");
}

/// What is wrong with a file: line, column and message of each mistake.
fn mistakes(text: &str) -> Vec<(usize, usize, String)> {
    match parse(text) {
        Ok(_) => Vec::new(),
        Err(ScenarioError::File { mistakes, .. }) => {
            mistakes.into_iter().map(|it| (it.line, it.column, it.message)).collect()
        }
        Err(error) => panic!("{error}"),
    }
}

fn parse(text: &str) -> Result<Scenario, ScenarioError> {
    Scenario::parse("x.toml", text)
}

fn bind(scenario: &Scenario, given: &[(&str, &str)]) -> Result<Plan, ScenarioError> {
    bind_for("legacy", scenario, given)
}

fn bind_for(
    protocol: &str,
    scenario: &Scenario,
    given: &[(&str, &str)],
) -> Result<Plan, ScenarioError> {
    let given = given.iter().map(|(name, text)| {
        let parameter = scenario.parameters().iter().find(|p| p.name == *name);
        let value = parameter.map_or(Value::Count(1), |p| p.parse(text).unwrap());
        ((*name).to_owned(), value)
    });
    scenario.bind(&given.collect(), protocol, Ttl::DEFAULT, Duration::ZERO)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ttl(seconds: u64) -> Ttl {
    Ttl::try_from(Duration::from_secs(seconds)).unwrap()
}
