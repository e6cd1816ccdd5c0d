//! `subject`: our own lock library as a subject of `probe`, so that it is explored in processes of
//! its own like any other client; and the process of an actor where actors are processes
//! (`--processes`). Hidden: users don't need it for their own client.

use super::exit::{Exit, Refusal, environment, usage};
use anyhow::anyhow;
use lock_lab::lock::{Context, Identity, LockError, LockName, LockProtocol, TokenSlot, Ttl};
use lock_lab::probe::obey;
use lock_lab::server::{Connection, Server, ServerError};
use redis_sim::clock::WallClock;
use rustix::process::{Signal, set_parent_process_death_signal};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::sync::Arc;
use std::time::Duration;

/// The client, and what it remembers.
struct Client {
    server: Server,
    protocol: Arc<dyn LockProtocol>,
    identity: Identity,
    connection: Option<Connection>,
    slots: HashMap<String, Slots>,
}

/// What is remembered of one lock.
#[derive(Default)]
struct Slots {
    controller: TokenSlot,
    own: TokenSlot,
}

/// Carries out instructions from stdin until it ends.
pub(super) fn serve(protocol: Arc<dyn LockProtocol>, is_actor: bool) -> Result<Exit, Refusal> {
    if is_actor {
        // A stopped process does not notice that its stdin was closed.
        let died = set_parent_process_death_signal(Some(Signal::KILL));
        died.map_err(|error| environment(io::Error::from(error)))?;
        let obeyed = obey(&*protocol, &mut BufReader::new(io::stdin()), &mut io::stdout());
        return obeyed.map(|()| Exit::Success).map_err(environment);
    }
    let server = Server::from_environment(|name| std::env::var(name).ok()).map_err(usage)?;
    let server = server.ok_or_else(|| usage(anyhow!("REDIS_URL must say where Redis is")))?;
    let name = format!("nodb-trigger {} ({})", env!("CARGO_PKG_VERSION"), protocol.name());
    let (connection, slots) = (None, HashMap::new());
    let identity = Identity::of_this_process();
    let mut client = Client { server, protocol, identity, connection, slots };
    let mut stdout = io::stdout();
    let mut say = |line: Value| writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    let about = json!({"subject": name, "can": ["extend", "write"]});
    say(about).map_err(environment)?;
    for line in io::stdin().lock().lines() {
        let instruction: Value =
            serde_json::from_str(&line.map_err(environment)?).map_err(usage)?;
        say(client.obey(&instruction)).map_err(environment)?;
    }
    Ok(Exit::Success)
}

impl Client {
    fn obey(&mut self, instruction: &Value) -> Value {
        match self.does(instruction) {
            Ok(()) => json!({"ok": true}),
            Err(LockError::Redis { .. }) => {
                // The next instruction opens another one.
                self.connection = None;
                json!({"error": "Redis failed"})
            }
            Err(error @ (LockError::Client(_) | LockError::Crashed(_))) => {
                json!({"error": error.to_string()})
            }
            Err(refused) => json!({"ok": false, "why": refused.to_string()}),
        }
    }

    fn does(&mut self, instruction: &Value) -> Result<(), LockError> {
        let word = |name: &str| instruction.get(name).and_then(Value::as_str).unwrap_or_default();
        if word("do") == "reset" {
            self.connection = None;
            self.slots.clear();
            return Ok(());
        }
        let wrong = |what: String| LockError::Client(what);
        let named = word("lock").strip_prefix("nodb-lock:").and_then(|rest| rest.split_once(':'));
        let Some((runid, file)) = named else {
            return Err(wrong(format!("{:?} is no lock", word("lock"))));
        };
        let lock = LockName::new(runid, file);
        let unreachable = |error: ServerError| wrong(error.to_string());
        let link = match &mut self.connection {
            Some(link) => link,
            none => none.insert(self.server.connect(0).map_err(unreachable)?),
        };
        let slots = self.slots.entry(lock.key().to_owned()).or_default();
        let (clock, identity, own) = (&WallClock::new(None), &self.identity, &slots.own);
        let slot = &slots.controller;
        let at = &mut Context { link, clock, identity, lock: &lock, own, slot };
        let protocol = &self.protocol;
        match word("do") {
            "acquire" => {
                let ttl = instruction.get("ttl_ms").and_then(Value::as_u64).unwrap_or_default();
                let ttl = Ttl::try_from(Duration::from_millis(ttl));
                let ttl = ttl.map_err(|error| wrong(error.to_string()))?;
                protocol.acquire(at, ttl, 0).map(drop)
            }
            "extend" => protocol.extend(at),
            "release" => protocol.release(at),
            "write" => protocol.check_write(at),
            other => Err(wrong(format!("cannot {other}"))),
        }
    }
}
