//! A client from outside: how it is started, and what reports call it.

use super::args::{ClientOptions, Language};
use crate::report::exploration::ClientRow;

/// The subject that calls Python functions.
const PYTHON: &str = include_str!("../../python/nodb_trigger/subject.py");

impl ClientOptions {
    /// The command for the shell that starts the client, if one is named.
    pub(super) fn command(&self) -> Option<String> {
        let Some(functions) = &self.python else { return self.subject.clone() };
        let words = [PYTHON, functions].into_iter().chain(self.refused.iter().map(String::as_str));
        let words: String = words.map(|word| format!(" {}", quoted(word))).collect();
        Some(format!("exec python3 -c{words}"))
    }

    /// What reports call the client.
    pub(super) fn row(&self) -> ClientRow {
        let (subject, python) = (self.subject.clone(), self.python.clone());
        ClientRow { subject, python, refused: self.refused.clone() }
    }
}

/// A subject that works, to put a lock into.
pub(super) fn start_of_subject(language: Language) -> &'static str {
    match language {
        Language::Python => include_str!("../../examples/subjects/init/subject.py"),
        Language::Node => include_str!("../../examples/subjects/init/subject.js"),
        Language::Ruby => include_str!("../../examples/subjects/init/subject.rb"),
        Language::Rust => include_str!("../../examples/subjects/init/subject.rs"),
        Language::Bash => include_str!("../../examples/subjects/bash.sh"),
    }
}

/// A word as any shell reads it, over several lines if it has them.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
