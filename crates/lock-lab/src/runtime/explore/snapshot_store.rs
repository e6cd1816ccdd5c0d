//! A server whose states are saved and put back, so that a request can run once for each: the embedded
//! one, or a real Redis.

use super::servers::OutgoingRequest;
use crate::server::{Connection, ServerError};
use redis::{RedisResult, Value};
use redis_sim::{Kept, Lease};
use std::time::Duration;

/// A server whose states are saved and put back. Equal states have the same number.
pub(super) trait SnapshotStore {
    /// The number of the state that it is in now.
    fn save(&mut self) -> Result<u32, ServerError>;

    /// Puts a state back, with the time that it is.
    fn restore(&mut self, state: u32, time: u64) -> Result<(), ServerError>;

    /// Runs a request; gives the replies.
    fn run(&mut self, request: &OutgoingRequest) -> Result<RedisResult<Vec<Value>>, ServerError>;

    /// What a lock's key holds now.
    fn kept(&self, key: &str) -> Option<Kept>;

    /// The first moment at which a lock's key will be gone, as time since 1970, if it has a lease.
    fn lease_end(&self, key: &str) -> Option<Duration>;

    /// The keys of database 0 that have a TTL, in the order of their bytes.
    fn leases(&self) -> Vec<Lease>;

    /// Ends the TTL of a key.
    fn end_lease(&mut self, key: &[u8]) -> Result<(), ServerError>;

    /// A connection to look at what is there now.
    fn connection(&mut self) -> Result<&mut Connection, ServerError>;

    /// About how much memory its states take.
    fn bytes(&self) -> usize;
}
