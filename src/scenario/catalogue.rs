//! The scenarios that the program brings with it. To add one: add a file and a line.

use super::{Scenario, ScenarioError};

/// A file of `scenarios/`, by its name.
macro_rules! embedded {
    ($name:literal) => {
        (
            concat!("scenarios/", $name, ".toml"),
            include_str!(concat!("../../scenarios/", $name, ".toml")),
        )
    };
}

/// Name and text of each embedded file.
pub(super) const FILES: [(&str, &str); 33] = [
    embedded!("thundering_herd"),
    embedded!("rapid_sequential"),
    embedded!("ttl_expiration"),
    embedded!("token_corruption"),
    embedded!("orphaned_locks"),
    embedded!("deadlock_sim"),
    embedded!("singleton_race"),
    embedded!("clear_locks_race"),
    embedded!("build_climate"),
    embedded!("cache_refresh"),
    embedded!("force_unlock_recovery"),
    embedded!("operation_vs_ttl"),
    embedded!("mutual_exclusion"),
    embedded!("check_then_delete"),
    embedded!("blind_delete"),
    embedded!("shared_token_slot"),
    embedded!("set_then_flag"),
    embedded!("stale_write"),
    embedded!("paused_holder"),
    embedded!("zero_ttl"),
    embedded!("silent_reacquire"),
    embedded!("watchdog_dies"),
    embedded!("watchdog_outlives"),
    embedded!("additive_extend"),
    embedded!("killed_holder"),
    embedded!("lost_reply"),
    embedded!("late_execution"),
    embedded!("rejected_release"),
    embedded!("amnesia"),
    embedded!("clock_jump"),
    embedded!("eviction"),
    embedded!("glob_clear"),
    embedded!("starvation"),
];

/// The embedded scenario with this name.
pub fn built_in(name: &str) -> Result<Option<Scenario>, ScenarioError> {
    let found = FILES.iter().find(|(file, _)| {
        file.strip_prefix("scenarios/").and_then(|file| file.strip_suffix(".toml")) == Some(name)
    });
    found.map(|(file, text)| Scenario::parse(file, text)).transpose()
}

/// The embedded scenarios, in the order in which they are listed.
pub fn catalogue() -> Result<Vec<Scenario>, ScenarioError> {
    FILES.iter().map(|(file, text)| Scenario::parse(file, text)).collect()
}
