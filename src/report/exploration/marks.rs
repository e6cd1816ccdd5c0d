//! Which row completes a violation, and which rows before it matter.

use super::lanes::{Draft, REPLY_LOST};
use super::words::Words;
use lock_history::check::{Finding, Property};
use lock_history::history::{Change, Event, EventKind, FailureKind, Verb};

/// The row that completes the violation.
pub(super) fn decisive(events: &[Event], drafts: &[Draft<'_>], finding: &Finding) -> Option<usize> {
    let at = events.partition_point(|event| event.moment.order < finding.order);
    let is_by = |draft: &Draft<'_>, nth: usize| {
        draft.event.actor.is_some() && draft.event.actor == finding.actors.get(nth).copied()
    };
    let took = |change: &Change| matches!(change, Change::Took { .. } | Change::Overwrote { .. });
    let is_unseen = !drafts
        .iter()
        .any(|it| it.position <= at && is_by(it, 1) && did(it.event, finding.lock, took));
    let found = match finding.property {
        // A belief begins when the acquire is done, so the actor that believed later may have taken first.
        Property::Overlap | Property::DoubleGrant => drafts.iter().rposition(|it| {
            let by_either = is_by(it, 0) || is_by(it, 1);
            // What an acquire did need not show in the key.
            let shows =
                did(it.event, finding.lock, took) || is_unseen && is_by(it, 1) && it.is_command();
            it.position <= at && by_either && shows
        }),
        // A release completes with its last command.
        Property::SilentLoss => {
            let at = untold_end(events, finding)?;
            drafts.iter().rposition(|it| it.position <= at && is_by(it, 0))
        }
        Property::ForeignRelease
        | Property::ForeignOverwrite
        | Property::ForeignExtend
        | Property::LostUpdate
        | Property::FencingOrder
        | Property::StuckLock
        | Property::Unavailable
        | Property::TokenDrift
        | Property::Registered(_) => drafts.iter().position(|it| it.position == at),
        // Under a holder, what set the flag to free.
        Property::FlagDrift => drafts.iter().position(|it| it.position == at).or_else(|| {
            let flags = |change: &Change| matches!(change, Change::Flagged { .. });
            drafts.iter().rposition(|it| it.position <= at && did(it.event, finding.lock, flags))
        }),
        Property::Starvation | Property::Deadlock | Property::LeaseTooShort => None,
    };
    let names = |draft: &Draft<'_>| {
        draft.event.moment.at <= finding.at
            && draft.event.actor.is_some_and(|actor| finding.actors.contains(&actor))
    };
    found.or_else(|| drafts.iter().rposition(names))
}

fn did(event: &Event, lock: usize, is_such: impl Fn(&Change) -> bool) -> bool {
    event.kind.effects().iter().any(|effect| effect.lock == lock && is_such(&effect.change))
}

/// The holder of a lock after an event, if that changed it.
fn holder(event: &Event, lock: usize) -> Option<Option<usize>> {
    if matches!(event.kind, EventKind::Fault { lease_of: Some(ended), .. } if ended == lock) {
        return Some(None);
    }
    let of_lock = event.kind.effects().iter().filter(|effect| effect.lock == lock);
    let change = of_lock.filter_map(|effect| match &effect.change {
        // A value that is no token shows no holder.
        Change::Overwrote { token, .. } if token.is_empty() => None,
        Change::Took { .. } | Change::Overwrote { .. } => Some(event.actor),
        Change::Deleted { .. } => Some(None),
        _ => None,
    });
    change.fold(None, |_, now| Some(now))
}

/// Where an actor that had lost the lock is done with it, and was not notified.
fn untold_end(events: &[Event], finding: &Finding) -> Option<usize> {
    let loser = finding.actors.first().copied();
    let (mut held_by, mut has_lost) = (None, false);
    for (position, event) in events.iter().enumerate() {
        let is_done = match &event.kind {
            EventKind::Ended { failure } => failure.is_none(),
            EventKind::Completed(operation) => {
                let verb = &operation.verb;
                operation.lock == Some(finding.lock) && (*verb == Verb::Acquire || verb.releases())
            }
            _ => false,
        };
        if is_done && has_lost && event.actor == loser && event.moment.at == finding.at {
            return Some(position);
        }
        if let Some(now) = holder(event, finding.lock) {
            has_lost |= held_by == loser && (event.actor != loser || now == loser);
            held_by = now;
        }
    }
    // A lease that ended unseen leaves no event behind.
    let ended = |event: &Event| matches!(event.kind, EventKind::Ended { .. });
    events.iter().rposition(|event| event.actor == loser && ended(event))
}

