//! The owner of an acquisition: tokens, the slot that remembers one, and the identity of a
//! participant.

use super::Ttl;
use crate::rng;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use uuid::Uuid;

/// Identifies one acquisition: 32 lower-case hexadecimal digits of a version 4 UUID (contract,
/// section 2), or whatever a foreign payload holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Token(String);

/// How the text begins that stands for a token of a client from outside.
const NAME: &str = "token-";

impl Token {
    /// The text that stands for a token of a client from outside: the actor and the number of the token,
    /// both counted from 1.
    pub fn name(actor: usize, number: usize) -> String {
        format!("{NAME}{actor}.{number}")
    }

    /// Whether a value has such a text in it.
    pub fn is_named_in(value: &[u8]) -> bool {
        let named = value.windows(NAME.len()).enumerate().filter(|(_, it)| *it == NAME.as_bytes());
        let mut rest = named.filter_map(|(at, _)| value.get(at + NAME.len()..));
        rest.any(|rest| {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            digits > 0 && rest.get(digits) == Some(&b'.')
        })
    }

    /// The token's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Token {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// What one knows of an acquisition that one holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Acquisition {
    /// The owner.
    pub token: Token,
    /// A number that only rises, where the protocol has one; the resource checks it.
    pub fence: Option<u64>,
    /// Its lease, each time that it is extended.
    pub ttl: Ttl,
}

/// Where a controller remembers its acquisition. Threads that share the controller share the slot
/// (contract, section 3). Exploration restores its content, and asks whether it was read.
#[derive(Debug, Default)]
pub struct TokenSlot {
    acquisition: Mutex<Option<Acquisition>>,
    touched: AtomicBool,
}

impl TokenSlot {
    /// The acquisition, if one is remembered.
    pub fn get(&self) -> Option<Acquisition> {
        self.touched.store(true, Ordering::Relaxed);
        self.memory()
    }

    /// Remembers an acquisition, or forgets it.
    pub fn set(&self, acquisition: Option<Acquisition>) {
        self.touched.store(true, Ordering::Relaxed);
        self.remember(acquisition);
    }

    /// The same as [`get`](Self::get), without counting as a read.
    pub fn memory(&self) -> Option<Acquisition> {
        self.acquisition.lock().clone()
    }

    /// Puts back what [`memory`](Self::memory) gave, without counting as a change.
    pub fn remember(&self, memory: Option<Acquisition>) {
        *self.acquisition.lock() = memory;
    }

    /// Whether [`get`](Self::get) or [`set`](Self::set) was called since this was last asked.
    pub fn was_touched(&self) -> bool {
        self.touched.swap(false, Ordering::Relaxed)
    }
}

/// The identity of a participant: the owner that payloads name, and the source of its tokens.
#[derive(Debug)]
pub struct Identity {
    owner: String,
    source: TokenSource,
    issued: Mutex<HashSet<Token>>,
}

#[derive(Debug)]
enum TokenSource {
    Random,
    Counted(AtomicU64),
    Given(Token),
}

impl Identity {
    /// This process: `hostname:pid`, and random tokens.
    pub fn of_this_process() -> Self {
        Self {
            owner: format!("{}:{}", hostname(), std::process::id()),
            source: TokenSource::Random,
            issued: Mutex::default(),
        }
    }

    /// This process, with a token that was drawn elsewhere.
    pub fn with_token(token: Token) -> Self {
        Self { source: TokenSource::Given(token), ..Self::of_this_process() }
    }

    /// One that is the same in each run: a fixed owner, and tokens that follow from their number.
    pub fn repeatable() -> Self {
        Self::repeatable_of(0)
    }

    /// One of several that are the same in each run and have no token in common.
    pub fn repeatable_of(number: usize) -> Self {
        let source = TokenSource::Counted(AtomicU64::new((number as u64) << 32));
        Self { owner: "virtual:1".into(), source, issued: Mutex::default() }
    }

    /// `hostname:pid`.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// A new token.
    pub fn issue(&self) -> Token {
        let uuid = match &self.source {
            TokenSource::Random => Uuid::new_v4(),
            TokenSource::Given(token) => return token.clone(),
            TokenSource::Counted(number) => {
                let number = number.fetch_add(1, Ordering::Relaxed);
                let (high, low) = (rng::nth(2 * number), rng::nth(2 * number + 1));
                let bytes = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
                uuid::Builder::from_random_bytes(bytes).into_uuid()
            }
        };
        let token = Token(uuid.simple().to_string());
        self.issued.lock().insert(token.clone());
        token
    }

    /// How many tokens and numbers were drawn, where they are the same in each run.
    pub fn drawn(&self) -> u64 {
        match &self.source {
            TokenSource::Random | TokenSource::Given(_) => 0,
            TokenSource::Counted(number) => number.load(Ordering::Relaxed),
        }
    }

    /// A number that is different each time; the same in each run where tokens are.
    pub fn random(&self) -> u64 {
        match &self.source {
            TokenSource::Random | TokenSource::Given(_) => Uuid::new_v4().as_u64_pair().1,
            TokenSource::Counted(number) => rng::nth(number.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Takes a token for its own that a client drew for it.
    pub fn claim(&self, token: Token) {
        self.issued.lock().insert(token);
    }

    /// Whether a token was issued here.
    pub fn issued(&self, token: &Token) -> bool {
        self.issued.lock().contains(token)
    }
}

/// This machine's name, as owners carry it.
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_version_4_uuids_and_the_repeatable_ones_repeat() {
        let (a, b) = (Identity::repeatable(), Identity::repeatable());
        let first = a.issue();
        let second = a.issue();
        assert_ne!(first, second);
        assert_eq!((first.clone(), second), (b.issue(), b.issue()));
        assert_eq!(Identity::repeatable_of(0).issue(), first);
        assert_ne!(Identity::repeatable_of(1).issue(), first);
        for token in [first, Identity::of_this_process().issue()] {
            let text = token.as_str();
            assert_eq!(text.len(), 32);
            assert!(text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{text}");
            assert_eq!(&text[12..13], "4");
        }
    }

    #[test]
    fn a_slot_reports_a_touch_once_and_takes_its_memory_back() {
        let slot = TokenSlot::default();
        assert!(!slot.was_touched());
        let ttl = Ttl::DEFAULT;
        let own = Some(Acquisition { token: Token::from("me"), fence: Some(1), ttl });
        slot.set(own.clone());
        assert!(slot.was_touched());
        let memory = slot.memory();
        slot.remember(None);
        assert_eq!(slot.memory(), None);
        slot.remember(memory);
        assert!(!slot.was_touched());
        assert_eq!(slot.get(), own);
        assert!(slot.was_touched());
        assert!(!slot.was_touched());
    }

    #[test]
    fn an_identity_knows_its_own_tokens() {
        let identity = Identity::of_this_process();
        assert!(identity.issued(&identity.issue()));
        assert!(!identity.issued(&Identity::repeatable().issue()));
    }
}
