//! The history file: JSON Lines that begin with the head, hold one event a line, and end with the
//! number of events.
//!
//! A history file may have been cut, damaged or made by another program: a file that only misses
//! its end is read as far as it goes ([`History::is_complete`] is false then); anything else that
//! is wrong is an error that names the line. Unknown members are ignored. Reading takes memory in
//! proportion to the file, and a file has a limit.

use super::{Event, EventKind, Head, History};
use crate::text;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Read, Write};

/// What the first line of a history file says it is.
pub const SCHEMA: &str = "nodb-trigger/history/v1";

const SCHEMA_NAME: &str = "nodb-trigger/history/v";
const SCHEMA_VERSION: u64 = 1;

/// The longest line of an event, in bytes.
const LONGEST_LINE: u64 = 1 << 20;
/// The longest head: it names every actor.
const LONGEST_HEAD: u64 = 1 << 24;
/// The largest file.
const LARGEST_FILE: u64 = 1 << 30;

/// Why a history file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It can't be read.
    #[error("cannot read the history {file}: {source}")]
    Unreadable {
        /// The file's name.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is no history.
    #[error("{file} is not a history: {what}")]
    NotAHistory {
        /// The file's name.
        file: String,
        /// How it shows.
        what: String,
    },
    /// A newer program wrote it.
    #[error(
        "{file} is a history of version {version}, but this program reads version {SCHEMA_VERSION}; \
         check it with the program that wrote it, or a newer one"
    )]
    Newer {
        /// The file's name.
        file: String,
        /// Its version.
        version: u64,
    },
    /// One of its lines is wrong.
    #[error("{file}, line {line}: {what}")]
    Damaged {
        /// The file's name.
        file: String,
        /// Which line, counted from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
}

#[derive(Serialize)]
struct FirstLine<'a> {
    schema: &'a str,
    #[serde(flatten)]
    head: &'a Head,
}

#[derive(Deserialize)]
struct Schema {
    schema: String,
}

#[derive(Serialize, Deserialize)]
struct LastLine {
    end: u64,
}

impl History {
    /// Writes the history; the same history gives the same bytes. An incomplete one gets no
    /// end.
    ///
    /// # Errors
    ///
    /// Fails if `out` does, or if the head or an event is longer than a line of the format may be.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        write_line(out, &FirstLine { schema: SCHEMA, head: &self.head }, LONGEST_HEAD)?;
        for event in &self.events {
            write_line(out, event, LONGEST_LINE)?;
        }
        if self.is_complete {
            let end = LastLine { end: self.events.len() as u64 };
            write_line(out, &end, LONGEST_LINE)?;
        }
        out.flush()
    }

    /// Reads a history; `name` is what errors call the file.
    ///
    /// # Errors
    ///
    /// [`FileError`] if `input` can't be read, does not begin as a history, has a damaged line
    /// before its last one, or exceeds the limits of the format.
    pub fn read(name: &str, input: &mut dyn BufRead) -> Result<Self, FileError> {
        let mut lines = Lines { name, input, text: Vec::new(), number: 0, size: 0 };
        let mut history = Self { head: read_head(&mut lines)?, ..Self::default() };
        while let Some(is_complete) = lines.next(LONGEST_LINE)? {
            if history.is_complete {
                return Err(lines.damaged("the history goes on after its end"));
            }
            match serde_json::from_slice::<Event>(&lines.text) {
                Ok(event) => {
                    history.fits(&event).map_err(|what| lines.damaged(&what))?;
                    history.events.push(event);
                }
                Err(error) => match serde_json::from_slice::<LastLine>(&lines.text) {
                    Ok(LastLine { end }) if end == history.events.len() as u64 => {
                        history.is_complete = true;
                    }
                    Ok(LastLine { end }) => {
                        let found = history.events.len();
                        let what = format!("the end counts {end} events, but there are {found}");
                        return Err(lines.damaged(&what));
                    }
                    // The writer of the file came no further.
                    Err(_) if !is_complete => break,
                    Err(_) => return Err(lines.damaged(&in_words(&error))),
                },
            }
        }
        Ok(history)
    }

    /// Says what is wrong with an event that is to be the next one.
    fn fits(&self, event: &Event) -> Result<(), String> {
        let order = event.moment.order;
        if let Some(last) = self.events.last().filter(|last| order < last.moment.order) {
            return Err(format!("order {order} comes after order {}", last.moment.order));
        }
        if self.head.covers(event) {
            return Ok(());
        }
        let Head { actors, locks, .. } = &self.head;
        let known = format!("the head names {} actors and {} locks", actors.len(), locks.len());
        Err(format!("it speaks of an actor or a lock by a position that is not there: {known}"))
    }
}

