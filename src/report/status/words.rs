//! What the state of a lock means, and what to do about it, in words.

use super::{Scene, Typed};
use crate::report::wording::{cut, seconds, ttl_from_afar};
use lock_lab::lock::{Doubt, Found, Life, Sighting, State};
use serde::Serialize;

/// What to do about a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Type this.
    Command(String),
    /// Nothing but this.
    Wait(String),
    /// Type this to see what it is: no command that is typed could name it.
    Inspect(String),
}

/// How much of a command line is short enough for a sentence, in characters.
const BRIEF: usize = 60;
/// No lock lasts longer than this number of seconds, and no clock is off by more.
const YEAR: i64 = 366 * 24 * 3600;

/// What the state of a lock means, in a sentence or two. It was acquired `held_for` seconds ago by the
/// server's clock, and by its payload it ends in `ends_in` seconds, if that is not what the TTL says.
pub(super) fn diagnosis(lock: &Sighting, held_for: Option<i64>, ends_in: Option<i64>) -> String {
    let holder = capital(&holder(lock));
    let mut text = match lock.state() {
        State::Free if is_moving(lock) => {
            "It changes hands as one looks: somebody works with it.".into()
        }
        State::Free => "Nobody holds it, and its flag does not say otherwise.".into(),
        State::ExpiredFlag => {
            "Nobody holds it, but its flag still tells users so: the lease ended, or the holder \
             died between two commands."
                .into()
        }
        State::Hidden => format!("Not all of it can be seen: the server says {}.", hidden(lock)),
        State::Held if is_moving(lock) => {
            "It is held, and changes hands as one looks: somebody works with it.".into()
        }
        State::Held => holder + ".",
        State::FlagDrift => holder + ", but its flag, which users see, says that it is free.",
        State::NoFlag => {
            holder + ", but its flag, which users see, is missing. No command creates a flag."
        }
        State::Orphaned => {
            format!("Its owner is gone, so no work runs under it; it stays {}.", stays(lock))
        }
        State::NoTtl => holder + ". It has no TTL: once its owner is gone, it stays for good.",
        State::LongTtl => format!(
            "{holder}. Once its owner is gone, it stays {}; was a time given where a TTL is due?",
            stays(lock)
        ),
        State::ForeignPayload => foreign(lock),
    };
    if lock.found.is_some() && lock.drifts() && lock.state() != State::FlagDrift {
        text.push_str(" Its flag, which users see, says that it is free.");
    }
    if lock.doubt == Some(Doubt::Unsettled) {
        text.push_str(
            " There was no time to make sure that nobody is at work with it: look again.",
        );
    }
    if lock.may_be_anothers() {
        text.push_str(
            " Whose it is can't be told for sure: a run id may end at each colon of its key, and no \
             flag says which does.",
        );
    }
    if held_for.into_iter().map(i64::saturating_neg).chain(ends_in).any(|ahead| ahead > YEAR) {
        text.push_str(" The payload's times make no sense.");
        return text;
    }
    if let Some(ahead) = held_for.filter(|held| *held < -super::SLACK) {
        text.push_str(&format!(" Its owner's clock is {} s ahead of the server's.", -ahead));
    }
    match ends_in.map(|ends_in| (ends_in, seconds(ends_in.unsigned_abs()))) {
        Some((..0, ago)) => text.push_str(&format!(" By its payload it ended {ago} ago.")),
        Some((_, left)) => text.push_str(&format!(" By its payload it ends in {left}.")),
        None => {}
    }
    text
}

fn foreign(lock: &Sighting) -> String {
    let what = match &lock.found {
        Some(Found::OtherType { name }) => format!("The key holds a {name}, which is no lock"),
        Some(Found::TooLong { bytes }) => {
            format!("The key holds {bytes} bytes, which is too long for a lock's payload")
        }
        _ => "Its value is no NoDb payload, so whose it is can't be told".into(),
    };
    format!("{what}; it stays {}.", stays(lock))
}

/// Until when a lock stays that is not released.
fn stays(lock: &Sighting) -> String {
    match lock.ttl_ms {
        -1 => "for good: it has no TTL".into(),
        ttl_ms => format!("until its TTL ends in {}", ttl_from_afar(ttl_ms)),
    }
}

