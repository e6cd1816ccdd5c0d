//! What SET did to a lock: its options, among them the conditions of Redis 8.4 and Valkey 8.1.

use super::{number, saw, token_of};
use crate::lock::{Operation, Payload};
use lock_history::history::{Change, NO_END};
use redis::Value;

/// When SET writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition<'a> {
    Always,
    /// NX.
    Absent,
    /// XX.
    Present,
    /// IFEQ, or IFDEQ with the digest of a value.
    Equal(Compared<'a>),
    /// IFNE, IFDNE: also if the key is absent.
    Different(Compared<'a>),
}

/// What the value of the key is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compared<'a> {
    Value(&'a [u8]),
    Digest(&'a [u8]),
}

impl Compared<'_> {
    fn is(self, value: &[u8]) -> bool {
        match self {
            Self::Value(compared) => compared == value,
            Self::Digest(digest) => {
                redis::calculate_value_digest(value).as_bytes().eq_ignore_ascii_case(digest)
            }
        }
    }

    /// Whether a value has the token of the one that was compared.
    fn has_token_of(self, value: &[u8]) -> bool {
        match self {
            Self::Value(compared) => token_of(compared) == token_of(value),
            Self::Digest(_) => self.is(value),
        }
    }
}

/// How long the key lives when it was written, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lease {
    Forever,
    /// KEEPTTL.
    AsBefore,
    /// EXAT, PXAT: until a time of the server's clock.
    Until,
    For(u64),
}

struct Options<'a> {
    condition: Condition<'a>,
    lease: Lease,
    gets: bool,
}

impl<'a> Options<'a> {
    /// None, if an option is not known here.
    fn read(mut words: &[&'a [u8]]) -> Option<Self> {
        let (mut condition, mut lease, mut gets) = (Condition::Always, Lease::Forever, false);
        while let [option, rest @ ..] = words {
            let option = option.to_ascii_uppercase();
            words = match (option.as_slice(), rest) {
                (b"NX", rest) => {
                    condition = Condition::Absent;
                    rest
                }
                (b"XX", rest) => {
                    condition = Condition::Present;
                    rest
                }
                (b"GET", rest) => {
                    gets = true;
                    rest
                }
                (b"KEEPTTL", rest) => {
                    lease = Lease::AsBefore;
                    rest
                }
                (name, [value, rest @ ..]) => {
                    match name {
                        b"EX" => lease = Lease::For(number(value).saturating_mul(1_000_000_000)),
                        b"PX" => lease = Lease::For(number(value).saturating_mul(1_000_000)),
                        b"EXAT" | b"PXAT" => lease = Lease::Until,
                        b"IFEQ" => condition = Condition::Equal(Compared::Value(value)),
                        b"IFNE" => condition = Condition::Different(Compared::Value(value)),
                        b"IFDEQ" => condition = Condition::Equal(Compared::Digest(value)),
                        b"IFDNE" => condition = Condition::Different(Compared::Digest(value)),
                        _ => return None,
                    }
                    rest
                }
                _ => return None,
            };
        }
        Some(Self { condition, lease, gets })
    }

    /// Whether the key was written; none, if the reply does not show it.
    fn has_written(&self, reply: &Value) -> Option<bool> {
        let before = match reply {
            Value::Okay => return Some(true),
            Value::Nil if !self.gets => return Some(false),
            Value::Nil => None,
            Value::BulkString(before) if self.gets => Some(before.as_slice()),
            _ => return None,
        };
        Some(match self.condition {
            Condition::Always => true,
            Condition::Absent => before.is_none(),
            Condition::Present => before.is_some(),
            Condition::Equal(compared) => before.is_some_and(|before| compared.is(before)),
            Condition::Different(compared) => before.is_none_or(|before| !compared.is(before)),
        })
    }
}

/// What a command is for: one that compares changes a lock that is there.
pub(super) fn operation(options: &[&[u8]]) -> Operation {
    match Options::read(options).map(|options| options.condition) {
        Some(Condition::Equal(_)) => Operation::Extend,
        _ => Operation::Acquire,
    }
}

/// What a SET of this value did.
pub(super) fn change(value: &[u8], options: &[&[u8]], reply: &Value) -> Option<Change> {
    let options = Options::read(options)?;
    match options.has_written(reply)? {
        true => Some(written(value, &options, reply)),
        false => left(&options, reply),
    }
}

fn written(value: &[u8], options: &Options<'_>, reply: &Value) -> Change {
    let token = token_of(value);
    let lease = match options.lease {
        Lease::For(lease) => Some(lease),
        Lease::Forever | Lease::AsBefore | Lease::Until => None,
    };
    let was_free = options.gets && *reply == Value::Nil;
    match options.condition {
        Condition::Absent => Change::Took { token, fence: Payload::decode(value).fence(), lease },
        // The holder's token was there and is there: what changed is the lease.
        Condition::Equal(compared) if compared.has_token_of(value) => match options.lease {
            Lease::For(lease) => Change::Extended { lease },
            // Without an option, SET removes the TTL. When a time of the server's clock comes is not known.
            Lease::Forever | Lease::Until => Change::Extended { lease: NO_END },
            Lease::AsBefore => Change::Saw { token: Some(token) },
        },
        Condition::Different(_) | Condition::Always if was_free => {
            Change::Took { token, fence: Payload::decode(value).fence(), lease }
        }
        _ => Change::Overwrote { token, lease },
    }
}

/// What a SET shows that wrote nothing.
fn left(options: &Options<'_>, reply: &Value) -> Option<Change> {
    match options.condition {
        Condition::Absent => Some(Change::Refused),
        Condition::Present => Some(Change::Saw { token: None }),
        Condition::Different(Compared::Value(value)) => {
            Some(Change::Saw { token: Some(token_of(value)) })
        }
        _ if options.gets => saw(reply),
        _ => None,
    }
}
