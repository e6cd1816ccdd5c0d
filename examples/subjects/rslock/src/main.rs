//! rslock as a subject; the protocol is described in ../../README.md.

use rslock::{Lock, LockError, LockManager};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, stdin};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// The client, and what it holds.
struct Client {
    runtime: Runtime,
    manager: LockManager,
    locks: HashMap<String, Lock>,
}

impl Client {
    fn new() -> Self {
        let url = std::env::var("REDIS_URL").expect("REDIS_URL says where Redis is");
        let mut manager = LockManager::new(vec![url]);
        manager.set_retry(1, Duration::from_millis(1));
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, manager, locks: HashMap::new() }
    }

    fn obey(&mut self, told: &Value) -> Result<(), LockError> {
        let lock = told["lock"].as_str().unwrap_or_default();
        let ttl = Duration::from_millis(told["ttl_ms"].as_u64().unwrap_or_default());
        match told["do"].as_str() {
            // With the runtime its connections go, too.
            Some("reset") => *self = Self::new(),
            Some("acquire") => {
                let taken = self.runtime.block_on(self.manager.lock(lock.as_bytes(), ttl))?;
                self.locks.insert(lock.to_owned(), taken);
            }
            Some("extend") => {
                let Some(held) = self.locks.get(lock) else { return Err(LockError::RedisKeyNotFound) };
                self.runtime.block_on(self.manager.extend(held, ttl))?;
            }
            // It does not say whether the lock was still there.
            Some("release") => {
                if let Some(held) = self.locks.remove(lock) {
                    self.runtime.block_on(self.manager.unlock(&held));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn main() {
    let mut client = Client::new();
    println!("{}", json!({"subject": "rslock 0.7.4", "can": ["extend"]}));
    for line in stdin().lock().lines().map_while(Result::ok) {
        let told: Value = serde_json::from_str(&line).unwrap_or_default();
        let answer = match client.obey(&told) {
            Ok(()) => json!({"ok": true}),
            Err(error @ (LockError::Unavailable | LockError::RedisKeyNotFound)) => {
                json!({"ok": false, "why": error.to_string()})
            }
            Err(error) => json!({"error": error.to_string()}),
        };
        println!("{answer}");
    }
}