/// Its holder.
fn holder(lock: &Sighting) -> String {
    let Some(Found::Payload { life, .. }) = &lock.found else { return "it is held".into() };
    match life {
        Life::Alive { command } if command.is_empty() => "it is held, and its owner lives".into(),
        Life::Alive { command } => {
            format!("it is held, and its owner lives ({})", cut(command, BRIEF))
        }
        Life::Younger { command } => format!(
            "it is held, but the process of that number ({}) began later, so the owner is likely \
             gone",
            cut(command, BRIEF)
        ),
        Life::Dead => "its owner is gone".into(),
        Life::Elsewhere => {
            "it is held by a process of another host, and only there can one see whether that lives"
                .into()
        }
        Life::Unnamed => "it is held by somebody unnamed".into(),
    }
}

fn is_moving(lock: &Sighting) -> bool {
    lock.doubt == Some(Doubt::Moving)
}

/// The server's words where it hides something.
fn hidden(lock: &Sighting) -> &str {
    match &lock.doubt {
        Some(Doubt::Hidden(words)) => words,
        _ => "nothing",
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

/// What to do about it.
pub(super) fn next(lock: &Sighting, scene: &Scene) -> Option<Next> {
    let (runid, typed) = (lock.lock.runid(), &scene.typed);
    let command = match lock.state() {
        State::Free | State::Hidden => return None,
        State::Held if is_moving(lock) => return None,
        State::Held | State::NoFlag if scene.is_by_age => {
            typed.unlock(runid, &lock.file, lock.payload(), &["--force"])
        }
        State::FlagDrift | State::ExpiredFlag => typed.repair_or_all(runid),
        State::ForeignPayload if lock.drifts() && !lock.never_ends() => typed.repair_or_all(runid),
        State::NoFlag if !lock.never_ends() && !is_younger(lock) => {
            let ends = wait(lock);
            return Some(Next::Wait(format!("its holder sets the flag on release; {ends}")));
        }
        State::ForeignPayload | State::Held if !lock.never_ends() && !is_younger(lock) => {
            return Some(Next::Wait(wait(lock)));
        }
        // Nothing that it holds could be compared.
        State::ForeignPayload if lock.payload().is_none() => {
            typed.unlink(lock.lock.key().as_bytes())
        }
        State::Orphaned => typed.unlock(runid, &lock.file, lock.payload(), &[]),
        State::NoTtl | State::LongTtl | State::ForeignPayload | State::Held | State::NoFlag => {
            typed.unlock(runid, &lock.file, lock.payload(), &["--force"])
        }
    };
    Some(match (command, typed.get(lock.lock.key())) {
        (Some(command), _) => Next::Command(command),
        (None, Some(command)) => Next::Inspect(command),
        (None, None) => Next::Wait("no shell can type its names".into()),
    })
}

/// Whether a command can name it.
pub(super) fn is_typeable(lock: &Sighting) -> bool {
    Typed::default().unlock(lock.lock.runid(), &lock.file, None, &[]).is_some()
}

fn is_younger(lock: &Sighting) -> bool {
    matches!(&lock.found, Some(Found::Payload { life: Life::Younger { .. }, .. }))
}

fn wait(lock: &Sighting) -> String {
    let ends = format!("it ends in {} unless it is renewed", ttl_from_afar(lock.ttl_ms));
    let owner = lock.payload().and_then(|payload| payload.owner());
    match (&lock.found, owner.and_then(|owner| owner.rsplit_once(':'))) {
        (Some(Found::Payload { life: Life::Elsewhere, .. }), Some((host, pid))) => {
            format!("{ends}; look for process {pid} on {host}")
        }
        _ => ends,
    }
}

/// What to think of before one does it.
pub(super) fn warning(lock: &Sighting, is_by_age: bool) -> Option<&'static str> {
    match lock.state() {
        State::Held | State::NoFlag if is_by_age && !is_moving(lock) => {
            Some("make sure that its owner does not work under it any more: it would lose its lock")
        }
        State::Orphaned | State::NoTtl | State::LongTtl if !is_typeable(lock) => {
            Some("look at it: no command can name it, so it can only be removed by hand")
        }
        State::NoTtl | State::LongTtl => {
            Some("make sure that its owner does not work: it would lose its lock")
        }
        State::ForeignPayload if lock.never_ends() => {
            Some("find out who wrote it: it may be no lock at all")
        }
        State::Held | State::NoFlag if is_younger(lock) => {
            Some("make sure that its owner is gone: it would lose its lock")
        }
        _ => None,
    }
}
