//! `unlock KEY`: one lock of any library, and only the acquisition that was looked at.

use super::super::args::UnlockArgs;
use super::super::exit::{Exit, Refusal, environment, usage};
use super::key::{KeyKind, KeyLook, SeenKey, life};
use super::similar::similar;
use super::unlock::{is_the_one, unlock_file};
use super::{RecoverySession, Stop, names};
use crate::report::recovery::{FlagRow, KeyRow, Outcome, Recovery};
use crate::report::status::key_name;
use crate::report::table;
use anyhow::anyhow;
use lock_lab::format::Holder;
use lock_lab::lock::{Life, Payload, Sighting};

/// Releases the lock under a key whose owner is dead, or by force.
pub(super) fn unlock_key(args: &UnlockArgs) -> Result<Exit, Refusal> {
    if args.run.is_empty() {
        return Err(usage(anyhow!("the key is empty; give the key of a lock")));
    }
    let mut session = RecoverySession::open(&args.options)?;
    session.use_database_of_url()?;
    let Some((name, look)) = find(&mut session, &args.run)? else {
        return not_locked(session, args);
    };
    // Where NoDb has its locks, they have flags.
    if session.database == 0
        && let Some((runid, file)) = names::of_lock_key(&mut session.link, &name)
    {
        return unlock_file(session, args, &runid, &[file]);
    }
    let mut recovery = session.report("unlock", None);
    recovery.database = Some(session.database);
    (recovery.scope, recovery.force) = (Some(key_name(&name)), args.force);
    let (row, stop) = match look {
        KeyLook::Gone => return not_locked(session, args),
        look => release_look(&mut session, args, &name, look)?,
    };
    finish(&session, recovery, row, stop)
}

/// Releases a lock under a key of NoDb that is none of NoDb's, by its type, and sets its flag right.
pub(super) fn unlock_other_type(
    mut session: RecoverySession<'_>,
    args: &UnlockArgs,
    seen: &Sighting,
    recovery: Recovery,
) -> Result<Exit, Refusal> {
    let name = seen.lock.key().as_bytes();
    let look = session.look(name).map_err(|error| session.refusal(&error))?;
    let (mut row, mut stop) = release_look(&mut session, args, name, look)?;
    if row.outcome == Outcome::Left && row.take_away.is_some() {
        row.take_away = session.take_away(seen);
    }
    if row.outcome == Outcome::Removed && stop.is_ok() {
        // Another lock may be there by now: the flag says what the key says.
        let mut flag = FlagRow::new(seen);
        stop = session.set_right(seen, &mut flag);
        if !flag.why.is_empty() {
            row.why = format!("{}; but its flag could not be set: {}", row.why, flag.why);
        }
    }
    finish(&session, recovery, row, stop)
}

/// Reports what became of one key.
fn finish(
    session: &RecoverySession<'_>,
    mut recovery: Recovery,
    row: KeyRow,
    stop: Result<(), Stop>,
) -> Result<Exit, Refusal> {
    let outcome = row.outcome;
    recovery.keys.push(row);
    let exit = session.finish(recovery, stop, table::write_unlock)?;
    let stays = matches!(outcome, Outcome::Left | Outcome::Changed);
    Ok(if stays && exit == Exit::Success { Exit::Unexpected } else { exit })
}

/// Releases what was seen of a key, if it may go.
fn release_look(
    session: &mut RecoverySession<'_>,
    args: &UnlockArgs,
    name: &[u8],
    look: KeyLook,
) -> Result<(KeyRow, Result<(), Stop>), Refusal> {
    let left = |what: &str, why: &str| KeyRow {
        outcome: Outcome::Left,
        what: what.to_owned(),
        why: why.to_owned(),
        ..KeyRow::new(name, None)
    };
    let row = match look {
        KeyLook::Seen(seen) => {
            let mut row = seen.row();
            let stop = release(session, args, &seen, &mut row)?;
            return Ok((row, stop));
        }
        KeyLook::TooLong(what) => {
            let why = "it is too long for a lock: look at it, and remove it by hand";
            let take_away = session.typed.unlink(name);
            KeyRow { take_away, ..left(&format!("it is {what}"), why) }
        }
        KeyLook::Hidden(words) => {
            return Err(environment(anyhow!("{}: {words}; nothing was changed", key_name(name))));
        }
        KeyLook::Changed => left("", "it changed as it was read: look again"),
        KeyLook::Gone => {
            KeyRow { outcome: Outcome::Gone, ..left("", "no client holds it any more") }
        }
    };
    Ok((row, Ok(())))
}

