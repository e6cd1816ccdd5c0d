//! Exclusive use of database 0 of a real Redis for clients from outside, which may make any keys
//! there: it is empty before, and empty again when it is given back.
//!
//! The ownership of each key is recorded. Each request goes out between two scripts, in one
//! transaction (`between`): a key that was there before it and was not made here belongs to another
//! client, and a key that came with it is ours. Keys are deleted by name only, and only ours. A key
//! that is not ours ends the work.

mod between;

use super::connection::within;
use super::{Line, Remote, Server, ServerError, explain, quoted_input, response_timeout};
use between::{NAMES, PUT, time};

pub(super) use between::Pair;

use parking_lot::Mutex;
use redis::{Cmd, FromRedisValue, RedisError, RedisResult, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// A key that is asked for only to learn whether the user may.
const NO_KEY: &str = "nodb-trigger:no-such-key";

/// The channel that the user of a server subscribes to, so that there is one at a time.
const CHANNEL: &str = "nodb-trigger:borrowed";

/// What a key holds.
#[derive(Debug, Clone)]
pub struct Stored {
    /// As DUMP gives it.
    pub dump: Vec<u8>,
    /// Its members in an order that stays, where the dump has them in one that RESTORE does not keep.
    pub sorted: Option<Vec<u8>>,
    /// What is left of its TTL, in milliseconds, if it has one.
    pub left: Option<u64>,
    /// Its value as text, if it is a lock.
    pub value: Option<Vec<u8>>,
}

impl Stored {
    /// Whether it is a string: the first byte of a dump is the type.
    pub fn is_string(&self) -> bool {
        self.dump.first() == Some(&0)
    }

    /// What distinguishes it from others.
    fn content(&self) -> (&[u8], Option<u64>) {
        (self.sorted.as_ref().unwrap_or(&self.dump), self.left)
    }
}

impl PartialEq for Stored {
    fn eq(&self, other: &Self) -> bool {
        self.content() == other.content()
    }
}

impl Eq for Stored {}

impl Hash for Stored {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.content().hash(state);
    }
}

/// All keys, by name.
pub type Keys = BTreeMap<Vec<u8>, Stored>;

/// What the last request found and left.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The names that were there right before it.
    pub before: BTreeSet<Vec<u8>>,
    /// The keys right after it.
    pub keys: Keys,
    /// When they were looked at, by the server's clock.
    pub at: Duration,
}

/// Called with the words of the command that deletes our keys by hand, each time that they change.
pub type OnCommandByHand = Box<dyn Fn(Vec<String>) + Send + Sync>;

/// A database in exclusive use, and the ownership of its keys.
pub struct ExclusiveServer {
    remote: Box<Remote>,
    ownership: Mutex<Ownership>,
    control: Mutex<Option<Line>>,
    /// Listens to [`CHANNEL`].
    _presence: Mutex<Line>,
    on_command_by_hand: OnCommandByHand,
}

#[derive(Default)]
struct Ownership {
    /// The locks, whose values are looked at.
    locks: Vec<String>,
    /// The names of ours that are there.
    ours: BTreeSet<Vec<u8>>,
    /// The names of ours that ever were there.
    ever: BTreeSet<Vec<u8>>,
    seen: Option<Seen>,
    /// Why nothing goes on here.
    trouble: Option<ServerError>,
}

impl fmt::Debug for ExclusiveServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExclusiveServer").field(&self.remote).finish()
    }
}

