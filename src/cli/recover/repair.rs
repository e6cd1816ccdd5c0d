//! `repair`: flags that say what the lock keys say.

use super::super::args::RepairArgs;
use super::super::exit::{Exit, Refusal};
use super::{RecoverySession, Stop, hidden, names, reason};
use crate::report::recovery::{FlagRow, LockRow, Outcome, Recovery};
use crate::report::table;
use lock_lab::lock::Sighting;

/// Sets the flags right that have drifted.
pub(in crate::cli) fn repair(args: &RepairArgs) -> Result<Exit, Refusal> {
    let run = args.run.as_deref().map(names::run).transpose()?;
    let mut session = RecoverySession::open(&args.options)?;
    let runid = run.map(|run| run.id);
    let seen = session.survey(runid.as_deref())?;
    let mut recovery = session.report("repair", runid);
    if seen.is_empty() {
        recovery.nothing_there();
    }
    recovery.locks = hidden_locks(&seen, session.now());
    let drifted: Vec<&Sighting> = seen.iter().filter(|seen| seen.drifts()).collect();
    recovery.flags = drifted.iter().map(|seen| FlagRow::new(seen)).collect();
    let stop = set_all_right(&mut session, &drifted, &mut recovery);
    session.finish(recovery, stop, table::write_recovery)
}

/// The locks of which not all can be seen, so that nothing is done about them.
pub(super) fn hidden_locks(seen: &[Sighting], now: u64) -> Vec<LockRow> {
    let hidden = seen.iter().filter(|seen| hidden(seen).is_some());
    hidden
        .map(|seen| LockRow {
            outcome: Outcome::Failed,
            why: reason(seen),
            ..LockRow::new(seen, now)
        })
        .collect()
}

/// Sets one flag after the other right.
pub(super) fn set_all_right(
    session: &mut RecoverySession<'_>,
    drifted: &[&Sighting],
    recovery: &mut Recovery,
) -> Result<(), Stop> {
    for (seen, row) in drifted.iter().zip(&mut recovery.flags) {
        session.check()?;
        session.set_right(seen, row)?;
    }
    Ok(())
}
