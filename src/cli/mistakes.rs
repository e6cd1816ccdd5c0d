//! Says why something can't be done; of a scenario file, each mistake with its line.

use super::exit::Refusal;
use super::say;
use crate::report::escape;
use lock_lab::scenario::{Mistake, ScenarioError};
use std::io::{self, Write};
use unicode_width::UnicodeWidthStr;

/// Prints it on stderr.
pub(super) fn explain(refusal: &Refusal) {
    let Some(ScenarioError::File { file, mistakes }) = refusal.error.downcast_ref() else {
        return say(&format!("{:#}", refusal.error));
    };
    for mistake in mistakes {
        let Mistake { line, column, message, .. } = mistake;
        say(&format!("{file}:{line}:{column}: {message}"));
        // stderr may have no reader.
        let _ = io::stderr().write_all(excerpt(mistake).as_bytes());
    }
    if mistakes.len() > 1 {
        say(&format!("{file}: {} mistakes", mistakes.len()));
    }
}

/// The line of the file, and a mark below the place.
fn excerpt(mistake: &Mistake) -> String {
    let Mistake { line, excerpt, before, .. } = mistake;
    if excerpt.trim().is_empty() {
        return String::new();
    }
    let shown = |text: String| escape(&text.replace('\t', " "));
    let start = shown(excerpt.chars().take(*before).collect());
    let rest = shown(excerpt.chars().skip(*before).collect());
    let gap = " ".repeat(start.width());
    format!("{line:>5} | {start}{rest}\n      | {gap}^\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(excerpt: &str, before: usize) -> Mistake {
        let (message, excerpt) = (String::new(), excerpt.to_owned());
        Mistake { line: 12, column: 1, message, excerpt, before }
    }

    #[test]
    fn the_mark_stands_below_the_place() {
        assert_eq!(excerpt(&of("a = 1", 4)), "   12 | a = 1\n      |     ^\n");
        assert_eq!(excerpt(&of("\t漢é = 1", 5)), "   12 |  漢é = 1\n      |       ^\n");
        assert_eq!(excerpt(&of("a", 1)), "   12 | a\n      |  ^\n");
        assert_eq!(excerpt(&of(" ", 0)), "");
    }

    #[test]
    fn a_terminal_is_not_driven_by_a_file() {
        let shown = excerpt(&of("# \u{1b}[2J\u{202e} x = 1", 7));
        assert_eq!(shown, "   12 | # \\u{1b}[2J\\u{202e} x = 1\n      |                    ^\n");
    }
}
