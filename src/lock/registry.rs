//! The lock protocols that there are. To add one: add its file and a line here. If it sends scripts,
//! `effects` must know them.

use super::{Hardened, Legacy, LockProtocol};
use std::sync::{Arc, LazyLock};

static PROTOCOLS: LazyLock<[Arc<dyn LockProtocol>; 2]> =
    LazyLock::new(|| [Arc::new(Legacy), Arc::new(Hardened::default())]);

/// All lock protocols, in the order in which they are listed.
pub fn protocols() -> &'static [Arc<dyn LockProtocol>] {
    &*PROTOCOLS
}

/// The lock protocol that is used if none is named.
pub fn default_protocol() -> &'static Arc<dyn LockProtocol> {
    let [first, ..] = &*PROTOCOLS;
    first
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
    }
}
