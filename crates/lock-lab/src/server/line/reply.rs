//! Where a reply ends, in one pass over its bytes, and whether it is one that can be taken.

use super::SENT;
use std::io;

/// How many bytes a reply may have. Nothing that is asked for here is nearly as large.
const MOST_BYTES: usize = 128 * 1024 * 1024;

/// How many parts a reply may have.
const MOST_PARTS: usize = 2 * 1024 * 1024;

/// How many bytes that were used up are kept before the rest is moved.
const USED: usize = 256 * 1024;

/// What has come of a reply, and of those behind it.
#[derive(Debug)]
pub(super) struct Reply {
    bytes: Vec<u8>,
    /// Where the reply begins; what is before was used.
    start: usize,
    /// Up to where its parts were read.
    scanned: usize,
    /// Up to where the end of a line was looked for.
    looked: usize,
    /// How many parts are missing, as far as they were announced.
    missing: usize,
    /// How many parts there are, as far as they were announced.
    parts: usize,
}

impl Default for Reply {
    fn default() -> Self {
        Self { bytes: Vec::new(), start: 0, scanned: 0, looked: 0, missing: 1, parts: 1 }
    }
}

/// The error of a server that sends what is no reply.
pub(super) fn garbage(what: &str) -> io::Error {
    let why = format!("{SENT} what is no reply of Redis: {what}");
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn too_large(what: &str, most: &str) -> io::Error {
    let why = format!("{SENT} a reply of more than {most} {what}, which is too large");
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl Reply {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether a part of it has come.
    pub(super) fn is_begun(&self) -> bool {
        self.start < self.bytes.len()
    }

    /// It was used; the next one follows.
    pub(super) fn done(&mut self) {
        (self.start, self.missing, self.parts) = (self.scanned, 1, 1);
        if self.start == self.bytes.len() || self.start > USED {
            self.bytes.drain(..self.start);
            (self.start, self.scanned, self.looked) = (0, 0, 0);
            if self.bytes.is_empty() && self.bytes.capacity() > USED {
                self.bytes = Vec::new();
            }
        }
    }

    /// Its bytes, if all have come.
    pub(super) fn complete(&mut self) -> io::Result<Option<&[u8]>> {
        while self.missing > 0 {
            let Some(end) = self.line_end()? else { return Ok(None) };
            let line = self.bytes.get(self.scanned..end).unwrap_or_default();
            let (kind, number) = line.split_first().unwrap_or((&0, &[]));
            let mut next = end + 2;
            let mut more = 0;
            match kind {
                b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => {}
                b'$' | b'!' | b'=' => {
                    if let Ok(length) = usize::try_from(count(line, number)?) {
                        next = next.saturating_add(length).saturating_add(2);
                    }
                }
                b'*' | b'~' | b'>' => more = usize::try_from(count(line, number)?).unwrap_or(0),
                b'%' => more = usize::try_from(count(line, number)?).unwrap_or(0).saturating_mul(2),
                // The entries of an attribute stand before what they belong to.
                b'|' => {
                    let entries = usize::try_from(count(line, number)?).unwrap_or(0);
                    more = entries.saturating_mul(2).saturating_add(1);
                }
                _ => return Err(garbage(&shown(line))),
            }
            self.parts = self.parts.saturating_add(more);
            if self.parts > MOST_PARTS {
                return Err(too_large("parts", "2 million"));
            }
            if next - self.start > MOST_BYTES {
                return Err(too_large("of memory", "128 MiB"));
            }
            if next > self.bytes.len() {
                return Ok(None);
            }
            (self.scanned, self.looked) = (next, next);
            self.missing += more;
            self.missing -= 1;
        }
        Ok(self.bytes.get(self.start..self.scanned))
    }

    /// Where the line ends that begins where the parts were read to.
    fn line_end(&mut self) -> io::Result<Option<usize>> {
        let rest = self.bytes.get(self.looked..).unwrap_or_default();
        if let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
            return Ok(Some(self.looked + end));
        }
        // The last byte may be the first of the two.
        self.looked = self.bytes.len().saturating_sub(1).max(self.looked);
        if self.bytes.len() - self.start > MOST_BYTES {
            return Err(too_large("of memory", "128 MiB"));
        }
        let first = self.bytes.get(self.scanned);
        match first.is_some_and(|first| !b"+-:_,#($!=*~>%|".contains(first)) {
            true => Err(garbage(&shown(self.bytes.get(self.scanned..).unwrap_or_default()))),
            false => Ok(None),
        }
    }
}

/// The number of a line; negative if there is nothing.
fn count(line: &[u8], number: &[u8]) -> io::Result<i64> {
    let number = std::str::from_utf8(number).ok().and_then(|number| number.trim().parse().ok());
    number.ok_or_else(|| garbage(&shown(line)))
}

fn shown(bytes: &[u8]) -> String {
    const LONGEST: usize = 40;
    format!("{:?}", String::from_utf8_lossy(bytes.get(..LONGEST).unwrap_or(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLIES: &[&[u8]] = &[
        b"+OK\r\n",
        b"-ERR no\r\n",
        b":7\r\n",
        b"$-1\r\n",
        b"$4\r\n\r\n$1\r\n",
        b"$0\r\n\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*3\r\n*1\r\n:1\r\n$1\r\na\r\n*0\r\n",
        b"%1\r\n+a\r\n*2\r\n_\r\n#t\r\n",
        b">2\r\n$7\r\nmessage\r\n+x\r\n",
        b"|1\r\n+a\r\n:1\r\n$2\r\nbc\r\n",
        b"=5\r\ntxt:a\r\n",
    ];

    #[test]
    fn a_reply_ends_where_it_ends_however_it_comes() {
        let all = REPLIES.concat();
        for size in [1, 2, 3, 7, all.len()] {
            let (mut reply, mut ended) = (Reply::default(), Vec::new());
            for piece in all.chunks(size) {
                reply.feed(piece);
                while let Some(bytes) = reply.complete().unwrap() {
                    ended.push(bytes.to_vec());
                    reply.done();
                }
            }
            assert_eq!(ended, REPLIES);
            assert!(!reply.is_begun());
        }
    }

    #[test]
    fn what_is_announced_too_large_is_refused_before_it_comes() {
        for (bytes, why) in [
            (&b"$9999999999\r\n"[..], "128 MiB"),
            (b"*2147483647\r\n", "2 million parts"),
            (b"%9223372036854775807\r\n", "2 million parts"),
            (b"*2\r\n*1500000\r\n*1500000\r\n", "2 million parts"),
            (b"HTTP/1.1 400", "no reply of Redis: \"HTTP/1.1 400"),
            (b"$x\r\n", "no reply of Redis"),
            (b"\r\n", "no reply of Redis"),
        ] {
            let mut reply = Reply::default();
            reply.feed(bytes);
            let error = reply.complete().unwrap_err();
            assert!(error.to_string().contains(why), "{bytes:?}: {error}");
        }
    }
}
