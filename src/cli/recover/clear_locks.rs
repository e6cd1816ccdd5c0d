//! `clear_locks`: the locks that will not be released any more, of a run or of all.

use super::super::args::ClearArgs;
use super::super::exit::{Exit, Refusal, environment, usage};
use super::clear_keys::clear_keys;
use super::repair::{hidden_locks, set_all_right};
use super::rule::Rule;
use super::{RecoverySession, Stop, hidden, is_dead, names, reason, removable};
use crate::report::recovery::{FlagRow, LockRow, Outcome, Recovery};
use crate::report::table;
use anyhow::anyhow;
use lock_lab::lock::{Found, Sighting};
use redis_sim::glob_matches;
use std::io::{self, BufRead, IsTerminal, Write};

/// Removes the locks of dead owners, or all, and sets flags right.
///
/// A lock that another owner took between the snapshot and the removal stays. Without `--force`
/// that is as it should be: the dead owner's lock is gone. With it, not all are gone, and the
/// status says so.
pub(in crate::cli) fn clear_locks(args: &ClearArgs) -> Result<Exit, Refusal> {
    let run = args.run.as_deref().map(names::run).transpose()?;
    let scopes = match (&run, &args.scope) {
        (Some(run), Some(scope)) => run.paths(scope)?,
        (Some(run), None) => match run.below.trim_end_matches('/') {
            "" => Vec::new(),
            below => vec![below.to_owned()],
        },
        (None, _) => Vec::new(),
    };
    if run.is_none() && args.force && !args.options.dry_run && !args.yes && !is_wanted()? {
        return Ok(Exit::Unexpected);
    }
    let mut session = RecoverySession::open(&args.options)?;
    let rule = Rule::new(args, session.now());
    let is_of_run = run.is_some();
    let runid = run.map(|run| run.id);
    let mut seen = session.survey(runid.as_deref())?;
    let has_any = |scope: &&String| seen.iter().any(|seen| names::is_within(&seen.file, scope));
    let scope = scopes.iter().find(has_any).or(scopes.last()).cloned();
    if let Some(scope) = &scope {
        seen.retain(|seen| names::is_within(&seen.file, scope));
    }
    let matches = |seen: &Sighting| {
        let key = seen.lock.key().as_bytes();
        args.patterns.iter().any(|pattern| glob_matches(pattern.as_bytes(), key))
    };
    seen.retain(|seen| args.patterns.is_empty() || matches(seen));
    let mut recovery = session.report("clear_locks", runid);
    (recovery.scope, recovery.force) = (scope, args.force);
    let mut stop = clear_seen(&mut session, &rule, &seen, &mut recovery);
    if !is_of_run {
        session.use_database_of_url()?;
        recovery.database = Some(session.database);
        if stop.is_ok() {
            stop = clear_keys(&mut session, &rule, &args.patterns, &mut recovery)?;
        }
        recovery.scope = (!args.patterns.is_empty()).then(|| args.patterns.join(", "));
    }
    if recovery.locks.is_empty() && recovery.keys.is_empty() && seen.is_empty() {
        recovery.nothing_there();
    }
    let of_keys = recovery.keys.iter().filter(|row| row.format.is_some()).map(|row| row.outcome);
    let mut outcomes = recovery.locks.iter().map(|row| row.outcome).chain(of_keys);
    let is_all_gone = outcomes.all(|each| !matches!(each, Outcome::Left | Outcome::Changed));
    let exit = session.finish(recovery, stop, table::write_recovery)?;
    let is_missed = args.force && !args.options.dry_run && !is_all_gone;
    Ok(if exit == Exit::Success && is_missed { Exit::Unexpected } else { exit })
}

/// Asks whether locks of living owners are to be removed all over the server.
fn is_wanted() -> Result<bool, Refusal> {
    if !io::stdin().is_terminal() {
        return Err(usage(anyhow!(
            "--force would remove locks of living owners of all runs and libraries: say --yes, too \
             (--dry-run shows them)"
        )));
    }
    let _ = write!(
        io::stderr(),
        "Remove the locks of living owners, too, of all runs and libraries (--dry-run shows them)? [y/N] "
    );
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(environment)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Removes those of these locks of NoDb that may go, and sets their flags right.
fn clear_seen(
    session: &mut RecoverySession<'_>,
    rule: &Rule,
    seen: &[Sighting],
    recovery: &mut Recovery,
) -> Result<(), Stop> {
    let now = session.now();
    let is_lock = |seen: &&Sighting| seen.found.is_some() && hidden(seen).is_none();
    let locks: Vec<&Sighting> = seen.iter().filter(is_lock).collect();
    recovery.locks = locks.iter().map(|seen| LockRow::new(seen, now)).collect();
    let scope = recovery.scope.clone();
    let stays = |seen: &Sighting| stays(seen, rule, scope.as_deref());
    // The flag of a lock that goes, goes with it.
    let flag_stays =
        |seen: &&Sighting| seen.drifts() && (seen.found.is_none() || stays(seen).is_some());
    let drifted: Vec<&Sighting> = seen.iter().filter(flag_stays).collect();
    recovery.flags = drifted.iter().map(|seen| FlagRow::new(seen)).collect();
    let stop = remove_all(session, &locks, stays, recovery)
        .and_then(|()| set_all_right(session, &drifted, recovery));
    recovery.locks.extend(hidden_locks(seen, now));
    stop
}

/// Why a lock is left, if it is.
fn stays(seen: &Sighting, rule: &Rule, scope: Option<&str>) -> Option<String> {
    let Some(payload) = removable(seen) else { return Some(reason(seen)) };
    if seen.may_be_anothers() && scope != Some(&seen.file) {
        return Some(
            "its key may be that of another run's lock, and no flag says which; name exactly this \
             file with --scope"
                .into(),
        );
    }
    let Some(Found::Payload { life, .. }) = &seen.found else { return Some(reason(seen)) };
    rule.stays(life, seen.ttl_ms, payload.acquired_at(), payload.names_acquisition())
}

fn remove_all(
    session: &mut RecoverySession<'_>,
    locks: &[&Sighting],
    stays: impl Fn(&Sighting) -> Option<String>,
    recovery: &mut Recovery,
) -> Result<(), Stop> {
    for (seen, row) in locks.iter().zip(&mut recovery.locks) {
        session.check()?;
        let lives_again = !recovery.force && is_dead(seen) && !seen.is_orphaned_still();
        let why = stays(seen).or_else(|| lives_again.then(|| LIVES_AGAIN.into()));
        row.why = why.clone().unwrap_or_else(|| reason(seen));
        match removable(seen).filter(|_| why.is_none()) {
            Some(payload) => session.remove(seen, payload, row)?,
            None => {
                row.outcome = Outcome::Left;
                row.take_away = session.take_away(seen);
            }
        }
    }
    Ok(())
}

/// Why a lock is left whose owner was dead at first.
pub(super) const LIVES_AGAIN: &str = "a process of the owner's number lives by now";
