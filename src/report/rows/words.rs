//! A row in words.

use super::draft::{Action, Draft};
use super::states::Standing;
use super::{LocalToken, Source};
use crate::report::wording::count;
use lock_history::check::{Expiry, Key};
use lock_history::history::{Change, FailureKind, Verb};

/// What happened.
pub(super) fn did(source: &Source<'_>, draft: &Draft<'_>) -> String {
    let mut words: Vec<String> = Vec::new();
    for action in &draft.actions {
        let word = match action {
            Action::Expired(token) => expired(source, token.unwrap_or_default()),
            Action::Fault(what) => fault(source, draft, what),
            Action::End => "fails".into(),
            Action::Change(change) => changed(source, draft, change),
            Action::Step(verb) => step(source, draft, verb),
        };
        if words.last() != Some(&word) {
            words.push(word);
        }
    }
    words.join(", ")
}

/// A fault, without the lock's key.
fn fault(source: &Source<'_>, draft: &Draft<'_>, what: &str) -> String {
    match source.history.head.locks.get(draft.lock) {
        Some(key) => what.replace(&format!("{key:?}"), "the lock"),
        None => what.to_owned(),
    }
}

/// Where other clients may write, it is not seen whether a lease expires.
fn expired(source: &Source<'_>, token: &str) -> String {
    let expires = if source.is_exclusive { "expires" } else { "should be over" };
    match source.owner(token) {
        Some(owner) => format!("{owner}'s lease {expires}"),
        None => format!("lease {expires}"),
    }
}

/// What a command changed in a step that goes on.
fn changed(source: &Source<'_>, draft: &Draft<'_>, change: &Change) -> String {
    match change {
        Change::Took { .. } => "takes the key".into(),
        Change::Overwrote { .. } => overwrites(source, draft),
        Change::Extended { .. } => "sets the TTL".into(),
        Change::Deleted { .. } => deletes(source, draft),
        Change::Flagged { locked } => format!("sets the flag to {locked}"),
        Change::Refused => "is refused".into(),
        Change::Saw { .. } => "reads the key".into(),
    }
}

/// Whose lock the row's actor found, if it is another's.
fn victim(source: &Source<'_>, draft: &Draft<'_>) -> Option<String> {
    let Key::Held(Some(token), _) = draft.before.key else { return None };
    let owner = source.owners.get(token).filter(|owner| Some(**owner) != draft.actor)?;
    Some(source.actor(*owner))
}

fn deletes(source: &Source<'_>, draft: &Draft<'_>) -> String {
    match victim(source, draft) {
        Some(victim) => format!("deletes {victim}'s lock"),
        None => "deletes the key".into(),
    }
}

fn overwrites(source: &Source<'_>, draft: &Draft<'_>) -> String {
    match victim(source, draft) {
        Some(victim) => format!("overwrites {victim}'s lock"),
        None => "overwrites the key".into(),
    }
}

/// What a step did that is complete, or failed.
fn step(source: &Source<'_>, draft: &Draft<'_>, verb: &Verb) -> String {
    if draft.is_crash() {
        return "crashes".into();
    }
    if let Some(failure) = draft.failure {
        return match (verb, failure.kind) {
            (_, FailureKind::AlreadyLocked) => "already locked".into(),
            (Verb::Dump, _) => "write refused".into(),
            (Verb::Release | Verb::ForceRelease, _) => "release refused".into(),
            (Verb::Extend, _) => "extension refused".into(),
            (Verb::Sees, _) => "sees another count".into(),
            (Verb::Cached, _) => "finds another cache".into(),
            (verb, _) => format!("{} fails", verb.word().replace('_', " ")),
        };
    }
    let is_gone = draft.state.key == Key::Free && draft.before.key != Key::Free;
    let word = match verb {
        Verb::Acquire if draft.is_rest => "completes its acquire",
        Verb::Acquire => "acquires",
        Verb::Extend => "extends its lease",
        Verb::Release if draft.is_rest => "completes its release",
        Verb::Release if is_gone && victim(source, draft).is_some() => {
            return deletes(source, draft);
        }
        Verb::Release => "releases",
        Verb::ForceRelease => "releases by force",
        Verb::Dump if draft.overwritten.is_some() => "overwrites the file",
        Verb::Dump => "writes the file",
        Verb::ForgetToken => "forgets its token",
        Verb::ReplaceToken => "replaces the token",
        Verb::PlantOrphan => "plants an orphan",
        Verb::ClearLocks => "clears the run's locks",
        Verb::ExternalDump => "writes without the lock",
        Verb::MakeReadonly => "makes the run read-only",
        Verb::GetInstance => "gets the controller",
        Verb::Sees => "sees the count",
        Verb::Cached => "checks the cache",
        Verb::Islocked => "asks whether the lock is held",
        Verb::LockStatuses => "asks for the status of all locks",
        Verb::Crash => "crashes",
        Verb::Redis if is_gone => return deletes(source, draft),
        Verb::Redis if draft.state.key != draft.before.key => {
            return overwrites_or_sets(source, draft);
        }
        Verb::Redis if draft.state.flag != draft.before.flag => "sets the flag",
        Verb::Redis => "sends a command",
        Verb::Locked
        | Verb::Work
        | Verb::Sleep
        | Verb::Pause
        | Verb::Await
        | Verb::Repeat
        | Verb::Amnesia
        | Verb::ClockJump
        | Verb::Evict
        | Verb::Snapshot
        | Verb::Load
        | Verb::Validate
        | Verb::CheckLock
        | Verb::Unseen
        | Verb::Other(_) => verb.word(),
    };
    word.to_owned()
}

