//! The state of the locks and flags of a server, once.

use super::args::{CheckFormat, FailIf, StatusArgs};
use super::exit::Exit;
use super::others::{OtherSeen, OtherSubject, elsewhere, grant_all};
use crate::report::status::{Others, Scene, Sightings, Typed};
use crate::report::{Status, count, ttl_from_afar};
use lock_lab::lock::{LockError, Sighting, Unseen, replacement_fence, rights, survey};
use lock_lab::runtime::command_line;
use lock_lab::server::{Connection, Server, ServerError};
use redis::RedisError;
use redis_sim::clock::Clock;
use std::time::Duration;

/// What an answer begins with to which the user has no right.
const NOPERM: &str = "NOPERM";
/// How many locks of each state a table shows.
pub(super) const SHOWN: usize = 20;

/// What is looked at, and what is kept of it.
pub(super) struct Subject {
    pub server: Server,
    pub runid: Option<String>,
    typed: Typed,
    others: OtherSubject,
    /// Whether a command that is printed needs a password that this one was given in its URL.
    needs_password: bool,
    keeps_all: bool,
    fail_if: Vec<FailIf>,
    /// Only locks that are held for longer, in seconds.
    older_than: Option<u64>,
    stale_ok: bool,
}

impl Subject {
    pub fn new(server: Server, runid: Option<String>, args: &StatusArgs) -> Self {
        let (url, has_password) = server.url_to_type();
        let by_variable = std::env::var("REDIS_PASSWORD").is_ok_and(|word| !word.is_empty());
        let typed = Typed::new(args.redis.as_ref().map(|_| url));
        let typed = typed.by_hand(server.redis_cli()).with_formats(&args.formats);
        let keeps_all = args.format == CheckFormat::Json;
        Self {
            others: OtherSubject::new(server.database(), keeps_all, args),
            server,
            runid,
            typed,
            needs_password: args.redis.is_some() && has_password && !by_variable,
            keeps_all,
            fail_if: args.fail_if.clone(),
            older_than: args.older_than.map(|age| age.as_secs()),
            stale_ok: args.stale_ok,
        }
    }

    /// Looks once; also gives the exit status that `--fail-if` asks for, and why.
    pub fn inspect(
        &self,
        link: &mut Connection,
        clock: &dyn Clock,
    ) -> Result<(Status, Option<(Exit, String)>), ServerError> {
        let facts = Facts::ask(link, clock).map_err(|error| self.server.explain(&error))?;
        if fact(&facts.info, "cluster_enabled") == "1" {
            self.server.check_kind(link)?;
        }
        let mut notes = facts.notes;
        let mut sightings = match self.keeps_all {
            true => Sightings::all(),
            false => Sightings::first(SHOWN),
        };
        let scene = Scene {
            server: self.server.name().to_owned(),
            runid: self.runid.clone(),
            typed: self.typed.clone(),
            when: facts.time,
            is_by_age: self.older_than.is_some(),
        };
        sightings.is_by_age = scene.is_by_age;
        let acquired_by = self.older_than.map(|age| facts.time.as_secs().saturating_sub(age));
        if !self.others.is_of_patterns() {
            self.nodb(link, clock, acquired_by, (&mut sightings, &mut notes))?;
        }
        let others = self.other_locks(&scene, clock, acquired_by, (&mut sightings, &mut notes))?;
        let ageless = ageless_in_words(sightings.ageless);
        notes.extend(ageless.clone());
        let is_alone = others.is_none() && sightings.is_empty() && acquired_by.is_none();
        let keys = if is_alone { self.keys()? } else { None };
        notes.extend(
            others.is_some().then(|| elsewhere(&facts.info, self.others.database)).flatten(),
        );
        let failing = failing(&self.fail_if, &sightings, others.as_ref())
            .map(|why| (Exit::Unexpected, why))
            .or_else(|| Some((Exit::Environment, self.untold(&sightings, link)?)))
            .or_else(|| Some((Exit::Environment, self.out_of_date(&facts.info)?)))
            .or_else(|| Some((Exit::Inconclusive, self.unknown_age(ageless.as_ref()?)?)))
            .or_else(|| Some((Exit::Inconclusive, self.nothing_seen(others.as_ref()?)?)))
            .or_else(|| Some((Exit::Inconclusive, self.cut_short(others.as_ref()?)?)));
        if self.needs_password && (sightings.any_command() || others.is_some()) {
            notes.push(
                "the commands leave out the password: put it into REDIS_PASSWORD before you type them"
                    .into(),
            );
        }
        let mut status = sightings.status(scene, notes);
        (status.others, status.keys) = (others, keys.filter(|keys| *keys > 0));
        status.database = self.others.database;
        Ok((status, failing))
    }

