//! Names for the values that a client draws: the same from run to run, where the values differ.

use parking_lot::RwLock;
use redis::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// The shortest value that may be drawn, in bytes: 64 random bits are 16 hexadecimal digits.
const SHORTEST: usize = 16;
/// The longest. What is longer is a script or data.
const LONGEST: usize = 1024;

/// What all subjects send, and so is not drawn.
#[derive(Debug, Default)]
pub(super) struct Constants(RwLock<HashSet<Vec<u8>>>);

impl Constants {
    /// From now on these are constants, too.
    pub fn add(&self, words: impl IntoIterator<Item = Vec<u8>>) {
        self.0.write().extend(words);
    }

    fn holds(&self, word: &[u8]) -> bool {
        self.0.read().contains(word)
    }
}

/// The values of one subject in one life, each with its name.
#[derive(Debug)]
pub(super) struct Symbols {
    actor: usize,
    constants: Arc<Constants>,
    known: Vec<Symbol>,
    sent: HashSet<Vec<u8>>,
}

#[derive(Debug)]
struct Symbol {
    value: Vec<u8>,
    name: Vec<u8>,
}

impl Symbols {
    /// Those of an actor, counted from 0, before it has sent anything.
    pub fn new(actor: usize, constants: Arc<Constants>) -> Self {
        Self { actor, constants, known: Vec::new(), sent: HashSet::new() }
    }

    /// All words that were sent, as they were.
    pub fn sent(&self) -> HashSet<Vec<u8>> {
        self.sent.clone()
    }

    /// A request with names in place of drawn values, and the name of the last of these.
    pub fn named(&mut self, words: Vec<Vec<u8>>) -> (Vec<Vec<u8>>, Option<String>) {
        let is_script = words.first().is_some_and(|name| name.eq_ignore_ascii_case(b"EVAL"));
        let mut last = None;
        let name = |(at, word): (usize, Vec<u8>)| {
            if at == 0 || is_script && at == 1 {
                return word;
            }
            self.sent.insert(word.clone());
            let Some(name) = self.name(&word) else { return word };
            last = Some(String::from_utf8_lossy(&name).into_owned());
            name
        };
        (words.into_iter().enumerate().map(name).collect(), last)
    }

    /// The name of a value; none, if it is not drawn.
    fn name(&mut self, value: &[u8]) -> Option<Vec<u8>> {
        if let Some(known) = self.known.iter().find(|known| known.value == value) {
            return Some(known.name.clone());
        }
        // Some send the beginning only, to compare it with what is there.
        let begins = |known: &&Symbol| value.len() >= SHORTEST && known.value.starts_with(value);
        if let Some(known) = self.known.iter().find(begins) {
            return Some(known.name.clone());
        }
        if !(SHORTEST..=LONGEST).contains(&value.len()) || self.constants.holds(value) {
            return None;
        }
        let name = format!("token-{}.{}", self.actor + 1, self.known.len() + 1).into_bytes();
        self.known.push(Symbol { value: value.to_vec(), name: name.clone() });
        Some(name)
    }

    /// What the client is answered: its own values, where their names stand.
    pub fn answer(&self, answer: &Value) -> Value {
        let each = |parts: &[Value]| parts.iter().map(|part| self.answer(part)).collect();
        match answer {
            Value::BulkString(bytes) => Value::BulkString(self.value(bytes)),
            Value::Array(parts) => Value::Array(each(parts)),
            Value::Set(parts) => Value::Set(each(parts)),
            Value::Map(pairs) => Value::Map(
                pairs.iter().map(|(key, held)| (self.answer(key), self.answer(held))).collect(),
            ),
            other => other.clone(),
        }
    }

    fn value(&self, answer: &[u8]) -> Vec<u8> {
        let mut answer = answer.to_vec();
        // The longest names first: one may begin like another.
        for symbol in self.known.iter().rev() {
            answer = replaced(&answer, &symbol.name, &symbol.value);
        }
        answer
    }
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut rest = text;
    let mut result = Vec::with_capacity(text.len());
    while let Some(at) = rest.windows(from.len().max(1)).position(|window| window == from) {
        let (before, after) = rest.split_at(at);
        result.extend_from_slice(before);
        result.extend_from_slice(to);
        rest = after.get(from.len()..).unwrap_or_default();
    }
    result.extend_from_slice(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(actor: usize, constants: &[&[u8]]) -> Symbols {
        let known = Constants::default();
        known.add(constants.iter().map(|word| word.to_vec()));
        Symbols::new(actor, Arc::new(known))
    }

    fn words(words: &[&[u8]]) -> Vec<Vec<u8>> {
        words.iter().map(|word| word.to_vec()).collect()
    }

    #[test]
    fn what_is_drawn_has_the_same_name_in_each_life() {
        let lives = [b"0123456789abcdef", b"fedcba9876543210"].map(|token| {
            let mut symbols = symbols(1, &[]);
            let named = symbols.named(words(&[b"SET", b"lock", token]));
            assert_eq!(symbols.named(words(&[b"SET", b"lock", token])), named, "stays the same");
            assert_eq!(symbols.value(&named.0[2]), token);
            named
        });
        let expected = (words(&[b"SET", b"lock", b"token-2.1"]), Some("token-2.1".into()));
        assert_eq!(lives, [expected.clone(), expected]);
    }

    #[test]
    fn the_beginning_of_a_value_has_its_name() {
        let mut symbols = symbols(0, &[]);
        let whole = symbols.named(words(&[b"SET", b"lock", b"{token:0123456789,until:99}"]));
        let begins = symbols.named(words(&[b"EVAL", b"...", b"{token:0123456789,"]));
        assert_eq!(whole.0[2], begins.0[2]);
    }

    #[test]
    fn what_is_not_drawn_stays() {
        let mut symbols = symbols(0, &[b"nodb-lock:run:file.nodb"]);
        let long = [b'x'; 2000];
        let plain = words(&[b"SET", b"nodb-lock:run:file.nodb", &long, b"PX", b"30000"]);
        assert_eq!(symbols.named(plain.clone()), (plain, None));
        let script = words(&[b"EVAL", b"return redis.call('GET', KEYS[1])", b"0"]);
        assert_eq!(symbols.named(script.clone()), (script, None));
    }

    #[test]
    fn a_name_inside_a_longer_answer_is_given_back_too() {
        let mut symbols = symbols(0, &[]);
        for number in 0..12 {
            let value = format!("value-number-{number:04}").into_bytes();
            let (named, _) = symbols.named(words(&[b"ECHO", &value]));
            let answer = [b"{\"token\":\"", &named[1][..], b"\"}"].concat();
            assert_eq!(symbols.value(&answer), [b"{\"token\":\"", &value[..], b"\"}"].concat());
        }
    }
}