/// What a raw command did to the key.
fn overwrites_or_sets(source: &Source<'_>, draft: &Draft<'_>) -> String {
    match (draft.before.key, draft.state.key) {
        (Key::Held(before, _), Key::Held(after, end)) if before == after => match end {
            Expiry::Never => "removes the TTL".into(),
            Expiry::At(_) | Expiry::Unknown => "sets the TTL".into(),
        },
        (Key::Held(..), _) => overwrites(source, draft),
        _ => "takes the key".into(),
    }
}

/// Whether key, flag, token and beliefs agree, and in words how, or why not.
pub(super) fn explain(
    source: &Source<'_>,
    draft: &Draft<'_>,
    state: &Standing<'_>,
) -> (Option<bool>, String) {
    let mut said = Vec::new();
    if let Some(failure) = draft.failure.filter(|_| !draft.is_crash()) {
        said.push(match failure.kind {
            FailureKind::AlreadyLocked => holder(source, state),
            _ => format!("\"{}\"", failure.message),
        });
    }
    if let Some(revision) = draft.overwritten {
        said.push(format!("revision {revision} is lost, it was never read"));
    }
    let wrong = wrong(source, draft, state);
    let is_known = state.key != Key::Unknown && state.flag.is_some();
    let consistent = match wrong.is_empty() {
        false => Some(false),
        true if is_known => Some(true),
        true => None,
    };
    said.extend(wrong);
    if said.is_empty() {
        said.push(agreed(consistent));
    }
    (consistent, said.join("; "))
}

/// Who holds the lock that was found taken.
fn holder(source: &Source<'_>, state: &Standing<'_>) -> String {
    match state.key {
        Key::Held(Some(token), _) => match source.owner(token) {
            Some(owner) => format!("owner {owner}"),
            None => "owner is another client".into(),
        },
        _ => "owner unknown".into(),
    }
}

/// What agrees.
fn agreed(consistent: Option<bool>) -> String {
    if consistent.is_some() { "consistent" } else { "not all of it was seen" }.into()
}

/// Whether an actor of the run put the lock there, and none believes so or comes to believe so.
fn is_orphaned(source: &Source<'_>, draft: &Draft<'_>, key: Key<'_>) -> bool {
    let Key::Held(Some(token), _) = key else { return false };
    let comes = source.beliefs.iter().any(|belief| {
        let its = belief.tenure.and_then(|tenure| source.tokens.get(tenure));
        its.is_some_and(|its| its == token) && belief.from.order > draft.last
    });
    source.owners.contains_key(token) && !source.raw.contains(token) && !comes
}

/// What doesn't agree.
fn wrong(source: &Source<'_>, draft: &Draft<'_>, state: &Standing<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mistaken: Vec<_> = state.believers.iter().filter(|(_, is_theirs)| !is_theirs).collect();
    match mistaken.as_slice() {
        [] => {}
        [(actor, _)] => {
            wrong.push(format!("{} still believes it holds the lock", source.actor(*actor)));
        }
        many => {
            let actors = count(many.len(), "actor", "actors");
            wrong.push(format!("{actors} still believe they hold the lock"));
        }
    }
    let is_held = match state.key {
        Key::Held(..) => Some(true),
        Key::Free => Some(false),
        Key::Unknown => None,
    };
    if let (Some(held), Some(flag)) = (is_held, state.flag)
        && held != flag
    {
        wrong.push(
            if flag { "the flag is set without a lock" } else { "the flag is not set" }.to_owned(),
        );
    }
    if state.local_token == Some(LocalToken::Stale) && mistaken.is_empty() {
        let actor = draft.actor.map(|actor| source.actor(actor)).unwrap_or_default();
        wrong.push(format!("{actor} keeps the token of a lost lock"));
    }
    if wrong.is_empty() && state.believers.is_empty() && is_orphaned(source, draft, state.key) {
        wrong.push("no actor knows it holds the lock".to_owned());
    }
    wrong
}
