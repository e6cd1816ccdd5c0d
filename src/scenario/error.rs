//! What can be wrong with a scenario or its parameters, and the words for it.

/// Why a scenario can't be read or bound. Always one line, and it says what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// The file has a mistake, or makes no sense with the given parameters.
    #[error("{file}:{line}:{column}: {message}")]
    File {
        /// The file's name, as it was given to [`Scenario::parse`](super::Scenario::parse).
        file: String,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
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

/// A word of the user's in quotes, safe for a terminal and not endless.
pub(super) fn quoted(word: &str) -> String {
    const SHOWN: usize = 60;
    let short: String = word.chars().take(SHOWN).collect();
    let more = if short.len() < word.len() { "..." } else { "" };
    format!("\"{}{more}\"", short.escape_debug())
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
    let shown: Vec<&str> = words.iter().take(SHOWN).copied().collect();
    shown.join(", ") + more
}

/// The known word that a typing error would turn into this one.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 40;
    if word.len() > LONGEST {
        return None;
    }
    let allowed = if word.chars().count() < 4 { 1 } else { 2 };
    let near = |candidate: &&str| candidate.len().abs_diff(word.len()) <= 2 * allowed;
    let candidates = known.into_iter().filter(near);
    candidates
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be changed, added, removed or swapped with their neighbour.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    let mut last = None;
    for (i, l) in left.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, &r) in right.iter().enumerate() {
            let swapped = j > 0 && last == Some(r) && right.get(j - 1) == Some(&l);
            let cost = [
                at(&row, j) + usize::from(l != r),
                at(&row, j + 1) + 1,
                at(&next, j) + 1,
                if swapped { at(&before, j - 1) + 1 } else { usize::MAX },
            ];
            next.push(cost.into_iter().min().unwrap_or(usize::MAX));
        }
        before = std::mem::replace(&mut row, next);
        last = Some(l);
    }
    at(&row, right.len())
}

/// A cell of a row of the distance table.
fn at(row: &[usize], column: usize) -> usize {
    row.get(column).copied().unwrap_or(usize::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_typing_errors() {
        for (left, right, expected) in
            [("main", "main", 0), ("mian", "main", 1), ("", "ab", 2), ("wrok", "work", 1)]
        {
            assert_eq!(distance(left, right), expected, "{left} {right}");
            assert_eq!(distance(right, left), expected, "{right} {left}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
    }

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
