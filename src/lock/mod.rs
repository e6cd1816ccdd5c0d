//! The shared lock library: the NoDb lock's names, wire format and protocols, as plain synchronous
//! code over a Redis connection. It records nothing and knows no actors.

mod ttl;

pub use ttl::{Ttl, TtlError};
