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
pub(super) const FILES: [(&str, &str); 6] = [
    embedded!("thundering_herd"),
    embedded!("rapid_sequential"),
    embedded!("ttl_expiration"),
    embedded!("token_corruption"),
    embedded!("orphaned_locks"),
    embedded!("deadlock_sim"),
];

/// The embedded scenarios, in the order in which they are listed.
pub fn catalogue() -> Result<Vec<Scenario>, ScenarioError> {
    FILES.iter().map(|(file, text)| Scenario::parse(file, text)).collect()
}
