//! Watches the locks of a running server and writes a history.
//!
//! | module | what it is for |
//! |---|---|
//! | `recording` | what is asked for, and what comes back |
//! | `session` | attaches to the server, and attaches again when it goes away |
//! | `monitor_stream` | the connection that listens |
//! | `monitor_log` | the same from a file |
//! | `keyspace` | the same by keyspace notifications only |
//! | `key_snapshot`, `facts` | reads keys, and what the server says of itself, without changing anything |
//! | [`Watch`] | which keys |
//! | `unwatched` | which others are used like locks |
//! | `monitor_line` | one line of MONITOR |
//! | `effects`, `commands` | what a command may do to keys |
//! | `key` | what it did to one key, though MONITOR shows neither replies nor the end of a lease |
//! | `model` | all keys together, with their members |
//! | `actors` | the clients as actors |
//! | `observations` | what was seen of each client |
//! | `tenures`, `holdings` | from when to when a lock was held, and which actors believe that they hold it |
//! | `prospect` | what connections do later |
//! | `attribution` | whose command it was, where programs have pools of connections |
//! | `tokens`, `short_leases` | what tokens prove, and which leases were set to release a lock |
//! | `event_log`, `to_history`, `operation` | from what was seen to a history |
//! | `reasons` | why the history is incomplete |

mod actors;
mod attribution;
mod commands;
mod effects;
mod event_log;
mod facts;
#[cfg(test)]
mod generated;
mod holdings;
mod key;
mod key_snapshot;
mod keyspace;
mod model;
mod monitor_line;
mod monitor_log;
mod monitor_stream;
mod observations;
mod operation;
mod prospect;
mod reasons;
mod recording;
mod session;
mod short_leases;
mod tenures;
mod to_history;
mod tokens;
mod unwatched;
mod watch;

pub use keyspace::record_light;
pub use model::Counts;
pub use monitor_log::{is_monitor_log, read_monitor_log};
pub use recording::{Ending, Listener, Order, ROOM, RecordError, Recorded};
pub use session::record;
pub use unwatched::Unwatched;
pub use watch::Watch;
