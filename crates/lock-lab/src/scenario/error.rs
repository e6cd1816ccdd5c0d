//! What can be wrong with a scenario or its parameters, and the words for it.

/// Why a scenario can't be read or bound. It says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// The file has mistakes, or makes no sense with the given parameters. A line each.
    #[error("{}", lines(file, mistakes))]
    File {
        /// The file's name, as it was given to [`Scenario::parse`](super::Scenario::parse), made
        /// printable.
        file: String,
        /// The mistakes, in the order of their places: at least one, at most 100.
        mistakes: Vec<Mistake>,
    },
    /// A parameter was given that the scenario doesn't have, or with a value it can't take.
    #[error("{name}: {message}")]
    Parameter {
        /// The parameter's name as it was given.
        name: String,
        /// What is wrong with it.
        message: String,
    },
}

/// A mistake in a scenario file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong there, and what would be right. One line.
    pub message: String,
    /// The line of the file; of a long one, the 100 characters around the place.
    pub excerpt: String,
    /// How many characters of the excerpt stand before the place.
    pub before: usize,
}

fn lines(file: &str, mistakes: &[Mistake]) -> String {
    let line = |it: &Mistake| format!("{file}:{}:{}: {}", it.line, it.column, it.message);
    mistakes.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A word of the user's in quotes, safe for a terminal and not endless.
pub(super) fn quoted(word: &str) -> String {
    format!("\"{}\"", printable(word))
}

fn printable(word: &str) -> String {
    const SHOWN: usize = 60;
    let short: String = word.chars().take(SHOWN).collect();
    let more = if short.len() < word.len() { "..." } else { "" };
    format!("{}{more}", short.escape_debug())
}

/// `unknown lock "mian"; did you mean "main"?`, or the list of what there is.
pub fn unknown<'a>(kind: &str, word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let word_quoted = quoted(word);
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("unknown {kind} {word_quoted}; did you mean {}?", quoted(near)),
        None if known.is_empty() => format!("unknown {kind} {word_quoted}; there is none"),
        None => format!("unknown {kind} {word_quoted}; known: {}", list(&known)),
    }
}

/// Words after one another, the first twenty of them.
pub(super) fn list(words: &[&str]) -> String {
    const SHOWN: usize = 20;
    let more = if words.len() > SHOWN { ", ..." } else { "" };
    let shown: Vec<String> = words.iter().take(SHOWN).map(|word| printable(word)).collect();
    shown.join(", ") + more
}

/// The known word that a typing error would turn into this one.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 40;
    /// More words than these are not compared.
    const MOST: usize = 1000;
    if word.len() > LONGEST {
        return None;
    }
    let allowed = if word.chars().count() < 4 { 1 } else { 2 };
    let near = |candidate: &&str| candidate.len().abs_diff(word.len()) <= 2 * allowed;
    let candidates = known.into_iter().take(MOST).filter(near);
    candidates
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_words_get_a_suggestion_or_the_list() {
        assert_eq!(
            unknown("lock", "mian", ["main", "other"]),
            r#"unknown lock "mian"; did you mean "main"?"#
        );
        assert_eq!(
            unknown("lock", "x\u{1b}[2J", ["main", "other"]),
            r#"unknown lock "x\u{1b}[2J"; known: main, other"#
        );
        assert_eq!(unknown("step", "x", []), r#"unknown step "x"; there is none"#);
        assert!(unknown("lock", &"x".repeat(5000), ["main"]).len() < 120);
    }
}
