//! The model as a scenario for nodb-trigger.

use crate::measure::{DRAWN, Explored, SEED, Strategy};
use lock_lab::lock;
use lock_lab::runtime::{self, Binding, Bounds, Limit, Model};
use lock_lab::scenario::{Scenario, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// An exploration that has not come to its end by then is not waited for.
const MAX_TIME: Duration = Duration::from_secs(60);

/// Explores the scenario, with everything that a user pays for: reading it, and replaying what was
/// found.
pub fn explore(clients: u64, protocol: &str, strategy: Strategy) -> Result<Explored, String> {
    let model = model(clients, protocol)?;
    let (strategy, max_schedules) = match strategy {
        Strategy::All => (runtime::Strategy::Exhaustive, None),
        Strategy::Random => (runtime::Strategy::Random { seed: SEED }, Some(DRAWN)),
    };
    let bounds = Bounds { max_schedules, max_time: Some(MAX_TIME), strategy, ..Bounds::default() };
    let explored = runtime::explore(&model, &bounds, &mut |_| true);
    let explored = explored.map_err(|error| error.to_string())?;
    if explored.stopped_by == Some(Limit::Time) && max_schedules.is_some() {
        return Err(format!("{} orderings took more than {MAX_TIME:?}", explored.orderings_run));
    }
    let found = explored.found.iter().map(|found| {
        format!("{} after {} ({} turns)", found.property.word(), found.after, found.decisive)
    });
    let found: Vec<_> = found.collect();
    let mut note = format!("{} states, depth {}", explored.states, explored.depth);
    note += &match &*found {
        [] => "; nothing found".into(),
        found => format!("; found: {}", found.join(", ")),
    };
    if let Some(limit) = explored.stopped_by.filter(|limit| *limit != Limit::Schedules) {
        note += &format!("; stopped by {limit:?}");
    }
    Ok(Explored {
        run: explored.orderings_run,
        is_exhausted: explored.stopped_by.is_none(),
        note,
        covered: explored.orderings,
    })
}

fn model(clients: u64, protocol: &str) -> Result<Model, String> {
    let scenario = Scenario::parse("clients.toml", include_str!("../clients.toml"));
    let scenario = scenario.map_err(|error| error.to_string())?;
    let values = BTreeMap::from([("clients".to_string(), Value::Count(clients as u32))]);
    let binding = Binding { values, ..Binding::default() };
    let protocol = lock::protocol(protocol).ok_or_else(|| format!("no protocol {protocol:?}"))?;
    Model::new(&scenario, &binding, Arc::clone(protocol)).map_err(|error| error.to_string())
}
