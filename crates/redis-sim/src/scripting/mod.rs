//! Scripts in Lua 5.1, the dialect that Redis runs: which are loaded, and how one is run.
//!
//! `lua` runs them. Without the feature `scripts`, `no_lua` stands in for it, and every script fails. `watch` is the script that runs, as other
//! threads see it.
//!
//! A script runs while the server is locked and time stands still. An engine has one Lua state, made
//! by its first script.
//!
//! Where it differs from Redis:
//! - A script ends with an error after `lua::INSTRUCTIONS` steps (a command counts as
//!   `lua::PER_COMMAND`, and a pattern match as the steps that it takes), after 10 seconds, or when
//!   it takes more than `lua::MEMORY`; Redis goes on until a client sends SCRIPT KILL.
//! - A pattern in which more than 10,000 items wait for the rest to match is an error, and `string.gsub`
//!   refuses a capture that is not closed also where the replacement does not use it.
//! - `bit`, `struct`, `cmsgpack`, `cjson.new` and the settings of `cjson` are not there, nor are
//!   `redis.acl_check_cmd` and SCRIPT DEBUG and HELP. Compiled Lua code is not loaded.
//! - `getmetatable(_G)` is nil.

#[cfg(feature = "scripts")]
mod lua;
#[cfg(not(feature = "scripts"))]
#[path = "no_lua.rs"]
mod lua;
#[cfg_attr(not(feature = "scripts"), expect(dead_code, reason = "no script ever begins"))]
mod watch;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use redis::Value;

use super::error::{Error, quoted};
use super::session::Call;
use lua::{Function, Interpreter};

pub(super) use watch::Watch;

/// The SHA1 of a script's text, which is its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Sha([u8; 20]);

impl Sha {
    /// How many hexadecimal digits one has.
    pub(super) const DIGITS: usize = 40;

    fn of(text: &[u8]) -> Self {
        Self(sha1_smol::Sha1::from(text).digest().bytes())
    }

    /// Reads the digits, in either case.
    pub(super) fn parse(digits: &[u8]) -> Option<Self> {
        let (pairs, []) = digits.as_chunks::<2>() else { return None };
        let mut sha = [0; 20];
        if pairs.len() != sha.len() {
            return None;
        }
        for (byte, [high, low]) in sha.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(sha))
    }
}

fn digit(letter: u8) -> Option<u8> {
    char::from(letter).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a script may do to keys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Any,
    ReadOnly,
}

/// A script that was compiled.
#[derive(Clone, Copy)]
struct Script {
    function: Function,
    /// What its first line allows, if that is a shebang.
    declared: Option<Access>,
}

/// The scripts of a server.
#[derive(Default)]
pub(super) struct Scripts {
    loaded: BTreeMap<Sha, Script>,
    /// No longer loaded, but [`restore`](Scripts::restore) may load them again.
    put_aside: BTreeMap<Sha, Script>,
    /// Whether the list of loaded scripts was saved.
    saved: bool,
    /// What other threads see of the script that runs.
    pub(super) watch: Arc<Watch>,
    /// Made by the first script: most servers never see one.
    interpreter: Option<Interpreter>,
}

impl fmt::Debug for Scripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.loaded.keys()).finish()
    }
}

impl Scripts {
    /// Loads a script, and compiles it unless that was done before.
    pub(super) fn load(&mut self, body: &[u8]) -> Result<Sha, Error> {
        let sha = Sha::of(body);
        if !self.knows(sha) {
            let script = match self.put_aside.remove(&sha) {
                Some(script) => script,
                None => self.compile(body)?,
            };
            self.loaded.insert(sha, script);
        }
        Ok(sha)
    }

    /// Forgets all scripts, and gives back what they took unless they may be loaded again.
    pub(super) fn forget(&mut self) {
        if self.saved {
            self.put_aside.append(&mut self.loaded);
        } else {
            *self = Self { watch: Arc::clone(&self.watch), ..Self::default() };
        }
    }

    /// Which scripts are loaded, in order. From now on, none is ever compiled a second time.
    pub(super) fn save(&mut self) -> Vec<Sha> {
        self.saved = true;
        self.loaded.keys().copied().collect()
    }

    /// Makes exactly these scripts the loaded ones.
    pub(super) fn restore(&mut self, saved: &[Sha]) {
        if self.loaded.keys().eq(saved) {
            return;
        }
        self.put_aside.append(&mut self.loaded);
        let found = saved.iter().filter_map(|sha| self.put_aside.remove_entry(sha));
        self.loaded = found.collect();
    }

    pub(super) fn knows(&self, sha: Sha) -> bool {
        self.loaded.contains_key(&sha)
    }

    fn compile(&mut self, body: &[u8]) -> Result<Script, Error> {
        let (declared, code) = shebang(body)?;
        let function = self.interpreter()?.compile(code)?;
        Ok(Script { function, declared })
    }

    fn interpreter(&mut self) -> Result<&mut Interpreter, Error> {
        if self.interpreter.is_none() {
            self.interpreter = Some(Interpreter::new()?);
        }
        self.interpreter.as_mut().ok_or(Error::NoScript)
    }
}

/// Runs a loaded script.
pub(super) fn run(
    call: &mut Call<'_>,
    sha: Sha,
    keys: &[&[u8]],
    argv: &[&[u8]],
    access: Access,
) -> Result<Value, Error> {
    let script = *call.scripts.loaded.get(&sha).ok_or(Error::NoScript)?;
    if access == Access::ReadOnly && script.declared == Some(Access::Any) {
        return Err(Error::ShebangWrites);
    }
    let read_only = access == Access::ReadOnly || script.declared == Some(Access::ReadOnly);
    let interpreter = call.scripts.interpreter.as_mut().ok_or(Error::NoScript)?;
    let (keyspace, pubsub) = (&mut *call.keyspace, &mut *call.pubsub);
    // No command can be called from a script that would need scripts.
    let watch = Arc::clone(&call.scripts.watch);
    let scripts = &mut Scripts { watch, ..Scripts::default() };
    let mut call = Call { keyspace, scripts, pubsub, session: &mut *call.session, now: call.now };
    interpreter.run((script.function, sha), keys, argv, &mut call, read_only)
}

/// What the first line of a script says if it begins with `#!`, and what is to be compiled: the line's
/// end stays, so that errors name the right line.
fn shebang(body: &[u8]) -> Result<(Option<Access>, &[u8]), Error> {
    if !body.starts_with(b"#!") {
        return Ok((None, body));
    }
    let end = body.iter().position(|&byte| byte == b'\n').ok_or(Error::Shebang)?;
    let (line, code) = body.split_at_checked(end).ok_or(Error::Shebang)?;
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let shown = |word: &[u8]| quoted(word, usize::MAX);
    match words.next() {
        Some(b"#!lua") => {}
        engine => return Err(Error::ShebangEngine(shown(engine.unwrap_or_default()))),
    }
    let mut access = Access::Any;
    for word in words {
        let flags =
            word.strip_prefix(b"flags=").ok_or_else(|| Error::ShebangOption(shown(word)))?;
        for flag in flags.split(|&byte| byte == b',').filter(|flag| !flag.is_empty()) {
            match flag {
                b"no-writes" => access = Access::ReadOnly,
                b"allow-oom" | b"allow-stale" | b"no-cluster" | b"allow-cross-slot-keys" => {}
                _ => return Err(Error::ShebangFlag(shown(flag))),
            }
        }
    }
    Ok((Some(access), code))
}
