//! Reports for CI systems: JUnit's XML, one test case a scenario; where all its orderings were
//! explored, one a lock protocol.
//!
//! No time of day and no random number goes into it, so the same runs give the same bytes.

use super::exploration::ProtocolRow;
use super::{Entry, Exploration, Failure, Report};
use lock_history::check::Verdict;
use quick_junit::{NonSuccessKind, Report as Suites, TestCase, TestCaseStatus, TestSuite};
use std::io::{self, Write};
use std::time::Duration;

/// What the suite is called, and the class of a built-in scenario.
const NAME: &str = "nodb-trigger";

/// Writes the test cases of these entries.
///
/// # Errors
///
/// Fails if `out` does.
pub fn write(entries: &[Entry], out: &mut dyn Write) -> io::Result<()> {
    let mut suite = TestSuite::new(NAME);
    let mut total = Duration::ZERO;
    for entry in entries {
        match entry {
            Entry::Report(report) => {
                let time = elapsed(report);
                total = total.saturating_add(time);
                let mut case = TestCase::new(report.scenario.as_str(), status(report));
                case.set_classname(report.file.as_deref().unwrap_or(NAME));
                case.set_time(time);
                suite.add_test_case(case);
            }
            Entry::Exploration(exploration) => {
                for row in &exploration.protocols {
                    suite.add_test_case(explored(exploration, row));
                }
            }
            Entry::Failure(failure) => {
                suite.add_test_case(error(failure));
            }
        }
    }
    suite.set_time(total);
    let mut suites = Suites::new(NAME);
    suites.set_time(total);
    suites.add_test_suite(suite);
    suites.serialize(out).map_err(io::Error::other)
}

fn elapsed(report: &Report) -> Duration {
    Duration::try_from_secs_f64(report.summary.elapsed_ms / 1000.0).unwrap_or_default()
}

fn status(report: &Report) -> TestCaseStatus {
    let unmet = report.unmet().count();
    let message = match report.verdict {
        Verdict::Expected => return TestCaseStatus::success(),
        Verdict::Unexpected => {
            format!("{unmet} of {} expectations not met", report.expectations.len())
        }
        Verdict::Inconclusive => report.inconclusive().into(),
    };
    failure(report.verdict, message, description(report))
}

fn failure(verdict: Verdict, message: String, description: Vec<String>) -> TestCaseStatus {
    let description: String = description.into_iter().map(|line| line + "\n").collect();
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_type(verdict.word()).set_message(message).set_description(description);
    status
}

/// What was not as expected, what was found, and what else there is to know, a line each.
fn description(report: &Report) -> Vec<String> {
    let mut lines: Vec<String> = report.unmet().collect();
    let found = report.findings.iter();
    lines.extend(found.map(|row| format!("{}: {}", row.property.word(), row.text)));
    lines.extend(report.notices.iter().map(|notice| format!("note: {notice}")));
    lines.extend(report.repetition.as_ref().map(|repetition| {
        format!("{} of {} runs were as expected", repetition.expected(), repetition.runs)
    }));
    lines.extend(report.seed.map(|seed| format!("seed {seed}, protocol {}", report.protocol)));
    lines.extend(report.replay.as_ref().map(|command| format!("replay: {command}")));
    lines
}

/// All orderings under one lock protocol. What they took is left out: it is never the same twice.
fn explored(exploration: &Exploration, row: &ProtocolRow) -> TestCase {
    let status = match row.verdict {
        Verdict::Expected => TestCaseStatus::success(),
        Verdict::Unexpected => failure(row.verdict, row.wrong(), orderings(row)),
        Verdict::Inconclusive => failure(row.verdict, row.inconclusive().into(), orderings(row)),
    };
    let name = format!("explore {} {}", exploration.scenario, row.name);
    let mut case = TestCase::new(name, status);
    case.set_classname(exploration.file.as_deref().unwrap_or(NAME));
    case
}

/// What was found and how to see it again, and what was not found, a line each.
fn orderings(row: &ProtocolRow) -> Vec<String> {
    let found = row.shown().flat_map(|found| {
        let finding = format!("{}: {}", found.property.word(), found.text);
        [finding, format!("replay: {}", found.replay())]
    });
    let not_judged = row.not_judged().map(str::to_owned);
    found
        .chain(row.not_found(false))
        .chain(row.untried())
        .chain(row.unjudged())
        .chain(not_judged)
        .collect()
}

fn error(failure: &Failure) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type(failure.cause.word()).set_message(failure.message.as_str());
    let mut case = TestCase::new(failure.file.as_str(), status);
    case.set_classname(NAME);
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Cause, samples};

    fn written(entries: &[Entry]) -> String {
        let mut bytes = Vec::new();
        write(entries, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn each_scenario_is_a_test_case_with_its_end() {
        let mut unexpected = samples::orphan();
        unexpected.findings = vec![samples::finding("A's release at 5.001 s deleted B's lock")];
        unexpected.file = Some("mine/a&b.toml".into());
        let failure = Failure {
            file: "bro<ken.toml".into(),
            cause: Cause::Scenario,
            message: "bro<ken.toml:3:7: what".into(),
        };
        let text = written(&[
            Entry::Report(Box::new(samples::herd(3))),
            Entry::Report(Box::new(unexpected)),
            Entry::Report(Box::new(samples::interrupted())),
            Entry::Failure(failure),
        ]);
        for part in [
            r#"<testsuite name="nodb-trigger" tests="4" skipped="0" errors="1" failures="2""#,
            r#"<testcase name="thundering_herd" classname="nodb-trigger" time="2.004"/>"#,
            r#"<testcase name="orphaned_locks" classname="mine/a&amp;b.toml" time="0.361">"#,
            r#"<failure message="1 of 2 expectations not met" type="unexpected">"#,
            "found error: cannot dump to unlocked db",
            "foreign_release: A",
            r#"type="inconclusive""#,
            r#"<error message="bro&lt;ken.toml:3:7: what" type="scenario"/>"#,
        ] {
            assert!(text.contains(part), "no {part} in\n{text}");
        }
    }

    #[test]
    fn control_characters_do_not_break_the_xml() {
        let mut report = samples::hostile();
        report.scenario = "a\u{0}b]]>\u{1b}".into();
        let text = written(&[Entry::Report(Box::new(report))]);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\r' && c != '\t'));
        assert_eq!(written(&[]).matches("<testcase").count(), 0);
    }
}