/// What went wrong with the row that completes the violation, in a few words.
pub(super) fn mark(words: &Words<'_>, draft: &Draft<'_>, finding: &Finding) -> String {
    let other = finding.actors.get(1).map(|other| words.actor(Some(*other)));
    let deletes = did(draft.event, finding.lock, |it| matches!(it, Change::Deleted { .. }));
    let whose =
        |unknown: &str| other.map_or_else(|| unknown.to_owned(), |name| format!("{name}'s "));
    match (finding.property, &draft.event.kind) {
        (Property::ForeignRelease, _) => match other {
            Some(name) if deletes => format!("deletes {name}'s lock"),
            Some(name) => format!("takes {name}'s lock away"),
            None if deletes => "deletes a lock that is not its own".into(),
            None => "takes a lock away that is not its own".into(),
        },
        (Property::ForeignOverwrite, _) => match other {
            Some(name) => format!("overwrites {name}'s lock"),
            None => "overwrites a lock that is not its own".into(),
        },
        (Property::ForeignExtend, _) => match other {
            Some(name) => format!("changes the lease of {name}'s lock"),
            None => "changes the lease of a lock that is not its own".into(),
        },
        (Property::LostUpdate, EventKind::Completed(operation)) => {
            let lost = operation.write.map_or(0, |write| write.replaced);
            format!("overwrites {}revision {lost}, never read", whose(""))
        }
        (Property::LostUpdate, _) => "overwrites what it never read".into(),
        (Property::SilentLoss, _) => "never notified that its lock was gone".into(),
        (Property::DoubleGrant, _) => "both hold the lock".into(),
        (Property::Overlap, _) => "both believe that they hold the lock".into(),
        (Property::FlagDrift, _) => "flag and lock disagree".into(),
        (Property::Unavailable, _) => "the lock is free, and can't be acquired".into(),
        (Property::StuckLock, _) => "the lock is left behind".into(),
        (Property::TokenDrift, _) => "a token is remembered that is not the lock's".into(),
        (Property::FencingOrder, _) => "its fencing token is not higher".into(),
        (Property::Starvation, _) => "never gets the lock".into(),
        (Property::Deadlock, _) => "closes the circle".into(),
        (Property::LeaseTooShort, _) => "held it for longer than its lease".into(),
        (Property::Registered(_), _) => format!("violates {}", finding.property.word()),
    }
}

/// Whether a row before the decisive one matters ([`Lanes::of`](super::Lanes::of)).
pub(super) fn matters(words: &Words<'_>, draft: &Draft<'_>, finding: &Finding) -> bool {
    let event = draft.event;
    let is_named = event.actor.is_none_or(|actor| finding.actors.contains(&actor));
    let is_wrongdoer = event.actor.is_some() && event.actor == finding.actors.first().copied();
    let is_about_flags = finding.property == Property::FlagDrift;
    let is_about_files = matches!(finding.property, Property::LostUpdate | Property::FencingOrder);
    match &event.kind {
        EventKind::Command(_) => {
            let matters = |change: &Change| match change {
                Change::Refused => is_named,
                Change::Saw { .. } => is_wrongdoer,
                Change::Flagged { .. } => is_about_flags,
                _ => true,
            };
            // What changes nothing, and yet is news to its actor, is seen by its answer.
            let is_news =
                ["not ours", "-> lost", REPLY_LOST].iter().any(|end| draft.text.ends_with(end));
            let is_of_a_grant = is_named && finding.property == Property::DoubleGrant;
            did(event, finding.lock, matters) || is_named && is_news || is_of_a_grant
        }
        EventKind::Fault { what, lease_of, .. } => {
            lease_of.or_else(|| words.lock_in(what)).is_none_or(|lock| lock == finding.lock)
        }
        EventKind::Completed(operation) => {
            is_named && is_about_files && operation.lock == Some(finding.lock)
        }
        EventKind::Failed { failure, .. } => is_named && failure.kind == FailureKind::LostLock,
        EventKind::Ended { failure: Some(failure) } => {
            is_named && failure.kind == FailureKind::Crashed
        }
        _ => false,
    }
}
