//! What all subjects of a client have in common: its constants, where it sends what is drawn, and how names
//! look.

use super::parts::{Field, are_alike, fields, is_number};
use super::stand_ins::{self, Symbol};
use super::times::{self, Time, time_of};
use super::{Request, command_of};
use parking_lot::RwLock;
use redis_sim::clock::VirtualClock;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// How far a time may be from the end of a lease that begins now, in seconds: the clock goes on while a client
/// works.
const LATE: u64 = 2;
/// What other times are rounded to, in seconds.
const ROUNDED: u64 = 60;
/// Commands that ask for a part of a string or for its length.
const TAKE_APART: [&[u8]; 6] =
    [b"GETRANGE", b"SUBSTR", b"SETRANGE", b"STRLEN", b"HSTRLEN", b"APPEND"];
/// What scripts have that do.
const TAKE_APART_IN_SCRIPTS: [&str; 11] = [
    "STRING.",
    ":SUB(",
    ":MATCH(",
    ":GMATCH(",
    ":FIND(",
    ":LEN(",
    ":BYTE(",
    "CJSON.",
    "STRUCT.",
    "BIT.",
    "CMSGPACK.",
];

/// Where a word is: the command with its script, and the position; or a field of it, or a part of that.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    command: Arc<[u8]>,
    at: [Option<usize>; 3],
}

impl Place {
    pub fn new(command: &Arc<[u8]>, at: usize) -> Self {
        Self { command: Arc::clone(command), at: [Some(at), None, None] }
    }

    /// That of the word that it is in.
    pub fn word(&self) -> Self {
        Self { command: Arc::clone(&self.command), at: [self.at[0], None, None] }
    }

    pub fn field(&self, field: usize) -> Self {
        Self { command: Arc::clone(&self.command), at: [self.at[0], Some(field), None] }
    }

    pub fn part(&self, part: usize) -> Self {
        Self { command: Arc::clone(&self.command), at: [self.at[0], self.at[1], Some(part)] }
    }
}

/// What all subjects of a client have in common.
#[derive(Debug, Default)]
pub struct Vocabulary(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    constants: HashSet<Vec<u8>>,
    /// Where texts differ from life to life.
    drawn: HashMap<Place, Drawn>,
    /// The first value that was named at each place.
    samples: HashMap<Place, Vec<u8>>,
    /// The leases of all instructions, in seconds.
    leases: BTreeSet<u64>,
    /// The latest value of each name.
    values: BTreeMap<Vec<u8>, Symbol>,
    /// When the real server that there may be was first used, in seconds since 1970.
    real_start: Option<i64>,
    /// Whether the client takes values apart.
    takes_apart: bool,
    /// How much later the clients live that acquire when all actors have ended, in seconds.
    ahead: i64,
    /// Whether something was learned since this was last asked.
    has_learned: bool,
}

/// What all texts are that differ at a place.
#[derive(Debug, Clone, Copy)]
struct Drawn {
    are_numbers: bool,
    are_leases: bool,
}

/// What names stand for is now known better: what was explored before is worth nothing.
#[derive(Debug)]
pub struct Learned;

impl Vocabulary {
    /// The server is a real one, which starts now and has a clock of its own.
    pub fn set_real(&self) {
        self.0.write().real_start = Some(times::now());
    }

    /// Whether a time in a request must be what it is: a real server compares it with its own clock.
    pub fn keeps_times(&self, request: &Request) -> bool {
        let script =
            request.first().filter(|name| name.eq_ignore_ascii_case(b"EVAL")).and(request.get(1));
        let script = script.map(|script| String::from_utf8_lossy(script).to_ascii_uppercase());
        let in_script = |script: String| {
            ["EXPIREAT", "EXAT", "PXAT", "TIME"].iter().any(|it| script.contains(it))
        };
        let options: [&[u8]; 4] = [b"EXPIREAT", b"PEXPIREAT", b"EXAT", b"PXAT"];
        let is_option = |word: &Vec<u8>| options.iter().any(|it| word.eq_ignore_ascii_case(it));
        self.0.read().real_start.is_some()
            && (request.iter().any(is_option) || script.is_some_and(in_script))
    }

