//! Annotations for GitHub Actions: what was not as expected, where a workflow's reader sees it. They
//! go to stderr, which the runner reads as well as stdout, so that they break no report.

use crate::report::{Entry, Exploration, Report};
use lock_history::check::Verdict;
use std::io::{self, Write};

/// Prints annotations, if we run in GitHub Actions.
pub(super) fn annotate(annotations: &[String]) {
    if std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| !value.is_empty()) {
        for annotation in annotations {
            let _ = writeln!(io::stderr(), "{annotation}");
        }
    }
}

/// The annotations of several scenarios.
pub(super) fn of_entries(entries: &[Entry]) -> Vec<String> {
    let of = |entry: &Entry| match entry {
        Entry::Report(report) => of_report(report),
        Entry::Exploration(exploration) => of_exploration(exploration),
        Entry::Failure(_) => Vec::new(),
    };
    entries.iter().flat_map(of).collect()
}

/// One for each unmet expectation.
fn of_report(report: &Report) -> Vec<String> {
    let title = format!("{} ({})", report.scenario, report.protocol);
    let unmet = report.expectations.iter().filter(|row| row.met == Some(false));
    let text = |what, found| format!("expected {what}; found {found}");
    let file = report.file.as_deref();
    unmet.map(|row| annotation(file, &title, &text(&row.what, &row.found))).collect()
}

/// One for each protocol that did not come out as it must when all orderings were explored.
fn of_exploration(exploration: &Exploration) -> Vec<String> {
    let unexpected = exploration.protocols.iter().filter(|row| row.verdict == Verdict::Unexpected);
    let title = |name| format!("explore {} ({name})", exploration.scenario);
    let file = exploration.file.as_deref();
    unexpected.map(|row| annotation(file, &title(&row.name), &row.wrong())).collect()
}

fn annotation(file: Option<&str>, title: &str, text: &str) -> String {
    let file = file.map(|file| format!("file={},", property(file))).unwrap_or_default();
    format!("::error {file}title={}::{}", property(title), data(text))
}

/// Text as the runner reads it.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Text between the commas before it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_ends_an_annotation() {
        assert_eq!(data("100%\r\n::error::x"), "100%25%0D%0A::error::x");
        assert_eq!(property("a:b,c%"), "a%3Ab%2Cc%25");
    }
}
