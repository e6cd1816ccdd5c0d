//! Runs a scenario of one's own on a virtual clock, and prints what the judges found.
//!
//! ```text
//! cargo run -p lock-lab --example own_scenario
//! ```

use lock_lab::lock::{Legacy, Ttl, in_process};
use lock_lab::runtime::{Stage, Time, World};
use lock_lab::scenario::Scenario;
use lock_lab::server::Server;
use redis_sim::clock::VirtualClock;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const SCENARIO: &str = r#"
format = 1
name = "work_outlasts_the_lease"
title = "A holder works for longer than its lease, and another one acquires."
text = "Nothing extends the lease, so both work at the same time."
hazards = []

[locks.main]

[[actors]]
name = "slow"
start = "after"
delay = "0s"
instance = "own"
steps = [{ acquire = "main", ttl = "1s" }, { work = "3s" }, { dump = "main" }, { release = "main" }]

[[actors]]
name = "next"
start = "after"
delay = "2s"
instance = "own"
steps = [{ acquire = "main" }, { work = "2s" }, { dump = "main" }, { release = "main" }]

[[expect]]
finds = "overlap"
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let scenario = Scenario::parse("own.toml", SCENARIO)?;
    let plan = scenario.bind(&BTreeMap::new(), "legacy", Ttl::DEFAULT, Duration::ZERO)?;
    let files = plan.state_files(Path::new("/nowhere/own"), None, None)?;
    let time = Time::Virtual(Arc::new(VirtualClock::new(Some(Duration::from_secs(60)))));
    let server = Server::embedded(time.clock());
    let host = in_process(Arc::new(Legacy));
    let world = Arc::new(World::new(plan, server, host, files, time, Box::new(|| ())));
    let mut stage = Stage::default();
    stage.prepare_directories(&world)?;
    stage.prepare_locks(&world, false)?;
    let outcome = world.run()?;
    let ruling = outcome.judge(world.plan());
    for finding in &ruling.checked.findings {
        println!("{}: {}", finding.property.word(), finding.text);
    }
    println!("verdict: {}", ruling.verdict.word());
    Ok(())
}
