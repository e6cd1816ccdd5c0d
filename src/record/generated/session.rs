//! The same workloads, recorded over a socket as `record` does it.

use super::clients::{Fault, Format, Naming, Place, Workload, World};
use super::incidents::Incident;
use super::judged::{Judged, judge_history};
use crate::record::session::record;
use crate::record::{Counts, Listener, Order, ROOM, Recorded, Watch};
use lock_history::history::History;
use lock_lab::server::Server as Target;
use redis_sim::Engine;
use redis_sim::clock::{Stopped, WallClock};
use redis_sim::server::{Address, Server};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

/// A recording at work.
struct Recording {
    clock: Arc<WallClock>,
    work: JoinHandle<Recorded>,
    _server: Server,
}

/// Says when the recording has begun.
struct Begun(Sender<()>);

impl Listener for Begun {
    fn say(&mut self, _: &str) {}

    fn counts(&mut self, _: &Counts) {
        // Only the first time is waited for.
        let _ = self.0.send(());
    }
}

impl Recording {
    fn start(engine: &Engine) -> Self {
        let server = Server::start(Address::Port(0), Arc::new(engine.clone())).unwrap();
        let target = Target::at(&server.url(), None).unwrap();
        let clock = Arc::new(WallClock::new(None));
        let (sender, begun) = channel();
        let work = thread::spawn({
            let clock = Arc::clone(&clock);
            move || {
                let watch = Watch::new(None, &["lock:*".into()]);
                let order = Order { server: &target, watch, limit: ROOM };
                record(&order, &*clock, &mut Begun(sender)).unwrap()
            }
        });
        begun.recv().unwrap();
        Self { clock, work, _server: server }
    }

    fn end(self) -> History {
        self.clock.stop(Stopped::Interrupted);
        self.work.join().unwrap().history
    }
}

fn recorded(workload: Workload) -> Judged {
    let mut world = World::new(workload);
    let recording = Recording::start(world.server.notify_of_expiry());
    let run = world.run();
    judge_history(recording.end(), &run, workload)
}

#[test]
fn a_recording_over_a_socket_finds_what_happened() {
    let mut wrong = Vec::new();
    for format in [Format::Script, Format::GetDel, Format::Constant, Format::NoDb] {
        for fault in [Fault::None, Fault::BlindDelete, Fault::Overwrite] {
            let (place, naming, incident) = (Place::Threads, Naming::Nothing, Incident::None);
            let workload = Workload { format, place, fault, naming, incident, seed: 1 };
            let judged = recorded(workload);
            let is_clean = judged.checked.findings.is_empty() && judged.is_complete;
            let missing = if judged.is_complete { &*judged.missing } else { &[] };
            if !missing.is_empty()
                || !judged.untrue.is_empty()
                || (fault == Fault::None) != is_clean
            {
                let (untrue, head) = (judged.untrue, judged.history.head);
                let incomplete = head.incomplete;
                wrong.push(format!("{workload:?}: {missing:?} {untrue:?} {incomplete:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