impl ExclusiveServer {
    /// Takes database 0 of a server for exclusive use, if it is empty and fit for it.
    ///
    /// # Errors
    ///
    /// [`ServerError`] if the server is embedded, can't be reached or lacks a right, if the URL
    /// names another database, if database 0 is not empty, or if another nodb-trigger uses it.
    pub fn new(
        server: Server,
        on_command_by_hand: OnCommandByHand,
    ) -> Result<Arc<Self>, ServerError> {
        let Server::Redis(remote) = server.sole() else {
            return Err(ServerError("the embedded server can't be borrowed".into()));
        };
        if remote.info.redis_settings().db() != 0 {
            return Err(ServerError(format!(
                "the URL of {} names database {}, but clients are tried on database 0, which must be \
                 empty: leave the number out",
                remote.name,
                remote.info.redis_settings().db()
            )));
        }
        let presence = present(&remote)?;
        let exclusive = Self {
            remote,
            ownership: Mutex::default(),
            control: Mutex::default(),
            _presence: Mutex::new(presence),
            on_command_by_hand,
        };
        exclusive.check_role()?;
        exclusive.check_rights()?;
        exclusive.check_alone()?;
        let names = exclusive.names()?;
        if !names.is_empty() {
            return Err(ServerError(format!(
                "database 0 of {} is not empty: it holds {}; a client may make any key, so it is \
                 tried on an empty one only: delete what a probe that was killed has left, or name a \
                 Redis without other clients, as redis-server --port 6400 --save '' starts one",
                exclusive.remote.name,
                keys(&names),
            )));
        }
        exclusive.check_exchange()?;
        Ok(Arc::new(exclusive))
    }

    /// The server, with books kept of what goes over its connections.
    pub fn server(self: &Arc<Self>) -> Server {
        let mut remote = self.remote.clone();
        remote.exclusive = Some(Arc::clone(self));
        Server::Redis(remote)
    }

    /// The locks, whose values are looked at from now on.
    pub fn set_locks(&self, locks: impl IntoIterator<Item = String>) {
        self.ownership.lock().locks = locks.into_iter().collect();
    }

    /// What the last request since something was put found and left, if there was one.
    pub fn seen(&self) -> Option<Seen> {
        self.ownership.lock().seen.clone()
    }

    /// Why nothing goes on here any more, if so.
    ///
    /// # Errors
    ///
    /// [`ServerError`] with the reason why the work on this server ended.
    pub fn check(&self) -> Result<(), ServerError> {
        self.ownership.lock().trouble.clone().map_or(Ok(()), Err)
    }

    /// Puts keys in place of all that are there; gives the server's time at that moment. Where there
    /// is a key that is not ours it fails, and changes nothing.
    ///
    /// # Errors
    ///
    /// [`ServerError`] if the server fails, if there is a key that is not ours, or if the work
    /// ended before.
    pub fn put(&self, keys: &Keys) -> Result<Duration, ServerError> {
        self.check()?;
        let ours = self.ownership.lock().ours.clone();
        let mut cmd = redis::cmd("EVAL");
        cmd.arg([NAMES, PUT].concat()).arg(ours.len()).arg(&ours);
        for (name, stored) in keys {
            // To RESTORE, 0 is no TTL.
            let left = stored.left.map_or(0, |left| left.max(1));
            cmd.arg(name).arg(left).arg(&stored.dump);
        }
        // They may be there from the moment on that this is sent.
        self.own(keys.keys().cloned());
        let answer: Vec<Vec<u8>> = self.ask(&cmd).map_err(|error| self.stop(error))?;
        match answer.as_slice() {
            [seconds, micros] => {
                let ownership = &mut *self.ownership.lock();
                (ownership.ours, ownership.seen) = (keys.keys().cloned().collect(), None);
                Ok(time(seconds, micros))
            }
            [theirs] => {
                self.ownership.lock().ours = ours;
                Err(self.stop(self.is_theirs(theirs)))
            }
            _ => Err(ServerError(format!("{} answered nonsense to EVAL", self.remote.name))),
        }
    }

    /// Deletes what is ours. Says what had to be left, if anything is there that is not.
    ///
    /// # Errors
    ///
    /// [`ServerError`] if the server fails; our keys may still be there then.
    pub fn give_back(&self) -> Result<Option<String>, ServerError> {
        // The old connection may be what failed.
        *self.control.lock() = None;
        let ours = self.ownership.lock().ours.clone();
        if !ours.is_empty() {
            self.ask::<Value>(redis::cmd("DEL").arg(&ours))?;
            self.ownership.lock().ours.clear();
        }
        let left = self.names()?;
        let theirs = || {
            let (name, keys) = (&self.remote.name, keys(&left));
            format!(
                "database 0 of {name} holds keys that this program is not known to have made: {keys}; left as it is"
            )
        };
        Ok((!left.is_empty()).then(theirs))
    }

