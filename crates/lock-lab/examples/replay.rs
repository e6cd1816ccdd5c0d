//! Replays the shortest counterexample of an exploration, and prints its history.
//!
//! ```text
//! cargo run -p lock-lab --example replay
//! ```

use lock_history::check::Property;
use lock_lab::lock::Legacy;
use lock_lab::runtime::{Binding, Bounds, Model, explore, replay};
use lock_lab::scenario::built_in;
use std::error::Error;
use std::io::stdout;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn Error>> {
    let scenario = built_in("check_then_delete")?.ok_or("there is no such scenario")?;
    let model = Model::new(&scenario, &Binding::default(), Arc::new(Legacy))?;
    let until = vec![Property::ForeignRelease];
    let explored = explore(&model, &Bounds { until, ..Bounds::default() }, &mut |_| true)?;
    let found = explored.found.iter().find(|found| found.property == Property::ForeignRelease);
    let schedule = &found.ok_or("no ordering has a foreign release")?.schedule;
    let outcome = replay(&model, &schedule.turns)?;
    outcome.history.write(&mut stdout().lock())?;
    Ok(())
}
