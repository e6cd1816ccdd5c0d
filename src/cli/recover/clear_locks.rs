//! `clear_locks`: the locks of a run that nobody will release any more.

use super::super::args::ClearArgs;
use super::super::exit::Exit;
use super::super::refusal::Refusal;
use super::repair::{drifts, hidden_locks, set_all_right};
use super::{Session, Stop, hidden, is_dead, names, reason, removable};
use crate::lock::Sighting;
use crate::report::recovery::{FlagRow, LockRow, Outcome, Recovery};
use crate::report::table;

/// Removes the locks of dead owners, or all, and sets flags right.
///
/// A lock that somebody else took between the look and the removal stays. Without `--force` that is
/// as it should be: the dead owner's lock is gone. With it, not all are gone, and the status says so.
pub(in crate::cli) fn clear_locks(args: &ClearArgs) -> Result<Exit, Refusal> {
    let run = names::run(&args.run)?;
    let scope = match (&args.scope, run.below.trim_end_matches('/')) {
        (Some(scope), _) => Some(run.path(scope)?),
        (None, "") => None,
        (None, below) => Some(below.to_owned()),
    };
    let mut session = Session::open(&args.options)?;
    let mut seen = session.survey(Some(&run.id))?;
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
    let goes = |seen: &Sighting| is_dead(seen) || args.force && removable(seen).is_some();
    // The flag of a lock that goes, goes with it.
    let drifted: Vec<&Sighting> = seen.iter().filter(|seen| drifts(seen) && !goes(seen)).collect();
    recovery.flags = drifted.iter().map(|seen| FlagRow::new(seen)).collect();
    let stop = remove_all(&mut session, &locks, goes, &mut recovery)
        .and_then(|()| set_all_right(&mut session, &drifted, &mut recovery));
    recovery.locks.extend(hidden_locks(&seen, now));
    let is_all_gone =
        recovery.locks.iter().all(|row| !matches!(row.outcome, Outcome::Left | Outcome::Changed));
    let exit = session.finish(recovery, stop, table::write_recovery)?;
    let is_missed = args.force && !args.options.dry_run && !is_all_gone;
    Ok(if exit == Exit::Success && is_missed { Exit::Unexpected } else { exit })
}

fn remove_all(
    session: &mut Session<'_>,
    locks: &[&Sighting],
    goes: impl Fn(&Sighting) -> bool,
    recovery: &mut Recovery,
) -> Result<(), Stop> {
    for (seen, row) in locks.iter().zip(&mut recovery.locks) {
        session.check()?;
        row.why = reason(seen);
        match removable(seen).filter(|_| goes(seen)) {
            Some(payload) => session.remove(seen, payload, row)?,
            None => {
                row.outcome = Outcome::Left;
                row.take_away = session.take_away(seen);
            }
        }
    }
    Ok(())
}
