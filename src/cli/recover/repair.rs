//! `repair`: flags that say what the lock keys say.

use super::super::args::RepairArgs;
use super::super::exit::Exit;
use super::super::refusal::Refusal;
use super::{Session, Stop, hidden, names, reason};
use crate::lock::{Found, Sighting};
use crate::report::recovery::{FlagRow, LockRow, Outcome, Recovery};
use crate::report::table;

/// Whether a flag doesn't say what its lock key says, as far as the key is known to be the lock's, and
/// to hold what can be one.
pub(super) fn drifts(seen: &Sighting) -> bool {
    let is_lock = matches!(seen.found, None | Some(Found::Payload { .. }));
    let is_known = is_lock && hidden(seen).is_none() && !seen.may_be_anothers();
    is_known && seen.says_held() != seen.found.is_some()
}

/// Sets the flags right that have drifted.
pub(in crate::cli) fn repair(args: &RepairArgs) -> Result<Exit, Refusal> {
    let run = args.run.as_deref().map(names::run).transpose()?;
    let mut session = Session::open(&args.options)?;
    let runid = run.map(|run| run.id);
    let seen = session.survey(runid.as_deref())?;
    let mut recovery = session.report("repair", runid);
    if seen.is_empty() {
        recovery.nothing_there();
    }
    recovery.locks = hidden_locks(&seen, session.now());
    let drifted: Vec<&Sighting> = seen.iter().filter(|seen| drifts(seen)).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::VirtualClock;
    use crate::engine::Engine;
    use crate::lock::sight;
    use crate::server::Server;
    use std::sync::Arc;

    #[test]
    fn only_what_can_be_a_lock_drifts() {
        let clock = Arc::new(VirtualClock::new(None));
        let mut link = Server::Embedded(Engine::new(clock)).connect(0).unwrap();
        let long = "x".repeat(100_000);
        for (command, file, expected) in [
            (&["HSET", "nodb-lock:run:hash", "a", "1"][..], "hash", false),
            (&["SET", "nodb-lock:run:long", &long], "long", false),
            (&["SET", "nodb-lock:run:a:b", "1"], "a:b", false),
            (&["SET", "nodb-lock:run:held", "1"], "held", true),
            (&["HSET", "run", "locked:gone", "true"], "gone", true),
            (&["HSET", "run", "locked:c:d", "true"], "c:d", true),
        ] {
            let mut cmd = redis::Cmd::new();
            for word in command {
                cmd.arg(word);
            }
            cmd.exec(&mut link).unwrap();
            assert_eq!(drifts(&sight(&mut link, "run", file).unwrap()), expected, "{file}");
        }
    }
}
