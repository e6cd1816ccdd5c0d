//! What commands do to the keys that their client watches (`WATCH`).

use redis_sim::requests;

/// What a command does to the watches of its client.
pub(super) enum AboutWatches<'a> {
    /// It adds these keys.
    Adds(&'a [&'a [u8]]),
    /// It ends them all.
    Ends,
}

/// Whether any of these commands does anything to the watches of its client.
pub(super) fn is_about_watches(commands: &[u8]) -> bool {
    requests(commands).iter().any(|words| about_watches(words).is_some())
}

/// What a command does to the watches of its client, if anything.
pub(super) fn about_watches<'a>(words: &'a [&'a [u8]]) -> Option<AboutWatches<'a>> {
    let (name, keys) = words.split_first()?;
    match name.to_ascii_uppercase().as_slice() {
        b"WATCH" => Some(AboutWatches::Adds(keys)),
        b"UNWATCH" | b"EXEC" | b"DISCARD" => Some(AboutWatches::Ends),
        _ => None,
    }
}
