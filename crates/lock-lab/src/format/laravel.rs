//! Laravel: an owner of 16 random letters and digits, plain, serialised by PHP, or by igbinary.

use super::name::says_lock;
use super::{Holder, Key, Lock, LockFormat, Recognised};

/// The length of an owner.
const OWNER: usize = 16;
/// What igbinary writes before a string of 16 bytes.
const IGBINARY: &[u8] = b"\0\0\0\x02\x11\x10";
/// Parts of the names that Laravel gives to its locks.
const LOCKS: [&str; 2] = ["unique_job", "framework/schedule"];

/// See the head of this file.
pub(super) struct Laravel;

impl LockFormat for Laravel {
    fn name(&self) -> &'static str {
        "Laravel"
    }

    fn recognise(&self, key: &Key<'_>) -> Option<Recognised> {
        let value = key.string()?;
        let (owner, how) = owner(value)?;
        let name = String::from_utf8_lossy(key.name).to_ascii_lowercase();
        let is_lock = LOCKS.iter().any(|part| name.contains(part));
        match how {
            Some(_) if is_lock || says_lock(key.name).is_some() => {}
            Some(how) => {
                let why = format!(
                    "16 letters and digits, {how}, like a Laravel owner, in no lock's name"
                );
                return Some(Recognised::Maybe { why });
            }
            // What the cache itself writes is serialised; only its locks are not.
            None if is_lock || name.contains("laravel") && name.contains("cache") => {}
            None => return None,
        }
        Some(Lock::of(self.name(), Holder::with_token(owner)).into())
    }
}

/// The owner in a value, and how it is serialised.
fn owner(value: &[u8]) -> Option<(&[u8], Option<&'static str>)> {
    let php = value.strip_prefix(b"s:16:\"").and_then(|rest| rest.strip_suffix(b"\";"));
    let igbinary = value.strip_prefix(IGBINARY);
    let (owner, how) = match (php, igbinary) {
        (Some(owner), _) => (owner, Some("serialised by PHP")),
        (None, Some(owner)) => (owner, Some("serialised by igbinary")),
        (None, None) => (value, None),
    };
    let is_owner = owner.len() == OWNER && owner.iter().all(u8::is_ascii_alphanumeric);
    let is_hex = owner.iter().all(u8::is_ascii_hexdigit);
    (is_owner && !is_hex).then_some((owner, how))
}
