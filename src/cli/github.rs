//! Annotations for GitHub Actions: what was not as expected, where a workflow's reader sees it. They
//! go to stderr, which the runner reads as well as stdout, so that they break no report.

use crate::check::Verdict;
use crate::report::{Exploration, Report};
use std::io::{self, Write};

/// Annotates each unmet expectation, if we run in GitHub Actions and somebody wants to hear it.
pub(super) fn annotate<'a>(reports: impl IntoIterator<Item = &'a Report>, quiet: bool) {
    print(reports.into_iter().flat_map(annotations), quiet);
}

/// The same for each protocol that did not come out as it must when all orderings were explored.
pub(super) fn annotate_explorations<'a>(
    explorations: impl IntoIterator<Item = &'a Exploration>,
    quiet: bool,
) {
    print(explorations.into_iter().flat_map(explored), quiet);
}

fn print(annotations: impl Iterator<Item = String>, quiet: bool) {
    if quiet || std::env::var_os("GITHUB_ACTIONS").is_none_or(|value| value.is_empty()) {
        return;
    }
    for annotation in annotations {
        let _ = writeln!(io::stderr(), "{annotation}");
    }
}

fn explored(exploration: &Exploration) -> Vec<String> {
    let file = exploration.file.as_ref().map(|file| format!("file={},", property(file)));
    let file = file.unwrap_or_default();
    let unexpected = exploration.protocols.iter().filter(|row| row.verdict == Verdict::Unexpected);
    unexpected
        .map(|row| {
            let title = format!("explore {} ({})", exploration.scenario, row.name);
            format!("::error {file}title={}::{}", property(&title), data(&row.wrong()))
        })
        .collect()
}

fn annotations(report: &Report) -> Vec<String> {
    let file = report.file.as_ref().map(|file| format!("file={},", property(file)));
    let file = file.unwrap_or_default();
    let title = property(&format!("{} ({})", report.scenario, report.protocol));
    let unmet = report.expectations.iter().filter(|row| !row.met);
    unmet
        .map(|row| {
            let text = data(&format!("expected {}; found {}", row.what, row.found));
            format!("::error {file}title={title}::{text}")
        })
        .collect()
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