    /// How many keys the database of the URL has, if this user may ask.
    fn keys(&self) -> Result<Option<u64>, ServerError> {
        let mut link = self.server.connect(self.others.database)?;
        Ok(redis::cmd("DBSIZE").query(&mut link).ok())
    }

    /// The locks and flags of NoDb.
    fn nodb(
        &self,
        link: &mut Connection,
        clock: &dyn Clock,
        acquired_by: Option<u64>,
        (sightings, notes): (&mut Sightings, &mut Vec<String>),
    ) -> Result<(), ServerError> {
        let runid = self.runid.as_deref();
        let (mut is_held, mut ageless) = (false, 0);
        let take = &mut |one: Sighting| {
            is_held |= one.found.is_some();
            let acquired_at = one.payload().and_then(|payload| payload.acquired_at());
            match (acquired_by, acquired_at) {
                (Some(_), None) => ageless += usize::from(one.found.is_some()),
                (Some(latest), Some(acquired_at)) if acquired_at > latest => {}
                _ => sightings.take(one),
            }
        };
        let unseen = survey(link, Some(clock), runid, take);
        notes.extend(runid.and_then(|runid| fenced(link, runid, is_held)));
        sightings.ageless += ageless;
        let is_of_all = self.others.is_wanted;
        let granted = |link: &mut Connection| match is_of_all {
            true => grant_all(link),
            false => grant(link, runid),
        };
        let unseen = unseen.map_err(|error| self.refused(error, || granted(link)))?;
        // A key of another type under the run's name has no flags, and may be what was asked for.
        let is_other_type =
            |(_, words): &(String, String)| runid.is_some() && words.starts_with("WRONGTYPE");
        if sightings.is_empty() && unseen.example.as_ref().is_some_and(is_other_type) {
            notes.extend(left_out_in_words(&unseen));
            return Ok(());
        }
        if let Some((key, words)) = &unseen.example {
            sightings.take_unread(unseen.unread, key, &format!("{words} (HSCAN)"));
        }
        notes.extend(left_out_in_words(&unseen));
        notes.extend(unread_in_words(&unseen));
        Ok(())
    }

    /// The locks of other libraries, if they are asked for, or the key that the argument names if it is
    /// no run.
    fn other_locks(
        &self,
        scene: &Scene,
        clock: &dyn Clock,
        acquired_by: Option<u64>,
        (sightings, notes): (&mut Sightings, &mut Vec<String>),
    ) -> Result<Option<Others>, ServerError> {
        let may_be_key = self.runid.is_some() && sightings.is_empty() && acquired_by.is_none();
        if !self.others.is_wanted && !may_be_key {
            return Ok(None);
        }
        let mut link = self.server.connect(self.others.database)?;
        let scene = Scene {
            typed: scene.typed.clone().in_database(self.others.database),
            runid: None,
            ..scene.clone()
        };
        let seen = match self.others.is_wanted {
            true => self.others.survey(&mut link, clock, acquired_by, scene).map(Some),
            false => self.others.key(&mut link, clock, scene),
        };
        let seen = seen.map_err(|error| self.refused(error, || grant_all(&mut link)))?;
        Ok(seen.map(|seen: OtherSeen| {
            if let Some((key, words)) = &seen.unread {
                sightings.take_unread(seen.others.unread, key, words);
            }
            sightings.ageless += seen.ageless;
            notes.extend(seen.notes);
            seen.others
        }))
    }

