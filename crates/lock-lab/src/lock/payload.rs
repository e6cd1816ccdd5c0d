//! The value of a lock key (contract, section 2).

use super::owner::stat;
use super::{Token, Ttl};
use serde::Serialize;
use std::time::Duration;

/// What we write: compact JSON, members in this order.
#[derive(Serialize)]
struct Written<'a> {
    token: &'a str,
    owner: &'a str,
    acquired_at: u64,
    expires_at: u64,
    ttl: u64,
}

/// The payload of an acquisition at `now` (time since 1970).
///
/// ```
/// use lock_lab::lock::{encode_payload, Identity, Ttl};
/// use std::time::Duration;
///
/// let identity = Identity::repeatable();
/// let token = identity.issue();
/// let text = encode_payload(&token, identity.owner(), Duration::from_millis(1_700_000_000_900), Ttl::DEFAULT);
/// assert_eq!(
///     text,
///     format!(
///         r#"{{"token":"{}","owner":"virtual:1","acquired_at":1700000000,"expires_at":1700021600,"ttl":21600}}"#,
///         token.as_str()
///     )
/// );
/// ```
pub fn encode_payload(token: &Token, owner: &str, now: Duration, ttl: Ttl) -> String {
    let acquired_at = now.as_secs();
    let written = Written {
        token: token.as_str(),
        owner,
        acquired_at,
        expires_at: acquired_at + ttl.seconds(),
        ttl: ttl.seconds(),
    };
    // Strings and numbers always serialize.
    serde_json::to_string(&written).unwrap_or_default()
}

/// What is found in Redis: ours, the reference's, or anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    raw: Vec<u8>,
    token: Token,
    has_token: bool,
    owner: Option<String>,
    fence: Option<u64>,
    acquired_at: Option<u64>,
    expires_at: Option<u64>,
    runid: Option<String>,
    job: Option<String>,
}

impl Payload {
    /// Reads a value. Members that aren't known are ignored; what is no JSON object is a legacy
    /// payload, whose whole text is the token.
    ///
    /// ```
    /// use lock_lab::lock::Payload;
    ///
    /// let payload = Payload::decode(br#"{"owner":"web1:17","token":"abc","fence":3}"#);
    /// assert_eq!((payload.token().as_str(), payload.owner()), ("abc", Some("web1:17")));
    /// assert_eq!(Payload::decode(b"plain").token().as_str(), "plain");
    /// ```
    pub fn decode(raw: &[u8]) -> Self {
        let text = String::from_utf8_lossy(raw);
        let object = match serde_json::from_slice(raw) {
            Ok(serde_json::Value::Object(object)) => object,
            _ => serde_json::Map::new(),
        };
        let member = |name: &str| object.get(name).and_then(|value| value.as_str());
        let number = |name: &str| object.get(name).and_then(|value| value.as_u64());
        Self {
            raw: raw.into(),
            has_token: member("token").is_some_and(|token| !token.is_empty()),
            token: Token::from(member("token").unwrap_or(&text)),
            owner: member("owner").map(str::to_string),
            fence: number("fence"),
            acquired_at: number("acquired_at"),
            expires_at: number("expires_at"),
            runid: member("runid").map(str::to_string),
            job: member("rq_job_id").map(str::to_string),
        }
    }

    /// The value as it is in Redis.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The owner of the acquisition.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// Whether the value distinguishes one acquisition from the next: it has a token, or is as long
    /// as one and looks like one. A constant such as `locked` doesn't.
    pub fn names_acquisition(&self) -> bool {
        let text = self.token.as_str();
        let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
        let hyphens = text.bytes().filter(|byte| *byte == b'-').count();
        let is_uuid = digits == 32 && matches!(hyphens, 0 | 4) && text.len() == digits + hyphens;
        self.has_token || is_uuid
    }

    /// The fencing token, where the protocol has one.
    pub fn fence(&self) -> Option<u64> {
        self.fence
    }

