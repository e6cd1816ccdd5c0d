//! Names for the values that clients draw and for times that they read: the same from run to run, where the
//! values differ. The server sees names; clients are answered with the values.
//!
//! | a word that a client sends | is |
//! |---|---|
//! | what it or an answer had before | the same as then |
//! | what all clients send | a constant |
//! | a whole number of seconds or milliseconds close to the time of day | a time, as far from the server's start |
//! | what differs from life to life, or has 16 to 1024 bytes | a token |
//! | anything else | a constant |

use parking_lot::RwLock;
use redis::Value;
use redis_sim::clock::{Clock, VirtualClock, WallClock};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

/// The shortest value that is taken for a token wherever it is sent, in bytes: 64 random bits are 16
/// hexadecimal digits.
const SHORTEST: usize = 16;
/// The longest. What is longer is a script or data.
const LONGEST: usize = 1024;
/// How far from now a number may be that is a time, in seconds.
const NEAR: u64 = 2 * 86_400;
/// How far a time may be from the end of a lease that begins now, in seconds: the clock goes on while a client
/// works.
const LATE: u64 = 2;
/// What other times are rounded to, in seconds.
const ROUNDED: u64 = 60;
/// The names of times differ by the actor, for N actors.
const ACTORS: usize = 8;

/// A request, as its words.
pub(super) type Request = Vec<Vec<u8>>;

/// What all subjects of a client have in common.
#[derive(Debug, Default)]
pub(super) struct Vocabulary(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    constants: HashSet<Vec<u8>>,
    /// Where words differ from life to life: the command with its script, and the position.
    drawn_at: HashSet<(Vec<u8>, usize)>,
    /// The leases of all instructions, in seconds.
    leases: BTreeSet<u64>,
    /// The latest value of each name.
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Whether the server is a real one, which has a clock of its own.
    is_real: bool,
    /// Whether a word proved to be a constant since this was last asked.
    has_learned: bool,
}

/// Two clients send a word that was taken for a token of one of them: it is a constant.
#[derive(Debug)]
pub(super) struct Learned;

impl Vocabulary {
    /// The server is a real one: times are what they are.
    pub fn set_real(&self) {
        self.0.write().is_real = true;
    }

    /// From now on these are constants, too.
    pub fn add(&self, words: impl IntoIterator<Item = Vec<u8>>) {
        self.0.write().constants.extend(words.into_iter().filter(|word| time_of(word).is_none()));
    }

    /// The lease in an instruction is a constant, in milliseconds and in seconds.
    pub fn add_lease(&self, instruction: &serde_json::Value) {
        let Some(ms) = instruction.get("ttl_ms").and_then(|ttl| ttl.as_u64()) else { return };
        let seconds = ms / 1000;
        let is_known = self.0.read().leases.contains(&seconds);
        if !is_known {
            self.add([ms, seconds].map(|number| number.to_string().into_bytes()));
            self.0.write().leases.insert(seconds);
        }
    }

    /// Learns from the requests of several lives, in which the same was answered, what differs.
    pub fn compare(&self, lives: &[Vec<Request>]) {
        let Some((first, others)) = lives.split_first() else { return };
        for (request, other) in others.iter().flat_map(|other| first.iter().zip(other)) {
            let (place, other_place) = (command_of(request), command_of(other));
            if place != other_place || request.len() != other.len() {
                continue;
            }
            // What is long is a token wherever it is sent.
            let is_drawn =
                |(one, other): (&Vec<u8>, &Vec<u8>)| one != other && one.len() < SHORTEST;
            let pairs = request.iter().zip(other).enumerate();
            let drawn = pairs.filter(|(_, pair)| is_drawn(*pair)).map(|(at, _)| at);
            self.0.write().drawn_at.extend(drawn.map(|at| (place.clone(), at)));
        }
    }

    /// Whether a word proved to be a constant since this was last asked: what was explored before is
    /// worth nothing.
    pub fn take_learned(&self) -> bool {
        std::mem::take(&mut self.0.write().has_learned)
    }

    fn learn(&self, word: &[u8]) -> Learned {
        let mut known = self.0.write();
        known.constants.insert(word.to_vec());
        known.values.retain(|_, value| value != word);
        known.has_learned = true;
        Learned
    }

    fn is_constant(&self, word: &[u8]) -> bool {
        self.0.read().constants.contains(word)
    }

