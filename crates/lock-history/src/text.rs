//! Text of others on its way into a sentence.

/// At most this number of characters, without what would move the cursor.
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

    #[test]
    fn a_text_is_cut_after_its_longest_and_moves_no_cursor() {
        assert_eq!(shortened("a\nb", 3), "a\u{fffd}b");
        assert_eq!(shortened("äöüß", 3), "äöü…");
        assert_eq!(shortened("", 0), "");
    }
}
