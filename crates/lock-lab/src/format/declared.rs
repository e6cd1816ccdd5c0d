//! Formats that a user declares in a few lines of TOML: which keys are locks, and where the token stands.
//!
//! ```toml
//! [[format]]
//! name = "jobs"
//! pattern = "job:*:running"
//! token = "lease.id"        # a member of JSON, or a field of a hash [default: all of it]
//! owner = "lease.process"   # the same with host:pid
//! ```

use super::{Content, Holder, Key, Lock, LockFormat, Recognised, Sharing};
use parking_lot::RwLock;
use redis_sim::glob_matches;
use serde::Deserialize;
use serde_json::Value;

/// Those that were declared, in their order.
static DECLARED: RwLock<Vec<&'static Declared>> = RwLock::new(Vec::new());

/// A declaration as a format.
pub(super) struct Declared {
    name: &'static str,
    asks: Declaration,
}

/// A format that a user declares.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// Its name, as reports use it.
    pub name: String,
    /// Which keys are locks of it, as a glob pattern.
    pub pattern: String,
    /// The member of JSON (`a.b` in another one), or the field of a hash, with the token; nothing if the
    /// complete string is the token, and each field of a hash and each member of a sorted set.
    pub token: Option<String>,
    /// The same with `hostname:pid` of the owner.
    pub owner: Option<String>,
}

/// A file with such declarations.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: Vec<Declaration>,
}

/// Reads declarations.
///
/// # Errors
///
/// The place and the reason, if the text is no TOML of this kind, or if a name or a pattern is empty.
pub fn declarations(text: &str) -> Result<Vec<Declaration>, String> {
    let file: File =
        toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    match file.format.iter().find(|it| it.name.is_empty() || it.pattern.is_empty()) {
        Some(_) => Err("a format needs a name and a pattern".into()),
        None => Ok(file.format),
    }
}

/// Has a format recognised from now on, before those that are known.
pub fn declare(declaration: Declaration) {
    // It lasts as long as the program, as those that are known do.
    let name = declaration.name.clone().leak();
    DECLARED.write().push(Box::leak(Box::new(Declared { name, asks: declaration })));
}

/// The format that was declared for this key.
pub(super) fn of_key(name: &[u8]) -> Option<&'static Declared> {
    let declared = DECLARED.read();
    declared.iter().copied().find(|it| glob_matches(it.asks.pattern.as_bytes(), name))
}

impl LockFormat for Declared {
    fn name(&self) -> &'static str {
        self.name
    }

    fn recognise(&self, key: &Key<'_>) -> Option<Recognised> {
        let (name, asks) = (self.name, &self.asks);
        let lock = match key.content {
            Content::String { .. } => Lock::of(name, asks.of_string(key.string()?)?),
            Content::Hash { size, fields } if asks.token.is_none() => {
                let holders = fields.iter().map(|(field, _)| Holder::with_token(field)).collect();
                Lock::shared(name, holders, *size, Sharing::Permits)
            }
            Content::Hash { fields, .. } => {
                let value = |wanted: &Option<String>| {
                    let wanted = wanted.as_deref()?.as_bytes();
                    fields.iter().find(|(field, _)| field == wanted)?.1.clone()
                };
                let owner = value(&asks.owner).and_then(|owner| String::from_utf8(owner).ok());
                Lock::of(name, owned(&value(&asks.token)?, owner.as_deref()))
            }
            Content::Sorted { size, members } if !members.is_empty() => {
                let holders =
                    members.iter().map(|(member, _)| Holder::with_token(member)).collect();
                Lock::shared(name, holders, *size, Sharing::Permits)
            }
            _ => return None,
        };
        Some(lock.into())
    }
}

impl Declaration {
    fn of_string(&self, value: &[u8]) -> Option<Holder> {
        if self.token.is_none() && self.owner.is_none() {
            return Some(Holder::with_token(value));
        }
        let object: Value = serde_json::from_slice(value).ok()?;
        let member = |path: &Option<String>| {
            let mut parts = path.as_deref()?.split('.');
            match parts.try_fold(&object, |inner, name| inner.get(name))? {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            }
        };
        let token = match &self.token {
            Some(_) => member(&self.token)?.into_bytes(),
            None => value.to_vec(),
        };
        Some(owned(&token, member(&self.owner).as_deref()))
    }
}

/// A holder with this token and an owner `hostname:pid`.
fn owned(token: &[u8], owner: Option<&str>) -> Holder {
    let (host, process) = owner.and_then(|owner| owner.rsplit_once(':')).unzip();
    Holder {
        host: host.map(str::to_owned),
        process: process.map(str::to_owned),
        ..Holder::with_token(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn holder(declaration: &Declaration, content: &Content) -> Option<Lock> {
        let name = declaration.pattern.as_bytes();
        let key = Key { name, content, ttl_ms: -1, now: Duration::from_secs(1_796_000_000) };
        match of_key(name)?.recognise(&key) {
            Some(Recognised::Lock(lock)) => Some(lock),
            _ => None,
        }
    }

    #[test]
    fn the_token_stands_where_it_is_declared() {
        let text = r#"
            [[format]]
            name = "jobs"
            pattern = "unit:jobs"
            token = "lease.id"
            owner = "process"
            [[format]]
            name = "plain"
            pattern = "unit:plain"
        "#;
        let [jobs, plain] = declarations(text).unwrap().try_into().unwrap();
        for it in [&jobs, &plain] {
            declare(it.clone());
        }
        let string = |text: &str| Content::String { length: text.len() as u64, start: text.into() };
        let json = string(r#"{"lease":{"id":17},"process":"web1:4711"}"#);
        let seen = holder(&jobs, &json).unwrap();
        assert_eq!((seen.format, seen.holders[0].token.as_deref()), ("jobs", Some(&b"17"[..])));
        assert_eq!(seen.holders[0].process.as_deref(), Some("4711"));
        assert_eq!(holder(&jobs, &string("no JSON")), None);
        assert_eq!(
            holder(&plain, &string("x")).unwrap().holders[0].token.as_deref(),
            Some(&b"x"[..])
        );
        let fields = vec![(b"lease.id".to_vec(), Some(b"t".to_vec())), (b"n".to_vec(), None)];
        let hash = Content::Hash { size: 2, fields };
        assert_eq!(holder(&jobs, &hash).unwrap().held_by, 1);
        assert_eq!(holder(&plain, &hash).unwrap().held_by, 2);
        for (wrong, words) in [
            ("[[format]]\nname = 'x'", "missing field `pattern`"),
            ("[[format]]\nname = ''\npattern = 'x'", "needs a name and a pattern"),
            ("[[format]]\nname = 'x'\npattern = 'x'\ntype = 'y'", "unknown field"),
            ("format = 1", "invalid type"),
        ] {
            let error = declarations(wrong).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
