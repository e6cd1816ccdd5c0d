//! `serve`: the embedded server alone, for clients in any language.

use super::args::ServeArgs;
use super::exit::Exit;
use super::output::Output;
use super::refusal::{Refusal, environment};
use super::say;
use super::signals::Signals;
use crate::clock::{Clock, WallClock};
use crate::engine::Engine;
use crate::engine::server::{Door, Server};
use crate::runtime::Time;
use std::sync::Arc;

/// Serves until a signal comes.
pub(super) fn serve(args: &ServeArgs) -> Result<Exit, Refusal> {
    let signals = Signals::handle().map_err(environment)?;
    let clock = Arc::new(WallClock::new(None));
    signals.add_clock(&Time::Wall(Arc::clone(&clock)));
    let door: Arc<dyn Door> = Arc::new(Engine::new(Arc::clone(&clock) as Arc<dyn Clock>));
    let server = Server::start(args.address.clone(), door).map_err(environment)?;
    let url = server.url();
    Output::Stdout.write(|out| writeln!(out, "{url}")).map_err(environment)?;
    say("serving on this machine; Ctrl-C or SIGTERM ends it");
    // Nothing but a signal ends this.
    let _ = clock.wait_until(&|| false);
    drop(server);
    Ok(Exit::Success)
}
