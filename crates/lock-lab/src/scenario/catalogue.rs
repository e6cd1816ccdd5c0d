//! The scenarios that the program brings with it. To add one: add a file and its name.

use super::{Scenario, ScenarioError};

/// Files of `scenarios/`, by their names.
macro_rules! embedded {
    ($($name:ident,)*) => {
        [$((
            concat!("scenarios/", stringify!($name), ".toml"),
            include_str!(concat!("../../scenarios/", stringify!($name), ".toml")),
        )),*]
    };
}

/// Name and text of each embedded file.
pub(super) const FILES: [(&str, &str); 47] = embedded! {
    thundering_herd, rapid_sequential, ttl_expiration, token_corruption, orphaned_locks,
    deadlock_sim, singleton_race, clear_locks_race, build_climate, cache_refresh,
    force_unlock_recovery, operation_vs_ttl, mutual_exclusion, extend_after_expiry, check_then_delete,
    blind_delete, shared_token_slot, set_then_flag, stale_write, paused_holder, zero_ttl, silent_reacquire,
    watchdog_dies, watchdog_outlives, additive_extend, killed_holder, lost_reply,
    late_execution, rejected_release, amnesia, clock_jump, eviction, glob_clear, starvation,
    extend_without_px, delex_without_condition, ifne_acquire, late_release_flag, islocked_race, dirty_memory,
    interrupted_holder, refresh_under_holder, forked_child, replacement_fence, setter_inside_locked,
    setnx_then_expire, extend_in_wrong_unit,
};

/// The names of the embedded scenarios, in the order in which they are listed.
pub fn built_in_names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(file, _)| stem(file))
}

/// The embedded scenario with this name.
///
/// # Errors
///
/// [`ScenarioError`] if the embedded file is wrong, which the tests of this crate rule out.
pub fn built_in(name: &str) -> Result<Option<Scenario>, ScenarioError> {
    let found = FILES.iter().find(|(file, _)| stem(file) == name);
    found.map(|(file, text)| Scenario::sound(file, text)).transpose()
}

/// The embedded scenarios, in the order in which they are listed.
///
/// # Errors
///
/// [`ScenarioError`] if an embedded file is wrong, which the tests of this crate rule out.
pub fn catalogue() -> Result<Vec<Scenario>, ScenarioError> {
    FILES.iter().map(|(file, text)| Scenario::sound(file, text)).collect()
}

/// The name that a file's scenario has.
fn stem(file: &'static str) -> &'static str {
    let name = file.strip_prefix("scenarios/").and_then(|name| name.strip_suffix(".toml"));
    name.unwrap_or(file)
}
