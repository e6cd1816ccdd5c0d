//! `clear_locks`: the locks of a run that will not be released any more.

use super::super::args::ClearArgs;
use super::super::exit::{Exit, Refusal};
use super::repair::{hidden_locks, set_all_right};
use super::{RecoverySession, Stop, hidden, is_dead, names, reason, removable};
use crate::report::recovery::{FlagRow, LockRow, Outcome, Recovery};
use crate::report::table;
use lock_lab::lock::Sighting;

/// Removes the locks of dead owners, or all, and sets flags right.
///
/// A lock that another owner took between the snapshot and the removal stays. Without `--force`
/// that is as it should be: the dead owner's lock is gone. With it, not all are gone, and the
/// status says so.
pub(in crate::cli) fn clear_locks(args: &ClearArgs) -> Result<Exit, Refusal> {
    let run = names::run(&args.run)?;
    let scopes = match (&args.scope, run.below.trim_end_matches('/')) {
        (Some(scope), _) => run.paths(scope)?,
        (None, "") => Vec::new(),
        (None, below) => vec![below.to_owned()],
    };
    let mut session = RecoverySession::open(&args.options)?;
    let mut seen = session.survey(Some(&run.id))?;
    let has_any = |scope: &&String| seen.iter().any(|seen| names::is_within(&seen.file, scope));
    let scope = scopes.iter().find(has_any).or(scopes.last()).cloned();
    if let Some(scope) = &scope {
        seen.retain(|seen| names::is_within(&seen.file, scope));
    }
    let mut recovery = session.report("clear_locks", Some(run.id));
    (recovery.scope, recovery.force) = (scope, args.force);
    if seen.is_empty() {
        recovery.nothing_there();
    }
    let now = session.now();
    let is_lock = |seen: &&Sighting| seen.found.is_some() && hidden(seen).is_none();
    let locks: Vec<&Sighting> = seen.iter().filter(is_lock).collect();
    recovery.locks = locks.iter().map(|seen| LockRow::new(seen, now)).collect();
    let scope = recovery.scope.clone();
    let stays = |seen: &Sighting| stays(seen, args.force, scope.as_deref());
    // The flag of a lock that goes, goes with it.
    let flag_stays =
        |seen: &&Sighting| seen.drifts() && (seen.found.is_none() || stays(seen).is_some());
    let drifted: Vec<&Sighting> = seen.iter().filter(flag_stays).collect();
    recovery.flags = drifted.iter().map(|seen| FlagRow::new(seen)).collect();
    let stop = remove_all(&mut session, &locks, stays, &mut recovery)
        .and_then(|()| set_all_right(&mut session, &drifted, &mut recovery));
    recovery.locks.extend(hidden_locks(&seen, now));
    let is_all_gone =
        recovery.locks.iter().all(|row| !matches!(row.outcome, Outcome::Left | Outcome::Changed));
    let exit = session.finish(recovery, stop, table::write_recovery)?;
    let is_missed = args.force && !args.options.dry_run && !is_all_gone;
    Ok(if exit == Exit::Success && is_missed { Exit::Unexpected } else { exit })
}

/// Why a lock is left, if it is.
fn stays(seen: &Sighting, force: bool, scope: Option<&str>) -> Option<String> {
    let Some(payload) = removable(seen) else { return Some(reason(seen)) };
    if seen.may_be_anothers() && scope != Some(&seen.file) {
        return Some(
            "its key may be that of another run's lock, and no flag says which; name exactly this \
             file with --scope"
                .into(),
        );
    }
    if is_dead(seen) {
        return None;
    }
    if !force {
        return Some(reason(seen));
    }
    (!payload.names_acquisition()).then(|| {
        "its value names no acquisition, so a newer holder's may be the same; unlock it by name"
            .into()
    })
}

fn remove_all(
    session: &mut RecoverySession<'_>,
    locks: &[&Sighting],
    stays: impl Fn(&Sighting) -> Option<String>,
    recovery: &mut Recovery,
) -> Result<(), Stop> {
    let is_forced = recovery.force;
    for (seen, row) in locks.iter().zip(&mut recovery.locks) {
        session.check()?;
        let lives_again = !is_forced && !seen.is_orphaned_still();
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
