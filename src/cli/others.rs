//! The locks of other libraries in one database: those of all keys, or one key.

use super::args::StatusArgs;
use super::inspect::SHOWN;
use crate::report::count;
use crate::report::status::{OtherSightings, Others, Scene, key_name};
use lock_lab::format::{
    Covered, Family, KeySeen, Looking, OtherLock, Read, Recognised, Scope, read_key, rights_to_all,
    survey_keys,
};
use lock_lab::lock::Result;
use lock_lab::runtime::command_line;
use lock_lab::server::Connection;
use redis_sim::clock::Clock;

/// The locks of other libraries that are looked for.
pub(super) struct OtherSubject {
    /// The database.
    pub database: i64,
    /// Whether all keys are looked at, or only those of a pattern.
    pub is_wanted: bool,
    /// The argument, which may be the name of a key.
    word: Option<String>,
    scope: Scope,
    keeps_all: bool,
}

/// What was seen, and what is to be said of it.
pub(super) struct OtherSeen {
    pub others: Others,
    pub notes: Vec<String>,
    /// The first key that could not be read, with the server's words.
    pub unread: Option<(String, String)>,
    /// How many locks are left out, as their age is not known.
    pub ageless: usize,
}

impl OtherSubject {
    /// What these arguments ask for in this database.
    pub fn new(database: i64, keeps_all: bool, args: &StatusArgs) -> Self {
        let scope = Scope {
            patterns: args.patterns.clone(),
            max_keys: args.max_keys,
            // Elsewhere, such keys are no locks of NoDb.
            without_nodb: args.patterns.is_empty() && database == 0,
        };
        Self {
            database,
            is_wanted: args.all || !args.patterns.is_empty(),
            word: args.run.clone(),
            scope,
            keeps_all,
        }
    }

    /// Whether only keys of a pattern are looked at, and not the flags of NoDb.
    pub fn is_of_patterns(&self) -> bool {
        !self.scope.patterns.is_empty()
    }

    /// Goes through the keys.
    pub fn survey(
        &self,
        link: &mut Connection,
        clock: &dyn Clock,
        acquired_by: Option<u64>,
        scene: Scene,
    ) -> Result<OtherSeen> {
        let mut seen = OtherSightings::first(if self.keeps_all { usize::MAX } else { SHOWN });
        seen.is_by_age = scene.is_by_age;
        let mut ageless = 0;
        let take = &mut |lock: OtherLock| match (acquired_by, lock.lock.acquired_at()) {
            (Some(_), None) => ageless += 1,
            (Some(latest), Some(acquired_at)) if acquired_at.as_secs() > latest => {}
            _ => seen.take(lock),
        };
        let mut covered = survey_keys(link, clock, scene.when, &self.scope, take)?;
        let mut notes = Vec::new();
        if acquired_by.is_some() {
            covered.families.clear();
        }
        if self.database != 0 && !self.is_of_patterns() {
            notes.push("locks of NoDb are those of database 0, where it has them".into());
        }
        if covered.is_cut_short {
            let all: Option<u64> = redis::cmd("DBSIZE").query(link).ok();
            let all = all.map(|all| format!(" of {all}")).unwrap_or_default();
            notes.push(format!(
                "only {}{all} keys of database {} were looked at; --max-keys N looks at more",
                covered.keys, self.database
            ));
        }
        let changed = covered.changed;
        if changed > 0 {
            notes.push(format!("{changed} keys changed their type as they were read: look again"));
        }
        let unread = covered.example.clone().map(|(key, words)| (key_name(&key), words));
        if let Some((key, words)) = &unread {
            let more = match covered.unread {
                0 | 1 => String::new(),
                all => format!(" (and {} more)", all - 1),
            };
            notes.push(format!("the key {key}{more} can't be read: {words}"));
        }
        let patterns = self.scope.patterns.clone();
        Ok(OtherSeen {
            others: seen.others(scene, self.database, patterns, covered),
            notes,
            unread,
            ageless,
        })
    }

    /// Looks at the key of the name that was given, if there is one.
    pub fn key(
        &self,
        link: &mut Connection,
        clock: &dyn Clock,
        scene: Scene,
    ) -> Result<Option<OtherSeen>> {
        let Some(word) = &self.word else { return Ok(None) };
        let KeySeen { read, recognised, is_moving } =
            read_key(link, clock, word.as_bytes(), scene.when)?;
        let mut covered = Covered { keys: 1, ..Covered::default() };
        let (content, ttl_ms) = match read {
            Read::Seen { content, ttl_ms } => (content, ttl_ms),
            Read::Hidden(words) => {
                covered.unread = 1;
                let notes = vec![format!("the key {word} can't be read: {words}")];
                let mut others =
                    OtherSightings::default().others(scene, self.database, Vec::new(), covered);
                others.key = Some(word.clone());
                return Ok(Some(OtherSeen {
                    others,
                    notes,
                    unread: Some((word.clone(), words)),
                    ageless: 0,
                }));
            }
            Read::Gone | Read::Changed => return Ok(None),
        };
        let mut seen = OtherSightings::first(1);
        let mut notes = Vec::new();
        let is_a = content.words();
        match recognised {
            Some(Recognised::Lock(lock)) => {
                let (key, shown_by) = (word.clone().into(), content.shown_by());
                seen.take(OtherLock { key, ttl_ms, shown_by, lock, is_moving });
            }
            Some(Recognised::Maybe { why }) => {
                let looking = Looking { key: word.clone().into(), ttl_ms };
                let (shape, examples) = (key_name(word.as_bytes()), vec![looking]);
                covered.families.push(Family { shape, why, keys: 1, examples });
            }
            Some(Recognised::PartOf { keys, .. }) => {
                let lock = keys.first().map(|key| key_name(key)).unwrap_or_default();
                notes.push(format!("the key {word} belongs to the lock {lock}"));
            }
            None => notes.push(format!("the key {word} is {is_a}, and no lock that is known")),
        }
        let mut others = seen.others(scene, self.database, Vec::new(), covered);
        others.key = Some(word.clone());
        Ok(Some(OtherSeen { others, notes, unread: None, ageless: 0 }))
    }
}

/// The command that grants this user what it needs to see all keys.
pub(super) fn grant_all(link: &mut Connection) -> String {
    let user = redis::cmd("ACL").arg("WHOAMI").query(link).unwrap_or_else(|_| "<user>".to_owned());
    format!("ACL SETUSER {user} {}", command_line(&rights_to_all()))
}

/// The other databases that have keys, from what INFO says.
pub(super) fn elsewhere(info: &str, database: i64) -> Option<String> {
    let of_line = |line: &str| {
        let (name, facts) = line.strip_prefix("db")?.split_once(":keys=")?;
        let keys: usize = facts.split(',').next()?.parse().ok()?;
        let number: i64 = name.parse().ok()?;
        (number != database && keys > 0)
            .then(|| format!("{number} ({})", count(keys, "key", "keys")))
    };
    let others: Vec<String> = info.lines().filter_map(of_line).collect();
    (!others.is_empty()).then(|| {
        format!(
            "database {database} was looked at, and not: {}; add its number to the URL, as in \
             redis://host:6379/1",
            others.join(", ")
        )
    })
}