    fn is_drawn_at(&self, command: &[u8], at: usize) -> bool {
        let known = self.0.read();
        known.drawn_at.contains(&(command.to_vec(), at))
    }

    /// Whether a word is the latest value of another actor's name.
    fn is_of_another(&self, actor: usize, word: &[u8]) -> bool {
        let own = format!("token-{}.", actor + 1);
        let known = self.0.read();
        known.values.iter().any(|(name, value)| value == word && !name.starts_with(own.as_bytes()))
    }

    fn set(&self, symbol: &Symbol) {
        self.0.write().values.insert(symbol.name.clone(), symbol.value.clone());
    }
}

/// The values of one subject in one life, each with its name.
#[derive(Debug)]
pub(super) struct Symbols {
    actor: usize,
    vocabulary: Arc<Vocabulary>,
    known: Vec<Symbol>,
    drawn: usize,
    requests: Vec<Request>,
}

#[derive(Debug, Clone)]
struct Symbol {
    value: Vec<u8>,
    name: Vec<u8>,
}

impl Symbols {
    /// Those of an actor, counted from 0, before it has sent anything.
    pub fn new(actor: usize, vocabulary: Arc<Vocabulary>) -> Self {
        Self { actor, vocabulary, known: Vec::new(), drawn: 0, requests: Vec::new() }
    }

    /// All that was sent, as it was.
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// A request with names in place of values, and the name of the last of these.
    pub fn named(&mut self, words: Request) -> Result<(Request, Option<String>), Learned> {
        self.requests.push(words.clone());
        let command = command_of(&words);
        let is_script = words.first().is_some_and(|name| name.eq_ignore_ascii_case(b"EVAL"));
        let (mut named, mut last) = (Vec::with_capacity(words.len()), None);
        for (at, word) in words.into_iter().enumerate() {
            let is_fixed = at == 0 || is_script && at == 1;
            let name = if is_fixed { None } else { self.name(&command, at, &word)? };
            if let Some(name) = &name {
                last = Some(String::from_utf8_lossy(name).into_owned());
            }
            named.push(name.unwrap_or(word));
        }
        Ok((named, last))
    }

    /// The name of a value; none, if it is a constant.
    fn name(
        &mut self,
        command: &[u8],
        at: usize,
        value: &[u8],
    ) -> Result<Option<Vec<u8>>, Learned> {
        if let Some(known) = self.known.iter().rev().find(|known| known.value == value) {
            return Ok(Some(known.name.clone()));
        }
        // Some send the beginning only, to compare it with what is there.
        let begins = |known: &&Symbol| value.len() >= SHORTEST && known.value.starts_with(value);
        if let Some(known) = self.known.iter().find(begins) {
            return Ok(Some(known.name.clone()));
        }
        if self.vocabulary.is_constant(value) {
            return Ok(None);
        }
        let name = match time_of(value) {
            Some(_) if self.vocabulary.0.read().is_real => return Ok(None),
            Some(time) => self.vocabulary.time(&time, self.actor),
            None => {
                let is_long = (SHORTEST..=LONGEST).contains(&value.len());
                let is_drawn = self.vocabulary.is_drawn_at(command, at) && !value.is_empty();
                if !is_long && !is_drawn {
                    return Ok(None);
                }
                if self.vocabulary.is_of_another(self.actor, value) {
                    return Err(self.vocabulary.learn(value));
                }
                self.drawn += 1;
                format!("token-{}.{}", self.actor + 1, self.drawn).into_bytes()
            }
        };
        let symbol = Symbol { value: value.to_vec(), name: name.clone() };
        self.vocabulary.set(&symbol);
        self.known.push(symbol);
        Ok(Some(name))
    }

