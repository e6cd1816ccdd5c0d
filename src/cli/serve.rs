//! `serve`: the embedded server alone, for clients in any language.

use super::args::ServeArgs;
use super::exit::{Exit, Refusal, environment};
use super::output::Output;
use super::say;
use super::signals::Signals;
use crate::report::escape;
use lock_lab::runtime::{Time, quoted};
use redis_sim::Engine;
use redis_sim::clock::{Clock, VirtualClock, WallClock};
use redis_sim::server::{Address, Advancing, MAX_CLIENTS, Server, Service};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::sync::Arc;

/// Open files beside the connections.
const OTHER_FILES: u64 = 64;

/// Serves until a signal comes. That is how a server ends, so it is a success.
pub(super) fn serve(args: &ServeArgs) -> Result<Exit, Refusal> {
    let signals = Signals::handle().map_err(environment)?;
    let clock = Arc::new(WallClock::new(None));
    signals.add_clock(&Time::Wall(Arc::clone(&clock)));
    let (service, time): (Arc<dyn Service>, _) = if args.virtual_time {
        let service = Advancing::new(Arc::new(VirtualClock::new(None)));
        (Arc::new(service), "; NODB.ADVANCE <milliseconds> moves its clock")
    } else {
        (Arc::new(Engine::new(Arc::clone(&clock) as Arc<dyn Clock>)), "")
    };
    allow_files();
    let server = Server::start(args.address(), service).map_err(environment)?;
    if let Address::Socket(path) = server.address() {
        signals.set_leftovers(vec![format!("rm {}", quoted(&path.display().to_string()))]);
    }
    let url = server.url();
    Output::Stdout.write(|out| writeln!(out, "{}", escape(&url)))?;
    say(&format!("serving clients on this machine until Ctrl-C or SIGTERM{time}"));
    // Nothing but a signal ends this.
    let _ = clock.wait_until(&|| false);
    drop(server);
    Ok(Exit::Success)
}

/// Makes room for as many clients as may come. Where that is refused, those that have no place wait
/// for one.
fn allow_files() {
    let wanted = MAX_CLIENTS as u64 + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(wanted, |most| most.min(wanted));
    if limit.current.is_some_and(|current| current < wanted) {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit });
    }
}
