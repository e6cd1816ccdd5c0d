//! Text of others on its way into a sentence or a file.

use serde::Serialize;
use std::fmt::Write;

/// At most this number of characters, without what would move the cursor or reorder the line.
pub fn shortened(text: &str, longest: usize) -> String {
    let shown = text.chars().map(|c| if is_invisible(c) { '\u{fffd}' } else { c });
    let mut shown: String = shown.take(longest + 1).collect();
    if let Some((end, _)) = shown.char_indices().nth(longest) {
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

/// Whether a terminal obeys a character instead of showing it: control characters, line separators,
/// and the marks that reorder or join text unseen.
pub fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// One line of JSON, without its end, in which invisible characters are escaped.
///
/// # Errors
///
/// Fails if a member can't be JSON.
pub fn json_line(data: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(data).map(visible)
}

/// Indented JSON, without the last newline, in which invisible characters are escaped.
///
/// # Errors
///
/// Fails if a member can't be JSON.
pub fn json_lines(data: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string_pretty(data).map(visible)
}

/// JSON with its invisible characters escaped. The library escapes only those before the space. The
/// others can only be in strings.
fn visible(json: String) -> String {
    let is_left = |c: char| c > ' ' && is_invisible(c);
    if !json.contains(is_left) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 64);
    for character in json.chars() {
        if !is_left(character) {
            escaped.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string can't fail.
            let _ = write!(escaped, "\\u{unit:04x}");
        }
    }
    escaped
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
    #[test]
    fn json_escapes_each_invisible_character() {
        let invisible: Vec<char> = ('\0'..=char::MAX).filter(|c| is_invisible(*c)).collect();
        for character in &invisible {
            let json = json_line(character).unwrap();
            assert!(json.bytes().all(|byte| byte.is_ascii_graphic()), "{json}");
            assert_eq!(serde_json::from_str::<char>(&json).unwrap(), *character);
        }
        let all: String = invisible.iter().flat_map(|c| [*c, 'x', 'ロ']).collect();
        let json = json_lines(&[&all]).unwrap();
        assert!(!json.chars().any(|c| c != '\n' && is_invisible(c)), "{json}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&json).unwrap(), [all]);
        assert_eq!(json_line(&"Übung ロック").unwrap(), "\"Übung ロック\"");
    }
}
