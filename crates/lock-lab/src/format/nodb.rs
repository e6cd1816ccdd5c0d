//! The payload of NoDb, under whatever name: JSON with a token and an owner.

use super::{Holder, Key, Lock, LockFormat, Recognised};
use crate::lock::Payload;
use std::time::Duration;

/// See the contract, section 2.
pub(super) struct NoDb;

impl LockFormat for NoDb {
    fn name(&self) -> &'static str {
        "NoDb"
    }

    fn recognise(&self, key: &Key<'_>) -> Option<Recognised> {
        let raw = key.string().filter(|raw| raw.starts_with(b"{"))?;
        let payload = Payload::decode(raw);
        let (host, process) = payload.owner()?.rsplit_once(':')?;
        let is_ours = payload.names_acquisition() && payload.acquired_at().is_some();
        let holder = is_ours.then(|| Holder {
            host: Some(host.to_owned()),
            process: Some(process.to_owned()),
            since: payload.acquired_at().map(Duration::from_secs),
            ..Holder::with_token(payload.token().as_str().as_bytes())
        });
        let remark = "Whether its owner lives, and what its flag says, status RUNID tells.";
        Some(Lock::of(self.name(), holder?).remark(remark).into())
    }
}