    /// What the client is answered: values, where their names stand.
    pub fn answer(&mut self, answer: &Value) -> Value {
        match answer {
            Value::BulkString(bytes) => Value::BulkString(self.value(bytes)),
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

    fn value(&mut self, answer: &[u8]) -> Vec<u8> {
        let mut answer = answer.to_vec();
        let others: Vec<Symbol> = {
            let known = self.vocabulary.0.read();
            let is_others = |name: &Vec<u8>| self.known.iter().all(|known| known.name != *name);
            let others = known.values.iter().filter(|(name, _)| is_others(name));
            others
                .map(|(name, value)| Symbol { value: value.clone(), name: name.clone() })
                .collect()
        };
        let heard: Vec<Symbol> =
            others.into_iter().filter(|it| contains(&answer, &it.name)).collect();
        self.known.splice(0..0, heard);
        // Of the values of one name, the latest; and the longest names first: one may begin like another.
        let mut all: Vec<&Symbol> = self.known.iter().rev().collect();
        all.sort_by_key(|symbol| std::cmp::Reverse(symbol.name.len()));
        for symbol in all {
            answer = replaced(&answer, &symbol.name, &symbol.value);
        }
        answer
    }
}

/// A time in a number.
struct Time {
    /// How far it is from now, in seconds.
    from_now: i64,
    /// How many units a second has.
    unit: i64,
}

impl Vocabulary {
    /// The number that stands for a time: the server's start and, where the time is the end of a lease that
    /// begins now, that lease.
    fn time(&self, time: &Time, actor: usize) -> Vec<u8> {
        let distance = time.from_now.unsigned_abs();
        let known = self.0.read();
        let mut leases = std::iter::once(&0).chain(&known.leases);
        let lease = leases.find(|lease| lease.abs_diff(distance) <= LATE).copied();
        let distance = lease.unwrap_or((distance + ROUNDED / 2) / ROUNDED * ROUNDED);
        let distance = i64::try_from(distance).unwrap_or(i64::MAX) * time.from_now.signum();
        let epoch = i64::try_from(VirtualClock::EPOCH.as_secs()).unwrap_or_default();
        let number = (epoch + distance) * time.unit + (actor % ACTORS) as i64;
        number.to_string().into_bytes()
    }
}

/// The time that a word tells, if it is a number of seconds or milliseconds close to now.
fn time_of(word: &[u8]) -> Option<Time> {
    let text = std::str::from_utf8(word).ok()?;
    if !(10..=13).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i64 = text.parse().ok()?;
    let now = i64::try_from(WallClock::new(None).unix().as_secs()).ok()?;
    [1, 1000].into_iter().find_map(|unit| {
        let from_now = number / unit - now;
        (from_now.unsigned_abs() <= NEAR).then_some(Time { from_now, unit })
    })
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

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len().max(1)).any(|window| window == part)
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
        let vocabulary = Vocabulary::default();
        vocabulary.add(constants.iter().map(|word| word.to_vec()));
        Symbols::new(actor, Arc::new(vocabulary))
    }

    fn words(words: &[&[u8]]) -> Vec<Vec<u8>> {
        words.iter().map(|word| word.to_vec()).collect()
    }

    #[test]
    fn what_is_drawn_has_the_same_name_in_each_life() {
        let lives = [b"0123456789abcdef", b"fedcba9876543210"].map(|token| {
            let mut symbols = symbols(1, &[]);
            let named = symbols.named(words(&[b"SET", b"lock", token])).unwrap();
            let again = symbols.named(words(&[b"SET", b"lock", token])).unwrap();
            assert_eq!(again, named, "stays the same");
            assert_eq!(symbols.value(&named.0[2]), token);
            named
        });
        let expected = (words(&[b"SET", b"lock", b"token-2.1"]), Some("token-2.1".into()));
        assert_eq!(lives, [expected.clone(), expected]);
    }

    #[test]
    fn the_beginning_of_a_value_has_its_name() {
        let mut symbols = symbols(0, &[]);
        let whole =
            symbols.named(words(&[b"SET", b"lock", b"{token:0123456789,until:99}"])).unwrap();
        let begins = symbols.named(words(&[b"EVAL", b"...", b"{token:0123456789,"])).unwrap();
        assert_eq!(whole.0[2], begins.0[2]);
    }

    #[test]
    fn what_is_not_drawn_stays() {
        let mut symbols = symbols(0, &[b"nodb-lock:run:file.nodb"]);
        let long = [b'x'; 2000];
        let plain = words(&[b"SET", b"nodb-lock:run:file.nodb", &long, b"PX", b"30000"]);
        assert_eq!(symbols.named(plain.clone()).unwrap(), (plain, None));
        let script = words(&[b"EVAL", b"return redis.call('GET', KEYS[1])", b"0"]);
        assert_eq!(symbols.named(script.clone()).unwrap(), (script, None));
    }

