//! A server for clients in any language, on a clock that the command `NODB.ADVANCE` moves.
//!
//! ```text
//! cargo run -p redis-sim --example serve
//! redis-cli -u redis://127.0.0.1:PORT SET lock me NX EX 30
//! redis-cli -u redis://127.0.0.1:PORT NODB.ADVANCE 30000
//! redis-cli -u redis://127.0.0.1:PORT GET lock
//! ```

use redis_sim::clock::VirtualClock;
use redis_sim::server::{Address, Advancing, ServeError, Server};
use std::io::Read;
use std::sync::Arc;

fn main() -> Result<(), ServeError> {
    let service = Advancing::new(Arc::new(VirtualClock::new(None)));
    let server = Server::start(Address::Port(0), Arc::new(service))?;
    println!("{}; press Return to stop", server.url());
    let _ = std::io::stdin().read(&mut [0]);
    Ok(())
}
