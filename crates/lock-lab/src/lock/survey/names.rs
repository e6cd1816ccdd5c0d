//! Which locks there are: those that have a key, and those that have a flag.

use super::super::name::{FLAG_PREFIX, KEY_PREFIX, PATH_SCOPE, key_pattern, key_prefix, literal};
use super::super::protocol::ask;
use super::super::{LockError, LockName, Result};
use super::Unseen;
use crate::intercept::Link;
use redis::{FromRedisValue, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::mem;

/// How many keys or fields the server goes through for one reply.
const COUNT: usize = 1000;
/// At how many colons of a key its run id is taken to end, at most.
const MOST_COLONS: usize = 16;

/// A cursor, and what was found up to it.
type Page = (String, Vec<Vec<u8>>);
/// Takes in the keys of a page; the connection is free meanwhile.
type Take<'a> = dyn FnMut(&mut dyn Link, Vec<Vec<u8>>) -> Result + 'a;

/// The locks that were found, by run and file.
#[derive(Debug, Default)]
pub(super) struct Names {
    runs: BTreeMap<String, BTreeSet<String>>,
    pub unseen: Unseen,
}

impl Names {
    /// Those of a run. The key of a lock of run `a:b` begins as those of run `a` do, and the other way
    /// round: where only another run has a flag of that name, the lock is the other's.
    pub fn of_run(link: &mut dyn Link, runid: &str) -> Result<Self> {
        let mut names = Self::default();
        let prefix = key_prefix(runid);
        let mut found = BTreeSet::new();
        scan(link, &key_pattern(runid), None, &mut |_, keys| {
            let keys = keys.into_iter().filter_map(|key| names.text(key));
            found.extend(keys.filter_map(|key| key.strip_prefix(&prefix).map(str::to_owned)));
            Ok(())
        })?;
        names.flags(link, vec![runid.into()])?;
        let has_flag = |file: &String| names.runs.get(runid).is_some_and(|all| all.contains(file));
        let in_doubt: Vec<&String> = found.iter().filter(|file| !has_flag(file)).collect();
        let mut others = BTreeSet::new();
        for some in in_doubt.chunks(COUNT) {
            others.extend(of_others(link, runid, some)?);
        }
        names.unseen.of_others = others.len();
        found.difference(&others).for_each(|file| names.add(runid, file));
        names.path_scopes(link)?;
        Ok(names)
    }

    /// Adds the locks whose payloads name their runs, whichever these are.
    fn path_scopes(&mut self, link: &mut dyn Link) -> Result {
        let prefix = key_prefix(PATH_SCOPE);
        scan(link, &key_pattern(PATH_SCOPE), None, &mut |_, keys| {
            for key in keys {
                let file =
                    self.text(key).and_then(|key| Some(key.strip_prefix(&prefix)?.to_owned()));
                file.iter().for_each(|file| self.add(PATH_SCOPE, file));
            }
            Ok(())
        })
    }

    /// Those of all runs. The key alone doesn't show where the run id ends, if the id or the file
    /// has a colon: a flag of that name shows it, or else it is the first colon.
    pub fn of_all(link: &mut dyn Link) -> Result<Self> {
        let mut names = Self::default();
        let mut keys = BTreeSet::new();
        scan(link, &(literal(KEY_PREFIX) + "*"), None, &mut |_, found| {
            keys.extend(found.into_iter().filter_map(|key| names.text(key)));
            Ok(())
        })?;
        scan(link, "*", Some("hash"), &mut |link, hashes| names.flags(link, hashes))?;
        for key in keys {
            names.add_key(key.strip_prefix(KEY_PREFIX).unwrap_or_default());
        }
        Ok(names)
    }

    /// The locks, by run and file.
    pub fn into_locks(self) -> impl Iterator<Item = LockName> {
        self.runs.into_iter().flat_map(|(runid, files)| {
            files.into_iter().map(move |file| LockName::as_found(&runid, &file))
        })
    }

    fn add(&mut self, runid: &str, file: &str) {
        match self.runs.get_mut(runid) {
            Some(files) => drop(files.insert(file.to_owned())),
            None => drop(self.runs.insert(runid.to_owned(), [file.to_owned()].into())),
        }
    }

    fn add_key(&mut self, key: &str) {
        let split = |(at, _)| Some((key.get(..at)?, key.get(at + 1..)?));
        let has_flag = |(runid, file): &(&str, &str)| {
            self.runs.get(*runid).is_some_and(|files| files.contains(*file))
        };
        let mut ways = key.match_indices(':').filter_map(split);
        match ways.clone().find(has_flag).or_else(|| ways.next()) {
            Some((runid, file)) => self.add(runid, file),
            None => self.unseen.nameless += 1,
        }
    }

    fn text(&mut self, raw: Vec<u8>) -> Option<String> {
        let text = String::from_utf8(raw).ok();
        self.unseen.no_text += usize::from(text.is_none());
        text
    }

    /// Adds the files that have a flag in one of these hashes.
    fn flags(&mut self, link: &mut dyn Link, hashes: Vec<Vec<u8>>) -> Result {
        let pattern = format!("{FLAG_PREFIX}*");
        let mut open: Vec<(Vec<u8>, String)> =
            hashes.into_iter().map(|hash| (hash, String::from("0"))).collect();
        while !open.is_empty() {
            let mut pipeline = redis::pipe();
            pipeline.ignore_errors();
            for (hash, cursor) in &open {
                let cmd = pipeline.cmd("HSCAN").arg(hash).arg(cursor);
                cmd.arg("MATCH").arg(&pattern).arg("COUNT").arg(COUNT);
            }
            let failed = LockError::redis("HSCAN", "flags");
            let replies: Vec<Value> = pipeline.query(link).map_err(&failed)?;
            for ((hash, _), reply) in mem::take(&mut open).into_iter().zip(replies) {
                if let Value::ServerError(error) = &reply {
                    let words = format!("{} {}", error.code(), error.details().unwrap_or_default());
                    self.unread(&hash, words.trim_end());
                    continue;
                }
                let (cursor, fields) =
                    Page::from_redis_value(reply).map_err(|error| failed(error.into()))?;
                self.fields(&hash, fields);
                if cursor != "0" {
                    open.push((hash, cursor));
                }
            }
        }
        Ok(())
    }

    fn unread(&mut self, hash: &[u8], words: &str) {
        self.unseen.unread += 1;
        let example = || (String::from_utf8_lossy(hash).into_owned(), words.to_owned());
        self.unseen.example.get_or_insert_with(example);
    }

    /// Adds the files of these fields, each followed by its value.
    fn fields(&mut self, hash: &[u8], fields: Vec<Vec<u8>>) {
        for field in fields.into_iter().step_by(2) {
            match (std::str::from_utf8(hash), std::str::from_utf8(&field)) {
                (Ok(runid), Ok(field)) => {
                    field
                        .strip_prefix(FLAG_PREFIX)
                        .into_iter()
                        .for_each(|file| self.add(runid, file));
                }
                _ => self.unseen.no_text += 1,
            }
        }
    }
}

/// Which of these files have no flag in this run, but one in another whose lock would have the same
/// key.
fn of_others(link: &mut dyn Link, runid: &str, files: &[&String]) -> Result<BTreeSet<String>> {
    let mut pipeline = redis::pipe();
    pipeline.ignore_errors();
    let mut asked = Vec::new();
    for file in files {
        let key = format!("{runid}:{file}");
        let colons = key.match_indices(':').map(|(at, _)| at).filter(|at| *at != runid.len());
        for at in colons.take(MOST_COLONS) {
            let (Some(other), Some(rest)) = (key.get(..at), key.get(at + 1..)) else { continue };
            pipeline.cmd("HEXISTS").arg(other).arg(format!("{FLAG_PREFIX}{rest}"));
            asked.push(*file);
        }
    }
    if asked.is_empty() {
        return Ok(BTreeSet::new());
    }
    let replies =
        pipeline.query::<Vec<Value>>(link).map_err(LockError::redis("HEXISTS", "flags"))?;
    // What is no hash, or may not be seen, has no flag that helps.
    let members = asked.into_iter().zip(replies).filter(|(_, reply)| *reply == Value::Int(1));
    Ok(members.map(|(file, _)| file.clone()).collect())
}

/// The channels, as patterns, on which a server with keyspace notifications publishes changes to
/// the locks of a run, or of all runs. (The flags of all runs would be on the channels of all
/// keys.)
pub fn watched_channels(runid: Option<&str>) -> Vec<String> {
    const KEYS: &str = "__keyspace@0__:";
    match runid {
        Some(runid) => {
            vec![format!("{KEYS}{}", key_pattern(runid)), format!("{KEYS}{}", literal(runid))]
        }
        None => vec![format!("{KEYS}{}*", literal(KEY_PREFIX))],
    }
}

/// The ACL rules that let a user survey a run, or all runs, whose flags are under keys of any name.
pub fn rights(runid: Option<&str>) -> Vec<String> {
    let commands = ["scan", "type", "strlen", "getrange", "pttl", "hmget", "hscan", "hexists"];
    let keys = match runid {
        Some(runid) => vec![key_pattern(runid), literal(runid), key_pattern(PATH_SCOPE)],
        None => vec!["*".into()],
    };
    // Outside of brackets, a hyphen stands for itself.
    let keys = keys.into_iter().map(|key| format!("~{}", key.replace(r"\-", "-")));
    commands.map(|name| format!("+{name}")).into_iter().chain(keys).collect()
}

/// Goes through all keys of this pattern, and of this type if one is named.
fn scan(link: &mut dyn Link, pattern: &str, kind: Option<&str>, take: &mut Take<'_>) -> Result {
    let mut cursor = String::from("0");
    loop {
        let (next, keys): Page = ask(link, "SCAN", &cursor, |cmd| {
            cmd.arg("MATCH").arg(pattern).arg("COUNT").arg(COUNT);
            kind.iter().for_each(|kind| {
                cmd.arg("TYPE").arg(kind);
            });
        })?;
        take(link, keys)?;
        if next == "0" {
            return Ok(());
        }
        cursor = next;
    }
}