    #[test]
    fn a_name_inside_a_longer_answer_is_given_back_too() {
        let mut symbols = symbols(0, &[]);
        for number in 0..12 {
            let value = format!("value-number-{number:04}").into_bytes();
            let (named, _) = symbols.named(words(&[b"ECHO", &value])).unwrap();
            let answer = [b"{\"token\":\"", &named[1][..], b"\"}"].concat();
            assert_eq!(symbols.value(&answer), [b"{\"token\":\"", &value[..], b"\"}"].concat());
        }
    }

    /// Two subjects of one client, after it was tried out with these requests in two lives.
    fn pair(lives: &[Vec<Request>]) -> [Symbols; 2] {
        let vocabulary = Arc::<Vocabulary>::default();
        vocabulary.compare(lives);
        [0, 1].map(|actor| Symbols::new(actor, Arc::clone(&vocabulary)))
    }

    #[test]
    fn short_values_that_differ_from_life_to_life_are_tokens_where_they_do() {
        let life = |pin: &[u8]| vec![words(&[b"SET", b"lock", pin, b"PX", b"30000"])];
        let [mut one, _] = pair(&[life(b"482913"), life(b"110027")]);
        let (named, token) =
            one.named(words(&[b"set", b"lock", b"735501", b"PX", b"777"])).unwrap();
        assert_eq!(named, words(&[b"set", b"lock", b"token-1.1", b"PX", b"777"]));
        assert_eq!(token.as_deref(), Some("token-1.1"));
        let (named, _) = one.named(words(&[b"GETEX", b"735501", b"other6"])).unwrap();
        assert_eq!(named, words(&[b"GETEX", b"token-1.1", b"other6"]));
    }

    #[test]
    fn a_client_is_answered_with_the_true_bytes_of_another_and_may_send_them() {
        let [mut one, mut other] = pair(&[]);
        let theirs = b"f00f00f00f00f00f|1700";
        let (named, _) = one.named(words(&[b"SET", b"lock", theirs])).unwrap();
        let held = Value::BulkString(named[2].clone());
        assert_eq!(other.answer(&held), Value::BulkString(theirs.to_vec()));
        let (named, _) = other.named(words(&[b"EVAL", b"compare", b"1", b"lock", theirs])).unwrap();
        assert_eq!(named[4], b"token-1.1");
        let (named, _) = other.named(words(&[b"SET", b"lock", b"0123456789abcdef"])).unwrap();
        assert_eq!(named[2], b"token-2.1", "what is heard counts for nothing");
    }

    #[test]
    fn what_two_clients_send_without_having_heard_it_is_a_constant() {
        let [mut one, mut other] = pair(&[]);
        let counts = || words(&[b"INCR", b"waiters-of-the-lock"]);
        assert_eq!(one.named(counts()).unwrap().0[1], b"token-1.1");
        assert!(other.named(counts()).is_err());
        assert!(one.vocabulary.take_learned() && !one.vocabulary.take_learned());
        let [mut one, mut other] = [0, 1].map(|it| Symbols::new(it, Arc::clone(&one.vocabulary)));
        assert_eq!(one.named(counts()).unwrap(), (counts(), None));
        assert_eq!(other.named(counts()).unwrap(), (counts(), None));
    }

    #[test]
    fn numbers_that_follow_the_clock_count_from_the_server_s_start() {
        let now = WallClock::new(None).unix();
        let epoch = VirtualClock::EPOCH.as_secs();
        let (s, ms) = (now.as_secs(), u64::try_from(now.as_millis()).unwrap());
        for (number, told) in [
            (s, epoch + 1),
            (s - 1, epoch + 1),
            (s + 30, epoch + 31),
            (s + 29, epoch + 31),
            (ms, epoch * 1000 + 1),
            (ms + 30_000, (epoch + 30) * 1000 + 1),
            (ms - 3_600_000, (epoch - 3600) * 1000 + 1),
        ] {
            let [_, mut other] = pair(&[]);
            other.vocabulary.add_lease(&serde_json::json!({"do": "acquire", "ttl_ms": 30_000}));
            let text = number.to_string().into_bytes();
            other.vocabulary.add([text.clone()]);
            let (named, _) = other.named(words(&[b"SET", b"since", &text])).unwrap();
            assert_eq!(named[2], told.to_string().into_bytes(), "{number}");
            let held = Value::BulkString(named[2].clone());
            assert_eq!(other.answer(&held), Value::BulkString(text));
        }
        for text in ["30000", "1234567890", "99999999999999999999", "1764460123.5", "-1764460123"] {
            assert!(time_of(text.as_bytes()).is_none(), "{text}");
        }
    }
}