    /// The words of the command that deletes what is ours; nothing, if nothing ever was.
    pub fn by_hand(&self) -> Option<Vec<String>> {
        let ever = self.ownership.lock().ever.clone();
        let mut words = Server::Redis(self.remote.clone()).redis_cli()?;
        let plain: Option<Vec<String>> = ever.iter().map(|name| plain(name)).collect();
        let names = plain.unwrap_or_else(|| {
            words.push("--quoted-input".into());
            ever.iter().map(|name| quoted_input(name)).collect()
        });
        words.push("DEL".into());
        words.extend(names);
        (!ever.is_empty()).then_some(words)
    }

    /// Why this server can't be used, if it says so itself.
    fn check_role(&self) -> Result<(), ServerError> {
        let info: String = self.ask(&redis::cmd("INFO"))?;
        let says = |line: &str| info.lines().any(|it| it.trim_end() == line);
        let sentinel = says("redis_mode:sentinel").then(|| explain::sentinel(&self.remote));
        let why = if let Some(sentinel) = sentinel.flatten() {
            sentinel
        } else if says("cluster_enabled:1") {
            "it is a node of a Redis Cluster, where keys live on several; name a single Redis"
                .into()
        } else if says("role:slave") {
            let primary = explain::primary(&self.remote).map(|url| format!(", {url},"));
            let primary = primary.unwrap_or_default();
            format!("it is a replica; name its primary{primary} or a Redis without other clients")
        } else if !says("maxmemory:0") && !says("maxmemory_policy:noeviction") {
            "it evicts keys when it is full, those of other databases, too; set its maxmemory-policy \
             to noeviction"
                .into()
        } else {
            return Ok(());
        };
        Err(ServerError(format!("{} can't be used: {why}", self.remote.name)))
    }

    /// Makes sure that no other nodb-trigger uses it: two would take each other's keys for their
    /// own.
    fn check_alone(&self) -> Result<(), ServerError> {
        let (_, listeners): (String, usize) =
            self.ask(redis::cmd("PUBSUB").arg("NUMSUB").arg(CHANNEL))?;
        if listeners <= 1 {
            return Ok(());
        }
        Err(ServerError(format!(
            "another nodb-trigger has clients on database 0 of {} right now; wait for it, or name \
             another Redis",
            self.remote.name
        )))
    }

    /// Asks for the commands that are needed, but for nothing real.
    fn check_rights(&self) -> Result<(), ServerError> {
        for command in ["DUMP", "DEL", "PTTL", "TYPE"] {
            self.ask::<Value>(redis::cmd(command).arg(NO_KEY))?;
        }
        self.ask::<Value>(redis::cmd("PEXPIREAT").arg(NO_KEY).arg(1))?;
        self.ask::<Value>(redis::cmd("OBJECT").arg("ENCODING").arg(NO_KEY))?;
        // Only a user with the right to RESTORE gets the error that this is no dump.
        let mut restore = redis::cmd("RESTORE");
        restore.arg(NO_KEY).arg(0).arg("no dump");
        match self.talk(|control| restore.query::<Value>(control))? {
            Err(error) if between::is_of_the_server(&error) || explain::is_unknown(&error) => {
                Err(self.explain(&error))
            }
            _ => Ok(()),
        }
    }

    /// Asks for nothing, as it is asked for what clients want.
    fn check_exchange(&self) -> Result<(), ServerError> {
        self.talk(|control| self.between(control, &[]))?.map_err(|error| self.explain(&error))?;
        self.check()
    }

