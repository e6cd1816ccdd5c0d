//! Which locks `clear_locks` removes beside those of dead owners.

use super::super::args::ClearArgs;
use super::key::life;
use super::of_life;
use crate::report::seconds;
use lock_lab::format::Lock;
use lock_lab::lock::{LONGEST_TTL_MS, Life};

/// What the arguments allow.
pub(super) struct Rule {
    force: bool,
    /// In seconds.
    older_than: Option<u64>,
    no_ttl: bool,
    /// Seconds since 1970.
    now: u64,
}

impl Rule {
    pub fn new(args: &ClearArgs, now: u64) -> Self {
        let older_than = args.older_than.map(|age| age.as_secs());
        Self { force: args.force, older_than, no_ttl: args.no_ttl, now }
    }

    /// Why a lock stays, if it does. An owner that can't be checked counts as living, unless what the
    /// arguments ask for stands in.
    pub fn stays(
        &self,
        life: &Life,
        ttl_ms: i64,
        acquired_at: Option<u64>,
        names_acquisition: bool,
    ) -> Option<String> {
        let why = of_life(life);
        let is_unchecked = matches!(life, Life::Elsewhere | Life::Unnamed);
        let stands_in = self.no_ttl || self.older_than.is_some();
        if *life == Life::Dead {
            return None;
        }
        if !(self.force || is_unchecked && stands_in) {
            return Some(why.into());
        }
        if !names_acquisition {
            return Some(
                "its value names no acquisition, so a newer holder's may be the same; unlock it by name"
                    .into(),
            );
        }
        if self.force {
            return None;
        }
        if self.no_ttl && (0..=LONGEST_TTL_MS).contains(&ttl_ms) {
            return Some(format!("{why}, and it has a TTL"));
        }
        let older_than = self.older_than?;
        match acquired_at.map(|then| self.now.saturating_sub(then)) {
            None => Some(format!("{why}, and its age is not known")),
            Some(age) if age < older_than => {
                Some(format!("{why}, and it was acquired {} ago", seconds(age)))
            }
            Some(_) => None,
        }
    }

    /// The same of a lock of another library.
    pub fn key_stays(&self, lock: &Lock, ttl_ms: i64, is_moving: bool) -> Option<String> {
        if is_moving {
            return Some("its holder changed as it was read, so a client works with it".into());
        }
        if lock.held_by == 0 {
            return Some("no client holds it".into());
        }
        let are_all_read = lock.holders.len() as u64 == lock.held_by;
        let names_acquisition = are_all_read && lock.holders.iter().all(|it| it.token.is_some());
        let acquired_at = lock.acquired_at().map(|since| since.as_secs());
        let life = life(&lock.holders, lock.held_by);
        self.stays(&life, ttl_ms, acquired_at, names_acquisition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lock_lab::lock::Life;

    const NOW: u64 = 1_800_000_000;

    fn stays(no_ttl: bool, older_than: Option<u64>, ttl_ms: i64, acquired_at: Option<u64>) -> bool {
        let rule = Rule { force: false, older_than, no_ttl, now: NOW };
        rule.stays(&Life::Unnamed, ttl_ms, acquired_at, true).is_some()
    }

    #[test]
    fn an_owner_that_can_not_be_checked_lives_unless_all_that_is_asked_for_is_so() {
        let old = Some(NOW - 100);
        for (no_ttl, older_than, ttl_ms, acquired_at, expected) in [
            (false, None, -1, old, true),
            (true, None, -1, None, false),
            (true, None, LONGEST_TTL_MS + 1, None, false),
            (true, None, 5000, old, true),
            (false, Some(100), 5000, old, false),
            (false, Some(101), 5000, old, true),
            (false, Some(1), -1, None, true),
            (false, Some(1), -1, Some(NOW + 5), true),
            (true, Some(100), -1, old, false),
            (true, Some(101), -1, old, true),
            (true, Some(100), 5000, old, true),
        ] {
            let said = stays(no_ttl, older_than, ttl_ms, acquired_at);
            assert_eq!(said, expected, "{no_ttl} {older_than:?} {ttl_ms} {acquired_at:?}");
        }
    }

    #[test]
    fn a_living_owner_keeps_its_lock_until_force() {
        let life = Life::Alive { command: String::new() };
        let rule = Rule { force: false, older_than: Some(0), no_ttl: true, now: NOW };
        assert!(rule.stays(&life, -1, Some(0), true).is_some());
        let rule = Rule { force: true, ..rule };
        assert_eq!(rule.stays(&life, -1, Some(0), true), None);
        assert!(
            rule.stays(&life, -1, Some(0), false).is_some(),
            "a newer holder has the same value"
        );
    }
}
