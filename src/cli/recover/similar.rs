//! Locks with a name like one that is none.

use super::RecoverySession;
use super::key::{KeyKind, KeyLook};
use crate::report::status::key_name;
use lock_lab::lock::{LockError, Result};

/// How many keys are compared at most.
const MOST: usize = 200_000;
/// How many keys the server goes through for one reply.
const COUNT: usize = 1000;
/// How many of the most similar are looked at, and how many are named.
const TRIED: usize = 12;
const NAMED: usize = 5;
/// How similar two names must be, from 0 to 1, and how long one may be to be compared, in characters.
const ALIKE: f64 = 0.6;
const LONGEST: usize = 200;

/// Locks with a name like this one, and keys that may be locks; the most similar first.
pub(super) fn similar(session: &mut RecoverySession<'_>, word: &str) -> Result<Vec<String>> {
    let wanted = word.to_lowercase();
    let mut best: Vec<(f64, Vec<u8>)> = Vec::new();
    let mut cursor = String::from("0");
    let mut seen = 0;
    while seen < MOST && session.check().is_ok() {
        let mut scan = redis::cmd("SCAN");
        scan.arg(&cursor).arg("COUNT").arg(COUNT);
        let page = scan.query(&mut session.link).map_err(|source| LockError::Redis {
            command: "SCAN",
            key: word.to_owned(),
            source,
        });
        let (next, keys): (String, Vec<Vec<u8>>) = page?;
        seen += keys.len();
        best.extend(keys.into_iter().filter_map(|key| Some((likeness(&key, &wanted)?, key))));
        best.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.cmp(other)));
        best.dedup();
        best.truncate(TRIED);
        if next == "0" {
            break;
        }
        cursor = next;
    }
    let mut names = Vec::new();
    for (_, key) in best {
        if let KeyLook::Seen(seen) = session.look(&key)?
            && matches!(seen.what, KeyKind::Lock(_) | KeyKind::Maybe(_))
        {
            names.push(key_name(&key));
        }
        if names.len() == NAMED {
            break;
        }
    }
    Ok(names)
}

/// How similar a key is to this name, which is in small letters; nothing if it isn't.
fn likeness(key: &[u8], wanted: &str) -> Option<f64> {
    let key = String::from_utf8_lossy(key).to_lowercase();
    if key.len() > LONGEST || wanted.len() > LONGEST {
        return None;
    }
    let likeness = strsim::normalized_levenshtein(&key, wanted);
    // What has the other in it was left unfinished, or has a prefix too many.
    let contains = wanted.len() > 2 && key.contains(wanted);
    let likeness = if contains || key.len() > 2 && wanted.contains(&*key) { 1.0 } else { likeness };
    (likeness >= ALIKE).then_some(likeness)
}
