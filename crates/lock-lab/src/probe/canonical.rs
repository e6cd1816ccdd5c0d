//! Names for the values that clients draw and for times that they read: the same from run to run, where the
//! values differ. The server sees names; clients are answered with the values.
//!
//! | a word that a client sends, or a part of one | is |
//! |---|---|
//! | what it or an answer had before | the same as then |
//! | what all clients send | a constant |
//! | a number or date close to the time of day | a time, as far from the server's start |
//! | a number just below a lease, where it differs from life to life | that lease |
//! | what differs otherwise, looks random, or has 16 to 1024 bytes | a token |
//! | anything else | a constant |
//!
//! Two lives differ in the commands that follow the same answers: in a rehearsal, and wherever exploration meets it.
//!
//! The name of a token is `token-1.1`. It has digits and the length of the value where that is a number, and wherever
//! a client takes values apart: its values are parts of words, or its scripts ask for parts of strings.

mod parts;
mod stand_ins;
mod times;
mod vocabulary;

use super::pool::FRESH;
use crate::lock::Payload;
use parts::{Field, LONGEST, SHORTEST, fields};
use redis::Value;
use stand_ins::Symbol;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use times::time_of;
use vocabulary::Place;
pub(super) use vocabulary::{Learned, Vocabulary};

/// The fewest digits of a name that is looked for in numbers that a server answers.
const DIGITS: usize = 6;

/// The actor that stands for clients of which nothing else is known.
const OUTSIDE: usize = usize::MAX;

/// A request, as its words.
pub(super) type Request = Vec<Vec<u8>>;

/// Whether a text is a time close to now, by the clock of this machine or of an embedded server.
pub(super) fn is_time(text: &[u8]) -> bool {
    time_of(text).is_some() || times::is_of_embedded_server(text)
}

/// The values of one subject in one life, each with its name.
#[derive(Debug)]
pub(super) struct Symbols {
    actor: usize,
    vocabulary: Arc<Vocabulary>,
    known: Vec<Symbol>,
    /// All that the client was answered, and what the server had answered.
    heard: HashMap<Vec<u8>, Vec<u8>>,
    /// What it sent last under each name that has a token in it, and how much later it was then, in seconds.
    sent: HashMap<Vec<u8>, (Vec<u8>, i64)>,
    drawn: usize,
    /// The word in which each time was first sent.
    read_at: HashMap<Vec<u8>, Place>,
    /// How much later it is than by the client's own clock, in seconds.
    ahead: i64,
    /// Whether times in the request are what they are.
    keeps_times: bool,
    requests: Vec<Request>,
}

/// A text as it goes to the server.
#[derive(Debug, Default)]
struct Named {
    text: Vec<u8>,
    has_token: bool,
    has_time: bool,
    /// Whether there is something in it of which nothing is known.
    is_open: bool,
}

/// What a part is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Constant,
    /// A time, a token that is known, or one by its look.
    Certain,
    Drawn,
    Open,
}

impl Symbols {
    /// Those of an actor, counted from 0, before it has sent anything.
    pub fn new(actor: usize, vocabulary: Arc<Vocabulary>) -> Self {
        let (known, heard, sent, read_at, requests) = Default::default();
        let ahead = if actor >= FRESH { vocabulary.ahead() } else { 0 };
        let (drawn, keeps_times) = (0, false);
        Self { actor, vocabulary, known, heard, sent, drawn, read_at, ahead, keeps_times, requests }
    }

    /// From now on it is so much later than by the client's own clock; a client that acquires when all actors
    /// have ended lives as much later as is known. Gives how much that is.
    pub fn set_ahead(&mut self, ahead: Duration) -> Duration {
        if self.actor < FRESH {
            self.ahead = i64::try_from(ahead.as_secs()).unwrap_or(i64::MAX);
        }
        Duration::from_secs(u64::try_from(self.ahead).unwrap_or_default())
    }

    /// All that was sent, as it was.
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// A request with names in place of values, and the last token in it by its name.
    pub fn named(&mut self, words: Request) -> Result<(Request, Option<String>), Learned> {
        self.requests.push(words.clone());
        self.vocabulary.hears(&words)?;
        self.keeps_times = self.vocabulary.keeps_times(&words);
        let command: Arc<[u8]> = command_of(&words).into();
        let is_script = words.first().is_some_and(|name| name.eq_ignore_ascii_case(b"EVAL"));
        let (mut named, mut last) = (Vec::with_capacity(words.len()), None);
        for (at, word) in words.into_iter().enumerate() {
            let is_fixed = at == 0 || is_script && at == 1;
            if is_fixed {
                named.push(word);
                continue;
            }
            let name = self.word(&Place::new(&command, at), &word)?;
            if name.has_token {
                last = Some(Payload::decode(&name.text).token().as_str().to_owned());
                self.sent.insert(name.text.clone(), (word, self.ahead));
            }
            named.push(name.text);
        }
        Ok((named, last))
    }

