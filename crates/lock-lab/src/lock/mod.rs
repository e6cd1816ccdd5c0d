//! The shared lock library: the NoDb lock's names, wire format and protocols, as plain synchronous
//! code over a Redis connection. It records nothing.
//!
//! A protocol is a [`LockProtocol`], one file and one line in `registry`; what runs the actors that
//! speak it is an [`ActorHost`].

mod current;
mod effects;
mod hardened;
mod host;
mod legacy;
mod name;
mod owner;
mod payload;
mod protocol;
mod recovery;
mod registry;
mod run;
mod script;
mod snapshot;
mod state_file;
mod survey;
mod token;
mod ttl;

pub use current::Current;
pub use effects::{
    Operation, effects, operation, script_operation, seen_effects, token_at_beginning,
};
pub use hardened::Hardened;
#[cfg(test)]
pub(crate) use hardened::mutants;
pub use host::{ActorHost, SharedMemory, Who, in_process};
pub use legacy::{Legacy, is_locked};
pub use name::{
    FLAG_PREFIX, KEY_PREFIX, LockName, NameError, RunDirectory, RunGroup, key_pattern, literal,
    replacement_fence,
};
pub use owner::Life;
pub use payload::{Payload, encode_payload, is_dead};
pub use protocol::{Caller, Context, LockError, LockProtocol, Result, WriteGuard};
pub use recovery::{
    Flag, Removal, delete_if, expire_if, remove_counter, remove_if, repair_flag, replace_if,
    restore, restore_field_if,
};
pub use registry::{default_protocol, protocol, protocols, register};
pub use run::{clear_locks, flags, lock_statuses, locked_files};
pub use script::script_text;
pub use snapshot::{Diagnosis, Knowledge, Snapshot};
pub use state_file::{FileNameError, STATE_FILE, StateFile};
pub use survey::{
    Doubt, Found, LONGEST_TTL_MS, Sighting, State, Unseen, rights, sight, survey, watched_channels,
};
pub use token::{Acquisition, Identity, Token, TokenSlot, hostname};
pub use ttl::{Ttl, TtlError};
