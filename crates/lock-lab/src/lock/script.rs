//! A script of ours, and how it is called: by its digest, and by its text where the server doesn't
//! know it. What the scripts do is in `hardened` and `recovery`.

use super::{LockError, LockName, Operation, Result};
use crate::intercept::Link;
use parking_lot::RwLock;
use redis::{Cmd, FromRedisValue, ServerErrorKind};
use std::sync::Arc;

/// The scripts of lock protocols, and what each is for.
static KNOWN: RwLock<Vec<(ScriptOperation, Arc<Script>)>> = RwLock::new(Vec::new());

/// A script and its digest.
pub(super) struct Script {
    pub text: String,
    sha: String,
}

/// What a script of a lock protocol is for.
#[derive(Clone, Copy)]
pub(super) struct ScriptOperation {
    pub operation: Operation,
    /// Whether it looks first: one that acquires takes only a free lock, one that releases deletes only the
    /// lock of the client that calls it.
    pub compares: bool,
}

/// The text of a lock protocol's script with this digest.
pub fn script_text(digest: &[u8]) -> Option<String> {
    // With the protocols come their scripts.
    super::protocols();
    let has_it = |(_, script): &&(ScriptOperation, Arc<Script>)| {
        digest.eq_ignore_ascii_case(script.sha.as_bytes())
    };
    KNOWN.read().iter().find(has_it).map(|(_, script)| script.text.clone())
}

impl Script {
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), sha: redis::Script::new(text).get_hash().into() }
    }

    /// A script of a lock protocol, which is known on the wire from now on.
    pub fn of_protocol(operation: Operation, compares: bool, text: &str) -> Arc<Self> {
        let script = Arc::new(Self::new(text));
        KNOWN.write().push((ScriptOperation { operation, compares }, Arc::clone(&script)));
        script
    }

    /// What a command is for that is an EVAL or EVALSHA of a lock protocol's script.
    pub fn called(name: &str, body: &[u8]) -> Option<ScriptOperation> {
        // With the protocols come their scripts.
        super::protocols();
        let is_called = |(_, script): &&(ScriptOperation, Arc<Self>)| match name {
            "EVALSHA" => body.eq_ignore_ascii_case(script.sha.as_bytes()),
            "EVAL" => body == script.text.as_bytes(),
            _ => false,
        };
        KNOWN.read().iter().find(is_called).map(|(known, _)| *known)
    }

    /// Runs it by its text. Its key is the lock key.
    pub fn eval<T: FromRedisValue>(
        &self,
        link: &mut dyn Link,
        lock: &LockName,
        arguments: impl FnOnce(&mut Cmd),
    ) -> Result<T> {
        let mut cmd = redis::cmd("EVAL");
        cmd.arg(&self.text).arg(1).arg(lock.key());
        arguments(&mut cmd);
        cmd.query(link).map_err(LockError::redis("EVAL", lock.key()))
    }

    /// Runs it by its digest. Its keys are the lock key and the flag hash.
    pub fn run<T: FromRedisValue>(
        &self,
        link: &mut dyn Link,
        lock: &LockName,
        arguments: impl Fn(&mut Cmd),
    ) -> Result<T> {
        let call = |name: &str, body: &str| {
            let mut cmd = redis::cmd(name);
            cmd.arg(body).arg(2).arg(lock.key()).arg(lock.runid());
            arguments(&mut cmd);
            cmd
        };
        let answer = match call("EVALSHA", &self.sha).query(link) {
            // The server forgot the script, or never had it; EVAL teaches it again.
            Err(error) if error.kind() == ServerErrorKind::NoScript.into() => {
                call("EVAL", &self.text).query(link)
            }
            other => other,
        };
        answer.map_err(LockError::redis("EVALSHA", lock.key()))
    }
}
