//! `repair`: flags that say what the lock keys say.

use super::super::args::RepairArgs;
use super::super::exit::Exit;
use super::super::refusal::Refusal;
use super::{Session, Stop, names};
use crate::lock::{Sighting, survey};
use crate::report::recovery::{FlagRow, Recovery};
use crate::report::table;

/// Whether a flag doesn't say what its lock key says.
pub(super) fn drifts(seen: &Sighting) -> bool {
    seen.says_held() != seen.found.is_some()
}

/// Sets the flags right that have drifted.
pub(in crate::cli) fn repair(args: &RepairArgs) -> Result<Exit, Refusal> {
    let run = args.run.as_deref().map(names::run).transpose()?;
    let mut session = Session::open(&args.options)?;
    let runid = run.map(|run| run.id);
    let seen = survey(&mut session.link, runid.as_deref().unwrap_or_default());
    let seen = seen.map_err(|error| session.refusal(&error))?;
    let mut recovery = session.report("repair", runid);
    let drifted: Vec<&Sighting> = seen.iter().filter(|seen| drifts(seen)).collect();
    recovery.flags = drifted.iter().map(|seen| FlagRow::new(seen)).collect();
    let stop = set_all_right(&mut session, &drifted, &mut recovery);
    session.finish(recovery, stop, table::write_recovery)
}

/// Sets one flag after the other right.
pub(super) fn set_all_right(
    session: &mut Session<'_>,
    drifted: &[&Sighting],
    recovery: &mut Recovery,
) -> Result<(), Stop> {
    for (seen, row) in drifted.iter().zip(&mut recovery.flags) {
        session.check()?;
        session.set_right(seen, row)?;
    }
    Ok(())
}
