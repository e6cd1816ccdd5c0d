//! The locks of other libraries in one database: those of dead owners go, and what was asked for.

use super::super::exit::Refusal;
use super::key::{KeyKind, KeyLook};
use super::rule::Rule;
use super::{RecoverySession, Stop};
use crate::report::recovery::{KeyRow, Outcome, Recovery};
use crate::report::status::key_name;
use lock_lab::format::{Family, OtherLock, Scope, survey_keys};

/// Removes those of the database's locks that may go. What only looks like a lock is named, and stays.
pub(super) fn clear_keys(
    session: &mut RecoverySession<'_>,
    rule: &Rule,
    patterns: &[String],
    recovery: &mut Recovery,
) -> Result<Result<(), Stop>, Refusal> {
    let scope = Scope {
        patterns: patterns.to_vec(),
        max_keys: u64::MAX,
        // They were cleared with their flags.
        without_nodb: session.database == 0,
    };
    let now = session.server_time();
    let mut found = Vec::new();
    let take = &mut |lock| found.push(lock);
    let covered = survey_keys(&mut session.link, &*session.clock, now, &scope, take);
    let covered = covered.map_err(|error| session.refusal(&error))?;
    if let Some((key, words)) = &covered.example {
        let more = match covered.unread {
            0 | 1 => String::new(),
            all => format!(" (and {} more)", all - 1),
        };
        session.unread = Some(format!("the key {}{more} can't be read: {words}", key_name(key)));
        recovery.unknown.clone_from(&session.unread);
    }
    found.sort_by(|one, other| one.key.cmp(&other.key));
    let row = |lock: &OtherLock| KeyRow {
        ttl_ms: lock.ttl_ms,
        ..KeyRow::new(&lock.key, None).of_lock(lock, now.as_secs())
    };
    recovery.keys = found.iter().map(row).collect();
    let mut stop = Ok(());
    for (lock, row) in found.iter().zip(&mut recovery.keys) {
        stop = session.check().and_then(|()| clear_one(session, rule, lock, row));
        if stop.is_err() {
            break;
        }
    }
    let families = covered.families.iter();
    recovery.keys.extend(families.flat_map(|family| looking(session, family)));
    Ok(stop)
}

/// Removes one of them if it may go, and notes the outcome in its row.
fn clear_one(
    session: &mut RecoverySession<'_>,
    rule: &Rule,
    lock: &OtherLock,
    row: &mut KeyRow,
) -> Result<(), Stop> {
    if let Some(why) = rule.key_stays(&lock.lock, lock.ttl_ms, lock.is_moving) {
        leave(session, lock, why, row);
        return Ok(());
    }
    let seen = match session.look(&lock.key) {
        Ok(KeyLook::Seen(seen)) => seen,
        Ok(KeyLook::Gone) => {
            (row.outcome, row.why) = (Outcome::Gone, "no client held it any more".into());
            return Ok(());
        }
        Ok(KeyLook::Hidden(words)) => {
            (row.outcome, row.why) = (Outcome::Failed, words);
            return Ok(());
        }
        Ok(KeyLook::TooLong(_) | KeyLook::Changed) => {
            (row.outcome, row.why) = (Outcome::Changed, "it changed as it was read".into());
            return Ok(());
        }
        Err(error) => {
            (row.outcome, row.why) = (Outcome::Failed, session.failure(&error));
            return session.goes_on(&error, &row.why);
        }
    };
    let KeyKind::Lock(now) = &seen.what else {
        (row.outcome, row.why) = (Outcome::Changed, "it is no lock any more".into());
        return Ok(());
    };
    *row = seen.row();
    if let Some(why) = rule.key_stays(now, row.ttl_ms, seen.is_moving()) {
        leave(session, lock, why, row);
        return Ok(());
    }
    row.why = seen.why(&now.holders, now.held_by);
    session.take(&seen, &now.holders, row)
}

fn leave(session: &RecoverySession<'_>, lock: &OtherLock, why: String, row: &mut KeyRow) {
    let one = lock.lock.holders.first().filter(|_| lock.lock.held_by == 1);
    let token = one.and_then(|holder| holder.token.as_deref());
    row.take_away = session.typed.unlock_key(&lock.key, token, &["--force"]);
    (row.outcome, row.why) = (Outcome::Left, why);
}

/// The rows of keys that only look like locks: the first of each kind.
fn looking(session: &RecoverySession<'_>, family: &Family) -> Vec<KeyRow> {
    let more = family.keys.saturating_sub(family.examples.len() as u64);
    let more =
        if more > 0 { format!(" ({more} more keys as {})", family.shape) } else { String::new() };
    let row = |looking: &lock_lab::format::Looking| KeyRow {
        ttl_ms: looking.ttl_ms,
        outcome: Outcome::Left,
        why: format!("it only looks like a lock: {}{more}", family.why),
        take_away: session.typed.unlock_key(&looking.key, None, &["--force"]),
        ..KeyRow::new(&looking.key, None)
    };
    family.examples.iter().map(row).collect()
}
