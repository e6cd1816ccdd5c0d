//! What a value looks like: tokens that are drawn at random, numbers that are times.

use std::time::Duration;
use uuid::Uuid;

/// How far from now a number may be that is taken for a time: ten years.
const FAR: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

/// A value that is drawn at random, or made to be unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// A UUID with hyphens.
    Uuid,
    /// This number of hexadecimal digits.
    Hex(usize),
    /// This number of characters of Base64.
    Base64(usize),
    /// This number of letters and digits.
    Alphanumeric(usize),
    /// This number of bytes that are no text.
    Bytes(usize),
}

impl Token {
    /// What it looks like, for a sentence.
    pub fn words(self) -> String {
        match self {
            Self::Uuid => "a UUID".into(),
            Self::Hex(digits) => format!("{digits} hexadecimal digits"),
            Self::Base64(length) => format!("{length} characters of Base64"),
            Self::Alphanumeric(length) => format!("{length} random letters and digits"),
            Self::Bytes(length) => format!("{length} random bytes"),
        }
    }
}

/// When a UUID of version 1 was made, and the network address of the machine that made it. A machine
/// without one draws a number, with the bit of group addresses set. Random digits may look like such a UUID,
/// but then their time is hardly ever near now.
pub(super) fn made(raw: &[u8], now: Duration) -> Option<(Duration, Option<String>)> {
    let uuid = uuid(std::str::from_utf8(raw).ok()?).filter(|uuid| uuid.get_version_num() == 1)?;
    let (seconds, nanos) = uuid.get_timestamp()?.to_unix();
    let made = Some(Duration::new(seconds, nanos)).filter(|made| is_near(*made, now))?;
    let node = uuid.get_node_id()?;
    let is_drawn = node.first().is_none_or(|first| first & 1 == 1);
    let bytes: Vec<String> = node.iter().map(|byte| format!("{byte:02x}")).collect();
    Some((made, (!is_drawn).then(|| bytes.join(":"))))
}

/// What kind of token this is, if it can be one.
pub(super) fn token(raw: &[u8]) -> Option<Token> {
    let Ok(text) = std::str::from_utf8(raw) else {
        let is_length = matches!(raw.len(), 16 | 20 | 32);
        return (is_length && distinct(raw) >= 10).then_some(Token::Bytes(raw.len()));
    };
    let is_uuid = text.len() == 36 && uuid(text).is_some();
    is_uuid
        .then_some(Token::Uuid)
        .or_else(|| hex(text))
        .or_else(|| base64(text))
        .or_else(|| mixed(text))
}

/// Whether a value looks drawn at random, so that it names one acquisition or one process.
pub fn is_drawn(raw: &[u8]) -> bool {
    token(raw).is_some()
}

/// A UUID of a version and variant that are in use.
pub(super) fn uuid(text: &str) -> Option<Uuid> {
    let is_length = matches!(text.len(), 32 | 36);
    let uuid = Uuid::try_parse(text).ok().filter(|_| is_length)?;
    let is_known = (1..=8).contains(&uuid.get_version_num());
    (is_known && uuid.get_variant() == uuid::Variant::RFC4122).then_some(uuid)
}

/// Digits that are too mixed for a number or a word.
fn hex(text: &str) -> Option<Token> {
    let is_length = matches!(text.len(), 16 | 20 | 24 | 32 | 40 | 48 | 64);
    let is_mixed =
        has(text, |byte| byte.is_ascii_digit()) && has(text, |b| b.is_ascii_alphabetic());
    let is_hex = is_length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_hex && is_mixed && distinct(text.as_bytes()) >= 7).then_some(Token::Hex(text.len()))
}

/// The Base64 of 16, 18, 20 or 32 bytes, as libraries write their tokens.
fn base64(text: &str) -> Option<Token> {
    let body = text.trim_end_matches('=');
    let padding = text.len() - body.len();
    let is_length =
        matches!((body.len(), padding), (22, 0 | 2) | (24, 0) | (27, 0 | 1) | (43, 0 | 1));
    let is_body = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte);
    if !is_length || !body.bytes().all(is_body) || body.starts_with("eyJ") {
        return None;
    }
    // With padding, no word and no number looks so.
    (padding > 0 || is_shuffled(body)).then_some(Token::Base64(text.len()))
}

fn mixed(text: &str) -> Option<Token> {
    let is_length = matches!(text.len(), 16 | 20 | 22 | 24 | 32 | 40);
    let is_alphanumeric =
        text.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !text.starts_with("eyJ");
    (is_length && is_alphanumeric && is_shuffled(text)).then_some(Token::Alphanumeric(text.len()))
}

