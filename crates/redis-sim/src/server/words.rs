//! The words of a request that is a bare line: quotes and escapes as Redis reads them.

/// The words of a line; nothing if a quote does not end, or something follows it at once.
pub(super) fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    // Redis takes the line for one of C, which ends at a zero byte.
    let mut rest = line.split(|&byte| byte == 0).next().unwrap_or_default();
    let mut words = Vec::new();
    loop {
        rest = rest.trim_ascii_start();
        // The one blank of C that Rust does not count as one.
        while let [0x0b, behind @ ..] = rest {
            rest = behind.trim_ascii_start();
        }
        if rest.is_empty() {
            return Some(words);
        }
        let word;
        (word, rest) = first(rest)?;
        words.push(word);
    }
}

/// The first word of a line, and what follows it.
fn first(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        match rest {
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Some((word, rest)),
            [quote @ (b'"' | b'\''), behind @ ..] => {
                rest = quoted(*quote, behind, &mut word)?;
                // A quote that ended ends the word.
                let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
                return rest.first().is_none_or(blank).then_some((word, rest));
            }
            [byte, behind @ ..] => {
                word.push(*byte);
                rest = behind;
            }
        }
    }
}

/// Reads up to the end of the quote; gives what follows.
fn quoted<'a>(quote: u8, mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let byte;
        (byte, rest) = match (quote, rest) {
            (_, [end, behind @ ..]) if *end == quote => return Some(behind),
            (b'"', [b'\\', b'x', high, low, behind @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (digit(*high) << 4 | digit(*low), behind)
            }
            (b'"', [b'\\', escaped, behind @ ..]) => (escape(*escaped), behind),
            (b'\'', [b'\\', b'\'', behind @ ..]) => (b'\'', behind),
            (_, [plain, behind @ ..]) => (*plain, behind),
            (_, []) => return None,
        };
        word.push(byte);
    }
}

fn escape(letter: u8) -> u8 {
    match letter {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn digit(letter: u8) -> u8 {
    (letter as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_quoted_word_is_read_as_it_was(word in prop::collection::vec(any::<u8>(), 0..20)) {
            let hex: String = word.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            prop_assert_eq!(split(format!("a \"{hex}\" b").as_bytes()), Some(vec![
                b"a".to_vec(),
                word,
                b"b".to_vec(),
            ]));
        }

        #[test]
        fn no_line_panics(line in prop::collection::vec(any::<u8>(), 0..40)) {
            split(&line);
        }
    }

    #[test]
    fn quotes_and_escapes_are_those_of_redis() {
        for (line, words) in [
            (r#"  set  a 'it\'s' "#, Some(vec!["set", "a", "it's"])),
            (r#""a\n\t\"\q" ''"#, Some(vec!["a\n\t\"q", ""])),
            (r#"a"b c"d"#, None),
            (r#"a"b c" d"#, Some(vec!["ab c", "d"])),
            (r#""a"#, None),
            (r#"'a\'"#, None),
            (r#""\x4"#, None),
            ("a\0b", Some(vec!["a"])),
            ("\x0b a \x0b", Some(vec!["a"])),
            ("", Some(vec![])),
        ] {
            let found = split(line.as_bytes());
            let expected = words.map(|words| {
                words.into_iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>()
            });
            assert_eq!(found, expected, "{line:?}");
        }
    }
}
