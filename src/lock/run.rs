//! All locks of one run: their statuses, and clearing them (contract, section 3). The reference's
//! operations, but for one thing: the run id stands for itself in the pattern.

use super::name::{FLAG_PREFIX, key_pattern, key_prefix};
use super::protocol::{ask, set_flag};
use super::{LockError, LockName};
use crate::gate::Link;
use std::collections::{BTreeMap, BTreeSet};

/// Deletes every lock of a run and sets its flags to `false`, whoever holds them. Returns the flag
/// fields (`locked:<file>`) that were cleared.
pub fn clear_locks(link: &mut dyn Link, runid: &str) -> Result<Vec<String>, LockError> {
    let mut cleared = BTreeSet::new();
    for (file, flag) in flags(link, runid)? {
        let lock = LockName::new(runid, &file);
        if flag != "false" {
            set_flag(link, &lock, false)?;
            cleared.insert(lock.flag().to_string());
        }
        ask::<()>(link, "DEL", lock.key(), |_| ())?;
    }
    for file in locked_files(link, runid)? {
        let lock = LockName::new(runid, &file);
        ask::<()>(link, "DEL", lock.key(), |_| ())?;
        set_flag(link, &lock, false)?;
        cleared.insert(lock.flag().to_string());
    }
    Ok(cleared.into_iter().collect())
}

/// Which files of a run are locked, by the lock keys; every file that has a flag or a lock is
/// named. Flags that say `true` where no lock is are set to `false`.
pub fn lock_statuses(
    link: &mut dyn Link,
    runid: &str,
) -> Result<BTreeMap<String, bool>, LockError> {
    let mut statuses: BTreeMap<String, bool> =
        locked_files(link, runid)?.into_iter().map(|file| (file, true)).collect();
    for (file, flag) in flags(link, runid)? {
        let locked = statuses.contains_key(&file);
        if !locked && flag == "true" {
            set_flag(link, &LockName::new(runid, &file), false)?;
        }
        statuses.entry(file).or_insert(false);
    }
    Ok(statuses)
}

/// The files of a run that have a lock key.
pub fn locked_files(link: &mut dyn Link, runid: &str) -> Result<BTreeSet<String>, LockError> {
    let pattern = key_pattern(runid);
    let prefix = key_prefix(runid);
    let mut files = BTreeSet::new();
    let mut cursor = String::from("0");
    loop {
        let (next, keys): (String, Vec<String>) = ask(link, "SCAN", &cursor, |cmd| {
            cmd.arg("MATCH").arg(&pattern).arg("COUNT").arg(1000);
        })?;
        files.extend(keys.iter().filter_map(|key| key.strip_prefix(&prefix)).map(str::to_string));
        if next == "0" {
            return Ok(files);
        }
        cursor = next;
    }
}

/// The files of a run that have a flag, and what it says.
pub fn flags(link: &mut dyn Link, runid: &str) -> Result<BTreeMap<String, String>, LockError> {
    let fields: BTreeMap<Vec<u8>, Vec<u8>> = ask(link, "HGETALL", runid, |_| ())?;
    Ok(fields
        .into_iter()
        .filter_map(|(field, value)| {
            let field = String::from_utf8(field).ok()?;
            let file = field.strip_prefix(FLAG_PREFIX)?.to_string();
            Some((file, String::from_utf8_lossy(&value).into_owned()))
        })
        .collect())
}