    /// Why a survey failed, with the command that grants what the user may not do.
    fn refused(&self, error: LockError, grant: impl FnOnce() -> String) -> ServerError {
        match error {
            LockError::Redis { command, source, .. } if is_refused(&source) => {
                let why = self.server.explain(&source);
                ServerError::new(format!("{command}: {why}: {}", grant()))
            }
            LockError::Redis { source, .. } => self.server.explain(&source),
            error => ServerError::new(error.to_string()),
        }
    }

    /// Why a replica that has lost its primary decides nothing.
    fn out_of_date(&self, info: &str) -> Option<String> {
        let is_cut_off =
            fact(info, "role") == "slave" && fact(info, "master_link_status") == "down";
        (is_cut_off && !self.stale_ok).then(|| {
            let what = if self.fail_if.is_empty() { "" } else { "--fail-if can't tell: " };
            format!("{what}this replica has lost its primary; --stale-ok takes what it shows")
        })
    }

    /// Why `--fail-if` can't decide if locks are left out because their age is not known.
    fn unknown_age(&self, ageless: &str) -> Option<String> {
        (!self.fail_if.is_empty()).then(|| format!("--fail-if can't tell: {ageless}"))
    }

    /// Why `--fail-if` can't decide if no key was looked at, or if one looks like a lock that would be stuck.
    fn nothing_seen(&self, others: &Others) -> Option<String> {
        if self.fail_if.is_empty() {
            return None;
        }
        if others.keys == 0 && !others.cut_short {
            return Some("--fail-if can't tell: there is no such key".to_owned());
        }
        let key = others.endless_by_name()?;
        Some(format!("--fail-if can't tell: {key} may be a lock, and has no TTL"))
    }

    /// Why `--fail-if` can't decide if not all keys were looked at.
    fn cut_short(&self, others: &Others) -> Option<String> {
        let is_asked = others.cut_short && !self.fail_if.is_empty();
        is_asked.then(|| {
            let keys = others.keys;
            format!(
                "--fail-if can't tell: only {keys} keys were looked at; --max-keys N looks at more"
            )
        })
    }

    /// Why `--fail-if` can't decide, if it can't: something could not be read.
    fn untold(&self, seen: &Sightings, link: &mut Connection) -> Option<String> {
        let (keys, key, words) = seen.unread().filter(|_| !self.fail_if.is_empty())?;
        let more = match keys {
            1 => String::new(),
            all => format!(" (and {} more)", all - 1),
        };
        let grant = match words.starts_with(NOPERM) {
            true if self.others.is_wanted => {
                format!("; to let this user read it: {}", grant_all(link))
            }
            true => format!("; to let this user read it: {}", grant(link, self.runid.as_deref())),
            false => String::new(),
        };
        Some(format!("--fail-if can't tell: {key:?}{more} could not be read: {words}{grant}"))
    }
}

/// What refuses every lock of a run that is being replaced, if that is so and the user may ask.
fn fenced(link: &mut Connection, runid: &str, is_held: bool) -> Option<String> {
    let fence = replacement_fence(runid);
    let left: i64 = redis::cmd("PTTL").arg(&fence).query(link).ok()?;
    let held = if is_held {
        "no lock can be acquired"
    } else {
        "no lock is held, and none can be acquired"
    };
    let until = match left {
        -2 => return None,
        -1 => "it has no TTL".into(),
        left => format!("it expires in {} unless it is renewed", ttl_from_afar(left)),
    };
    Some(format!("{held}: the run is being replaced, as the key {fence} says; {until}"))
}

/// The locks that are left out because their age is not known.
fn ageless_in_words(locks: usize) -> Option<String> {
    (locks > 0).then(|| {
        let locks = count(locks, "lock is", "locks are");
        format!("{locks} left out, as it is not known when they were acquired")
    })
}

/// The command that grants this user what it needs to see everything.
fn grant(link: &mut Connection, runid: Option<&str>) -> String {
    let user = redis::cmd("ACL").arg("WHOAMI").query(link).unwrap_or_else(|_| "<user>".to_owned());
    format!("ACL SETUSER {user} {}", command_line(&rights(runid)))
}

