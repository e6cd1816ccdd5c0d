//! An engine whose time a client moves: `NODB.ADVANCE milliseconds`. No Redis has such a command.
//!
//! It is carried out at once, also between MULTI and EXEC, and is for clients alone, not for scripts.

use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;

use super::reply::{self, Format};
use super::{Handler, Next, Outbox, Service};
use crate::Engine;
use crate::clock::{Clock, VirtualClock};
use crate::error::Error;
use crate::resp::integer;

/// The command's name.
const NAME: &str = "nodb.advance";

/// An engine on a clock that stands still between two such commands.
pub struct Advancing {
    engine: Engine,
    dial: Arc<Dial>,
}

/// The clock, which one client moves at a time.
type Dial = Mutex<Arc<VirtualClock>>;

impl Advancing {
    /// An empty engine at the moment that `clock` shows.
    pub fn new(clock: Arc<VirtualClock>) -> Self {
        let engine = Engine::new(Arc::clone(&clock) as Arc<dyn Clock>);
        Self { engine, dial: Arc::new(Mutex::new(clock)) }
    }
}

impl Service for Advancing {
    fn open(&self, outbox: &Outbox) -> Box<dyn Handler> {
        Box::new(AdvancingClient { behind: self.engine.open(outbox), dial: Arc::clone(&self.dial) })
    }
}

struct AdvancingClient {
    behind: Box<dyn Handler>,
    dial: Arc<Dial>,
}

impl Handler for AdvancingClient {
    fn answer(&mut self, argv: &[&[u8]], outbox: &Outbox) -> Next {
        match argv {
            [name, arguments @ ..] if name.eq_ignore_ascii_case(NAME.as_bytes()) => {
                let value = advance(&self.dial, arguments).unwrap_or_else(Error::into_value);
                let mut bytes = Vec::new();
                reply::write(&value, Format { resp3: false, no_list: false }, &mut bytes);
                outbox.reply(&bytes);
                Next::Read
            }
            _ => self.behind.answer(argv, outbox),
        }
    }
}

fn advance(dial: &Dial, arguments: &[&[u8]]) -> Result<Value, Error> {
    let [millis] = arguments else { return Err(Error::Arity(NAME)) };
    let millis = integer(millis).and_then(|millis| u64::try_from(millis).ok());
    let by = Duration::from_millis(millis.ok_or(Error::NotAnInteger)?);
    let clock = dial.lock();
    clock.advance_to(clock.now().saturating_add(by));
    Ok(Value::Okay)
}