    fn word(&mut self, place: &Place, word: &[u8]) -> Result<Named, Learned> {
        if let Some(name) = self.as_before(place, word)? {
            return Ok(name);
        }
        if self.vocabulary.is_constant(word) || word.is_empty() {
            return Ok(Named::constant(word));
        }
        if self.vocabulary.is_drawn(place) {
            return self.token(place, word);
        }
        let mut named = Named::default();
        for (at, field) in fields(word).into_iter().enumerate() {
            let name = match field.parts.as_slice() {
                [] => Named::constant(field.text),
                _ => self.field(&place.field(at), &field)?,
            };
            self.add(&mut named, name, field.text.len() == word.len())?;
        }
        let is_unclear = named.is_open && !named.has_token && !named.has_time;
        if is_unclear && (SHORTEST..=LONGEST).contains(&word.len()) {
            return self.token(place, word);
        }
        Ok(named)
    }

    fn field(&mut self, place: &Place, field: &Field<'_>) -> Result<Named, Learned> {
        if let Some(name) = self.as_before(place, field.text)? {
            return Ok(name);
        }
        if self.vocabulary.is_constant(field.text) {
            return Ok(Named::constant(field.text));
        }
        if self.vocabulary.is_drawn(place) || self.is_random_with_signs(place, field) {
            return self.token(place, field.text);
        }
        let mut named = Named::default();
        for (at, part) in field.parts.iter().enumerate() {
            let name = match part.is_sign {
                true => Named::constant(part.text),
                false => self.part(&place.part(at), part.text)?,
            };
            self.add(&mut named, name, part.text.len() == field.text.len())?;
        }
        Ok(named)
    }

    /// Adds the name of a part of a text, or of all of it.
    fn add(&self, named: &mut Named, part: Named, is_all: bool) -> Result<(), Learned> {
        if part.has_token && !is_all {
            self.vocabulary.take_apart()?;
        }
        named.text.extend(part.text);
        named.has_token |= part.has_token;
        named.has_time |= part.has_time;
        named.is_open |= part.is_open;
        Ok(())
    }

    /// Whether the signs of a field are random, too: nothing is known of some of its parts, and none is
    /// drawn for certain.
    fn is_random_with_signs(&self, place: &Place, field: &Field<'_>) -> bool {
        let parts = field.parts.iter().enumerate().filter(|(_, part)| !part.is_sign);
        let kinds: Vec<Kind> =
            parts.map(|(at, part)| self.kind(&place.part(at), part.text)).collect();
        let is_long = (SHORTEST..=LONGEST).contains(&field.text.len()) && field.parts.len() > 1;
        kinds.contains(&Kind::Open)
            && !kinds.contains(&Kind::Certain)
            && (is_long || kinds.contains(&Kind::Drawn))
    }

    fn kind(&self, place: &Place, part: &[u8]) -> Kind {
        if self.known.iter().any(|symbol| symbol.value == part) {
            Kind::Certain
        } else if self.heard.contains_key(part) || self.vocabulary.is_constant(part) {
            Kind::Constant
        } else if parts::is_random(part) || time_of(part).is_some() {
            Kind::Certain
        } else if (SHORTEST..=LONGEST).contains(&part.len()) || self.vocabulary.is_drawn(place) {
            Kind::Drawn
        } else {
            Kind::Open
        }
    }

    fn part(&mut self, place: &Place, part: &[u8]) -> Result<Named, Learned> {
        if let Some(name) = self.as_before(place, part)? {
            return Ok(name);
        }
        match (self.kind(place, part), time_of(part)) {
            (Kind::Constant, _) => Ok(Named::constant(part)),
            (Kind::Open, _) => Ok(Named { is_open: true, ..Named::constant(part) }),
            (_, Some(time)) => {
                let name = match self.keeps_times {
                    true => part.to_vec(),
                    false => self.vocabulary.time(&time, self.actor, self.ahead),
                };
                self.read_at.insert(part.to_vec(), place.word());
                self.keep(self.symbol(part, &name, None));
                Ok(Named { has_time: true, ..Named::constant(&name) })
            }
            (_, None) => match self.vocabulary.lease(place, part) {
                Some(lease) => Ok(Named { has_time: true, ..Named::constant(&lease) }),
                None => self.token(place, part),
            },
        }
    }

    fn symbol(&self, value: &[u8], name: &[u8], drawn_by: Option<usize>) -> Symbol {
        Symbol { value: value.to_vec(), name: name.to_vec(), drawn_by, ahead: self.ahead }
    }

    /// Whether a text is a time that the client has read again, though its clock shows the same: it was sent at the
    /// same place before, when it was earlier.
    fn is_read_again(&self, symbol: &Symbol, place: &Place) -> bool {
        symbol.drawn_by.is_none()
            && times::is_in_seconds(&symbol.value)
            && symbol.ahead != self.ahead
            && self.read_at.get(&symbol.value) == Some(&place.word())
    }

