//! The lock protocols that there are. To add one: add its file and a line here; from outside, call
//! [`register`]. If it sends scripts, `Script::of_protocol` makes them.

use super::{Hardened, Legacy, LockProtocol};
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};

static REGISTERED: Mutex<Vec<Arc<dyn LockProtocol>>> = Mutex::new(Vec::new());
static PROTOCOLS: OnceLock<Vec<Arc<dyn LockProtocol>>> = OnceLock::new();

/// Why a lock protocol can't be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// The protocols have been asked for before.
    #[error("register {0:?} before anything else asks for the lock protocols")]
    TooLate(String),
    /// There is one of this name.
    #[error("there is a lock protocol {0:?} already")]
    NameTaken(String),
}

/// Adds a lock protocol of another crate, listed after the built-in ones. Call it first in `main`.
pub fn register(protocol: Arc<dyn LockProtocol>) -> Result<(), RegisterError> {
    let mut registered = REGISTERED.lock();
    let name = protocol.name().to_owned();
    if PROTOCOLS.get().is_some() {
        return Err(RegisterError::TooLate(name));
    }
    if built_in().iter().chain(registered.iter()).any(|known| known.name() == name) {
        return Err(RegisterError::NameTaken(name));
    }
    registered.push(protocol);
    Ok(())
}

fn built_in() -> [Arc<dyn LockProtocol>; 2] {
    [Arc::new(Legacy), Arc::new(Hardened::default())]
}

/// All lock protocols, in the order in which they are listed.
pub fn protocols() -> &'static [Arc<dyn LockProtocol>] {
    PROTOCOLS.get_or_init(|| {
        let registered = REGISTERED.lock();
        built_in().into_iter().chain(registered.iter().cloned()).collect()
    })
}

/// The lock protocol that is used if none is named.
pub fn default_protocol() -> &'static Arc<dyn LockProtocol> {
    static DEFAULT: OnceLock<Arc<dyn LockProtocol>> = OnceLock::new();
    DEFAULT.get_or_init(|| Arc::new(Legacy))
}

/// The lock protocol of this name.
pub fn protocol(name: &str) -> Option<&'static Arc<dyn LockProtocol>> {
    protocols().iter().find(|protocol| protocol.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_is_found_by_its_name() {
        for known in protocols() {
            assert_eq!(protocol(known.name()), Some(known));
        }
        assert_eq!(protocol("subject"), None);
        assert_eq!(protocols().first(), Some(default_protocol()));
    }

    #[test]
    fn no_protocol_is_registered_when_they_were_asked_for() {
        protocols();
        let late = register(Arc::new(Legacy));
        assert_eq!(late, Err(RegisterError::TooLate("legacy".into())));
    }
}
