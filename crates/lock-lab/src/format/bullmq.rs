//! BullMQ and Bull: the lock of a job, under the job's key and `:lock`.

use super::shape::uuid;
use super::{Holder, Key, Lock, LockFormat, Recognised};

/// BullMQ: `<UUID of the worker>:<number>`. Bull: the UUID alone.
pub(super) struct BullMq;

impl LockFormat for BullMq {
    fn name(&self) -> &'static str {
        "BullMQ"
    }

    fn recognise(&self, key: &Key<'_>) -> Option<Recognised> {
        let value = key.string_text()?;
        let job = key.name.strip_suffix(b":lock").and_then(|rest| std::str::from_utf8(rest).ok());
        let job = job.and_then(|job| job.rsplit_once(':')).map(|(_, id)| id.to_owned());
        let holder = |worker: &str| Holder {
            process: Some(worker.to_owned()),
            job: job.clone(),
            ..Holder::with_token(value.as_bytes())
        };
        if let Some((worker, number)) = value.rsplit_once(':') {
            let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            uuid(worker).filter(|_| is_number)?;
            return Some(match job {
                Some(_) => Lock::of(self.name(), holder(worker)).into(),
                None => Recognised::Maybe {
                    why: "a UUID and a number, like a BullMQ token, but the name does not end in :lock"
                        .into(),
                },
            });
        }
        let is_bull = key.name.starts_with(b"bull:") && job.is_some();
        uuid(value).filter(|_| is_bull)?;
        Some(Lock::of("Bull", holder(value)).into())
    }
}
