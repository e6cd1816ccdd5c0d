//! Tests of whole files: their errors, their plans, the embedded ones, and broken ones.

mod broken;
mod builtin;
mod mistakes;
mod plans;

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

fn parse(text: &str) -> Result<Scenario, ScenarioError> {
    Scenario::parse("x.toml", text)
}

fn bind(scenario: &Scenario, given: &[(&str, &str)]) -> Result<Plan, ScenarioError> {
    let given = given.iter().map(|(name, text)| {
        let parameter = scenario.parameters().iter().find(|p| p.name == *name);
        let value = parameter.map_or(Value::Count(1), |p| p.parse(text).unwrap());
        ((*name).to_owned(), value)
    });
    scenario.bind(&given.collect(), "legacy", Ttl::DEFAULT, Duration::ZERO)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ttl(seconds: u64) -> Ttl {
    Ttl::try_from(Duration::from_secs(seconds)).unwrap()
}
