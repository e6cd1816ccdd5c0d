//! Redis' glob patterns, as KEYS and SCAN use them, on bytes.
//!
//! Not the shell's: `/` is nothing special, `!` does not negate, and an unclosed class ends with the
//! pattern. Where Redis does something odd, so does this file: the client under test may rely on it.

/// Whether all of `text` matches `pattern`. Takes at most `pattern * text` steps, however hostile.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // Redis never enters its loop for an empty text, so not even `*` matches one.
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut rest, mut text) = (pattern, text);
    // Where to go on after a mismatch: the pattern behind the last star, and the text that this star
    // has not swallowed yet. An earlier star need not be tried again: it could only do worse.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let Some(behind) = after_stars(rest) {
            if behind.is_empty() {
                return true;
            }
            rest = behind;
            star = Some((behind, text));
        }
        if text.is_empty() && rest.is_empty() {
            return true;
        }
        match step(rest, text) {
            Some((next, left)) => (rest, text) = (next, left),
            None => {
                let Some((behind, [_, left @ ..])) = star else { return false };
                if left.is_empty() {
                    return false;
                }
                star = Some((behind, left));
                (rest, text) = (behind, left);
            }
        }
    }
}

/// Whether any text matches `pattern`. A class may have no byte in it.
pub fn can_match(pattern: &[u8]) -> bool {
    let mut rest = pattern;
    while let Some((first, after)) = rest.split_first() {
        rest = match first {
            b'[' => {
                let Some(behind) = (0..=u8::MAX).find_map(|byte| class(after, byte)) else {
                    return false;
                };
                behind
            }
            b'\\' => after.get(1..).unwrap_or_default(),
            _ => after,
        };
    }
    true
}

/// What follows a run of stars, if the pattern begins with one.
fn after_stars(pattern: &[u8]) -> Option<&[u8]> {
    let stars = pattern.iter().take_while(|&&byte| byte == b'*').count();
    if stars == 0 { None } else { pattern.get(stars..) }
}

/// Matches one byte of text; gives what is left of both.
fn step<'p, 't>(pattern: &'p [u8], text: &'t [u8]) -> Option<(&'p [u8], &'t [u8])> {
    let (&byte, left) = text.split_first()?;
    let rest = match pattern {
        [b'?', rest @ ..] => rest,
        [b'[', rest @ ..] => class(rest, byte)?,
        [b'\\', literal, rest @ ..] => (*literal == byte).then_some(rest)?,
        [literal, rest @ ..] => (*literal == byte).then_some(rest)?,
        [] => return None,
    };
    Some((rest, left))
}

/// Matches one byte against a class (its `[` already read); gives the pattern behind the class.
fn class(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    let (negated, mut rest) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, pattern),
    };
    let mut found = false;
    loop {
        rest = match rest {
            [b'\\', literal, rest @ ..] => {
                found |= *literal == byte;
                rest
            }
            [b']', rest @ ..] => break (found != negated).then_some(rest),
            [] => break (found != negated).then_some(rest),
            [from, b'-', to, rest @ ..] => {
                found |= (*from.min(to)..=*from.max(to)).contains(&byte);
                rest
            }
            [literal, rest @ ..] => {
                found |= *literal == byte;
                rest
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_redis() {
        let cases: &[(&str, &str, bool)] = &[
            ("", "", true),
            ("*", "", false),
            ("", "a", false),
            ("**", "a", true),
            ("a*", "a", true),
            ("*a*", "xay", true),
            ("a?c", "abc", true),
            ("a?", "a", false),
            ("[abc]x", "bx", true),
            ("[^abc]", "d", true),
            ("[^abc]", "a", false),
            ("[!a]", "!", true),
            ("[c-a]", "b", true),
            ("[a", "a", true),
            ("[^", "z", true),
            ("[", "[", false),
            ("[]a]", "a", false),
            ("[a-]", "b", false),
            ("[a-]", "^", true),
            ("[\\]]", "]", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("\\*", "\\", false),
            ("a\\", "a\\", true),
            ("\\[a]", "[a]", true),
            ("*[0-9]", "run7", true),
            ("*ab", "aab", true),
            ("a*b*c", "a__b__b__c", true),
            ("a*b*c", "a__b__b__", false),
        ];
        for &(pattern, text, expected) in cases {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern:?} on {text:?}"
            );
        }
    }

    #[test]
    fn a_pattern_with_an_empty_class_can_match_nothing() {
        for good in ["", "*", "lock:*", "\\[]", "[ab]", "[^]", "[[]x]", "[a-][]x", "[a", "\\"] {
            assert!(can_match(good.as_bytes()), "{good}");
        }
        for wrong in ["[]", "lock:[]*", "\\\\[]", "[a][]", "["] {
            assert!(!can_match(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends() {
        let pattern = b"*a".repeat(2_000);
        let text = b"a".repeat(1_999);
        assert!(!matches(&pattern, &text));
    }
}
