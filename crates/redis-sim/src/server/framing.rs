//! Requests out of a stream of bytes that may be cut anywhere, by the rules of Redis 7.0.
//!
//! Pure: no I/O. Reads both formats of requests: arrays of bulk strings, as clients send them, and
//! bare lines, for telnet. What was read of a request is not read again when more bytes come.

use std::ops::Range;

use super::words;
use crate::resp::{MAX_BULK, integer};

/// How long a bare line, or a line with a length, may be.
const MAX_LINE: usize = 64 * 1024;

/// How many bytes a request may have, as Redis bounds what it keeps of one.
const MAX_REQUEST: usize = 1024 * 1024 * 1024;

/// A buffer above this is given back once it is empty.
const KEEP: usize = 64 * 1024;

/// Why bytes are no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A bare line without an end.
    #[error("too big inline request")]
    LongLine,
    /// A bare line whose quotes don't match.
    #[error("unbalanced quotes in request")]
    Quotes,
    /// A number of arguments without an end.
    #[error("too big mbulk count string")]
    LongCount,
    /// A number of arguments that is none.
    #[error("invalid multibulk length")]
    Count,
    /// A length without an end.
    #[error("too big bulk count string")]
    LongLength,
    /// The byte as it came: it need not be a letter.
    #[error("expected '$', got '{}'", *.0 as char)]
    NoDollar(u8),
    /// A length that is none.
    #[error("invalid bulk length")]
    Length,
    /// Redis says nothing, it hangs up.
    #[error("too big request")]
    TooBig,
}

/// What a client sent and was not yet answered.
#[derive(Debug, Default)]
pub struct Framer {
    bytes: Vec<u8>,
    /// Where the next request begins.
    start: usize,
    /// How far it was read.
    at: usize,
    /// How many arguments of it are missing.
    missing: usize,
    /// The length of the next argument, if that is known.
    length: Option<usize>,
    /// Its arguments.
    found: Vec<Range<usize>>,
    /// Those of a bare line, which are not in the bytes as they are meant.
    words: Vec<Vec<u8>>,
}