/// Whether capitals, small letters and digits follow each other without a system: words have runs.
fn is_shuffled(text: &str) -> bool {
    let class = |byte: &u8| match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let bytes = text.as_bytes();
    let changes = bytes.iter().zip(bytes.iter().skip(1)).filter(|(a, b)| class(a) != class(b));
    let has_cases = has(text, |b| b.is_ascii_lowercase()) && has(text, |b| b.is_ascii_uppercase());
    has_cases && changes.count() * 8 >= bytes.len() * 3
}

fn has(text: &str, is_it: impl Fn(u8) -> bool) -> bool {
    text.bytes().any(is_it)
}

fn distinct(raw: &[u8]) -> usize {
    let mut bytes = raw.to_vec();
    bytes.sort_unstable();
    bytes.dedup();
    bytes.len()
}

/// The time that a number is, in seconds, milliseconds or microseconds since 1970, if it is within ten
/// years of now.
pub(super) fn moment(number: f64, now: Duration) -> Option<Duration> {
    let seconds = match number {
        1e8..1e11 => number,
        1e11..1e14 => number / 1e3,
        1e14..1e17 => number / 1e6,
        _ => return None,
    };
    let moment = Duration::try_from_secs_f64(seconds).ok()?;
    is_near(moment, now).then_some(moment)
}

/// The time that a text is, written as a number.
pub(super) fn moment_in(text: &str, now: Duration) -> Option<Duration> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    moment(text.parse().ok().filter(|_| is_number)?, now)
}

fn is_near(moment: Duration, now: Duration) -> bool {
    moment.abs_diff(now) < FAR
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_796_000_000);

    #[test]
    fn tokens_of_libraries_are_tokens() {
        for (raw, words) in [
            (&b"d7a1c2d3-1111-4222-8333-444455556666"[..], "a UUID"),
            (b"0a1b2c3d4e5f60718293a4b5c6d7e8f9", "32 hexadecimal digits"),
            (b"0123456789abcdef01234567", "24 hexadecimal digits"),
            (b"aB3dE6gH9jK2mN5p", "16 random letters and digits"),
            (b"x7Kq2PmZ9rTbL4vWcY8nHd", "22 characters of Base64"),
            (b"q83vEjRWeJCrze8SNFZ4kA==", "24 characters of Base64"),
            (b"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=", "44 characters of Base64"),
            (
                b"\xff\xfe\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e",
                "16 random bytes",
            ),
        ] {
            let said = token(raw).map(Token::words);
            assert_eq!(said.as_deref(), Some(words), "{}", String::from_utf8_lossy(raw));
        }
    }

    #[test]
    fn words_numbers_and_data_are_no_tokens() {
        for raw in [
            &b""[..],
            b"1",
            b"locked",
            b"1700000000",
            b"1234567890123456",
            b"UserSessionCache",
            b"processing_orders_now",
            b"00000000-0000-0000-0000-000000000000",
            b"11111111111111111111111111111111",
            b"{\"id\":7,\"n\":1}",
            b"eyJhbGciOiJIUzI1NiJ9eyJz",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\xff\xfe\x01",
        ] {
            assert_eq!(token(raw), None, "{}", String::from_utf8_lossy(raw));
        }
    }

    #[test]
    fn a_uuid_of_version_1_tells_when_and_where_it_was_made() {
        let (since, machine) = made(b"5f0c8f70ee1b11f1b2c30242ac120002", NOW).unwrap();
        assert_eq!(machine.as_deref(), Some("02:42:ac:12:00:02"));
        assert!(since.as_secs().abs_diff(NOW.as_secs()) < 366 * 24 * 3600, "{since:?}");
        let (_, drawn) = made(b"5f0c8f70ee1b11f1b2c30342ac120002", NOW).unwrap();
        assert_eq!(drawn, None);
        for raw in
            [&b"d7a1c2d3-1111-4222-8333-444455556666"[..], b"0a1b2c3d4e5f10718293a4b5c6d7e8f9"]
        {
            assert_eq!(made(raw, NOW), None);
        }
    }

    #[test]
    fn numbers_near_now_are_times() {
        let seconds = Duration::from_secs(1_700_000_000);
        for text in ["1700000000", "1700000000000", "1700000000000000", "1700000000.0"] {
            assert_eq!(moment_in(text, NOW), Some(seconds), "{text}");
        }
        for text in ["", "7", "-1700000000", "900000000", "2300000000", "1e9", "inf", "1.2.3"] {
            assert_eq!(moment_in(text, NOW), None, "{text}");
        }
    }
}
