use nodb_trigger::*;
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};
fn main() {
    let mut args = std::env::args().skip(1);
    let file = args.next().unwrap();
    let lock = args.next().unwrap();
    let how = args.next().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let s = match scenario::Scenario::parse(&file, &text) {
        Ok(s) => s,
        Err(e) => {
            println!("{e}");
            std::process::exit(2)
        }
    };
    let protocol: &'static dyn lock::Protocol =
        if lock == "legacy" { &lock::Legacy } else { &*lock::HARDENED };
    let plan =
        s.bind(&BTreeMap::new(), protocol.name(), lock::Ttl::DEFAULT, Duration::ZERO).unwrap();
    let d = Some(runtime::longest(&plan) + Duration::from_secs(30));
    let time = if how == "virtual" {
        runtime::Time::Virtual(Arc::new(clock::VirtualClock::new(d)))
    } else {
        runtime::Time::Wall(Arc::new(clock::WallClock::new(d)))
    };
    let server = server::Server::embedded(time.clock());
    let runs = plan
        .locks
        .iter()
        .map(|l| {
            lock::RunDirectory::new(
                Path::new(&format!("/tmp/scratch{}{}", std::process::id(), l.run_suffix)),
                None,
            )
            .unwrap()
        })
        .collect();
    let world = Arc::new(runtime::World::new(plan, server, protocol, runs, time, Box::new(|| ())));
    let mut stage = runtime::Stage::default();
    stage.prepare_directories(&world).unwrap();
    let n = stage.prepare_keys(&world, false).unwrap();
    let out = world.run().unwrap();
    stage.clean(&world);
    let r = report::Report::new(&world, &out, n);
    if args.next().is_some() {
        out.history.write(&mut std::io::stdout()).unwrap();
    }
    report::table::write(&r, report::table::Style::PLAIN, &mut std::io::stdout()).unwrap();
}
