//! `unlock`: one lock, and only the acquisition that was looked at.

use super::super::args::UnlockArgs;
use super::super::exit::{Exit, Refusal, usage};
use super::clear_locks::LIVES_AGAIN;
use super::unlock_key::{unlock_key, unlock_other_type};
use super::{RecoverySession, Stop, hidden, holder, is_dead, names, reason, removable};
use crate::report::recovery::{FlagOutcome, FlagRow, LockRow, Outcome};
use crate::report::status::{ENOUGH, Meant, is_meant};
use crate::report::table;
use anyhow::anyhow;
use lock_lab::lock::{Found, Payload, Sighting, sight};

/// Releases a lock whose owner is dead, or by force.
pub(in crate::cli) fn unlock(args: &UnlockArgs) -> Result<Exit, Refusal> {
    let Some(file) = &args.file else { return unlock_key(args) };
    let run = names::run(&args.run)?;
    let files = run.paths(file)?;
    let session = RecoverySession::open(&args.options)?;
    unlock_file(session, args, &run.id, &files)
}

/// Releases the lock of the first of these files of a run that has one.
pub(super) fn unlock_file(
    mut session: RecoverySession<'_>,
    args: &UnlockArgs,
    runid: &str,
    files: &[String],
) -> Result<Exit, Refusal> {
    let seen = inspect(&mut session, runid, files)?;
    if hidden(&seen).is_some() {
        return Err(session.refused(&seen));
    }
    let mut recovery = session.report("unlock", Some(runid.to_owned()));
    (recovery.scope, recovery.force) = (Some(seen.file.clone()), args.force);
    if seen.found.is_none() && seen.flag.is_none() {
        recovery.nothing_there();
    }
    if matches!(seen.found, Some(Found::OtherType { .. })) {
        return unlock_other_type(session, args, &seen, recovery);
    }
    let mut stop = Ok(());
    if seen.found.is_none() && seen.drifts() {
        let row = FlagRow { outcome: FlagOutcome::Left, ..FlagRow::new(&seen) };
        recovery.flags.push(row);
    }
    if seen.found.is_some() {
        let mut row = LockRow::new(&seen, session.now());
        stop = release(&mut session, args, &seen, &mut row)?;
        recovery.locks.push(row);
    }
    let outcome = recovery.locks.first().map(|row| row.outcome);
    let exit = session.finish(recovery, stop, table::write_unlock)?;
    Ok(match outcome {
        Some(Outcome::Left | Outcome::Changed) if exit == Exit::Success => Exit::Unexpected,
        _ => exit,
    })
}

/// Looks at the first of these files that has a lock or a flag, or else at the last.
fn inspect(
    session: &mut RecoverySession<'_>,
    runid: &str,
    files: &[String],
) -> Result<Sighting, Refusal> {
    let (last, others) = files.split_last().map_or(("", &[][..]), |(last, rest)| (last, rest));
    let mut sight =
        |file: &str| sight(&mut session.link, runid, file).map_err(|error| session.refusal(&error));
    for file in others {
        let seen = sight(file)?;
        if seen.found.is_some() || seen.flag.is_some() || hidden(&seen).is_some() {
            return Ok(seen);
        }
    }
    sight(last)
}

/// Releases the lock that was seen, if it is the one that was meant and may go.
fn release(
    session: &mut RecoverySession<'_>,
    args: &UnlockArgs,
    seen: &Sighting,
    row: &mut LockRow,
) -> Result<Result<(), Stop>, Refusal> {
    row.why = reason(seen);
    let is_the_one = match (removable(seen), &args.token) {
        (Some(payload), Some(word)) => is_the_one(payload, word)?,
        _ => true,
    };
    if !is_the_one {
        row.outcome = Outcome::Changed;
        row.why = format!("the lock that you saw is gone; {}", holder(row));
        return Ok(Ok(()));
    }
    let was_dead = is_dead(seen);
    let is_dead = seen.is_orphaned_still();
    if was_dead && !is_dead {
        row.why = LIVES_AGAIN.into();
    }
    let may_go = args.force || is_dead;
    let Some(payload) = removable(seen).filter(|_| may_go) else {
        row.outcome = Outcome::Left;
        row.take_away = session.take_away(seen);
        return Ok(Ok(()));
    };
    if !is_dead {
        row.why = format!("by force: {}", row.why);
    }
    let done = session.remove(seen, payload, row);
    if row.outcome == Outcome::Changed {
        row.why = format!("the lock that was found is gone; {}", who_came(session, seen)?);
    }
    Ok(done)
}

/// The present holder of a lock that changed hands in the meantime.
fn who_came(session: &mut RecoverySession<'_>, seen: &Sighting) -> Result<String, Refusal> {
    let now = sight(&mut session.link, seen.lock.runid(), &seen.file);
    let now = now.map_err(|error| session.refusal(&error))?;
    Ok(match now.found {
        Some(_) => holder(&LockRow::new(&now, session.now())),
        None => "whoever came has given it back".into(),
    })
}

/// Whether the lock is of the acquisition that was meant.
pub(super) fn is_the_one(payload: &Payload, word: &str) -> Result<bool, Refusal> {
    match is_meant(payload, word) {
        Meant::Yes => Ok(true),
        Meant::No => Ok(false),
        Meant::TooShort => Err(usage(anyhow!(
            "--token {word} is too short to tell tokens apart; give at least its first {ENOUGH} \
             characters"
        ))),
        Meant::Beginning => Err(usage(anyhow!(
            "the holder's token begins with {word} but is no UUID, so others may begin so, too; \
             give the whole token"
        ))),
    }
}
