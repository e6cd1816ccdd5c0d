//! The races that remain, each by its scenario under `current`.

use super::*;

const RACES: [(&str, &str, &[Property]); 14] = [
    ("late release", "late_release_flag", &[Property::FlagDrift, Property::TokenDrift]),
    ("islocked race", "islocked_race", &[Property::FlagDrift]),
    ("dirty memory", "dirty_memory", &[]),
    ("interrupted holder", "interrupted_holder", &[Property::StuckLock]),
    ("refresh under the holder", "refresh_under_holder", &[]),
    ("forked child", "forked_child", &[Property::ForeignRelease]),
    ("fence left behind", "replacement_fence", &[]),
    ("1: key and flag are two commands", "set_then_flag", &[]),
    ("3: no renewal", "ttl_expiration", &[]),
    ("5: one token slot", "shared_token_slot", &[Property::ForeignRelease]),
    ("7: clear_locks while an operation runs", "clear_locks_race", &[Property::Overlap]),
    ("8: a crash leaves the lock", "killed_holder", &[Property::StuckLock]),
    ("9: retry at once", "build_climate", &[]),
    ("glob clear", "glob_clear", &[]),
];

#[test]
fn each_race_of_today_is_shown_by_its_scenario() {
    let of = Application::default();
    for (race, name, expected) in RACES {
        let (verdict, found) = verdict(&(of.scenario)(name), &of.protocol);
        assert_eq!(verdict, Verdict::Expected, "{race}: {name}");
        for property in expected {
            assert!(found.contains(property), "{race}: {name} finds {found:?}");
        }
    }
}