/// The key that was meant, if it exists.
fn find(
    session: &mut RecoverySession<'_>,
    word: &str,
) -> Result<Option<(Vec<u8>, KeyLook)>, Refusal> {
    for name in names::keys(word) {
        let look = session.look(&name).map_err(|error| session.refusal(&error))?;
        if !matches!(look, KeyLook::Gone) {
            return Ok(Some((name, look)));
        }
    }
    Ok(None)
}

/// Says that there is no such lock, with similar names of those that there are.
fn not_locked(mut session: RecoverySession<'_>, args: &UnlockArgs) -> Result<Exit, Refusal> {
    let word = &args.run;
    let mut recovery = session.report("unlock", None);
    recovery.database = Some(session.database);
    (recovery.scope, recovery.force) = (Some(word.clone()), args.force);
    recovery.similar = similar(&mut session, word).map_err(|error| session.refusal(&error))?;
    recovery.unknown = Some(format!(
        "no key {word} in database {}; is the name, and the server, right?",
        session.database
    ));
    let exit = session.finish(recovery, Ok(()), table::write_unlock)?;
    Ok(if exit == Exit::Success { Exit::Unexpected } else { exit })
}

/// Releases what was seen, if it is what was meant and may go.
fn release(
    session: &mut RecoverySession<'_>,
    args: &UnlockArgs,
    seen: &SeenKey,
    row: &mut KeyRow,
) -> Result<Result<(), Stop>, Refusal> {
    let is_string = seen.string().is_some();
    if args.token.is_some() && matches!(seen.what, KeyKind::Maybe(_)) && !is_string {
        row.outcome = Outcome::Left;
        row.why = "--token is compared with strings, and with locks that are recognised; without it, --force \
                   removes what was seen here"
            .into();
        row.take_away = session.typed.unlock_key(seen.name(), None, &["--force"]);
        return Ok(Ok(()));
    }
    let Some(holders) = meant(seen, args.token.as_deref())? else {
        row.outcome = Outcome::Changed;
        row.why = format!("the lock that you saw is gone; {}", who_holds(row));
        return Ok(Ok(()));
    };
    let held_by = match args.token {
        Some(_) => holders.len() as u64,
        None => seen.lock().map_or(0, |lock| lock.held_by),
    };
    row.why = seen.why(&holders, held_by);
    let is_dead = life(&holders, held_by) == Life::Dead && held_by > 0;
    let by_force = args.force && matches!(seen.what, KeyKind::Lock(_) | KeyKind::Maybe(_));
    if !is_dead && !by_force {
        row.outcome = Outcome::Left;
        let token = holders.first().filter(|_| holders.len() == 1);
        let token = token.and_then(|holder| holder.token.as_deref());
        row.take_away = match &seen.what {
            KeyKind::Lock(_) => session.typed.unlock_key(seen.name(), token, &["--force"]),
            KeyKind::Maybe(_) => session.typed.unlock_key(seen.name(), None, &["--force"]),
            KeyKind::PartOf(lock) => session.typed.unlock_key(lock, None, &[]),
            KeyKind::Flags | KeyKind::Data => None,
        };
        return Ok(Ok(()));
    }
    if !is_dead {
        row.why = format!("by force: {}", row.why);
    }
    let done = session.take(seen, &holders, row);
    if row.outcome == Outcome::Changed {
        row.why = who_came(session, seen.name(), &row.why)?;
    }
    Ok(done)
}

/// The holders that a token means, or all; nothing if it is that of none.
fn meant(seen: &SeenKey, token: Option<&str>) -> Result<Option<Vec<Holder>>, Refusal> {
    let all = seen.lock().map(|lock| lock.holders.clone()).unwrap_or_default();
    let Some(word) = token else { return Ok(Some(all)) };
    let is_one = |token: Option<&[u8]>| match token {
        Some(token) => is_the_one(&Payload::decode(token), word),
        None => Ok(false),
    };
    if seen.lock().is_none() {
        return Ok(is_one(seen.string())?.then_some(all));
    }
    for holder in all {
        let is_job = holder.token.is_none() && holder.job.as_deref() == Some(word);
        if is_job || is_one(holder.token.as_deref())? {
            return Ok(Some(vec![holder]));
        }
    }
    Ok(None)
}

/// The holder as the row has it.
fn who_holds(row: &KeyRow) -> String {
    match &row.owner {
        Some(owner) => format!("{owner} holds it"),
        None => row.what.clone(),
    }
}

/// What is there after a lock changed hands in the meantime.
fn who_came(
    session: &mut RecoverySession<'_>,
    name: &[u8],
    changed: &str,
) -> Result<String, Refusal> {
    let now = session.look(name).map_err(|error| session.refusal(&error))?;
    Ok(match now {
        KeyLook::Seen(seen) => format!("{changed}; {}", who_holds(&seen.row())),
        _ => format!("{changed}, and is gone by now"),
    })
}
