//! `unlock`: one lock, and only the acquisition that was looked at.

use super::super::args::UnlockArgs;
use super::super::exit::Exit;
use super::super::refusal::{Refusal, usage};
use super::{Session, Stop, command_line, holder, is_dead, names, reason, removable};
use crate::lock::{Sighting, sight};
use crate::report::recovery::{LockRow, Outcome};
use crate::report::table;
use anyhow::anyhow;

/// How many characters of a token are enough.
const ENOUGH: usize = 8;

/// Releases a lock whose owner is dead, or by force.
pub(in crate::cli) fn unlock(args: &UnlockArgs) -> Result<Exit, Refusal> {
    let run = names::run(&args.run)?;
    let file = run.path(&args.file)?;
    let mut session = Session::open(&args.options)?;
    let seen = sight(&mut session.link, &run.id, &file);
    let seen = seen.map_err(|error| session.refusal(&error))?;
    let mut recovery = session.report("unlock", Some(run.id.clone()));
    (recovery.scope, recovery.force) = (Some(file.clone()), args.force);
    let mut next = None;
    let mut stop = Ok(());
    if seen.found.is_some() {
        let mut row = LockRow::new(&seen, session.now());
        stop = release(&mut session, args, &seen, &mut row)?;
        if let (Outcome::Left, Some(payload)) = (row.outcome, removable(&seen)) {
            let token = payload.token().as_str();
            let command = by_force(args, session.server.name(), &seen, token);
            next = Some(format!("take it away: {command}"));
        }
        recovery.locks.push(row);
    }
    let outcome = recovery.locks.first().map(|row| row.outcome);
    let exit = session.finish(recovery, stop, |recovery, style, out| {
        table::write_unlock(recovery, next.as_deref(), style, out)
    })?;
    Ok(match outcome {
        Some(Outcome::Left | Outcome::Changed) if exit == Exit::Success => Exit::Unexpected,
        _ => exit,
    })
}

/// Releases the lock that was seen, if it is the one that was meant and may go.
fn release(
    session: &mut Session<'_>,
    args: &UnlockArgs,
    seen: &Sighting,
    row: &mut LockRow,
) -> Result<Result<(), Stop>, Refusal> {
    row.why = reason(seen, &session.server);
    let Some(payload) = removable(seen) else {
        row.outcome = Outcome::Left;
        return Ok(Ok(()));
    };
    if let Some(token) = &args.token
        && !is_meant(payload.token().as_str(), token)?
    {
        row.outcome = Outcome::Changed;
        row.why = format!("the lock that you saw is gone; {}", holder(row));
        return Ok(Ok(()));
    }
    if !args.force && !is_dead(seen) {
        row.outcome = Outcome::Left;
        return Ok(Ok(()));
    }
    let done = session.remove(seen, payload, row);
    if row.outcome == Outcome::Changed {
        let now = sight(&mut session.link, seen.lock.runid(), &seen.file);
        let now = now.map_err(|error| session.refusal(&error))?;
        let who = match now.found {
            Some(_) => holder(&LockRow::new(&now, session.now())),
            None => "nobody holds it any more".into(),
        };
        row.why = format!("the lock that was found is gone; {who}, and nothing was changed");
    }
    Ok(done)
}

/// Whether a token is the one that was meant.
fn is_meant(token: &str, meant: &str) -> Result<bool, Refusal> {
    if token == meant {
        return Ok(true);
    }
    if meant.chars().count() < ENOUGH {
        return Err(usage(anyhow!(
            "--token {meant} is too short to tell tokens apart; give at least its first {ENOUGH} \
             characters"
        )));
    }
    Ok(token.starts_with(meant))
}

/// The command that takes away the lock that was shown, whatever becomes of its owner.
fn by_force(args: &UnlockArgs, server: &str, seen: &Sighting, token: &str) -> String {
    let token: String = token.chars().take(ENOUGH).collect();
    let mut words = vec!["nodb-trigger".into(), "unlock".into()];
    if args.options.redis.is_some() {
        words.push(format!("--redis={server}"));
    }
    words.extend([format!("--token={token}"), "--force".into()]);
    let names = [seen.lock.runid(), &seen.file];
    if names.iter().any(|name| name.starts_with('-')) {
        words.push("--".into());
    }
    words.extend(names.map(String::from));
    command_line(&words)
}