    /// From now on these are constants, and their parts.
    pub fn add(&self, words: impl IntoIterator<Item = Vec<u8>>) {
        let mut known = self.0.write();
        for word in words {
            let mut has_time = false;
            for text in texts(&word) {
                match time_of(text) {
                    Some(_) => has_time = true,
                    None => drop(known.constants.insert(text.to_vec())),
                }
            }
            if !has_time {
                known.constants.insert(word);
            }
        }
    }

    /// What both of two subjects send is a constant.
    pub fn add_common(&self, one: &HashSet<Vec<u8>>, other: &HashSet<Vec<u8>>) {
        self.add(one.intersection(other).cloned());
        let texts = |words: &HashSet<Vec<u8>>| -> HashSet<Vec<u8>> {
            words.iter().flat_map(|word| texts(word)).map(<[u8]>::to_vec).collect()
        };
        self.add(texts(one).intersection(&texts(other)).cloned());
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

    /// The longest lease of all instructions.
    pub fn longest_lease(&self) -> Duration {
        Duration::from_secs(self.0.read().leases.last().copied().unwrap_or_default())
    }

    /// The clients that acquire when all actors have ended live this much later.
    pub fn set_ahead(&self, ahead: Duration) {
        self.0.write().ahead = i64::try_from(ahead.as_secs()).unwrap_or(i64::MAX);
    }

    /// Learns from the requests of several lives, in which the same was answered, what differs.
    pub fn compare(&self, lives: &[Vec<Request>]) {
        let Some((first, others)) = lives.split_first() else { return };
        for (request, other) in others.iter().flat_map(|other| first.iter().zip(other)) {
            let (command, other_command) = (command_of(request), command_of(other));
            if command != other_command || request.len() != other.len() {
                continue;
            }
            let command: Arc<[u8]> = command.into();
            for (at, pair) in request.iter().zip(other).enumerate() {
                self.compare_words(&Place::new(&command, at), [pair.0, pair.1]);
            }
        }
    }

    /// Learns from the requests of a life with a lease, in milliseconds, which numbers are no such lease though
    /// they are close to another one.
    pub fn check_leases(&self, requests: &[Request], ms: u64) {
        let mut known = self.0.write();
        for request in requests {
            let command: Arc<[u8]> = command_of(request).into();
            for (at, word) in request.iter().enumerate() {
                for (place, text) in parts(&Place::new(&command, at), word) {
                    if let Some(drawn) = known.drawn.get_mut(&place) {
                        drawn.are_leases &= just_above(text, ms / 1000).is_some();
                    }
                }
            }
        }
    }

    /// Learns from two requests with which a client went on after the same replies, as they went to the server;
    /// says whether it did.
    pub fn learn_from(&self, requests: &[Request; 2]) -> bool {
        let count = |known: &Known| (known.drawn.len(), known.constants.len());
        let before = count(&self.0.read());
        self.compare(&requests.each_ref().map(|request| vec![request.clone()]));
        let [one, other] = requests.each_ref().map(|request| -> HashSet<&[u8]> {
            request.iter().flat_map(|word| texts(word)).collect()
        });
        let mut known = self.0.write();
        if command_of(&requests[0]) == command_of(&requests[1]) {
            for text in one.symmetric_difference(&other) {
                known.constants.remove(*text);
            }
        }
        let has_learned = count(&known) != before;
        known.has_learned |= has_learned;
        has_learned
    }

    fn compare_words(&self, place: &Place, words: [&[u8]; 2]) {
        let [one, other] = words.map(fields);
        if !are_alike(&one, &other) {
            return self.differ(place, words);
        }
        for (at, (one, other)) in one.iter().zip(&other).enumerate() {
            self.compare_fields(&place.field(at), [one, other]);
        }
    }

    fn compare_fields(&self, place: &Place, [one, other]: [&Field<'_>; 2]) {
        if !one.is_like(other) {
            return self.differ(place, [one.text, other.text]);
        }
        for (at, (one, other)) in one.parts.iter().zip(&other.parts).enumerate() {
            self.differ(&place.part(at), [one.text, other.text]);
        }
    }

    fn differ(&self, place: &Place, texts: [&[u8]; 2]) {
        if texts[0] == texts[1] || texts.iter().all(|text| time_of(text).is_some()) {
            return;
        }
        let mut known = self.0.write();
        let are_numbers = texts.iter().all(|text| is_number(text));
        let are_leases = texts.iter().all(|text| known.lease(text).is_some());
        let drawn = known.drawn.entry(place.clone()).or_insert(Drawn { are_numbers, are_leases });
        drawn.are_numbers &= are_numbers;
        drawn.are_leases &= are_leases;
    }

    /// Learns from a request whether the client takes values apart.
    pub fn hears(&self, request: &Request) -> Result<(), Learned> {
        let name = request.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
        let script = request.get(1).filter(|_| name == b"EVAL");
        let script = script.map(|script| String::from_utf8_lossy(script).to_ascii_uppercase());
        let takes_apart = |script: String| {
            TAKE_APART_IN_SCRIPTS.iter().any(|it| script.contains(it)) || measures(&script)
        };
        if TAKE_APART.contains(&&*name) || script.is_some_and(takes_apart) {
            self.take_apart()?;
        }
        Ok(())
    }

    /// The client takes values apart.
    pub fn take_apart(&self) -> Result<(), Learned> {
        let is_known = self.0.read().takes_apart;
        if is_known {
            return Ok(());
        }
        let mut known = self.0.write();
        (known.takes_apart, known.has_learned) = (true, true);
        Err(Learned)
    }

    /// Whether something was learned since this was last asked: what was explored before is worth nothing.
    pub fn take_learned(&self) -> bool {
        std::mem::take(&mut self.0.write().has_learned)
    }

    /// What was taken for a token of an actor is sent by another: it is a constant.
    pub fn learn(&self, word: &[u8]) -> Learned {
        let mut known = self.0.write();
        known.constants.insert(word.to_vec());
        known.values.retain(|_, symbol| symbol.value != word);
        known.has_learned = true;
        Learned
    }

    pub fn is_constant(&self, text: &[u8]) -> bool {
        self.0.read().constants.contains(text)
    }

    pub fn is_drawn(&self, place: &Place) -> bool {
        self.0.read().drawn.contains_key(place)
    }

    /// Whether a value is the latest of another actor's name. Numbers that go up by themselves may be the same
    /// in two clients.
    pub fn is_of_another(&self, actor: usize, place: &Place, value: &[u8]) -> bool {
        let is_it = |symbol: &Symbol| {
            symbol.value == value && symbol.drawn_by.is_some_and(|drawn_by| drawn_by != actor)
        };
        let known = self.0.read();
        let counts = known.drawn.get(place).is_some_and(|drawn| drawn.are_numbers);
        !counts && known.values.values().any(is_it)
    }

    pub fn set(&self, symbol: &Symbol) {
        self.0.write().values.insert(symbol.name.clone(), symbol.clone());
    }

    /// Those in an answer whose names are such.
    pub fn others(&self, answer: &[u8], is_others: impl Fn(&[u8]) -> bool) -> Vec<Symbol> {
        let known = self.0.read();
        let is_it = |symbol: &&Symbol| is_others(&symbol.name) && contains(answer, &symbol.name);
        known.values.values().filter(is_it).cloned().collect()
    }

    /// How much later the clients live that acquire when all actors have ended, in seconds.
    pub fn ahead(&self) -> i64 {
        self.0.read().ahead
    }

    /// The name of the Nth token of an actor, which is first sent at a place.
    pub fn stand_in(&self, place: &Place, value: &[u8], [actor, number]: [usize; 2]) -> Vec<u8> {
        let mut known = self.0.write();
        let is_number = known.drawn.get(place).map_or(is_number(value), |drawn| drawn.are_numbers);
        if !is_number && !known.takes_apart {
            return stand_ins::name(actor, number);
        }
        let sample = known.samples.entry(place.clone()).or_insert_with(|| value.to_vec());
        stand_ins::like(sample, actor, number)
    }

    /// The lease that a number stands for which is a little less each time.
    pub fn lease(&self, place: &Place, text: &[u8]) -> Option<Vec<u8>> {
        let known = self.0.read();
        known.drawn.get(place).filter(|drawn| drawn.are_leases)?;
        known.lease(text)
    }

    /// What stands for a time: the server's start and, where the time is the end of a lease that begins now,
    /// that lease.
    pub fn time(&self, time: &Time, actor: usize, ahead: i64) -> Vec<u8> {
        let distance = time.from_now.unsigned_abs();
        let known = self.0.read();
        let mut leases = std::iter::once(&0).chain(&known.leases);
        let lease = leases.find(|lease| lease.abs_diff(distance) <= LATE).copied();
        let distance = lease.unwrap_or((distance + ROUNDED / 2) / ROUNDED * ROUNDED);
        let distance = i64::try_from(distance).unwrap_or(i64::MAX) * time.from_now.signum();
        let epoch = || i64::try_from(VirtualClock::EPOCH.as_secs()).unwrap_or_default();
        let start = known.real_start.unwrap_or_else(epoch) + ahead;
        time.named(start + distance, actor)
    }
}

impl Known {
    /// The lease that is the same as a number or a little more, in seconds or milliseconds.
    fn lease(&self, text: &[u8]) -> Option<Vec<u8>> {
        let leases = self.leases.iter();
        let mut near = leases.filter_map(|lease| just_above(text, *lease));
        near.next().map(|lease| lease.to_string().into_bytes())
    }
}

/// A lease of these seconds, in seconds or milliseconds, if a number is the same or a little less.
fn just_above(text: &[u8], seconds: u64) -> Option<u64> {
    let number: u64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let mut leases = [(seconds, 1), (seconds * 1000, 1000)].into_iter();
    let is_near = |(lease, unit): &(u64, u64)| {
        let late = LATE * unit;
        *lease > late && (lease.saturating_sub(late)..=*lease).contains(&number)
    };
    leases.find(is_near).map(|(lease, _)| lease)
}

/// The parts of a word, and where they are.
fn parts<'a>(place: &Place, word: &'a [u8]) -> Vec<(Place, &'a [u8])> {
    let parts = |(at, field): (usize, Field<'a>)| {
        let place = place.field(at);
        (0..).zip(field.parts).map(move |(at, part)| (place.part(at), part.text))
    };
    fields(word).into_iter().enumerate().flat_map(parts).collect()
}

/// Whether a script, in capitals, asks for a length that may be that of a string: of anything but its keys and
/// arguments.
fn measures(script: &str) -> bool {
    script.split('#').skip(1).any(|rest| {
        let name_ends = rest.find(|it: char| !it.is_ascii_alphanumeric() && it != '_');
        let (name, after) = rest.split_at(name_ends.unwrap_or(rest.len()));
        match name {
            "" => rest.trim_start().starts_with(['(', '\'', '"']),
            "KEYS" | "ARGV" => after.trim_start().starts_with('['),
            _ => true,
        }
    })
}

/// The fields of a word and their parts.
fn texts(word: &[u8]) -> Vec<&[u8]> {
    let fields = fields(word).into_iter().filter(|field| !field.parts.is_empty());
    fields
        .flat_map(|field| {
            let text = field.text;
            field.parts.into_iter().filter(|part| !part.is_sign).map(|part| part.text).chain([text])
        })
        .collect()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len().max(1)).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::measures;

    #[test]
    fn a_script_measures_a_string_wherever_it_counts_no_keys_or_arguments() {
        for script in ["IF #V == 32 THEN", "#ARGV[1] == 32", "#(V)", "#REDIS.CALL('GET', KEYS[1])"]
        {
            assert!(measures(script), "{script}");
        }
        for script in ["#!LUA NAME=X", "FOR I = 1, #KEYS DO", "#ARGV - 1", "RETURN 1"] {
            assert!(!measures(script), "{script}");
        }
    }
}
