//! One connection: bytes in, requests to the handler, until either side ends it.

use std::io::{self, Read};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use super::framing::{Framer, Malformed};
use super::outbox::Outbox;
use super::{Handler, Next, Stream};

/// How much is read at a time.
const CHUNK: usize = 16 * 1024;

/// How long a client that was hung up on may take to see why, and how often it may say more.
const PARTING: (Duration, usize) = (Duration::from_millis(100), 64);

/// Serves a client until the connection ends.
pub(super) fn serve(stream: &Arc<Stream>, outbox: &Outbox, handler: &mut dyn Handler) {
    let mut framer = Framer::default();
    let mut chunk = [0; CHUNK];
    loop {
        let came = match read(stream, &mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(count) => chunk.get(..count).unwrap_or_default(),
        };
        framer.feed(came);
        let next = answer_all(&mut framer, outbox, handler);
        outbox.flush();
        if next == Next::Close {
            part(stream, outbox, &mut chunk);
            break;
        }
    }
}

/// Answers every request that is complete.
fn answer_all(framer: &mut Framer, outbox: &Outbox, handler: &mut dyn Handler) -> Next {
    loop {
        let mut argv = Vec::with_capacity(8);
        match framer.next(&mut argv) {
            Ok(false) => return Next::Read,
            // Redis skips an empty request without an answer.
            Ok(true) if argv.is_empty() => {}
            Ok(true) if is_http(&argv) => return Next::Close,
            Ok(true) => {
                if handler.answer(&argv, outbox) == Next::Close {
                    return Next::Close;
                }
            }
            Err(malformed) => {
                outbox.reply(&refusal(malformed));
                return Next::Close;
            }
        }
    }
}

/// A web page that has a browser send requests here is no client; Redis hangs up on it, too.
fn is_http(argv: &[&[u8]]) -> bool {
    argv.first().is_some_and(|name| {
        name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
    })
}

fn refusal(malformed: Malformed) -> Vec<u8> {
    match malformed {
        Malformed::TooBig => Vec::new(),
        // A byte above 127 goes back as it came, not as text.
        Malformed::NoDollar(byte) => {
            let byte = if matches!(byte, b'\r' | b'\n') { b' ' } else { byte };
            let start = b"-ERR Protocol error: expected '$', got '".as_slice();
            [start, &[byte], b"'\r\n"].concat()
        }
        other => format!("-ERR Protocol error: {other}\r\n").into_bytes(),
    }
}

/// Lets the client read why it was hung up on: if it still sends when the connection is closed, what
/// it has not read yet is lost.
fn part(stream: &Stream, outbox: &Outbox, chunk: &mut [u8]) {
    outbox.drain();
    let _ = stream.shutdown(Shutdown::Write);
    let (patience, times) = PARTING;
    if stream.set_read_timeout(Some(patience)).is_ok() {
        let gone = |came: io::Result<usize>| matches!(came, Ok(0) | Err(_));
        (0..times).find(|_| gone(read(stream, chunk)));
    }
}

fn read(mut stream: &Stream, chunk: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
