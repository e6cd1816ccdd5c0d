//! Which client watches which keys (`WATCH`), as a part of the server's state. The server itself says
//! whether a watched key has changed: each client that watches has a connection, which watches again
//! whenever a state was put back.

use super::super::transactions::{AboutWatches, about_watches};
use crate::server::{Connection, Server, ServerError};
use redis::{Cmd, ConnectionLike, RedisResult, Value, cmd};
use std::collections::BTreeMap;

/// What a client watches.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct WatchedKey {
    /// The client's task, and its database.
    client: WatchingClient,
    /// The keys; none any more if one of them has changed, and EXEC is to fail.
    keys: Vec<Vec<u8>>,
}

type WatchingClient = (usize, i64);

/// The clients that ever watched.
#[derive(Default)]
pub(super) struct Watchers {
    connections: BTreeMap<WatchingClient, Connection>,
    /// What they watch in the state that was put back, and since.
    watches: Vec<WatchedKey>,
}

impl Watchers {
    /// The connection of a client that asks for something that is about watches.
    pub fn connection(
        &mut self,
        server: &Server,
        task: usize,
        db: i64,
    ) -> Result<&mut Connection, ServerError> {
        let connected = self.connections.contains_key(&(task, db));
        let new = (!connected).then(|| server.connect(db)).transpose()?;
        self.connections.extend(new.map(|new| ((task, db), new)));
        let found = self.connections.get_mut(&(task, db));
        found.ok_or_else(|| ServerError::new("no connection".into()))
    }

    /// A state is about to be restored in which clients watch this. For every client that watches
    /// at that moment, all keys change, on the embedded server.
    pub fn before_restore(&mut self, watches: &[WatchedKey]) {
        for connection in self.connections.values_mut() {
            let _ = ask(connection, &cmd("UNWATCH"));
        }
        self.watches = watches.to_vec();
        self.watch_where(|watch| watch.keys.is_empty());
    }

    /// The state was put back.
    pub fn after_restore(&mut self) {
        self.watch_where(|watch| !watch.keys.is_empty());
    }

    fn watch_where(&mut self, is_such: fn(&WatchedKey) -> bool) {
        for watch in self.watches.iter().filter(|watch| is_such(watch)) {
            let Some(connection) = self.connections.get_mut(&watch.client) else { continue };
            let mut again = cmd("WATCH");
            if watch.keys.is_empty() {
                again.arg("any");
            }
            let _ = ask(connection, again.arg(&watch.keys));
        }
    }

    /// Whether a client watches, and one of the keys has changed.
    pub fn in_vain(&self, task: usize, db: i64) -> bool {
        self.watches.iter().any(|watch| watch.client == (task, db) && watch.keys.is_empty())
    }

    /// A client's commands ran.
    pub fn note(&mut self, task: usize, db: i64, commands: &[Vec<&[u8]>]) {
        let client = (task, db);
        for command in commands {
            match about_watches(command) {
                Some(AboutWatches::Ends) => self.watches.retain(|watch| watch.client != client),
                Some(AboutWatches::Adds(keys)) => {
                    let keys = keys.iter().map(|key| key.to_vec());
                    match self.watches.iter_mut().find(|watch| watch.client == client) {
                        Some(watch) if watch.keys.is_empty() => {}
                        Some(watch) => watch.keys.extend(keys),
                        None => self.watches.push(WatchedKey { client, keys: keys.collect() }),
                    }
                }
                None => {}
            }
        }
    }

    /// Finds out which watches have failed; gives all of them, in order. After that nothing is
    /// watched until a state is restored.
    pub fn snapshot(&mut self) -> Vec<WatchedKey> {
        for watch in &mut self.watches {
            let Some(connection) = self.connections.get_mut(&watch.client) else { continue };
            // A transaction of nothing.
            let nothing = [cmd("MULTI"), cmd("EXEC")].map(|it| it.get_packed_command()).concat();
            match connection.req_packed_commands(&nothing, 1, 1).as_deref() {
                Ok([Value::Nil]) => watch.keys.clear(),
                _ => {
                    watch.keys.sort_unstable();
                    watch.keys.dedup();
                }
            }
        }
        self.watches.sort_unstable_by_key(|watch| watch.client);
        std::mem::take(&mut self.watches)
    }
}

fn ask(connection: &mut Connection, command: &Cmd) -> RedisResult<Value> {
    connection.req_packed_command(&command.get_packed_command())
}
