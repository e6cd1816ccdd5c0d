//! A script of ours, and how it is called: by its digest, and by its text where the server doesn't
//! know it. What the scripts do is in `hardened` and `recovery`.

use super::{LockError, LockName};
use crate::gate::Link;
use redis::{Cmd, FromRedisValue, RedisError, ServerErrorKind};

/// A script and its digest.
pub(super) struct Script {
    pub text: String,
    sha: String,
}

impl Script {
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), sha: redis::Script::new(text).get_hash().into() }
    }

    /// Whether a command is this script's EVAL or EVALSHA.
    pub fn is_called_by(&self, name: &str, body: &[u8]) -> bool {
        match name {
            "EVALSHA" => body.eq_ignore_ascii_case(self.sha.as_bytes()),
            "EVAL" => body == self.text.as_bytes(),
            _ => false,
        }
    }

    /// Runs it. Its keys are the lock key and the flag hash.
    pub fn run<T: FromRedisValue>(
        &self,
        link: &mut dyn Link,
        lock: &LockName,
        arguments: impl Fn(&mut Cmd),
    ) -> Result<T, LockError> {
        let call = |name: &str, body: &str| {
            let mut cmd = redis::cmd(name);
            cmd.arg(body).arg(2).arg(lock.key()).arg(lock.runid());
            arguments(&mut cmd);
            cmd
        };
        let failed = |source: RedisError| LockError::Redis {
            command: "EVALSHA",
            key: lock.key().into(),
            source,
        };
        match call("EVALSHA", &self.sha).query(link) {
            // The server forgot the script, or never had it; EVAL teaches it again.
            Err(error) if error.kind() == ServerErrorKind::NoScript.into() => {
                call("EVAL", &self.text).query(link).map_err(failed)
            }
            other => other.map_err(failed),
        }
    }
}