/// What the server says of itself.
struct Facts {
    /// Its time, since 1970.
    time: Duration,
    notes: Vec<String>,
    /// What INFO says; nothing if the user may not ask.
    info: String,
}

impl Facts {
    /// Asks the server. A refusal becomes a note, and is no failure.
    fn ask(link: &mut Connection, clock: &dyn Clock) -> Result<Self, RedisError> {
        let mut notes = Vec::new();
        let info: Option<String> = allowed(redis::cmd("INFO").query(link))?;
        let fact = |name: &str| fact(info.as_deref().unwrap_or_default(), name);
        if info.is_none() {
            notes.push("this user may not ask (INFO) whether it is a replica or a cluster".into());
        }
        if fact("role") == "slave" {
            notes.push(format!(
                "this server is a replica and may lag behind; type what changes anything for its \
                 primary, {}:{}",
                fact("master_host"),
                fact("master_port")
            ));
            if fact("master_link_status") == "down" {
                notes.push(
                    "this replica has lost its primary: what it shows may be long out of date"
                        .into(),
                );
            }
        }
        if fact("cluster_enabled") == "1" {
            notes.push(
                "this server is a node of a cluster: only its own keys are seen; look at each node"
                    .into(),
            );
        }
        let time: Option<(u64, u64)> = allowed(redis::cmd("TIME").query(link))?;
        let time = match time {
            Some((seconds, micros)) => Duration::from_secs(seconds) + Duration::from_micros(micros),
            None => {
                notes.push(
                    "this user may not ask for the server's TIME: times are by this machine's"
                        .into(),
                );
                clock.unix()
            }
        };
        Ok(Self { time, notes, info: info.unwrap_or_default() })
    }
}

/// What INFO says of this; nothing, if it says nothing.
pub(super) fn fact<'a>(info: &'a str, name: &str) -> &'a str {
    let mut lines = info.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default()
}

/// The answer, or nothing if the user has no right to ask.
fn allowed<T>(answer: Result<T, RedisError>) -> Result<Option<T>, RedisError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if is_refused(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the user has no right to this.
fn is_refused(error: &RedisError) -> bool {
    error.code() == Some(NOPERM)
}

/// The names that are left out because they are no locks of the run.
pub(super) fn left_out_in_words(unseen: &Unseen) -> Vec<String> {
    let notes = [
        (unseen.no_text, "that are no UTF-8, as no participant writes them"),
        (unseen.nameless, "that begin with nodb-lock: and name no file"),
        (unseen.of_others, "beginning as this run's do, which flags of other runs claim"),
    ];
    let left_out = notes.iter().filter(|(number, _)| *number > 0);
    let note = |(number, what): &(usize, &str)| {
        let names = if *number == 1 { "name" } else { "names" };
        format!("left out: {number} {names} {what}")
    };
    left_out.map(note).collect()
}

/// The flags that could not be read, if any.
pub(super) fn unread_in_words(unseen: &Unseen) -> Option<String> {
    let (key, words) = unseen.example.as_ref()?;
    let more = match unseen.unread {
        0 | 1 => String::new(),
        all => format!(" (and {} more)", all - 1),
    };
    Some(format!("the flags under the key {key}{more} can't be read: {words}"))
}

/// Why `--fail-if` came true, if it did.
fn failing(kinds: &[FailIf], seen: &Sightings, others: Option<&Others>) -> Option<String> {
    let others = others.map_or(0, |others| others.stuck);
    let of = |kind: &FailIf| match kind {
        FailIf::Stuck => ("stuck", seen.stuck + others),
        FailIf::Drift => ("drift", seen.drifted),
        FailIf::Any => ("any", seen.wrong + others),
    };
    let (word, number) = kinds.iter().map(of).find(|(_, number)| *number > 0)?;
    let locks = if number == 1 { "lock is" } else { "locks are" };
    let what = match word {
        "any" => "stuck, or disagree with their flag",
        "drift" => "not as the flag says",
        word => word,
    };
    Some(format!("--fail-if {word}: {number} {locks} {what}"))
}
