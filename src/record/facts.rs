//! What the server says of itself that decides what a recording can see. MONITOR shows none of it.

use lock_lab::server::Line;
use redis::{RedisResult, cmd};

/// What INFO and CONFIG said at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// What INFO said; nothing, if the user may not ask.
    pub info: Option<Info>,
    /// `notify-keyspace-events`; nothing, if the user may not ask.
    pub notifications: Option<String>,
}

/// The parts of INFO that matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Info {
    role: String,
    /// `master_replid2`: what the replication id was before the server was promoted the last time.
    replication_before: String,
    evicted_keys: u64,
    commands_processed: u64,
    major_version: u32,
    pub is_cluster: bool,
}

impl Facts {
    /// Asks the server.
    pub fn ask(link: &mut Line) -> RedisResult<Self> {
        let info: Option<String> = allowed(cmd("INFO").query(link))?;
        let info = info.map(|info| Info::read(&info));
        Ok(Self { info, notifications: notifications(link)? })
    }

    /// Whether it is a replica.
    pub fn is_replica(&self) -> bool {
        self.info.as_ref().is_some_and(|info| info.role == "slave")
    }

    /// Whether the server publishes events of this class in their place among the commands (`x`:
    /// expiry, `e`: eviction). Before Redis 7 it shows a command before the expiry that it came
    /// upon.
    pub fn reports(&self, class: char) -> bool {
        let is_new = self.info.as_ref().is_some_and(|info| info.major_version >= 7);
        let settings = self.notifications.as_deref().unwrap_or_default();
        let is_on = settings.contains('E') && settings.contains([class, 'A']);
        is_new && is_on && !self.is_replica()
    }

    /// What has happened since the server said `before`, so that what comes next can't be followed
    /// without another snapshot.
    pub fn changed_since(&self, before: &Self) -> Option<&'static str> {
        match (&self.notifications, &before.notifications) {
            (None, Some(_)) => return Some("this user may not ask CONFIG any more"),
            (now, before) if now != before => {
                return Some("the server's notify-keyspace-events was changed");
            }
            _ => {}
        }
        match (&self.info, &before.info) {
            (None, Some(_)) => Some("this user may not ask INFO any more"),
            (Some(now), Some(before)) if now.changed_role(before) => {
                Some("the server changed its role")
            }
            _ => None,
        }
    }

    /// What makes it unknown which keys were evicted since the server said `before`, where it does
    /// not publish it.
    pub fn evicted_since(&self, before: &Self) -> Option<&'static str> {
        let (now, before) = self.info.as_ref().zip(before.info.as_ref())?;
        if now.commands_processed < before.commands_processed {
            return Some("the server's statistics were reset, which count evicted keys");
        }
        (now.evicted_keys != before.evicted_keys).then_some(
            "the server evicted keys, and it is not known which (CONFIG SET notify-keyspace-events \
             Exe tells)",
        )
    }
}

impl Info {
    /// Whether the server changed its role since. The replication id alone also changes when a first
    /// replica attaches.
    fn changed_role(&self, before: &Self) -> bool {
        let is_promoted = self.replication_before.contains(|digit| digit != '0');
        self.role != before.role
            || is_promoted && self.replication_before != before.replication_before
    }

    fn read(info: &str) -> Self {
        let fact = |name: &str| {
            let value =
                |line: &'_ str| Some(line.strip_prefix(name)?.strip_prefix(':')?.to_owned());
            info.lines().find_map(|line| value(line.trim_end())).unwrap_or_default()
        };
        let number = |name: &str| fact(name).parse().unwrap_or_default();
        let version = fact("redis_version");
        Self {
            role: fact("role"),
            replication_before: fact("master_replid2"),
            evicted_keys: number("evicted_keys"),
            commands_processed: number("total_commands_processed"),
            major_version: version.split('.').next().and_then(|it| it.parse().ok()).unwrap_or(0),
            is_cluster: fact("cluster_enabled") == "1",
        }
    }
}

/// The setting of keyspace notifications, where the server shows it.
pub(super) fn notifications(link: &mut Line) -> RedisResult<Option<String>> {
    let asked = cmd("CONFIG").arg("GET").arg("notify-keyspace-events").query(link);
    let asked: Option<Vec<String>> = allowed(asked)?;
    Ok(asked.map(|asked| asked.into_iter().nth(1).unwrap_or_default()))
}

/// What the server answered; nothing, if it refused to.
fn allowed<T>(asked: RedisResult<T>) -> RedisResult<Option<T>> {
    match asked {
        Err(error) if error.is_io_error() || error.is_timeout() => Err(error),
        asked => Ok(asked.ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(role: &str, promoted_from: &str, evicted: u64, processed: u64) -> Facts {
        let info = format!(
            "redis_version:7.0.15\r\nrole:{role}\r\nmaster_replid2:{promoted_from}\r\n\
             evicted_keys:{evicted}\r\ntotal_commands_processed:{processed}\r\n"
        );
        Facts { info: Some(Info::read(&info)), notifications: Some("Ex".into()) }
    }

    #[test]
    fn what_needs_another_snapshot_is_named() {
        let before = facts("master", "0000", 3, 100);
        let of = |notifications: Option<&str>| {
            let notifications = notifications.map(str::to_owned);
            Facts { notifications, ..facts("master", "0000", 3, 200) }
        };
        for (now, changed) in [
            (facts("master", "0000", 4, 5), None),
            (facts("slave", "0000", 3, 200), Some("changed its role")),
            (facts("master", "ab12", 3, 200), Some("changed its role")),
            (of(Some("")), Some("notify-keyspace-events was changed")),
            (of(None), Some("may not ask CONFIG any more")),
            (Facts { info: None, ..of(Some("Ex")) }, Some("may not ask INFO any more")),
        ] {
            let found = now.changed_since(&before);
            assert_eq!(found.is_some(), changed.is_some(), "{found:?}");
            assert!(found.zip(changed).is_none_or(|(found, changed)| found.contains(changed)));
        }
        let promoted = facts("master", "ab12", 3, 100);
        assert_eq!(before.changed_since(&promoted), None, "the backlog was freed");
    }

    #[test]
    fn evictions_and_what_hides_them_are_named() {
        let before = facts("master", "0000", 3, 100);
        assert_eq!(facts("master", "0000", 3, 200).evicted_since(&before), None);
        let evicted = facts("master", "0000", 4, 200).evicted_since(&before);
        assert!(evicted.is_some_and(|why| why.contains("evicted keys")));
        let reset = facts("master", "0000", 0, 5).evicted_since(&before);
        assert!(reset.is_some_and(|why| why.contains("statistics were reset")));
    }

    #[test]
    fn old_servers_and_replicas_report_no_expiry_in_its_place() {
        assert!(facts("master", "0000", 0, 0).reports('x'));
        assert!(
            !facts("master", "0000", 0, 0).reports('e') && !facts("slave", "0", 0, 0).reports('x')
        );
    }
}
