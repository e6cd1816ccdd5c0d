//! A semaphore: a sorted set in which each holder has a time, when it acquired or when its lease expires;
//! or, as redis-semaphore has it, a hash.

use super::name::says_lock;
use super::shape::{moment, moment_in, token};
use super::{Content, Field, Holder, Key, Lock, LockFormat, Recognised, Release, Sharing};

/// The most holders of a semaphore: more members are more likely events.
const MOST: u64 = 128;

const LOST: &str = "redis-semaphore: none of its permits is left, and no client holds one, so none can \
                    acquire it until its keys are deleted.";
/// Each permit goes back to those that are available.
const GIVE_BACK: &str = r#"
for at = 1, #given do
  redis.call('LPUSH', KEYS[2], given[at])
  undo[#undo + 1] = {'LREM', KEYS[2], '1', given[at]}
end
"#;
/// Without its keys, the next client makes it with all its permits.
const DROP: &str = "drop(KEYS[2])";

/// See the head of this file.
pub(super) struct Semaphore;

impl LockFormat for Semaphore {
    fn name(&self) -> &'static str {
        "semaphore"
    }

    fn recognise(&self, key: &Key<'_>) -> Option<Recognised> {
        if let Some(seen) = self.of_ruby(key) {
            return Some(seen);
        }
        let (size, members) = key.sorted()?;
        let are_times = members.iter().all(|(_, score)| moment(*score, key.now).is_some());
        let are_tokens = members.iter().all(|(member, _)| is_name(member));
        if members.is_empty() || size > MOST || !are_times || !are_tokens {
            return None;
        }
        if says_lock(key.name).is_none() {
            let why = "a few tokens with a time each: a semaphore's holders, or the events of a rate limit";
            return Some(Recognised::Maybe { why: why.into() });
        }
        let holders = members.iter().map(|(member, _)| Holder::with_token(member)).collect();
        let lock = Lock::shared(self.name(), holders, size, Sharing::Permits);
        let remark = "A holder whose time is over counts until the next acquire removes it.";
        Some(Lock { expires_without_ttl: true, ..lock }.remark(remark).into())
    }

    fn release(&self, key: &Key<'_>, holders: &[Holder]) -> Release {
        let name = key.text().and_then(|name| name.strip_prefix("SEMAPHORE:")?.rsplit_once(':'));
        let Some((name, part)) = name else { return Release::default() };
        let of = |part: &str| vec![format!("SEMAPHORE:{name}:{part}").into_bytes()];
        let given = holders.iter().filter_map(|holder| holder.token.clone()).collect();
        match part {
            "GRABBED" => {
                Release { beside: GIVE_BACK, keys: of("AVAILABLE"), given, ..Release::default() }
            }
            "EXISTS" => Release { beside: DROP, keys: of("VERSION"), ..Release::default() },
            _ => Release::default(),
        }
    }
}

impl Semaphore {
    /// redis-semaphore: `SEMAPHORE:<name>:GRABBED`, with the number of each permit that is held.
    fn of_ruby(&self, key: &Key<'_>) -> Option<Recognised> {
        let name = key.text()?.strip_prefix("SEMAPHORE:")?;
        match key.content {
            Content::Hash { size, fields } if name.ends_with(":GRABBED") => {
                let holder = |(permit, since): &Field| {
                    let since = std::str::from_utf8(since.as_deref()?).ok()?;
                    let since = Some(moment_in(since, key.now)?);
                    Some(Holder { since, ..Holder::with_token(permit) })
                };
                let holders = fields.iter().map(holder).collect::<Option<Vec<_>>>()?;
                let remark = "redis-semaphore: a permit comes back by itself only with stale_client_timeout.";
                let lock = Lock::shared(self.name(), holders, *size, Sharing::Permits);
                Some(lock.remark(remark).into())
            }
            Content::List { .. } => {
                let name = name.strip_suffix(":AVAILABLE")?;
                Some(Recognised::part_of(format!("SEMAPHORE:{name}:GRABBED"), None))
            }
            Content::String { .. } => {
                let (base, _) = name.rsplit_once(':')?;
                let of = |part: &str| format!("SEMAPHORE:{base}:{part}").into();
                let keys = vec![of("AVAILABLE"), of("GRABBED")];
                let lost = Lock::shared(self.name(), Vec::new(), 0, Sharing::Permits).remark(LOST);
                // While it is created, it has a TTL and no permits yet.
                let is_anchor = name.ends_with(":EXISTS");
                let alone = (is_anchor && key.ttl_ms == -1).then_some(lost);
                let is_ours = is_anchor || name.ends_with(":VERSION");
                is_ours.then_some(Recognised::PartOf { keys, alone })
            }
            _ => None,
        }
    }
}

/// Whether a member names a holder: a token, or a host and a process.
fn is_name(member: &[u8]) -> bool {
    let of_process = || {
        let (host, process) = std::str::from_utf8(member).ok()?.rsplit_once(':')?;
        let is_host = host.bytes().any(|byte| byte.is_ascii_alphabetic()) && host.len() <= 64;
        Some(is_host && process.parse::<u32>().is_ok())
    };
    token(member).is_some() || of_process() == Some(true)
}