impl Head {
    /// Whether an event speaks of no actor and no lock that are not in this head.
    pub fn covers(&self, event: &Event) -> bool {
        let is_known = |lock: usize| lock < self.locks.len();
        let all = |effects: &[super::Effect]| effects.iter().all(|effect| is_known(effect.lock));
        event.actor.is_none_or(|actor| actor < self.actors.len())
            && match &event.kind {
                EventKind::Invoked(operation)
                | EventKind::Completed(operation)
                | EventKind::Failed { operation, .. } => operation.lock.is_none_or(is_known),
                EventKind::Command(command) => all(&command.effects),
                EventKind::Fault { effects, lease_of, .. } => {
                    all(effects) && lease_of.is_none_or(is_known)
                }
                EventKind::Left(left) => is_known(left.lock),
                EventKind::Started | EventKind::Ended { .. } => true,
            }
    }
}

fn write_line(out: &mut dyn Write, content: &impl Serialize, longest: u64) -> io::Result<()> {
    let line = text::json_line(content)? + "\n";
    if line.len() as u64 > longest {
        let what = format!("a line of the history has more than {longest} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    out.write_all(line.as_bytes())
}

fn read_head(lines: &mut Lines<'_>) -> Result<Head, FileError> {
    let not_a_history = |lines: &Lines<'_>, what: String| {
        Err(FileError::NotAHistory { file: lines.name.to_owned(), what })
    };
    if lines.next(LONGEST_HEAD)?.is_none() {
        return not_a_history(lines, "it is empty".into());
    }
    let schema = match serde_json::from_slice::<Schema>(&lines.text) {
        Ok(Schema { schema }) => schema,
        Err(error) => {
            let what = format!("its first line does not name {SCHEMA}: {}", in_words(&error));
            return not_a_history(lines, what);
        }
    };
    let version = schema.strip_prefix(SCHEMA_NAME).and_then(|version| version.parse::<u64>().ok());
    match version {
        Some(SCHEMA_VERSION) => {
            let head = serde_json::from_slice(&lines.text);
            head.map_err(|error| lines.damaged(&in_words(&error)))
        }
        Some(version) if version > SCHEMA_VERSION => {
            Err(FileError::Newer { file: lines.name.to_owned(), version })
        }
        _ => not_a_history(lines, format!("its schema is {:?}, not {SCHEMA}", shortened(&schema))),
    }
}

/// The lines of a file, none longer than it may be.
struct Lines<'a> {
    name: &'a str,
    input: &'a mut dyn BufRead,
    text: Vec<u8>,
    number: u64,
    size: u64,
}

impl Lines<'_> {
    /// Reads the next line; none at the end. Says whether it ends as a line does.
    fn next(&mut self, longest: u64) -> Result<Option<bool>, FileError> {
        self.text.clear();
        self.number += 1;
        let read = Read::take(&mut *self.input, longest + 1).read_until(b'\n', &mut self.text);
        let read = read
            .map_err(|source| FileError::Unreadable { file: self.name.to_owned(), source })?
            as u64;
        self.size += read;
        if read > longest {
            return Err(self.damaged(&format!("it has more than {longest} bytes")));
        }
        if self.size > LARGEST_FILE {
            let what = format!("a history of more than {LARGEST_FILE} bytes is not read");
            return Err(self.damaged(&what));
        }
        let is_complete = self.text.pop_if(|last| *last == b'\n').is_some();
        Ok((read > 0).then_some(is_complete))
    }

    fn damaged(&self, what: &str) -> FileError {
        FileError::Damaged { file: self.name.to_owned(), line: self.number, what: shortened(what) }
    }
}

/// What a JSON error says, without its place: it counts each line as the first.
fn in_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((what, _)) => format!("{} (column {})", shortened(what), error.column()),
        None => shortened(&text),
    }
}

/// At most so much that an error stays readable.
fn shortened(words: &str) -> String {
    text::shortened(words, 200)
}
