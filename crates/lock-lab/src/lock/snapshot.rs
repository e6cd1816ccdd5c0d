//! A snapshot of one lock: key, TTL, payload and flag in one atomic transaction that changes
//! nothing, judged together with what the controller remembers. (The reference's own test of
//! consistency repairs the flag that it is about to judge, and ignores the token: contract, section
//! 5.)

use super::{LockError, LockName, Payload, Result, Token, is_dead};
use crate::intercept::Link;
use redis::RedisError;
use serde::{Deserialize, Serialize};

/// What one look showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The value of the lock key, if it exists.
    pub payload: Option<Payload>,
    /// What is left of the key's TTL in milliseconds; -1 if it has none, -2 if it doesn't exist.
    pub ttl_ms: i64,
    /// The value of the flag, if it is set.
    pub flag: Option<String>,
    /// What the controller remembers.
    pub local_token: Option<Token>,
    /// What all that means.
    pub diagnosis: Diagnosis,
}

/// What the viewer knows besides Redis.
#[derive(Debug, Clone, Copy)]
pub struct Knowledge<'a> {
    /// What the controller remembers.
    pub local_token: Option<&'a Token>,
    /// Tokens that other controllers of this process remember.
    pub other_tokens: &'a [Token],
    /// Our processes, as payloads name them.
    pub owners: &'a [String],
}

/// What lock key, flag and local token mean together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Diagnosis {
    /// Lock key, flag and local token agree.
    Consistent,
    /// Another participant holds the lock.
    HeldElsewhere,
    /// The lock exists, but no client knows that it owns it.
    Orphaned,
    /// The controller remembers another acquisition than the one in Redis.
    StaleToken,
    /// The controller remembers an acquisition, but the lock is gone.
    Lost,
    /// The flag and the lock key disagree.
    FlagDrift,
    /// The lock would never end by itself.
    NoTtl,
}

impl Diagnosis {
    /// All diagnoses.
    pub const ALL: [Diagnosis; 7] = [
        Diagnosis::Consistent,
        Diagnosis::HeldElsewhere,
        Diagnosis::Orphaned,
        Diagnosis::StaleToken,
        Diagnosis::Lost,
        Diagnosis::FlagDrift,
        Diagnosis::NoTtl,
    ];

    /// The word that reports and scenario files use.
    pub fn word(self) -> &'static str {
        match self {
            Diagnosis::Consistent => "consistent",
            Diagnosis::HeldElsewhere => "held_elsewhere",
            Diagnosis::Orphaned => "orphaned",
            Diagnosis::StaleToken => "stale_token",
            Diagnosis::Lost => "lost",
            Diagnosis::FlagDrift => "flag_drift",
            Diagnosis::NoTtl => "no_ttl",
        }
    }

    /// The same as a sentence.
    pub fn explanation(self) -> &'static str {
        match self {
            Diagnosis::Consistent => "Lock key, flag and local token agree.",
            Diagnosis::HeldElsewhere => {
                "Another participant holds the lock; this controller doesn't, and knows it."
            }
            Diagnosis::Orphaned => {
                "The lock exists, but nobody knows that they own it: it stays until its TTL ends \
                 or somebody clears it."
            }
            Diagnosis::StaleToken => {
                "This controller remembers a token that is not the one in Redis: it lost the lock, \
                 somebody else has it now, and it has not noticed."
            }
            Diagnosis::Lost => {
                "This controller still believes that it holds the lock, but the lock is gone."
            }
            Diagnosis::FlagDrift => {
                "The flag that users see disagrees with the lock key, which is the truth."
            }
            Diagnosis::NoTtl => {
                "The lock has no TTL: if its holder dies, it stays for good until somebody clears it."
            }
        }
    }

    /// Whether Redis, the flag and the local token agree.
    pub fn is_consistent(self) -> bool {
        matches!(self, Diagnosis::Consistent | Diagnosis::HeldElsewhere)
    }
}

impl Snapshot {
    /// The same for a lock of a client from outside, which need not be a string: the type of
    /// another kind of value stands for its content.
    ///
    /// # Errors
    ///
    /// [`LockError::Redis`] if the transaction fails.
    pub fn of_any_kind(
        link: &mut dyn Link,
        lock: &LockName,
        knowledge: Knowledge<'_>,
    ) -> Result<Self> {
        match Self::take(link, lock, knowledge) {
            Err(LockError::Redis { source, .. }) if is_of_another_kind(&source) => {}
            other => return other,
        }
        let mut transaction = redis::pipe();
        transaction.atomic().cmd("TYPE").arg(lock.key()).cmd("PTTL").arg(lock.key());
        let (kind, ttl_ms): (String, i64) =
            transaction.query(link).map_err(|source| failed(lock, source))?;
        let payload = (kind != "none").then(|| Payload::decode(kind.as_bytes()));
        let diagnosis = diagnose(payload.as_ref(), ttl_ms, None, knowledge);
        let local_token = knowledge.local_token.cloned();
        Ok(Self { payload, ttl_ms, flag: None, local_token, diagnosis })
    }

