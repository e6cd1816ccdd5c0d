//! Workloads with known truth: what a recording says of them is compared with what happened.
//!
//! | file | what it is for |
//! |---|---|
//! | `server` | the deterministic Redis as MONITOR and its notifications show it |
//! | `truth` | what really happened to the lock |
//! | `clients` | programs that use it, correctly or with a fault |
//! | `incidents` | faults of the server |
//! | `members` | locks that are no strings |
//! | `judged` | what a recording says of them |
//! | `session` | workloads recorded over a socket |
//! | `table` | found, undecided and missed, by format and fault |

mod clients;
mod incidents;
mod judged;
mod members;
mod server;
mod session;
mod table;
mod truth;
