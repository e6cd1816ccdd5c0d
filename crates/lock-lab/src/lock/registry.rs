//! The lock protocols that there are. To add one: add its file and a line here; from outside, call
//! [`register`]. If a built-in one sends scripts, `Script::of_protocol` makes them.

use super::{Current, Hardened, Legacy, LockProtocol};
use lock_history::history::Head;
use lock_history::registry::{RegisterError, Registry};
use std::sync::{Arc, OnceLock};

static PROTOCOLS: Registry<Arc<dyn LockProtocol>> = Registry::empty();

/// How many lock protocols can be registered.
const MOST: usize = 100;

/// Names that reports and schedules give to what is no lock protocol of this list.
const RESERVED: [&str; 2] = ["subject", Head::OBSERVED];

/// Adds a lock protocol of another crate, listed after the built-in ones. Call it first in `main`. It
/// must be [foreign](LockProtocol::is_foreign): what its commands do is read from the lock's key.
///
/// # Errors
///
/// [`RegisterError`] if the protocol is not foreign, if its name is taken or has other characters
/// than `a-z`, `0-9` and `_`, if the protocols were listed before, or if there is no room for one
/// more.
pub fn register(protocol: Arc<dyn LockProtocol>) -> Result<(), RegisterError> {
    let name = protocol.name().to_owned();
    let is_taken = built_in().iter().any(|known| known.name() == name);
    if is_taken || RESERVED.contains(&name.as_str()) {
        return Err(RegisterError::NameTaken(name));
    }
    if !protocol.is_foreign() {
        return Err(RegisterError::NotForeign(name));
    }
    PROTOCOLS.add(&name, protocol, |known| known.name(), MOST)
}

fn built_in() -> Vec<Arc<dyn LockProtocol>> {
    vec![Arc::new(Legacy), Arc::new(Current::default()), Arc::new(Hardened::default())]
}

/// All lock protocols, in the order in which they are listed.
pub fn protocols() -> &'static [Arc<dyn LockProtocol>] {
    PROTOCOLS.all(built_in)
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
    fn a_built_in_name_is_taken() {
        let again = register(Arc::new(Legacy));
        assert_eq!(again, Err(RegisterError::NameTaken("legacy".into())));
    }
}
