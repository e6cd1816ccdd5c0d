//! huey: a `1` beside the results of tasks, in their hash or under a key of its own; huey 3 pickles it.

use super::{Holder, Key, Lock, LockFormat, Recognised, Release, Sharing};

/// What is between the name of the application and that of the lock.
pub(super) const LOCK: &[u8] = b".lock.";
const REMARK: &str = "It names no holder, and has no TTL of its own.";

/// `<application>.lock.<name>`.
pub(super) struct Huey;

impl LockFormat for Huey {
    fn name(&self) -> &'static str {
        "huey"
    }

    fn recognise(&self, key: &Key<'_>) -> Option<Recognised> {
        key.name.strip_prefix(b"huey.")?;
        if let Some((_, fields)) = key.hash() {
            let locks = fields.iter().filter(|(name, _)| is_lock(name));
            let locks = locks.filter(|(_, value)| value.as_deref().is_some_and(is_value));
            let holders: Vec<Holder> = locks
                .map(|(name, _)| Holder {
                    job: Some(String::from_utf8_lossy(name).into_owned()),
                    ..Holder::default()
                })
                .collect();
            let held = holders.len() as u64;
            let lock = Lock::shared(self.name(), holders, held, Sharing::Exclusive);
            return (held > 0).then(|| lock.remark(REMARK).into());
        }
        let is_one = key.string().is_some_and(is_value) && is_lock(key.name);
        is_one.then(|| Lock::of(self.name(), Holder::default()).remark(REMARK).into())
    }

    fn release(&self, key: &Key<'_>, _: &[Holder]) -> Release {
        // The other fields are results of tasks.
        Release { keeps_the_key: key.hash().is_some(), ..Release::default() }
    }
}

pub(super) fn is_lock(name: &[u8]) -> bool {
    holds(name, LOCK)
}

/// Whether it is the text `1`, as it is or pickled.
fn is_value(value: &[u8]) -> bool {
    let is_pickled = || {
        let [0x80, _, .., b'.'] = value else { return false };
        value.len() <= LONGEST_PICKLE && TEXTS.iter().any(|text| holds(value, text))
    };
    value == b"1" || is_pickled()
}

/// The text `1` in a pickle: of protocol 4 or later, and before.
const TEXTS: [&[u8]; 2] = [b"\x8c\x011", b"X\x01\0\0\x001"];
/// The most bytes of a pickle of that text.
const LONGEST_PICKLE: usize = 24;

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
