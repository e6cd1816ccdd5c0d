//! What the server says of itself that decides what a recording can see. MONITOR shows none of it.

use redis::cmd;

/// What INFO and CONFIG said at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// What INFO said; nothing, if the user may not ask.
    pub info: Option<Info>,
    /// `notify-keyspace-events`; empty, if the user may not ask.
    pub notifications: String,
}

/// The parts of INFO that matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Info {
    /// `role` and `master_replid`: both stay as long as the server keeps its role.
    role: (String, String),
    evicted_keys: u64,
    commands_processed: u64,
    major_version: u32,
    pub is_cluster: bool,
}

impl Facts {
    /// Asks the server.
    pub fn ask(look: &mut redis::Connection) -> Self {
        let info: Option<String> = cmd("INFO").query(look).ok();
        Self { info: info.map(|info| Info::read(&info)), notifications: notifications(look) }
    }

    /// Whether it is a replica.
    pub fn is_replica(&self) -> bool {
        self.info.as_ref().is_some_and(|info| info.role.0 == "slave")
    }

    /// Whether the server tells events of this class in their place among the commands (`x`: expiry,
    /// `e`: eviction). Before Redis 7 it shows a command before the expiry that it came upon.
    pub fn tells(&self, class: char) -> bool {
        let is_new = self.info.as_ref().is_some_and(|info| info.major_version >= 7);
        let is_on = self.notifications.contains('E') && self.notifications.contains([class, 'A']);
        is_new && is_on && !self.is_replica()
    }

    /// What has happened since the server said `before` that a recording can't follow.
    pub fn missed_since(&self, before: &Self) -> Option<&'static str> {
        if self.notifications != before.notifications {
            return Some("the server's notify-keyspace-events was changed");
        }
        let (now, before_info) = match (&self.info, &before.info) {
            (Some(now), Some(before)) => (now, before),
            (None, Some(_)) => return Some("this user may not ask INFO any more"),
            (_, None) => return None,
        };
        if now.role != before_info.role {
            return Some("the server changed its role");
        }
        if before.tells('e') {
            return None;
        }
        if now.commands_processed < before_info.commands_processed {
            return Some("the server's statistics were reset, which count evicted keys");
        }
        (now.evicted_keys != before_info.evicted_keys).then_some(
            "the server evicted keys, and it is not known which (CONFIG SET notify-keyspace-events \
             Exe tells)",
        )
    }
}

impl Info {
    fn read(info: &str) -> Self {
        let fact = |name: &str| {
            let value =
                |line: &'_ str| Some(line.strip_prefix(name)?.strip_prefix(':')?.to_owned());
            info.lines().find_map(|line| value(line.trim_end())).unwrap_or_default()
        };
        let number = |name: &str| fact(name).parse().unwrap_or_default();
        let version = fact("redis_version");
        Self {
            role: (fact("role"), fact("master_replid")),
            evicted_keys: number("evicted_keys"),
            commands_processed: number("total_commands_processed"),
            major_version: version.split('.').next().and_then(|it| it.parse().ok()).unwrap_or(0),
            is_cluster: fact("cluster_enabled") == "1",
        }
    }
}

/// The setting of keyspace notifications, where the server tells it.
pub(super) fn notifications(look: &mut redis::Connection) -> String {
    let asked: Result<Vec<String>, _> =
        cmd("CONFIG").arg("GET").arg("notify-keyspace-events").query(look);
    asked.unwrap_or_default().into_iter().nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(role: &str, evicted: u64, processed: u64, notifications: &str) -> Facts {
        let info = format!(
            "redis_version:7.0.15\r\nrole:{role}\r\nmaster_replid:abc\r\nevicted_keys:{evicted}\r\n\
             total_commands_processed:{processed}\r\ncluster_enabled:0\r\n"
        );
        Facts { info: Some(Info::read(&info)), notifications: notifications.into() }
    }

    #[test]
    fn what_a_recording_can_not_follow_is_named() {
        let before = facts("master", 3, 100, "");
        for (now, missed) in [
            (facts("master", 3, 200, ""), None),
            (facts("slave", 3, 200, ""), Some("changed its role")),
            (facts("master", 4, 200, ""), Some("evicted keys")),
            (facts("master", 0, 5, ""), Some("statistics were reset")),
            (facts("master", 3, 200, "Ex"), Some("notify-keyspace-events was changed")),
            (Facts::default(), Some("may not ask INFO any more")),
        ] {
            let found = now.missed_since(&before);
            assert_eq!(found.is_some(), missed.is_some(), "{found:?}");
            assert!(found.zip(missed).is_none_or(|(found, missed)| found.contains(missed)));
        }
    }

    #[test]
    fn evictions_that_the_server_tells_are_not_counted() {
        let before = facts("master", 3, 100, "Exe");
        assert_eq!(facts("master", 9, 200, "Exe").missed_since(&before), None);
        assert!(before.tells('e') && before.tells('x') && !facts("master", 0, 0, "Kx").tells('x'));
    }
}
