//! Keys that are used as locks under names that don't say so: a library's own name for them, or a word for work
//! that goes on, with a short value and a TTL. They are only said to be locks perhaps.

use super::{Key, Recognised};

/// Words for work that one process does at a time.
const AT_WORK: [&str; 6] = ["processing", "running", "inprogress", "inflight", "claimed", "busy"];
/// The longest value that only says that work goes on, or which process does it.
const LONGEST_MARK: usize = 64;
/// Work that lasts longer is no reason for a lock.
const LONGEST_TTL_MS: i64 = 24 * 3600 * 1000;

/// Why a key may be a lock.
pub(super) fn recognise(key: &Key<'_>) -> Option<Recognised> {
    let (name, value) = (key.text()?, key.string_text()?);
    let why = nextcloud(name, value)
        .or_else(|| rq(name, value))
        .or_else(|| laravel(name, value))
        .or_else(|| at_work(name, value, key.ttl_ms))?;
    Some(Recognised::Maybe { why })
}

/// A file that is locked, or how often for reading.
fn nextcloud(name: &str, value: &str) -> Option<String> {
    let (_, file) = name.rsplit_once("lockfiles/").filter(|(_, file)| is_hex(file, 32))?;
    let how = match (value, value.parse::<u32>()) {
        ("exclusive", _) => "for writing".into(),
        (_, Ok(readers @ 1..)) => format!("for reading, {readers} times"),
        _ => return None,
    };
    Some(format!("file {file} is locked {how}, as by Nextcloud: that names no holder"))
}

/// The maintenance of a queue.
fn rq(name: &str, value: &str) -> Option<String> {
    let queue = name.strip_prefix("rq:clean_registries:").filter(|_| value == "1")?;
    Some(format!("a worker of RQ cleans the registries of queue {queue}: that names no holder"))
}

/// A scheduled command that must not overlap itself, as older versions mark it.
fn laravel(name: &str, value: &str) -> Option<String> {
    let (_, command) = name.rsplit_once("framework/schedule-")?;
    let is_mark = is_hex(command, 40) && ["b:1;", "i:1;", "1"].contains(&value);
    is_mark.then(|| {
        "a scheduled command of Laravel that must not overlap itself: that names no holder".into()
    })
}

fn at_work(name: &str, value: &str, ttl_ms: i64) -> Option<String> {
    let mut words = name.split(|letter: char| ":/.|".contains(letter));
    let is_word = |word: &&str| {
        let word: String = word.chars().filter(|it| !"-_".contains(*it)).collect();
        AT_WORK.iter().any(|known| word.eq_ignore_ascii_case(known))
    };
    let word = words.find(is_word)?;
    let is_mark = !value.is_empty()
        && value.len() <= LONGEST_MARK
        && value.chars().all(|it| it.is_ascii_alphanumeric() || ":-_@./".contains(it));
    let is_short = (0..=LONGEST_TTL_MS).contains(&ttl_ms);
    (is_mark && is_short).then(|| {
        format!("its name says {word}, it expires, and its value is short: it may keep others from the same work")
    })
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::super::{Content, recognise};
    use super::*;
    use std::time::Duration;

    fn why(name: &str, value: &str, ttl_ms: i64) -> Option<String> {
        let content = Content::String { length: value.len() as u64, start: value.into() };
        let now = Duration::from_secs(1_796_000_000);
        match recognise(&Key { name: name.as_bytes(), content: &content, ttl_ms, now }) {
            Some(Recognised::Maybe { why }) => Some(why),
            _ => None,
        }
    }

    #[test]
    fn what_libraries_use_as_locks_may_be_locks() {
        let file = "oc1a2b/lockfiles/9dd4e461268c8034f5c8564e155c67a6";
        let command = "laravel_cache_:framework/schedule-0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33";
        for (name, value, part) in [
            (file, "exclusive", "locked for writing"),
            (file, "3", "locked for reading, 3 times"),
            ("rq:clean_registries:default", "1", "a worker of RQ"),
            (command, "b:1;", "a scheduled command of Laravel"),
            (command, "1", "a scheduled command of Laravel"),
            ("processing:order:17", "1", "its name says processing"),
            ("order:17:in_progress", "web-1:4711", "its name says in_progress"),
        ] {
            let why = why(name, value, 60_000);
            assert!(why.as_ref().is_some_and(|why| why.contains(part)), "{name} {value}: {why:?}");
        }
    }

    #[test]
    fn what_only_looks_like_them_is_not_shown() {
        for (name, value, ttl_ms) in [
            ("oc1a2b/lockfiles/9dd4e461", "exclusive", 60_000),
            ("oc1a2b/lockfiles/9dd4e461268c8034f5c8564e155c67a6", "0", 60_000),
            ("rq:clean_registries:default", "[1]", 60_000),
            ("rq:job:17", "1", 60_000),
            ("framework/schedule-17", "b:1;", 60_000),
            ("processing:order:17", "1", -1),
            ("processing:order:17", "{\"order\":17}", 60_000),
            ("processing:order:17", "1", 30 * 24 * 3600 * 1000),
            ("postprocessing:17", "1", 60_000),
            ("rate:10.0.0.1", "1", 60_000),
        ] {
            assert_eq!(why(name, value, ttl_ms), None, "{name} {value}");
        }
    }
}
