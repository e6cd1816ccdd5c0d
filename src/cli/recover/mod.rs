//! `unlock`, `clear_locks` and `repair`: safe recovery beside the application that works. What is
//! removed is exactly what was looked at, and each change is one script.
//!
//! A lock is *live*, and stays without `--force`, unless its owner is a process of this host that
//! is gone: of other hosts, of payloads without an owner, and of numbers that another process may
//! have taken over, nothing can be known from here. What can't be found out is whether this process
//! sees the same process numbers as the owner: two containers that share their host's name don't.

mod clear_keys;
mod clear_locks;
mod key;
mod names;
mod repair;
mod rule;
mod similar;
mod unlock;
mod unlock_key;

pub(super) use clear_locks::clear_locks;
pub(super) use repair::repair;
pub(super) use unlock::unlock;

use super::args::{CheckFormat, RecoverOptions};
use super::exit::{Exit, Refusal, environment};
use super::inspect::{fact, left_out_in_words, unread_in_words};
use super::output::Output;
use super::signals::Signals;
use super::{input, remote, say, terminal};
use crate::report::recovery::{FlagOutcome, FlagRow, LockRow, Outcome, Recovery};
use crate::report::status::Typed;
use crate::report::{Style, json, seconds};
use anyhow::anyhow;
use lock_lab::format::{Complete, Observed, Release, put_back};
use lock_lab::lock::{
    Doubt, Flag, Found, Life, LockError, Payload, Removal, Sighting, State, remove_if, repair_flag,
    survey,
};
use lock_lab::runtime::Time;
use lock_lab::server::{Connection, Server};
use redis::RedisError;
use redis_sim::clock::{Clock, WallClock};
use std::io::{self, Write};
use std::sync::Arc;

/// A recovery at work.
struct RecoverySession<'a> {
    server: Server,
    link: Connection,
    signals: Signals,
    clock: Arc<WallClock>,
    options: &'a RecoverOptions,
    /// The database of the connection.
    database: i64,
    /// How commands to it are typed.
    typed: Typed,
    /// Which flags could not be read, if any.
    unread: Option<String>,
}

/// Why a recovery ends before everything is done.
enum Stop {
    /// Ctrl-C or SIGTERM.
    Interrupted,
    /// The server can't go on, in words.
    Failed(String),
}

impl<'a> RecoverySession<'a> {
    /// Connects to the database where NoDb has its locks.
    fn open(options: &'a RecoverOptions) -> Result<Self, Refusal> {
        input::declare_formats(&options.formats)?;
        let signals = Signals::handle().map_err(environment)?;
        let server = remote::server(options.redis.as_ref(), options.verbose)?;
        let mut link = remote::connect(&server)?;
        is_primary(&server, &mut link)?;
        let clock = Arc::new(WallClock::new(None));
        signals.add_clock(&Time::Wall(Arc::clone(&clock)));
        let url = options.redis.as_ref().map(|_| server.url_to_type().0);
        let typed = Typed::new(url).by_hand(server.redis_cli()).with_formats(&options.formats);
        Ok(Self { server, link, signals, clock, options, database: 0, typed, unread: None })
    }

    /// Goes to the database that the server's URL names.
    fn use_database_of_url(&mut self) -> Result<(), Refusal> {
        let database = self.server.database();
        if database != self.database {
            self.link = self.server.connect(database).map_err(environment)?;
            self.typed = self.typed.clone().in_database(database);
            self.database = database;
        }
        Ok(())
    }

    /// Seconds since 1970.
    fn now(&self) -> u64 {
        self.clock.unix().as_secs()
    }

    fn report(&self, command: &'static str, runid: Option<String>) -> Recovery {
        Recovery {
            schema: Recovery::SCHEMA,
            command,
            server: self.server.name().to_owned(),
            runid,
            scope: None,
            database: None,
            dry_run: self.options.dry_run,
            force: false,
            stopped: None,
            unknown: self.unread.clone(),
            counts: Default::default(),
            locks: Vec::new(),
            flags: Vec::new(),
            keys: Vec::new(),
            similar: Vec::new(),
        }
    }

    /// The failure of a read, before anything was changed.
    fn refusal(&mut self, error: &LockError) -> Refusal {
        let words = self.explain(error);
        environment(anyhow!("{words}; nothing was changed"))
    }

    /// What keeps us from seeing a lock: the server's words once more, and what to do.
    fn refused(&mut self, seen: &Sighting) -> Refusal {
        let (key, runid) = (seen.lock.key(), seen.lock.runid());
        for (command, key, field) in [("PTTL", key, None), ("HGET", runid, Some(seen.lock.flag()))]
        {
            if let Err(source) = redis::cmd(command).arg(key).arg(field).exec(&mut self.link) {
                return self.refusal(&LockError::Redis { command, key: key.into(), source });
            }
        }
        environment(anyhow!("{}; nothing was changed", reason(seen)))
    }

