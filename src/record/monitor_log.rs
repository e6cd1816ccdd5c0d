//! A saved MONITOR log (`redis-cli monitor > FILE`) in place of a server.
//!
//! It shows neither what keys held when it began nor when leases expire. A key is followed from the
//! first command on that decides what it holds.

use super::model::KeysModel;
use super::monitor_line::MonitorLine;
use super::recording::{Ending, Recorded, Way, finish};
use super::watch::Watch;
use std::io::{self, BufRead, Read};

/// The longest line that is read; what is longer counts as damaged.
const LONGEST_LINE: u64 = 1 << 26;

/// What redis-cli prints before the first line.
const OK: &[u8] = b"OK";

/// Whether a file that begins like this is a MONITOR log.
pub fn is_monitor_log(beginning: &[u8]) -> bool {
    let mut lines = beginning.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    beginning.starts_with(OK) && lines.clone().next() == Some(OK)
        || lines.any(|line| MonitorLine::parse(&String::from_utf8_lossy(line)).is_some())
}

/// Makes a history of a saved MONITOR log; `name` is what the history calls it, `limit` for how many
/// observations there is room.
///
/// # Errors
///
/// Fails if `input` can't be read.
pub fn read_monitor_log(
    name: &str,
    input: &mut dyn BufRead,
    watch: Watch,
    limit: usize,
) -> io::Result<Recorded> {
    let mut model = KeysModel::of_a_log(watch);
    let (mut began, mut ended, mut ending) = (None, 0, Ending::Stopped);
    let mut line = Vec::new();
    while next_line(input, &mut line)? {
        let text = String::from_utf8_lossy(line.trim_ascii());
        if text.is_empty() || text.as_bytes() == OK {
            continue;
        }
        match MonitorLine::parse(&text) {
            Some(line) => {
                began.get_or_insert(line.at);
                ended = line.at.max(ended);
                model.line(&line);
            }
            None => model.malformed(),
        }
        if model.size() >= limit {
            ending = Ending::Full;
            break;
        }
    }
    Ok(finish(model, name, Way::Monitor, (began.unwrap_or(ended), ended), ending, &[]))
}

/// Reads the next line, or the beginning of one that is too long.
fn next_line(input: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let read = Read::take(&mut *input, LONGEST_LINE).read_until(b'\n', line)? as u64;
    if read == LONGEST_LINE && !line.ends_with(b"\n") {
        input.skip_until(b'\n')?;
    }
    Ok(read > 0)
}
