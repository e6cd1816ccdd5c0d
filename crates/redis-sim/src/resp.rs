//! The wire format of requests: an array of bulk strings, as slices of the bytes it came in.
//!
//! Pure functions, no I/O. Requests are complete here; those that come in pieces, and Redis' other
//! format (a bare line, for telnet), are read by [`super::server`].

use std::io::Write;

/// Redis takes no bulk string above 512 MB, so no length that overflows gets further than this.
pub(super) const MAX_BULK: i64 = 512 * 1024 * 1024;

/// How many arguments a request holds without an allocation.
const INLINE: usize = 8;

/// Why bytes are no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("expected '{}', got '{}'", *expected as char, *got as char)]
    Unexpected { expected: u8, got: u8 },
    #[error("invalid multibulk length")]
    MultibulkLength,
    #[error("invalid bulk length")]
    BulkLength,
    #[error("truncated request")]
    Truncated,
}

/// One command and its arguments.
pub(super) struct Request<'a> {
    inline: [&'a [u8]; INLINE],
    len: usize,
    spilled: Vec<&'a [u8]>,
}

impl<'a> Request<'a> {
    pub(super) fn new() -> Self {
        Self { inline: [&[]; INLINE], len: 0, spilled: Vec::new() }
    }

    /// Takes the first request off `input` and gives what follows it. Reads into a value that is
    /// already where it stays, because moving it would cost as much as reading.
    pub(super) fn read(&mut self, input: &'a [u8]) -> Result<&'a [u8], Malformed> {
        self.len = 0;
        self.spilled.clear();
        let rest = expect(input, b'*')?;
        let (count, mut rest) = number(rest).ok_or(Malformed::MultibulkLength)?;
        if count > i64::from(i32::MAX) {
            return Err(Malformed::MultibulkLength);
        }
        for _ in 0..count {
            let argument;
            (argument, rest) = bulk(rest)?;
            self.push(argument);
        }
        Ok(rest)
    }

    /// The command's name and its arguments; nothing for an empty array.
    pub(super) fn argv(&self) -> &[&'a [u8]] {
        if self.spilled.is_empty() {
            self.inline.get(..self.len).unwrap_or_default()
        } else {
            &self.spilled
        }
    }

    /// Adds an argument.
    pub(super) fn push(&mut self, argument: &'a [u8]) {
        if let Some(slot) = self.inline.get_mut(self.len) {
            *slot = argument;
            self.len += 1;
            return;
        }
        if self.spilled.is_empty() {
            self.spilled.extend(self.inline);
        }
        self.spilled.push(argument);
    }
}

/// The requests that a client sent, each with its name and arguments; ends where the bytes are none.
pub fn requests(mut bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut requests = Vec::new();
    while !bytes.is_empty() {
        let mut request = Request::new();
        let Ok(rest) = request.read(bytes) else { break };
        requests.push(request.argv().to_vec());
        bytes = rest;
    }
    requests
}

/// Adds the bytes of a request.
pub(super) fn write(argv: &[&[u8]], out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = write!(out, "*{}\r\n", argv.len());
    for argument in argv {
        let _ = write!(out, "${}\r\n", argument.len());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
}

fn bulk(input: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let rest = expect(input, b'$')?;
    let (len, rest) = number(rest).ok_or(Malformed::BulkLength)?;
    if !(0..=MAX_BULK).contains(&len) {
        return Err(Malformed::BulkLength);
    }
    let len = usize::try_from(len).map_err(|_| Malformed::BulkLength)?;
    let (argument, rest) = rest.split_at_checked(len).ok_or(Malformed::Truncated)?;
    // Redis skips these two bytes without looking at them.
    let rest = rest.get(2..).ok_or(Malformed::Truncated)?;
    Ok((argument, rest))
}

fn expect(input: &[u8], expected: u8) -> Result<&[u8], Malformed> {
    match input.split_first() {
        Some((&got, rest)) if got == expected => Ok(rest),
        Some((&got, _)) => Err(Malformed::Unexpected { expected, got }),
        None => Err(Malformed::Truncated),
    }
}

/// A length up to its line end. A line that never ends reads as a bad number: requests arrive whole.
fn number(input: &[u8]) -> Option<(i64, &[u8])> {
    // An i64 has at most 20 characters.
    let end = input.iter().take(22).position(|&byte| byte == b'\r')?;
    let (digits, rest) = input.split_at_checked(end)?;
    Some((integer(digits)?, rest.strip_prefix(b"\r\n")?))
}

/// A whole number as Redis reads one: no spaces, no `+`, no leading zeros, and it fits 64 bits.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    match digits {
        b"0" if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    let mut value: i64 = 0;
    for &byte in digits {
        let digit = i64::from(byte.wrapping_sub(b'0'));
        if digit > 9 {
            return None;
        }
        // Counting down reaches i64::MIN, which has no positive counterpart.
        value = value.checked_mul(10)?.checked_sub(digit)?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn argv(input: &[u8]) -> Result<Vec<&[u8]>, Malformed> {
        let mut request = Request::new();
        assert!(request.read(input)?.is_empty());
        Ok(request.argv().to_vec())
    }

    proptest! {
        #[test]
        fn what_the_client_packs_is_what_we_read(
            args in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..25)
        ) {
            let mut cmd = redis::Cmd::new();
            for arg in &args {
                cmd.arg(arg);
            }
            let packed = cmd.get_packed_command();
            prop_assert_eq!(argv(&packed).unwrap(), args);
        }

        #[test]
        fn no_input_panics(input in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = Request::new().read(&input);
        }

        #[test]
        fn a_cut_request_is_refused(cut in 0usize..30) {
            let whole = b"*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n";
            prop_assume!(cut < whole.len());
            prop_assert!(Request::new().read(&whole[..cut]).is_err());
        }

        #[test]
        fn integers_round_trip(value in any::<i64>()) {
            prop_assert_eq!(integer(value.to_string().as_bytes()), Some(value));
        }
    }

    #[test]
    fn integers_are_as_strict_as_in_redis() {
        for text in ["", "-", "+1", " 1", "1 ", "01", "-0", "1.0", "9223372036854775808", "1:"] {
            assert_eq!(integer(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn an_absurd_length_allocates_nothing() {
        assert_eq!(argv(b"*2147483647\r\n"), Err(Malformed::Truncated));
        assert_eq!(argv(b"*1\r\n$99999999999\r\n"), Err(Malformed::BulkLength));
        assert_eq!(argv(b"*99999999999\r\n"), Err(Malformed::MultibulkLength));
    }

    #[test]
    fn an_empty_array_is_a_request_without_a_command() {
        assert_eq!(argv(b"*0\r\n"), Ok(vec![]));
        assert_eq!(argv(b"*-1\r\n"), Ok(vec![]));
    }
}