    /// A failure in words.
    fn explain(&mut self, error: &LockError) -> String {
        let LockError::Redis { command, key, source } = error else { return error.to_string() };
        let mut words = format!("{command} {key:?}: {}", self.server.explain(source));
        // Which script, and which line of it, is nothing to act on.
        if let Some(start) = words.find(" script: ") {
            let end = words.get(start..).and_then(|rest| rest.find("; ")).map(|end| start + end);
            words.replace_range(start..end.unwrap_or(words.len()), "");
        }
        words
    }

    /// Takes a lock away if it is still the one that was seen, and notes the outcome in its row.
    fn remove(
        &mut self,
        seen: &Sighting,
        payload: &Payload,
        row: &mut LockRow,
    ) -> Result<(), Stop> {
        if self.options.dry_run {
            row.outcome = Outcome::WouldRemove;
            row.put_back = self.put_back(seen, payload, row.ttl_ms);
            return Ok(());
        }
        match remove_if(&mut self.link, &seen.lock, payload) {
            Ok(Removal::Removed { ttl_ms, flag_failed }) => {
                row.outcome = Outcome::Removed;
                row.ttl_ms = ttl_ms;
                row.put_back = self.put_back(seen, payload, ttl_ms);
                flag_set(row, flag_failed)
            }
            Ok(Removal::Gone { flag_failed }) => {
                row.outcome = Outcome::Gone;
                row.why = "nobody held it any more".into();
                flag_set(row, flag_failed)
            }
            Ok(Removal::Changed) => {
                row.outcome = Outcome::Changed;
                row.why = "somebody else has taken it meanwhile, and keeps it".into();
                Ok(())
            }
            Err(error) => {
                row.outcome = Outcome::Failed;
                row.why = self.failure(&error);
                self.goes_on(&error, &row.why)
            }
        }
    }

    /// Sets a flag right, and notes the outcome in its row.
    fn set_right(&mut self, seen: &Sighting, row: &mut FlagRow) -> Result<(), Stop> {
        if self.options.dry_run {
            row.outcome = FlagOutcome::WouldSet;
            return Ok(());
        }
        match repair_flag(&mut self.link, &seen.lock) {
            Ok(Flag::Right) => row.outcome = FlagOutcome::RightByNow,
            Ok(set) => {
                row.right = set == Flag::SetTrue;
                row.outcome = FlagOutcome::Set;
            }
            Err(error) => {
                row.outcome = FlagOutcome::Failed;
                row.why = self.failure(&error);
                return self.goes_on(&error, &row.why);
            }
        }
        Ok(())
    }

    /// Whether there is a next one.
    fn check(&self) -> Result<(), Stop> {
        if self.signals.interrupted() { Err(Stop::Interrupted) } else { Ok(()) }
    }

    /// What to say of a change that failed: without an answer, it is unknown whether it was made.
    fn failure(&mut self, error: &LockError) -> String {
        let words = self.explain(error);
        match error {
            LockError::Redis { source, .. } if source.is_io_error() => {
                format!("{words} It is not known whether this one was done; look again")
            }
            _ => words,
        }
    }

    /// What is wrong with one run's keys doesn't keep us from the next; all else would fail there,
    /// too.
    fn goes_on(&self, error: &LockError, words: &str) -> Result<(), Stop> {
        match error {
            LockError::Redis { source, .. } if is_wrong_type(source) => Ok(()),
            _ => Err(Stop::Failed(words.to_owned())),
        }
    }

    /// The command that puts a removed lock back, with its flag, unless it was taken since.
    fn put_back(&self, seen: &Sighting, payload: &Payload, ttl_ms: i64) -> Option<String> {
        let observed = Observed { holds: Complete::String(payload.raw().to_vec()), ttl_ms };
        let mut commands = put_back(seen.lock.key().as_bytes(), &observed, &Release::default());
        // The flag went to `false` with the lock.
        if let Some(flag) = seen.flag.as_deref().filter(|_| seen.says_held()) {
            let flag = if flag.contains('\u{fffd}') { "true" } else { flag };
            let set = ["HSET", seen.lock.runid(), seen.lock.flag(), flag];
            commands.push(set.map(|word| word.as_bytes().to_vec()).into());
        }
        self.typed.in_turn(&commands)
    }

    /// The command that takes away a lock that was left: this program's, of the acquisition that was
    /// seen; by hand, where it is too long to be compared.
    fn take_away(&self, seen: &Sighting) -> Option<String> {
        match &seen.found {
            Some(Found::TooLong { .. }) => self.typed.unlink(seen.lock.key().as_bytes()),
            _ => {
                let (runid, file) = (seen.lock.runid(), &seen.file);
                self.typed.unlock(runid, file, removable(seen), &["--force"])
            }
        }
    }

    /// Looks at all locks and flags of a run, or of all runs.
    fn survey(&mut self, runid: Option<&str>) -> Result<Vec<Sighting>, Refusal> {
        let mut sightings = Vec::new();
        let unseen = survey(&mut self.link, None, runid, &mut |seen| sightings.push(seen));
        let unseen = unseen.map_err(|error| self.refusal(&error))?;
        left_out_in_words(&unseen).iter().for_each(|note| say(note));
        self.unread = unread_in_words(&unseen);
        Ok(sightings)
    }

