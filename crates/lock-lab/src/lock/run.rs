//! All locks of one run: their statuses, and clearing them (contract, section 3). The reference's
//! operations, but for one thing: the run id stands for itself in the pattern.

use super::name::{FLAG_PREFIX, key_pattern, key_prefix};
use super::protocol::{ask, set_flag};
use super::{LockName, Result, is_locked};
use crate::intercept::Link;
use std::collections::{BTreeMap, BTreeSet};

/// Deletes every lock of a run and sets its flags to `false`, without regard to holders. Returns
/// the flag fields (`locked:<file>`) that were cleared.
///
/// # Errors
///
/// [`LockError::Redis`](super::LockError::Redis) if a command fails; some of the locks may be cleared then.
pub fn clear_locks(link: &mut dyn Link, runid: &str) -> Result<Vec<String>> {
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
///
/// # Errors
///
/// [`LockError::Redis`](super::LockError::Redis) if a command fails.
pub fn lock_statuses(link: &mut dyn Link, runid: &str) -> Result<BTreeMap<String, bool>> {
    let mut statuses: BTreeMap<String, bool> =
        locked_files(link, runid)?.into_iter().map(|file| (file, true)).collect();
    for (file, flag) in flags(link, runid)? {
        if !statuses.contains_key(&file) && flag == "true" {
            // Reads the key again before it writes: a new owner may have come since the scan.
            let locked = is_locked(link, &LockName::new(runid, &file))?;
            statuses.insert(file.clone(), locked);
        }
        statuses.entry(file).or_insert(false);
    }
    Ok(statuses)
}

/// The files of a run that have a lock key.
///
/// # Errors
///
/// [`LockError::Redis`](super::LockError::Redis) if a command fails.
pub fn locked_files(link: &mut dyn Link, runid: &str) -> Result<BTreeSet<String>> {
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
///
/// # Errors
///
/// [`LockError::Redis`](super::LockError::Redis) if the command fails.
pub fn flags(link: &mut dyn Link, runid: &str) -> Result<BTreeMap<String, String>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Server;
    use redis_sim::Engine;
    use redis_sim::clock::VirtualClock;
    use std::sync::Arc;

    fn server(keys: &[(&str, &str)], flags: &[(&str, &str, &str)]) -> crate::server::Connection {
        let server = Server::Embedded(Engine::new(Arc::new(VirtualClock::new(None))));
        let mut link = server.connect(0).unwrap();
        for (key, value) in keys {
            redis::cmd("SET").arg(key).arg(value).exec(&mut link).unwrap();
        }
        for (runid, field, value) in flags {
            redis::cmd("HSET").arg(runid).arg(field).arg(value).exec(&mut link).unwrap();
        }
        link
    }

    fn keys(link: &mut crate::server::Connection) -> Vec<String> {
        redis::cmd("KEYS").arg("*").query(link).unwrap()
    }

    #[test]
    fn clearing_spares_the_neighbours_that_a_glob_would_hit() {
        let mut link = server(
            &[("nodb-lock:a*:x.nodb", "1"), ("nodb-lock:ab:x.nodb", "2")],
            &[
                ("a*", "locked:x.nodb", "true"),
                ("a*", "locked:y.nodb", "true"),
                ("a*", "locked:z.nodb", "false"),
                ("a*", "attrs:name", "kept"),
                ("ab", "locked:x.nodb", "true"),
            ],
        );
        let cleared = clear_locks(&mut link, "a*").unwrap();
        assert_eq!(cleared, ["locked:x.nodb", "locked:y.nodb"]);
        assert_eq!(keys(&mut link), ["a*", "ab", "nodb-lock:ab:x.nodb"]);
        let kept: String = redis::cmd("HGET").arg("a*").arg("attrs:name").query(&mut link).unwrap();
        assert_eq!(kept, "kept");
        assert!(flags(&mut link, "a*").unwrap().values().all(|flag| flag == "false"));
        assert_eq!(flags(&mut link, "ab").unwrap()["x.nodb"], "true");
    }

    #[test]
    fn statuses_go_by_the_keys_and_mend_stale_flags() {
        let mut link = server(
            &[("nodb-lock:r:held.nodb", "1"), ("nodb-lock:r:unflagged.nodb", "2")],
            &[
                ("r", "locked:held.nodb", "true"),
                ("r", "locked:stale.nodb", "true"),
                ("r", "locked:free.nodb", "false"),
            ],
        );
        let statuses = lock_statuses(&mut link, "r").unwrap();
        let expected = [
            ("free.nodb", false),
            ("held.nodb", true),
            ("stale.nodb", false),
            ("unflagged.nodb", true),
        ];
        assert!(statuses.iter().map(|(file, locked)| (file.as_str(), *locked)).eq(expected));
        assert_eq!(flags(&mut link, "r").unwrap()["stale.nodb"], "false");
        assert_eq!(flags(&mut link, "r").unwrap()["held.nodb"], "true");
    }
}