    /// When it was acquired, in seconds since 1970 by the owner's clock, where the payload says it.
    pub fn acquired_at(&self) -> Option<u64> {
        self.acquired_at
    }

    /// When it ends unless it is extended, in seconds since 1970 by the owner's clock, where the
    /// payload says it.
    pub fn expires_at(&self) -> Option<u64> {
        self.expires_at
    }

    /// The run that the lock belongs to, where the payload names it: that of a directory does.
    pub fn runid(&self) -> Option<&str> {
        self.runid.as_deref()
    }

    /// The job of the queue that acquired the lock, where the payload names it.
    pub fn job(&self) -> Option<&str> {
        self.job.as_deref()
    }

    /// `hostname:pid` of the owner, where the payload names it.
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }
}

/// Whether the owner `hostname:pid` is a process of this machine that no longer lives. If that
/// can't be known from here, it counts as alive.
pub fn is_dead(owner: &str) -> bool {
    let Some((host, pid)) = owner.rsplit_once(':') else { return false };
    if host != super::hostname() {
        return false;
    }
    let pid = pid.parse().ok().filter(|pid| *pid > 0).and_then(rustix::process::Pid::from_raw);
    let Some(pid) = pid else { return false };
    let gone = rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH);
    gone || is_zombie(pid.as_raw_nonzero().get().unsigned_abs())
}

/// Whether nothing is left of a process but its exit status, which its parent has not collected:
/// where the first process of a container reaps none, that stays for good (proc(5), `state` of
/// `stat`).
fn is_zombie(pid: u32) -> bool {
    let tasks = || std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    // A first thread that has ended looks the same while others go on.
    stat(pid, 0).is_some_and(|state| state == "Z") && tasks() <= 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis_sim::clock::{Clock, WallClock};

    #[test]
    fn anything_can_be_a_payload() {
        for raw in [&b""[..], b"[1]", b"{", b"\xff\xfe", b"17", b"{\"token\":5}"] {
            let payload = Payload::decode(raw);
            assert_eq!(payload.token().as_str(), String::from_utf8_lossy(raw));
            assert_eq!(payload.owner(), None);
            assert_eq!(payload.raw(), raw);
        }
    }

    #[test]
    fn a_constant_names_no_acquisition() {
        for (raw, names) in [
            (&b"locked"[..], false),
            (b"1", false),
            (b"", false),
            (br#"{"owner":"web:1"}"#, false),
            (br#"{"token":""}"#, false),
            (br#"{"token":"worker-07"}"#, true),
            (b"0f3a9c41d2b7488f9e0a1b2c3d4e5f60", true),
            (b"0f3a9c41-d2b7-488f-9e0a-1b2c3d4e5f60", true),
            (b"0f3a9c41d2b7488f9e0a1b2c3d4e5f6x", false),
        ] {
            assert_eq!(Payload::decode(raw).names_acquisition(), names, "{raw:?}");
        }
    }

    #[test]
    fn a_process_that_was_not_reaped_is_dead() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let owner = format!("{}:{}", super::super::hostname(), child.id());
        assert!(!is_dead(&owner));
        child.kill().unwrap();
        let clock = WallClock::new(Some(Duration::from_secs(60)));
        while !is_dead(&owner) {
            clock.sleep(Duration::from_millis(1)).expect("it looks alive");
        }
        child.wait().unwrap();
        assert!(is_dead(&owner));
    }

    #[test]
    fn only_a_process_of_this_host_can_be_known_to_be_dead() {
        let host = super::super::hostname();
        assert!(!is_dead(&format!("{host}:4194304999")), "no pid at all");
        assert!(is_dead(&format!("{host}:2147483647")), "beyond the largest pid");
        assert!(!is_dead(&format!("{host}:{}", std::process::id())));
        assert!(!is_dead("some-other-host:2147483647"));
        assert!(!is_dead(&format!("{host}:-1")) && !is_dead(&format!("{host}:0")));
        assert!(!is_dead("nonsense"));
    }
}