    /// Writes the report and says how it ended.
    fn finish(
        &self,
        mut recovery: Recovery,
        stop: Result<(), Stop>,
        table: impl FnOnce(&Recovery, Style, &mut dyn Write) -> io::Result<()>,
    ) -> Result<Exit, Refusal> {
        recovery.stopped = match &stop {
            Ok(()) => None,
            Err(Stop::Interrupted) => Some("interrupted".into()),
            Err(Stop::Failed(why)) => Some(why.clone()),
        };
        recovery.count();
        recovery.unknown.iter().for_each(|words| say(words));
        let output = Output::open(None, self.options.quiet)?;
        let style = terminal::style(self.options.color, false);
        output.write(|out| match self.options.format {
            CheckFormat::Table => table(&recovery, style, out),
            CheckFormat::Json => json::write(&recovery, out),
        })?;
        match stop {
            Err(Stop::Interrupted) => Ok(Exit::Interrupted),
            Err(Stop::Failed(why)) => Err(environment(anyhow!("{why}"))),
            Ok(()) if recovery.counts.failed > 0 || self.unread.is_some() => Ok(Exit::Environment),
            Ok(()) => Ok(Exit::Success),
        }
    }
}

/// Says so in the lock's row if its flag could not be set.
fn flag_set(row: &mut LockRow, failed: Option<String>) -> Result<(), Stop> {
    let Some(why) = failed else { return Ok(()) };
    row.why = format!("{}; but its flag could not be set: {why}", row.why);
    Err(Stop::Failed(format!("the flag of {:?} could not be set: {why}", row.key)))
}

/// Whether a key is of another type than a lock's or a run's.
fn is_wrong_type(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
}

/// Refuses a replica: it may lag behind, so what it shows as free may be held; and a node of a cluster
/// that is down. One that may not be asked is found out by the first change.
fn is_primary(server: &Server, link: &mut Connection) -> Result<(), Refusal> {
    let info: String = match redis::cmd("INFO").query(link) {
        Ok(info) => info,
        Err(error) if error.is_io_error() => return Err(environment(server.explain(&error))),
        Err(_) => return Ok(()),
    };
    if fact(&info, "cluster_enabled") == "1" {
        server.check_kind(link).map_err(environment)?;
        say("this server is a node of a cluster: only its own keys are seen; go to each node");
    }
    if fact(&info, "role") != "slave" {
        return Ok(());
    }
    let (host, port) = (fact(&info, "master_host"), fact(&info, "master_port"));
    Err(environment(anyhow!(
        "INFO on {}: it is a replica of {host}:{port}; name its primary: redis://{host}:{port}; \
         nothing was changed",
        server.name()
    )))
}

/// What can be removed: any payload; not what is no string, or too long for a payload.
fn removable(seen: &Sighting) -> Option<&Payload> {
    seen.payload().filter(|_| hidden(seen).is_none())
}

/// Why not all of it could be seen, if that is so.
fn hidden(seen: &Sighting) -> Option<&str> {
    match &seen.doubt {
        Some(Doubt::Hidden(words)) => Some(words),
        _ => None,
    }
}

/// Whether it goes without `--force`.
fn is_dead(seen: &Sighting) -> bool {
    seen.state() == State::Orphaned
}

/// Why a lock may go, or not, in words.
fn reason(seen: &Sighting) -> String {
    if let Some(words) = hidden(seen) {
        return format!("not all of it can be seen: {words}");
    }
    match &seen.found {
        None => "nobody holds it".into(),
        Some(Found::OtherType { name }) => {
            format!("the key holds a {name}, which is no lock of NoDb: look at it")
        }
        Some(Found::TooLong { bytes }) => format!(
            "the key holds {bytes} bytes, which are no payload of a lock: look at it, and remove \
             it by hand"
        ),
        Some(Found::Payload { life, .. }) => of_life(life).into(),
    }
}

/// What became of an owner, in words.
fn of_life(life: &Life) -> &'static str {
    match life {
        Life::Dead => "the owner's process is gone",
        Life::Alive { .. } => "the owner's process lives",
        Life::Younger { .. } => {
            "a process of the owner's number lives; it began after the lock was acquired, but clocks \
             can be set"
        }
        Life::Elsewhere => "the owner is on another host, so it can't be told whether it lives",
        Life::Unnamed => "the payload names no owner, so it can't be told whether it lives",
    }
}

/// The holder of a lock, and since when.
fn holder(row: &LockRow) -> String {
    let who = match (&row.owner, &row.token) {
        (Some(owner), _) => owner.clone(),
        (None, Some(token)) => format!("token {token}"),
        (None, None) => "somebody".into(),
    };
    match row.held_s {
        Some(held) => format!("{who} holds it since {}", seconds(held)),
        None => format!("{who} holds it"),
    }
}
