//! sidekiq-unique-jobs: a hash of job ids under the digest of a job and `:LOCKED`; before version 7, a
//! string with the id of the job.

use super::shape::moment_in;
use super::{Content, Holder, Key, Lock, LockFormat, Recognised, Release, Sharing};
use std::time::Duration;

/// What the name of each of its keys begins with, after a prefix of the application's.
const PREFIX: &str = "uniquejobs:";
/// Keys that belong to a digest, and hold nothing of their own.
const PARTS: [&str; 5] = [":QUEUED", ":PRIMED", ":INFO", ":EXISTS", ":AVAILABLE"];
const REMARK: &str = "This library sets no TTL until the job ends; whether the job still runs or waits in \
                      its queue can't be seen here.";
/// The last job takes all keys of the digest with it. A job that waits takes the signal from the queue.
const WAKE: &str = r#"
if redis.call('EXISTS', KEYS[1]) == 0 then
  for at = 2, 4 do drop(KEYS[at]) end
  local score = redis.call('ZSCORE', KEYS[6], given[1])
  if score then
    redis.call('ZREM', KEYS[6], given[1])
    undo[#undo + 1] = {'ZADD', KEYS[6], 'NX', score, given[1]}
  end
end
redis.call('LPUSH', KEYS[5], '1')
redis.call('PEXPIRE', KEYS[5], 5000)
"#;

/// `<id of the job>` and when it was locked.
pub(super) struct SidekiqUniqueJobs;

impl LockFormat for SidekiqUniqueJobs {
    fn name(&self) -> &'static str {
        "sidekiq-unique-jobs"
    }

    fn recognise(&self, key: &Key<'_>) -> Option<Recognised> {
        let name = key.text()?;
        let is_ours = name.starts_with("uniquejobs:") || name.contains(":uniquejobs:");
        match key.content {
            Content::Hash { size, fields } if name.ends_with(":LOCKED") => {
                let holders: Vec<Holder> = fields
                    .iter()
                    .map(|(id, value)| holder(id, value.as_deref(), key.now))
                    .collect::<Option<_>>()?;
                let is_one = (*size == 1).then_some(Sharing::Exclusive);
                let sharing = is_one.unwrap_or(Sharing::Permits);
                let lock = Lock::shared(self.name(), holders, *size, sharing);
                let why = "a hash as of sidekiq-unique-jobs, but not under its prefix uniquejobs";
                (*size > 0).then(|| match is_ours {
                    true => lock.remark(REMARK).into(),
                    false => Recognised::Maybe { why: why.into() },
                })
            }
            Content::String { .. } | Content::List { .. } | Content::Hash { .. } if is_ours => {
                if let Some(digest) = PARTS.iter().find_map(|part| name.strip_suffix(part)) {
                    return Some(Recognised::part_of(format!("{digest}:LOCKED"), None));
                }
                let id = key.string()?;
                let alone = Lock::of(self.name(), holder(id, None, key.now)?);
                let alone = Some(alone.remark(REMARK));
                Some(Recognised::part_of(format!("{name}:LOCKED"), alone))
            }
            _ => None,
        }
    }

    fn release(&self, key: &Key<'_>, _: &[Holder]) -> Release {
        let digest = key.text().and_then(|name| name.strip_suffix(":LOCKED"));
        let Some((digest, at)) = digest.and_then(|digest| Some((digest, digest.find(PREFIX)?)))
        else {
            return Release::default();
        };
        let prefix = digest.get(..at + PREFIX.len()).unwrap_or_default();
        let of = |part: &str| format!("{digest}{part}").into_bytes();
        let keys = vec![
            of(""),
            of(":INFO"),
            of(":PRIMED"),
            of(":QUEUED"),
            format!("{prefix}digests").into(),
        ];
        Release { beside: WAKE, keys, given: vec![digest.into()], ..Release::default() }
    }
}

/// The holder is a job, whose id has 24 hexadecimal digits.
fn holder(id: &[u8], since: Option<&[u8]>, now: Duration) -> Option<Holder> {
    let is_id = id.len() == 24 && id.iter().all(u8::is_ascii_hexdigit);
    let since = since.and_then(|since| moment_in(std::str::from_utf8(since).ok()?, now));
    is_id.then(|| Holder {
        job: Some(String::from_utf8_lossy(id).into_owned()),
        since,
        ..Holder::with_token(id)
    })
}
