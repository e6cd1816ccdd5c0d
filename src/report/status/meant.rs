//! The word that names one acquisition on a command line: it must not fit another one.

use lock_lab::lock::Payload;
use uuid::Uuid;

/// How many characters of a UUID show which acquisition is meant.
pub const ENOUGH: usize = 8;
/// The longest token that is typed as it is, in bytes.
const LONGEST: usize = 64;
/// What a digest begins with where it stands for a token.
const DIGEST: &str = "sha1:";

/// Whether a word names an acquisition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant {
    /// It does.
    Yes,
    /// It names another one.
    No,
    /// It is a beginning that is too short to decide.
    TooShort,
    /// It is the beginning of a token that is no UUID, and others may begin so, too.
    Beginning,
}

/// The word for the acquisition of this payload: the beginning of a UUID, another token as a whole,
/// or the digest of the value where its token can't be typed.
pub(super) fn word(payload: &Payload) -> String {
    let token = payload.token().as_str();
    if is_uuid(token) {
        return token.chars().take(ENOUGH).collect();
    }
    let would_mislead = token.starts_with('-') || token.starts_with(DIGEST);
    let is_typeable = !token.is_empty() && token.len() <= LONGEST && is_exact(token);
    if is_typeable && !would_mislead { token.to_owned() } else { digest(payload) }
}

/// Whether this word names the acquisition of this payload.
pub fn is_meant(payload: &Payload, word: &str) -> Meant {
    let token = payload.token().as_str();
    let is_complete = token == word && !token.contains('\u{fffd}');
    if is_complete || word == digest(payload) {
        return Meant::Yes;
    }
    match word.chars().count() {
        0..ENOUGH => Meant::TooShort,
        _ if !token.starts_with(word) => Meant::No,
        _ if is_uuid(token) => Meant::Yes,
        _ => Meant::Beginning,
    }
}

/// Whether a token has the shape of the contract's, which begins with random digits.
fn is_uuid(token: &str) -> bool {
    matches!(token.len(), 32 | 36) && Uuid::try_parse(token).is_ok()
}

/// Whether an argument can hold this text, and nothing of it was lost when it was read.
fn is_exact(token: &str) -> bool {
    !token.contains(['\0', '\u{fffd}'])
}

fn digest(payload: &Payload) -> String {
    format!("{DIGEST}{}", sha1_smol::Sha1::from(payload.raw()).digest())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(raw: &[u8]) -> Payload {
        Payload::decode(raw)
    }

    #[test]
    fn only_of_a_uuid_the_beginning_is_enough() {
        for token in ["0f3a9c41d2b7488f9e0a1b2c3d4e5f60", "0f3a9c41-d2b7-488f-9e0a-1b2c3d4e5f60"] {
            assert_eq!(word(&payload(token.as_bytes())), "0f3a9c41");
            assert_eq!(is_meant(&payload(token.as_bytes()), "0f3a9c41"), Meant::Yes);
            assert_eq!(is_meant(&payload(token.as_bytes()), "0f3a9c4"), Meant::TooShort);
        }
        let newer = payload(br#"{"token":"worker-07-NEWER"}"#);
        assert_eq!(is_meant(&newer, "worker-07-aaaa"), Meant::No);
        assert_eq!(is_meant(&newer, "worker-07"), Meant::Beginning);
        assert_eq!(is_meant(&newer, "worker-07-NEWER"), Meant::Yes);
        assert_eq!(word(&newer), "worker-07-NEWER");
    }

    #[test]
    fn what_can_not_be_typed_is_named_by_its_digest() {
        let long = "x".repeat(65);
        for raw in [&b"\xff\xfe"[..], b"a\0b", b"", b"-x", b"sha1:x", long.as_bytes()] {
            let word = word(&payload(raw));
            assert!(word.starts_with("sha1:") && word.len() == 45, "{word}");
            assert_eq!(is_meant(&payload(raw), &word), Meant::Yes);
            assert_eq!(is_meant(&payload(b"another one"), &word), Meant::No);
        }
        // Both read alike.
        assert_ne!(is_meant(&payload(b"\xff123456789"), "\u{fffd}123456789"), Meant::Yes);
    }
}
