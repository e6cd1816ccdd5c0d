use nodb_trigger::lock::*; use nodb_trigger::runtime::*; use nodb_trigger::scenario::*;
use std::collections::BTreeMap; use std::path::Path; use std::time::Duration;
fn main(){
  let a: Vec<String> = std::env::args().collect();
  let text = std::fs::read_to_string(&a[1]).unwrap();
  let sc = Scenario::parse(&a[1], &text).unwrap();
  for proto in [&Legacy as &'static dyn Protocol, &*HARDENED] {
    let timing = if a.get(2).map(|s| s.as_str())==Some("strict") {Timing::Strict} else {Timing::Async};
    let given: BTreeMap<String,Value> = a[3.min(a.len())..].iter().filter_map(|p| { let (n,v)=p.split_once('=')?; Some((n.to_string(), Value::Count(v.parse().ok()?))) }).collect();
    let plan = sc.bind(&given, proto.name(), Ttl::DEFAULT, Duration::ZERO).unwrap().lifted();
    let runs = plan.locks.iter().map(|l| RunDirectory::new(Path::new(&format!("/nodb-trigger/explore{}", l.run_suffix)), None).unwrap()).collect();
    let origin = Schedule{scenario: a[1].clone(), digest: sc.digest(), protocol: proto.name().into(), timing, parameters: vec![], turns: vec![], shows: None};
    let model = Model{plan, protocol: proto, runs, origin};
    let b = Bounds{timing, crashes: 0, faults: 0, preemptions: None, max_schedules: None, max_time: Some(Duration::from_secs(20)), until: vec![], strategy: Strategy::Exhaustive};
    match explore(&model, &b, &mut |_| true) {
      Ok(e) => { println!("{}: run {} of {:?} states {} depth {} stopped {:?} took {:?}", e.protocol, e.orderings_run, e.orderings, e.states, e.depth, e.stopped_by, e.took);
        for f in &e.found { println!("   {} after {} took {:?} preemptions {} decisive {} {}", f.property.word(), f.after, f.took, f.preemptions, f.decisive, f.schedule); } }
      Err(e) => println!("{}: error {e}", proto.name()),
    }
  }
}