    /// What stands for a text that the client sent or was answered before.
    fn as_before(&self, place: &Place, text: &[u8]) -> Result<Option<Named>, Learned> {
        let named = |symbol: &Symbol, name: &[u8]| {
            let has_token = symbol.drawn_by.is_some();
            let name = if self.keeps_times && !has_token { text } else { name };
            Named { has_token, has_time: !has_token, ..Named::constant(name) }
        };
        let is_it = |symbol: &&Symbol| symbol.value == text && !self.is_read_again(symbol, place);
        if let Some(symbol) = self.known.iter().rev().find(is_it) {
            return Ok(Some(named(symbol, &symbol.name)));
        }
        if let Some(heard) = self.heard.get(text) {
            let is_changed = heard != text;
            return Ok(Some(Named { has_token: is_changed, ..Named::constant(heard) }));
        }
        // Some send the beginning only, to compare it with what is there.
        let begins = |it: &&Symbol| text.len() >= SHORTEST && it.value.starts_with(text);
        let Some(symbol) = self.known.iter().find(begins) else { return Ok(None) };
        self.vocabulary.take_apart()?;
        let name = symbol.name.get(..text.len()).unwrap_or(&symbol.name);
        Ok(Some(named(symbol, name)))
    }

    /// Names a new token.
    fn token(&mut self, place: &Place, value: &[u8]) -> Result<Named, Learned> {
        if self.vocabulary.is_of_another(self.actor, place, value) {
            return Err(self.vocabulary.learn(value));
        }
        self.drawn += 1;
        let name = self.vocabulary.stand_in(place, value, [self.actor, self.drawn]);
        self.keep(self.symbol(value, &name, Some(self.actor)));
        Ok(Named { has_token: true, ..Named::constant(&name) })
    }

    fn keep(&mut self, symbol: Symbol) {
        self.vocabulary.set(&symbol);
        self.known.push(symbol);
    }

    /// What the server has for the client, as if another client had written it: with other tokens and times.
    pub fn of_another(&self, content: &[u8]) -> Vec<u8> {
        let mut others: Vec<Symbol> = Vec::new();
        for known in self.known.iter().rev() {
            let (name, value) =
                (stand_ins::of_another(&known.name), stand_ins::of_another(&known.value));
            self.vocabulary.set(&self.symbol(&value, &name, Some(OUTSIDE)));
            others.push(Symbol { value: name, ..known.clone() });
        }
        stand_ins::with_values(content, &others.iter().collect::<Vec<_>>())
    }

    /// What the client is answered: values, where their names stand.
    pub fn answer(&mut self, answer: &Value) -> Value {
        match answer {
            Value::BulkString(bytes) => Value::BulkString(self.value(bytes)),
            Value::Int(number) => Value::Int(self.number(*number).unwrap_or(*number)),
            Value::Double(number) => Value::Double(self.number(*number).unwrap_or(*number)),
            Value::Array(parts) => Value::Array(self.answers(parts)),
            Value::Set(parts) => Value::Set(self.answers(parts)),
            Value::Map(pairs) => Value::Map(
                pairs.iter().map(|(key, held)| (self.answer(key), self.answer(held))).collect(),
            ),
            other => other.clone(),
        }
    }

    fn answers(&mut self, parts: &[Value]) -> Vec<Value> {
        parts.iter().map(|part| self.answer(part)).collect()
    }

    /// A number in place of the one that is its name.
    fn number<N: ToString + std::str::FromStr>(&mut self, answer: N) -> Option<N> {
        let text = answer.to_string().into_bytes();
        if text.len() < DIGITS {
            self.heard.insert(text.clone(), text);
            return None;
        }
        String::from_utf8(self.value(&text)).ok()?.parse().ok()
    }

    fn value(&mut self, answer: &[u8]) -> Vec<u8> {
        // A time or lease may be the name of several numbers, but not beside the same token.
        let sent = self.sent.get(answer).filter(|(_, ahead)| *ahead == self.ahead);
        let value = match sent {
            Some((word, _)) => word.clone(),
            None => self.in_parts(answer),
        };
        self.heard.insert(value.clone(), answer.to_vec());
        value
    }

    /// An answer with the values of all names in it.
    fn in_parts(&mut self, answer: &[u8]) -> Vec<u8> {
        let is_others = |name: &[u8]| self.known.iter().all(|known| known.name != name);
        let others = self.vocabulary.others(answer, is_others);
        self.known.splice(0..0, others);
        // To a client that lives later, times are earlier.
        let as_read = |symbol: &Symbol| {
            let value = match (symbol.drawn_by, self.ahead - symbol.ahead) {
                (Some(_), _) | (None, 0) => symbol.value.clone(),
                (None, later) => times::earlier(&symbol.value, later),
            };
            Symbol { value, ..symbol.clone() }
        };
        let latest_first: Vec<Symbol> = self.known.iter().rev().map(as_read).collect();
        stand_ins::with_values(answer, &latest_first.iter().collect::<Vec<_>>())
    }
}

impl Named {
    /// A text that stays as it is.
    fn constant(text: &[u8]) -> Self {
        Self { text: text.to_vec(), ..Self::default() }
    }
}

/// The name of a command, with its script.
fn command_of(request: &Request) -> Vec<u8> {
    let mut words = request.iter();
    let name = words.next().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
    match (name.as_slice(), words.next()) {
        (b"EVAL", Some(script)) => [&name[..], script].join(&b' '),
        _ => name,
    }
}

#[cfg(test)]
mod tests;
