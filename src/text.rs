//! Text of others on its way into a sentence.

use std::fmt::Display;

/// The system's words for an error, without its number.
pub fn of_system(error: &impl Display) -> String {
    let mut words = error.to_string();
    words.truncate(words.find(" (os error ").unwrap_or(words.len()));
    words
}

/// At most so many characters, without what would move the cursor.
pub fn shortened(text: &str, longest: usize) -> String {
    let shown = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let mut shown: String = shown.take(longest + 1).collect();
    if let Some((end, _)) = shown.char_indices().nth(longest) {
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn the_number_of_a_system_s_error_is_left_out() {
        assert_eq!(of_system(&io::Error::from_raw_os_error(2)), "No such file or directory");
        assert_eq!(of_system(&io::Error::other("broken")), "broken");
    }

    #[test]
    fn a_text_is_cut_after_its_longest_and_moves_no_cursor() {
        assert_eq!(shortened("a\nb", 3), "a\u{fffd}b");
        assert_eq!(shortened("äöüß", 3), "äöü…");
        assert_eq!(shortened("", 0), "");
    }
}