impl Framer {
    /// More bytes came.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.forget();
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next request that is complete: its words, none for an empty one.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the bytes are no request, or one that is too big. No more requests can be
    /// read then.
    pub fn next<'a>(&'a mut self, argv: &mut Vec<&'a [u8]>) -> Result<bool, Malformed> {
        if self.missing == 0 {
            self.start = self.at;
            self.found.clear();
            self.words.clear();
        }
        let complete = match self.bytes.get(self.at) {
            _ if self.missing > 0 => self.arguments()?,
            Some(b'*') => self.count()? && self.arguments()?,
            Some(_) => self.line()?,
            None => false,
        };
        if !complete && self.bytes.len() - self.start > MAX_REQUEST {
            return Err(Malformed::TooBig);
        }
        if complete {
            let found = self.found.iter().filter_map(|range| self.bytes.get(range.clone()));
            argv.extend(found.chain(self.words.iter().map(Vec::as_slice)));
        }
        Ok(complete)
    }

    /// Throws away what was answered.
    fn forget(&mut self) {
        let start = self.start;
        if start == self.bytes.len() && self.bytes.capacity() > KEEP {
            self.bytes = Vec::new();
        } else {
            self.bytes.drain(..start);
        }
        self.start = 0;
        self.at -= start;
        for range in &mut self.found {
            *range = range.start - start..range.end - start;
        }
    }

    /// A bare line.
    fn line(&mut self) -> Result<bool, Malformed> {
        let Some(mut line) = self.up_to(b'\n', Malformed::LongLine)? else { return Ok(false) };
        self.at = line.end + 1;
        if self.bytes.get(line.clone()).is_some_and(|line| line.ends_with(b"\r")) {
            line.end -= 1;
        }
        let line = self.bytes.get(line).unwrap_or_default();
        self.words = words::split(line).ok_or(Malformed::Quotes)?;
        Ok(true)
    }

    /// How many arguments follow.
    fn count(&mut self) -> Result<bool, Malformed> {
        let Some(number) = self.number(Malformed::LongCount)? else { return Ok(false) };
        let count = self.read(number.clone()).filter(|count| *count <= i64::from(i32::MAX));
        self.missing = usize::try_from(count.ok_or(Malformed::Count)?).unwrap_or(0);
        self.at = number.end + 2;
        Ok(true)
    }

    /// As many arguments as have come.
    fn arguments(&mut self) -> Result<bool, Malformed> {
        while self.missing > 0 {
            let length = match self.length {
                Some(length) => length,
                None => {
                    let Some(number) = self.number(Malformed::LongLength)? else {
                        return Ok(false);
                    };
                    match self.bytes.get(self.at) {
                        Some(b'$') => {}
                        other => return Err(Malformed::NoDollar(other.copied().unwrap_or(0))),
                    }
                    let length = self.read(number.clone()).filter(|length| *length <= MAX_BULK);
                    let length = length.and_then(|length| usize::try_from(length).ok());
                    self.at = number.end + 2;
                    *self.length.insert(length.ok_or(Malformed::Length)?)
                }
            };
            // Redis skips the two bytes that end it without looking at them.
            if self.bytes.len() - self.at < length + 2 {
                return Ok(false);
            }
            self.found.push(self.at..self.at + length);
            self.at += length + 2;
            self.length = None;
            self.missing -= 1;
        }
        Ok(true)
    }

    /// The number behind the letter at which we are, if its line and the byte behind it have come.
    fn number(&self, too_long: Malformed) -> Result<Option<Range<usize>>, Malformed> {
        let Some(line) = self.up_to(b'\r', too_long)? else { return Ok(None) };
        let whole = line.end + 2 <= self.bytes.len();
        Ok(whole.then_some(line.start + 1..line.end))
    }

    fn read(&self, number: Range<usize>) -> Option<i64> {
        integer(self.bytes.get(number).unwrap_or_default())
    }

    /// From here up to the first `end`, which a zero byte hides, as it does from Redis.
    fn up_to(&self, end: u8, too_long: Malformed) -> Result<Option<Range<usize>>, Malformed> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let found = rest.iter().position(|&byte| byte == end || byte == 0);
        match found.filter(|&at| rest.get(at) == Some(&end)) {
            Some(length) => Ok(Some(self.at..self.at + length)),
            None if rest.len() > MAX_LINE => Err(too_long),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp;
    use proptest::prelude::*;
    use proptest::sample::select;

    type Requests = (Vec<Vec<Vec<u8>>>, Option<Malformed>);

    /// All requests of bytes that come in these pieces, and why there are no more.
    fn requests<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Requests {
        let mut framer = Framer::default();
        let mut found = Vec::new();
        for piece in pieces {
            framer.feed(piece);
            loop {
                let mut argv = Vec::new();
                match framer.next(&mut argv) {
                    Ok(true) => found.push(argv.iter().map(|word| word.to_vec()).collect()),
                    Ok(false) => break,
                    Err(malformed) => return (found, Some(malformed)),
                }
            }
        }
        (found, None)
    }

    fn parts() -> impl Strategy<Value = Vec<u8>> {
        let part = select(vec![
            b"*1\r\n$4\r\nPING\r\n".as_slice(),
            b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n",
            b"*2\r\n",
            b"$3\r\n",
            b"GET",
            b"\r\n",
            b"*0\r\n",
            b"SET a 'b c'\r\n",
            b"\n",
            b"\"",
            b"\0",
            b"\xff",
        ]);
        prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn how_bytes_are_cut_makes_no_difference(
            bytes in parts(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut pieces = Vec::new();
            let mut from = 0;
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);
            let one_by_one = requests(bytes.chunks(1));
            prop_assert_eq!(&requests(pieces), &one_by_one);
            prop_assert_eq!(&requests([&bytes[..]]), &one_by_one);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            requests([&bytes[..]]);
        }

        #[test]
        fn what_is_written_is_what_is_read(
            sent in prop::collection::vec(
                prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..12),
                0..5,
            ),
        ) {
            let mut bytes = Vec::new();
            for words in &sent {
                let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                resp::write(&words, &mut bytes);
            }
            prop_assert_eq!(requests(bytes.chunks(7)), (sent, None));
        }
    }

    #[test]
    fn a_length_alone_takes_no_memory() {
        let mut framer = Framer::default();
        framer.feed(b"*2147483647\r\n$536870912\r\n");
        assert_eq!(framer.next(&mut Vec::new()), Ok(false));
        assert!(framer.bytes.capacity() + framer.found.capacity() < 1024);
    }

    #[test]
    fn the_memory_of_a_large_request_is_given_back() {
        let mut framer = Framer::default();
        framer.feed(b"*1\r\n$1000000\r\n");
        for _ in 0..1000 {
            assert_eq!(framer.next(&mut Vec::new()), Ok(false));
            framer.feed(&[b'x'; 1000]);
        }
        framer.feed(b"\r\n");
        assert_eq!(framer.next(&mut Vec::new()), Ok(true));
        assert_eq!(framer.next(&mut Vec::new()), Ok(false));
        framer.feed(b"P");
        assert!(framer.bytes.capacity() < KEEP);
    }

    #[test]
    fn a_line_that_does_not_end_is_refused_in_time() {
        for start in ["*", "*1\r\n$", "*1\r\n+", "PING "] {
            let bytes = [start.as_bytes(), &[b'1'; MAX_LINE + 2]].concat();
            let (found, malformed) = requests(bytes.chunks(1000));
            assert!(found.is_empty() && malformed.is_some(), "{start:?}: {malformed:?}");
        }
    }
}
