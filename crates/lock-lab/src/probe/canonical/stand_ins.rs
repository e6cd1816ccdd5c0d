//! What stands for a token, and how the values come back in place of their names.

use super::parts::{SHORTEST, is_uuid};
use crate::lock::Token;

/// A value, and what stands for it.
#[derive(Debug, Clone)]
pub struct Symbol {
    pub value: Vec<u8>,
    pub name: Vec<u8>,
    /// Whose it is; none, if it is a time.
    pub drawn_by: Option<usize>,
    /// How much later it was than by the client's own clock when the value was named, in seconds.
    pub ahead: i64,
}

/// The name of the Nth token of an actor.
pub fn name(actor: usize, number: usize) -> Vec<u8> {
    Token::name(actor + 1, number).into_bytes()
}

/// The same in digits, as long as a value or longer, if it takes more: the actor and the number, which have no
/// zero, and zeros after them. A UUID keeps its hyphens. All that random text is made of may have digits.
pub fn like(value: &[u8], actor: usize, number: usize) -> Vec<u8> {
    let mut digits = [without_zero(actor + 1), without_zero(number)].join(&b'0');
    digits.resize(digits.len().max(value.len()), b'0');
    if is_uuid(value) {
        let hyphens = value.iter().enumerate().filter(|(_, byte)| **byte == b'-');
        hyphens.for_each(|(at, _)| digits.insert(at.min(digits.len()), b'-'));
        digits.truncate(value.len());
    }
    digits
}

/// A value or name of another client that looks the same: its last letter or digit is another one.
pub fn of_another(text: &[u8]) -> Vec<u8> {
    if let Some(number) =
        text.strip_prefix(b"token-").and_then(|it| it.split(|it| *it == b'.').nth(1))
    {
        return [b"token-0.", number].concat();
    }
    let mut text = text.to_vec();
    let last = text.iter_mut().rev().find(|byte| byte.is_ascii_alphanumeric());
    if let Some(last) = last {
        *last = match *last {
            b'9' => b'8',
            b'f' | b'z' => b'e',
            b'F' | b'Z' => b'E',
            other => other + 1,
        };
    }
    text
}

/// A number from 1 on, in digits from 1 to 9.
fn without_zero(number: usize) -> Vec<u8> {
    let (mut digits, mut rest) = (Vec::new(), number);
    while rest > 0 {
        digits.push(b'1' + ((rest - 1) % 9) as u8);
        rest = (rest - 1) / 9;
    }
    digits.reverse();
    digits
}

/// A text with values in place of their names. Of the values of one name, the first counts.
pub fn with_values(text: &[u8], symbols: &[&Symbol]) -> Vec<u8> {
    // One name may begin like another.
    let mut symbols = symbols.to_vec();
    symbols.sort_by_key(|symbol| std::cmp::Reverse(symbol.name.len()));
    let (mut result, mut at) = (Vec::with_capacity(text.len()), 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let stands_here = |symbol: &&&Symbol| {
            !symbol.name.is_empty()
                && rest.starts_with(&symbol.name)
                && is_apart(text, at, &symbol.name)
        };
        let (length, value) = match symbols.iter().find(stands_here) {
            Some(symbol) => (symbol.name.len(), &symbol.value[..]),
            None => (1, rest.get(..1).unwrap_or_default()),
        };
        result.extend_from_slice(value);
        at += length;
    }
    result
}

/// Whether a name in a text is no part of a longer number.
fn is_apart(text: &[u8], at: usize, name: &[u8]) -> bool {
    if name.len() >= SHORTEST || !name.iter().all(u8::is_ascii_digit) {
        return true;
    }
    let before = at.checked_sub(1).and_then(|before| text.get(before));
    let after = text.get(at + name.len());
    ![before, after].into_iter().flatten().any(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tokens_have_the_same_digits() {
        let mut seen = std::collections::HashSet::new();
        for length in [1, 6, 32] {
            let value = vec![b'x'; length];
            for (actor, number) in (0..30).flat_map(|actor| (1..30).map(move |it| (actor, it))) {
                let digits = like(&value, actor, number);
                assert!(digits.len() >= length && digits[0] != b'0');
                let parts: Vec<_> =
                    digits.split(|it| *it == b'0').take(2).map(<[u8]>::to_vec).collect();
                assert!(seen.insert((length, parts)), "{actor} {number}");
            }
        }
        assert_eq!(like(b"482913", 0, 1), b"101000");
        assert_eq!(like(b"", 9, 10), b"11011");
        let uuid = b"0f3a9c41-d2b7-488f-9e0a-1b2c3d4e5f60";
        assert_eq!(like(uuid, 0, 1), b"10100000-0000-0000-0000-000000000000");
    }

    #[test]
    fn values_come_back_once_and_where_a_name_is_apart() {
        let symbol = |name: &str, value: &str| Symbol {
            name: name.into(),
            value: value.into(),
            drawn_by: Some(0),
            ahead: 0,
        };
        let all = [
            symbol("101000", "482913"),
            symbol("token-1.1", "token-1.12"),
            symbol("token-1.12", "x"),
        ];
        let all: Vec<&Symbol> = all.iter().collect();
        for (text, expected) in [
            ("101000", "482913"),
            ("(101000|101000)", "(482913|482913)"),
            ("1101000", "1101000"),
            ("101000a", "101000a"),
            ("token-1.1;token-1.12", "token-1.12;x"),
        ] {
            assert_eq!(with_values(text.as_bytes(), &all), expected.as_bytes(), "{text}");
        }
    }
}