    /// Looks: GET, PTTL and HGET in one MULTI/EXEC.
    ///
    /// # Errors
    ///
    /// [`LockError::Redis`] if the transaction fails, or if the key holds a value of another type.
    pub fn take(link: &mut dyn Link, lock: &LockName, knowledge: Knowledge<'_>) -> Result<Self> {
        let mut transaction = redis::pipe();
        transaction.atomic();
        transaction.cmd("GET").arg(lock.key());
        transaction.cmd("PTTL").arg(lock.key());
        transaction.cmd("HGET").arg(lock.runid()).arg(lock.flag());
        let (raw, ttl_ms, flag): (Option<Vec<u8>>, i64, Option<Vec<u8>>) =
            transaction.query(link).map_err(|source| failed(lock, source))?;
        let payload = raw.as_deref().map(Payload::decode);
        let flag = flag.map(|flag| String::from_utf8_lossy(&flag).into_owned());
        let diagnosis = diagnose(payload.as_ref(), ttl_ms, flag.as_deref(), knowledge);
        Ok(Self { payload, ttl_ms, flag, local_token: knowledge.local_token.cloned(), diagnosis })
    }
}

/// Whether the lock is no string.
fn is_of_another_kind(source: &RedisError) -> bool {
    let errors = source.clone().into_server_errors();
    let first = errors.as_deref().and_then(<[_]>::first);
    first.is_some_and(|(at, error)| *at != HGET && error.code() == "WRONGTYPE")
}

/// A failure of the transaction, with the name of the command and of the key that it is about.
fn failed(lock: &LockName, source: RedisError) -> LockError {
    let errors = source.clone().into_server_errors();
    let at = errors.as_deref().and_then(<[_]>::first).map(|(at, _)| *at);
    let (command, key) = match at {
        Some(HGET) => ("HGET", lock.runid()),
        _ => ("GET", lock.key()),
    };
    LockError::redis(command, key)(source)
}

/// The position of the flag's command in the transaction.
const HGET: usize = 2;

fn diagnose(
    payload: Option<&Payload>,
    ttl_ms: i64,
    flag: Option<&str>,
    knowledge: Knowledge<'_>,
) -> Diagnosis {
    // The reference takes any flag but "false" for "locked".
    let flag_says_locked = flag.is_some_and(|flag| flag != "false");
    match (payload, knowledge.local_token) {
        (None, Some(_)) => Diagnosis::Lost,
        (Some(payload), Some(token)) if payload.token() != token => Diagnosis::StaleToken,
        (Some(_), _) if ttl_ms == -1 => Diagnosis::NoTtl,
        (Some(payload), None) if is_orphaned(payload, knowledge) => Diagnosis::Orphaned,
        (payload, _) if payload.is_some() != flag_says_locked => Diagnosis::FlagDrift,
        (Some(_), None) => Diagnosis::HeldElsewhere,
        _ => Diagnosis::Consistent,
    }
}

/// A lock of a dead process, or one of ours that no controller remembers.
fn is_orphaned(payload: &Payload, knowledge: Knowledge<'_>) -> bool {
    payload.owner().is_some_and(|owner| {
        let forgotten = knowledge.owners.iter().any(|our| our == owner)
            && !knowledge.other_tokens.contains(payload.token());
        forgotten || is_dead(owner)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Diagnosis::{Consistent, FlagDrift, HeldElsewhere, Lost, NoTtl, Orphaned, StaleToken};

    #[test]
    fn every_combination_has_its_diagnosis() {
        let ours = r#"{"token":"a","owner":"me:1"}"#;
        let theirs = r#"{"token":"b","owner":"elsewhere:1"}"#;
        let dead = format!(r#"{{"token":"b","owner":"{}:2147483647"}}"#, super::super::hostname());
        for (payload, ttl_ms, flag, local, other, expected) in [
            (None, -2, None, None, None, Consistent),
            (None, -2, Some("false"), None, None, Consistent),
            (None, -2, Some("true"), None, None, FlagDrift),
            (None, -2, Some("yes"), None, None, FlagDrift),
            (None, -2, Some("false"), Some("a"), None, Lost),
            (None, -2, Some("true"), Some("a"), None, Lost),
            (Some(ours), 9, Some("true"), Some("a"), None, Consistent),
            (Some(ours), 9, Some("false"), Some("a"), None, FlagDrift),
            (Some(ours), 9, None, Some("a"), None, FlagDrift),
            (Some(ours), -1, Some("true"), Some("a"), None, NoTtl),
            (Some(ours), 9, Some("true"), None, None, Orphaned),
            (Some(ours), 9, Some("true"), None, Some("a"), HeldElsewhere),
            (Some(ours), 9, Some("true"), Some("z"), Some("a"), StaleToken),
            (Some(theirs), 9, Some("true"), Some("a"), None, StaleToken),
            (Some(theirs), 9, Some("true"), None, None, HeldElsewhere),
            (Some(theirs), 9, Some("false"), None, None, FlagDrift),
            (Some(theirs), -1, Some("true"), None, None, NoTtl),
            (Some(dead.as_str()), 9, Some("true"), None, None, Orphaned),
            (Some("plain"), 9, Some("true"), None, None, HeldElsewhere),
        ] {
            let payload = payload.map(|text| Payload::decode(text.as_bytes()));
            let local = local.map(Token::from);
            let me = ["me:1".to_owned()];
            let others: Vec<Token> = other.map(Token::from).into_iter().collect();
            let knowledge =
                Knowledge { local_token: local.as_ref(), other_tokens: &others, owners: &me };
            let found = diagnose(payload.as_ref(), ttl_ms, flag, knowledge);
            assert_eq!(found, expected, "{payload:?} {ttl_ms} {flag:?} {local:?} {others:?}");
        }
    }

    #[test]
    fn words_are_what_serde_writes() {
        for diagnosis in Diagnosis::ALL {
            assert_eq!(serde_json::to_value(diagnosis).unwrap(), diagnosis.word());
        }
    }
}
