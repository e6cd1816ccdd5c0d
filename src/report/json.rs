//! Reports for programs: one pretty-printed JSON object and a final newline.
//!
//! The members are those of the data, in the order in which it declares them. Characters that a
//! terminal would obey are escaped, as many read a report there.

use lock_history::text::{json_line, json_lines};
use serde::Serialize;
use std::io::{self, Write};

/// Writes a report, and a newline.
///
/// # Errors
///
/// Fails if `out` does, or if a member can't be JSON.
pub fn write(data: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", json_lines(data)?)
}

/// Writes one of several objects that follow each other, as a line.
///
/// # Errors
///
/// Fails if `out` does, or if a member can't be JSON.
pub fn write_line(data: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", json_line(data)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Report, samples};
    use serde_json::Value;

    fn written(report: &Report) -> String {
        let mut bytes = Vec::new();
        write(report, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn members(value: &Value) -> Vec<&str> {
        value.as_object().unwrap().keys().map(String::as_str).collect()
    }

    /// The format's promise: these members, and what was added since. Adding a member means adding
    /// it to the second list; nothing may leave the first.
    #[test]
    fn the_members_of_the_format_are_pinned() {
        let json: Value = serde_json::from_str(&written(&samples::orphan())).unwrap();
        let check = |value: &Value, pinned: &[&str], added: &[&str]| {
            let mut expected = [pinned, added].concat();
            let mut found = members(value);
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected);
        };
        check(
            &json,
            &[
                "schema",
                "scenario",
                "server",
                "protocol",
                "working_directory",
                "runid",
                "parameters",
                "summary",
                "actors",
                "consistency",
                "expectations",
                "verdict",
                "outcome",
            ],
            &[
                "title",
                "clock",
                "notices",
                "findings",
                "file",
                "seed",
                "replay",
                "repetition",
                "processes",
                "server_from",
                "state_files",
                "lock_only",
                "rows",
            ],
        );
        check(
            &json["summary"],
            &["attempts", "succeeded", "already_locked", "errors", "elapsed_ms", "start_skew_us"],
            &["refused_steps"],
        );
        check(&json["actors"][0], &["name", "index", "status", "duration_ms", "error"], &[]);
        check(
            &json["consistency"][0],
            &[
                "label",
                "lock_key",
                "redis_lock_exists",
                "redis_payload",
                "redis_token",
                "owner",
                "ttl_ms",
                "hash_value",
                "local_token",
                "controller_locked",
                "states_consistent",
                "diagnosis",
            ],
            &["explanation"],
        );
        check(&json["expectations"][0], &["what", "met", "found"], &[]);
    }

    #[test]
    fn words_of_the_format_are_pinned() {
        use lock_history::check::Verdict;
        use lock_lab::scenario::Status;
        let word = |value: Value| value.as_str().unwrap().to_owned();
        let statuses = [Status::Success, Status::AlreadyLocked, Status::Error];
        assert_eq!(
            statuses.map(|status| word(serde_json::to_value(status).unwrap())),
            ["success", "already_locked", "error"]
        );
        assert_eq!(
            Verdict::ALL.map(|verdict| word(serde_json::to_value(verdict).unwrap())),
            ["expected", "unexpected", "inconclusive"]
        );
        let report: Value = serde_json::from_str(&written(&samples::herd(3))).unwrap();
        assert_eq!(report["schema"], "nodb-trigger/report/v1");
    }

    #[test]
    fn absent_values_are_null_and_never_left_out() {
        let mut report = samples::orphan();
        report.summary.start_skew_us = None;
        let json: Value = serde_json::from_str(&written(&report)).unwrap();
        assert!(json["summary"].as_object().unwrap()["start_skew_us"].is_null());
        assert!(json["consistency"][0].as_object().unwrap()["local_token"].is_null());
    }

    #[test]
    fn the_same_report_gives_the_same_bytes_and_ends_in_one_newline() {
        let text = written(&samples::herd(10));
        assert_eq!(text, written(&samples::herd(10)));
        assert!(text.ends_with("}\n") && !text.ends_with("\n\n"));
    }

    #[test]
    fn a_name_full_of_control_characters_survives() {
        let mut report = samples::orphan();
        report.working_directory = "/tmp/a\nb\u{1b}[31m\"c\"".into();
        let text = written(&report);
        assert!(!text.contains('\u{1b}'));
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["working_directory"], report.working_directory.as_str());
    }
}
