//! Watches the locks of a running server and tells what happened as a history.
//!
//! | module | what it is for |
//! |---|---|
//! | `recording` | what is asked for, and what comes back |
//! | `session` | attaches to the server, and attaches anew when it goes away |
//! | `hear` | the connection that listens |
//! | `light` | the same by keyspace notifications only |
//! | `look`, `facts` | looks at keys, and at the server, without changing anything |
//! | [`Watch`] | which keys |
//! | `line` | one line of MONITOR |
//! | `act`, `commands` | what a command may do to keys |
//! | `key` | what it did to one key, though MONITOR shows neither replies nor the end of a lease |
//! | `model` | all keys together |
//! | `people` | who the clients are |
//! | `tell`, `unit`, `reigns` | from what was seen to a history |
//! | `reasons` | why the history is incomplete |

mod act;
mod commands;
mod facts;
mod hear;
mod key;
mod light;
mod line;
mod look;
mod model;
mod people;
mod reasons;
mod recording;
mod reigns;
mod seen;
mod session;
mod tell;
mod unit;
mod watch;

pub use light::record_light;
pub use model::Counts;
pub use recording::{Ending, Listener, Order, RecordError, Recorded};
pub use session::record;
pub use watch::Watch;