    /// The names of all keys.
    fn names(&self) -> Result<Vec<Vec<u8>>, ServerError> {
        let script = [NAMES, "return names"].concat();
        let mut names: Vec<Vec<u8>> = self.ask(redis::cmd("EVAL").arg(script).arg(0))?;
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn ask<T: FromRedisValue>(&self, cmd: &Cmd) -> Result<T, ServerError> {
        self.talk(|control| cmd.query(control))?.map_err(|error| self.explain(&error))
    }

    /// Talks over a connection of our own.
    fn talk<T>(
        &self,
        talk: impl FnOnce(&mut Line) -> RedisResult<T>,
    ) -> Result<RedisResult<T>, ServerError> {
        let mut control = self.control.lock();
        let connection = match control.take() {
            Some(connection) => connection,
            None => {
                let settings = self.remote.info.redis_settings().clone().set_db(0);
                self.remote.open(settings, response_timeout())?
            }
        };
        let connection = control.insert(connection);
        let answer = within(response_timeout(), connection, talk);
        if answer.as_ref().is_err_and(RedisError::is_io_error) {
            // What comes late would be taken for the answer to something else.
            *control = None;
        }
        Ok(answer)
    }

    fn explain(&self, error: &RedisError) -> ServerError {
        Server::Redis(self.remote.clone()).explain(error)
    }

    fn is_theirs(&self, name: &[u8]) -> ServerError {
        ServerError(format!(
            "another client uses database 0 of {}, too: the key {} is none of ours, and was left as it \
             is; name a Redis that no other client uses",
            self.remote.name,
            shown(name)
        ))
    }

    /// Nothing goes on from here; gives why.
    fn stop(&self, why: ServerError) -> ServerError {
        self.ownership.lock().trouble.get_or_insert(why).clone()
    }

    /// These names are ours.
    fn own(&self, names: impl IntoIterator<Item = Vec<u8>>) {
        let names: Vec<Vec<u8>> = names.into_iter().collect();
        self.ownership.lock().ours.extend(names.iter().cloned());
        self.foresee(names);
    }

    /// These names may be ours soon.
    fn foresee(&self, names: impl IntoIterator<Item = Vec<u8>>) {
        let is_new = {
            let ownership = &mut *self.ownership.lock();
            let known = ownership.ever.len();
            ownership.ever.extend(names);
            ownership.ever.len() > known
        };
        if let (true, Some(words)) = (is_new, self.by_hand()) {
            (self.on_command_by_hand)(words);
        }
    }
}

/// A connection that shows that the server is in use, as long as it is open.
fn present(remote: &Remote) -> Result<Line, ServerError> {
    let settings = remote.info.redis_settings().clone();
    let mut presence = remote.open(settings, response_timeout())?;
    let listen = redis::cmd("SUBSCRIBE").arg(CHANNEL).get_packed_command();
    let listens = within(response_timeout(), &mut presence, |presence| {
        presence.send_packed_command(&listen)?;
        presence.recv_response()?.extract_error()
    });
    match listens {
        Ok(_) => Ok(presence),
        Err(error) => Err(Server::Redis(Box::new(remote.clone())).explain(&error)),
    }
}

/// A key's name, readable.
fn shown(name: &[u8]) -> String {
    const LONGEST: usize = 80;
    let name = String::from_utf8_lossy(name);
    let cut: String = name.chars().take(LONGEST).collect();
    let rest = if cut.len() < name.len() { "..." } else { "" };
    format!("{cut:?}{rest}")
}

/// How many keys there are, and some of them.
fn keys(names: &[Vec<u8>]) -> String {
    const MOST: usize = 5;
    let some: Vec<String> = names.iter().take(MOST).map(|name| shown(name)).collect();
    let (number, some) = (names.len(), some.join(", "));
    match number {
        1 => format!("1 key, {some}"),
        _ if number <= MOST => format!("{number} keys, {some}"),
        _ => format!("{number} keys, {some} and {} more", number - MOST),
    }
}

/// A name that one can type as it is.
fn plain(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    let is_plain = !name.is_empty() && !name.chars().any(char::is_control);
    is_plain.then(|| name.to_owned())
}
