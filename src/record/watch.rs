//! Which keys are watched.

use lock_lab::lock::{FLAG_PREFIX, LockName, key_pattern};
use redis_sim::glob_matches;

/// What the keys of all NoDb locks match.
const ALL: &str = "nodb-lock:*";
const PREFIX: &[u8] = b"nodb-lock:";

/// Which keys are watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    patterns: Vec<String>,
}

impl Watch {
    /// The NoDb locks of a run, or of all runs, and the keys that match these glob patterns.
    pub fn new(runid: Option<&str>, patterns: &[String]) -> Self {
        let locks = runid.map_or_else(|| ALL.to_owned(), key_pattern);
        Self { patterns: std::iter::once(locks).chain(patterns.iter().cloned()).collect() }
    }

    /// The glob patterns.
    pub fn patterns(&self) -> &[String] {
        &self.patterns
    }

    /// Whether a key is watched.
    pub(super) fn has(&self, key: &[u8]) -> bool {
        self.patterns.iter().any(|pattern| glob_matches(pattern.as_bytes(), key))
    }

    /// The key of the lock that a flag mirrors.
    pub(super) fn key_of_flag(hash: &[u8], field: &[u8]) -> Option<Vec<u8>> {
        let file = field.strip_prefix(FLAG_PREFIX.as_bytes())?;
        Some([PREFIX, hash, b":", file].concat())
    }

    /// The name of a NoDb lock, from its key.
    pub(super) fn name_of(key: &[u8]) -> Option<LockName> {
        let rest = std::str::from_utf8(key.strip_prefix(PREFIX)?).ok()?;
        let (runid, file) = rest.split_once(':')?;
        Some(LockName::new(runid, file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_stands_for_itself_and_a_pattern_is_a_glob() {
        let watch = Watch::new(Some("a*"), &["lock:?".into()]);
        assert!(watch.has(b"nodb-lock:a*:x") && !watch.has(b"nodb-lock:ab:x"));
        assert!(watch.has(b"lock:1") && !watch.has(b"lock:12"));
        assert!(Watch::new(None, &[]).has(b"nodb-lock:anything:x"));
    }

    #[test]
    fn flag_and_key_lead_to_each_other() {
        let key = Watch::key_of_flag(b"run", b"locked:a/x.nodb").unwrap();
        assert_eq!(key, b"nodb-lock:run:a/x.nodb");
        let name = Watch::name_of(&key).unwrap();
        assert_eq!((name.runid(), name.flag()), ("run", "locked:a/x.nodb"));
        assert_eq!(Watch::key_of_flag(b"run", b"attrs:x"), None);
        assert_eq!(Watch::name_of(b"nodb-lock:\xff:x"), None);
    }
}
