//! Explores every ordering of a built-in scenario under each lock protocol, and prints the shortest
//! counterexamples.
//!
//! ```text
//! cargo run -p lock-lab --example explore
//! ```

use lock_lab::lock::protocols;
use lock_lab::runtime::{Binding, Bounds, Model, explore};
use lock_lab::scenario::built_in;
use std::error::Error;
use std::sync::Arc;

fn main() -> Result<(), Box<dyn Error>> {
    let scenario = built_in("check_then_delete")?.ok_or("there is no such scenario")?;
    for protocol in protocols() {
        let model = Model::new(&scenario, &Binding::default(), Arc::clone(protocol))?;
        let explored = explore(&model, &Bounds::default(), &mut |_| true)?;
        println!(
            "{}: {} states, stopped by {:?}",
            explored.protocol, explored.states, explored.stopped_by
        );
        for found in &explored.found {
            println!("  {}: {}", found.property.word(), found.finding.text);
            println!("  replay: {}", found.schedule);
        }
    }
    Ok(())
}
