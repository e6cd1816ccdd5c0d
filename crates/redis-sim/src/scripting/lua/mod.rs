//! The Lua state: compiles scripts, calls them within bounds, and words what went wrong.
//!
//! | file | what it is for |
//! |---|---|
//! | `sandbox.lua`, `sandbox.rs` | what a script finds: no files, no clock, nothing that it can change |
//! | `guard.rs` | the functions that a script calls: how they fail |
//! | `pattern.rs`, `strings.rs` | Lua's patterns, within bounds |
//! | `redis.rs` | commands that a script calls |
//! | `json.rs` | the table `cjson` |
//! | `values.rs` | values of Lua and of Redis, each made from the other |

mod guard;
mod json;
mod pattern;
mod redis;
mod sandbox;
mod strings;
#[cfg(test)]
mod tests;
mod values;

use std::any::Any;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use corosensei::on_stack;
use corosensei::stack::DefaultStack;
use mlua::{
    AppDataRefMut, HookTriggers, Lua, LuaOptions, LuaString, StdLib, Table, Value, VmState,
};

use super::watch::LONGEST;
use super::{Sha, Watch};
use crate::clock::{Clock, Stopped, WallClock};
use crate::error::Error;
use crate::keyspace::Keyspace;
use crate::pubsub::PubSub;
use crate::session::{Call, Session};

/// How many steps a script may take: some tenths of a second.
pub(super) const INSTRUCTIONS: i64 = 20_000_000;

/// How many steps a command counts for.
pub(super) const PER_COMMAND: i64 = 100;

/// After how many steps they are counted, and the time is checked. A step may take as long as copying a text
/// that fills the memory.
const TICK: u32 = 100;

/// How many bytes the scripts of a server may hold.
pub(super) const MEMORY: usize = 64 * 1024 * 1024;

/// Lua recurses on the stack of its caller, and a caller may be a coroutine with little of it. Of this
/// one, only what was ever used takes memory.
const STACK: usize = 16 * 1024 * 1024;

/// A compiled script, as a place in the list of them.
#[derive(Clone, Copy)]
pub(super) struct Function(usize);

/// What the functions that scripts call have to know; the Lua state keeps it. A script has the data of
/// the server to itself while it runs.
#[derive(Default)]
pub(super) struct Running {
    pub(super) keyspace: Keyspace,
    pub(super) pubsub: PubSub,
    pub(super) session: Session,
    pub(super) now: Duration,
    pub(super) read_only: bool,
    /// How many steps are left.
    pub(super) steps: i64,
    /// How long the script has run, and whether it was killed.
    clock: Option<Arc<WallClock>>,
    watch: Arc<Watch>,
    cut: Option<Cut>,
    /// The state of `math.random`, which is reset with each script.
    pub(super) seed: u64,
    /// A panic on its way to the caller of the script, which must not catch it.
    pub(super) panic: Option<Box<dyn Any + Send>>,
}

/// Why a script is ended before its end.
#[derive(Debug, Clone, Copy, thiserror::Error)]
enum Cut {
    #[error("ERR Error running script: too many instructions")]
    Steps,
    #[error("ERR Error running script: it took more than {LONGEST:?}")]
    Time,
    #[error("ERR Script killed by user with SCRIPT KILL.")]
    Killed,
}

impl Running {
    /// Ends the script at the limit.
    fn limit(&mut self) {
        let now = || self.clock.as_ref().and_then(|clock| clock.check().err());
        self.cut = self.cut.or_else(|| match now() {
            _ if self.steps < 0 => Some(Cut::Steps),
            Some(Stopped::TimedOut) => Some(Cut::Time),
            Some(Stopped::CalledOff | Stopped::Interrupted) => Some(Cut::Killed),
            None => None,
        });
    }

    /// A command is called that writes: the script can't be killed any more. Says whether it was before.
    pub(super) fn writes(&self) -> bool {
        self.watch.writes()
    }

    /// Exchanges its data for that of a server.
    fn swap(&mut self, call: &mut Call<'_>) {
        mem::swap(&mut self.keyspace, call.keyspace);
        mem::swap(&mut self.pubsub, call.pubsub);
    }
}

/// One Lua state and all that belongs to it.
pub(super) struct Interpreter {
    lua: Lua,
    stack: DefaultStack,
    /// All scripts that were compiled, in a table because Lua's stack has room for some thousands only.
    scripts: Table,
    /// Runs one of them, given its place, its keys and its arguments.
    run: mlua::Function,
}

/// An error that is none of the script's.
fn failed(error: &mlua::Error) -> Error {
    let why = match error {
        mlua::Error::MemoryError(_) => "not enough memory".to_owned(),
        other => other.to_string(),
    };
    Error::Script(format!("ERR Error running script: {why}"))
}

impl Interpreter {
    pub(super) fn new() -> Result<Self, Error> {
        let mut stack = DefaultStack::new(STACK)
            .map_err(|why| Error::Script(format!("ERR Error running script: no stack: {why}")))?;
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
        let made = on_stack(&mut stack, || {
            let lua = Lua::new_with(libraries, LuaOptions::default())?;
            lua.set_app_data(Running::default());
            let scripts = lua.create_table()?;
            let run = sandbox::build(&lua, &scripts)?;
            Ok((lua, scripts, run))
        });
        let (lua, scripts, run) = made.map_err(|e: mlua::Error| failed(&e))?;
        Ok(Self { lua, stack, scripts, run })
    }

    /// Compiles a script.
    pub(super) fn compile(&mut self, code: &[u8]) -> Result<Function, Error> {
        if code.starts_with(b"\x1b") {
            // Lua trusts compiled code with its memory, and with ours.
            return Err(Error::Compile("compiled code is not allowed".into()));
        }
        let (lua, scripts) = (&self.lua, &self.scripts);
        let compiled = on_stack(&mut self.stack, || {
            let function = lua.load(code).set_name("@user_script").into_function()?;
            scripts.raw_push(function)?;
            Ok(Function(scripts.raw_len()))
        });
        compiled.map_err(|error| match error {
            mlua::Error::SyntaxError { message, .. } => Error::Compile(message),
            other => failed(&other),
        })
    }

    /// Runs a script to its end.
    pub(super) fn run(
        &mut self,
        (script, sha): (Function, Sha),
        keys: &[&[u8]],
        argv: &[&[u8]],
        call: &mut Call<'_>,
        read_only: bool,
    ) -> Result<::redis::Value, Error> {
        let client_resp3 = call.session.resp3;
        let (lua, run) = (&self.lua, &self.run);
        begin(lua, call, read_only).map_err(|e| failed(&e))?;
        let ended = panic::catch_unwind(AssertUnwindSafe(|| {
            on_stack(&mut self.stack, || called(lua, run, (script, sha), keys, argv, client_resp3))
        }));
        let mut ran = running(lua).map_err(|e| failed(&e))?;
        ran.swap(call);
        ran.watch.end();
        let ended = ran.panic.take().map_or(ended, Err).unwrap_or_else(|p| panic::resume_unwind(p));
        if let Some(cut) = ran.cut {
            return Err(Error::Script(cut.to_string()));
        }
        ended.map_err(|e| failed(&e))?
    }
}

/// Lends the server's data to the script.
fn begin(lua: &Lua, call: &mut Call<'_>, read_only: bool) -> mlua::Result<()> {
    let mut running = running(lua)?;
    running.swap(call);
    // What the script selects is selected for it alone.
    running.session = Session::new(call.session.id, call.session.db, "lua".into());
    (running.now, running.read_only) = (call.now, read_only);
    (running.steps, running.seed) = (INSTRUCTIONS, sandbox::FIRST_SEED);
    running.watch = Arc::clone(&call.scripts.watch);
    (running.clock, running.cut) = (Some(running.watch.begin()), None);
    Ok(())
}

fn called(
    lua: &Lua,
    run: &mlua::Function,
    (Function(script), sha): (Function, Sha),
    keys: &[&[u8]],
    argv: &[&[u8]],
    client_resp3: bool,
) -> mlua::Result<Result<::redis::Value, Error>> {
    let list = |words: &[&[u8]]| lua.create_sequence_from(words.iter().map(LuaString::wrap));
    let (keys, argv) = (list(keys)?, list(argv)?);
    count_steps(lua, TICK)?;
    lua.set_memory_limit(MEMORY)?;
    let ended = run.call::<(bool, Value)>((script, keys, argv));
    lua.set_memory_limit(0)?;
    let (succeeded, value) = ended?;
    Ok(if succeeded {
        let script_resp3 = running(lua)?.session.resp3;
        Ok(values::to_reply(&value, client_resp3, script_resp3)?)
    } else {
        Err(Error::Script(failure(&value, sha)))
    })
}

/// The script that runs: Lua calls nothing of ours when none does.
pub(super) fn running(lua: &Lua) -> mlua::Result<AppDataRefMut<'_, Running>> {
    lua.app_data_mut().ok_or_else(|| mlua::Error::runtime("no script runs"))
}

/// Has the steps of the script counted, at every `each`th.
fn count_steps(lua: &Lua, each: u32) -> mlua::Result<()> {
    lua.set_global_hook(HookTriggers::new().every_nth_instruction(each), move |lua, _| {
        spend(lua, &mut *running(lua)?, each.into()).map(|()| VmState::Continue)
    })
}

/// Counts steps, and ends the script if there were too many, or if they took too long.
pub(super) fn spend(lua: &Lua, running: &mut Running, steps: i64) -> mlua::Result<()> {
    running.steps = running.steps.saturating_sub(steps);
    running.limit();
    if running.cut.is_none() {
        return Ok(());
    }
    // From now on at every step, so that a script that catches this one gets no further.
    count_steps(lua, 1)?;
    Err(mlua::Error::runtime("the script is ended"))
}

/// Whether the script that runs is being ended.
pub(super) fn is_cut(lua: &Lua) -> mlua::Result<bool> {
    Ok(running(lua)?.cut.is_some())
}

/// Lifts the limit of memory while `make` makes a value, because what mlua raises when it is reached is
/// not what Lua raises. Gives what [`guard`](guard::guard) takes; the text of an error of `make` is one
/// that the script gets.
pub(super) fn unlimited(
    lua: &Lua,
    make: impl FnOnce() -> mlua::Result<(Value, Value)>,
) -> mlua::Result<(Value, Value)> {
    lua.set_memory_limit(0)?;
    let text = |text: &str| lua.create_string(text).map(Value::String);
    let made = match make() {
        Ok(_) if lua.used_memory() > MEMORY => Ok((guard::RAISE, text("not enough memory")?)),
        Err(mlua::Error::MemoryError(why)) => Ok((guard::RAISE, text(&why)?)),
        Err(mlua::Error::RuntimeError(why)) => Ok((guard::HERE, text(&why)?)),
        made => made,
    };
    lua.set_memory_limit(MEMORY)?;
    made
}

/// The error line for what the script raised, of which `sandbox.lua` made a table if it had the memory.
fn failure(raised: &Value, sha: Sha) -> String {
    let Value::Table(raised) = raised else {
        let why = values::text(raised).unwrap_or_else(|| "execution failure".into());
        return format!("ERR Error running script: {why}");
    };
    let field = |name| raised.raw_get(name).ok().and_then(|value| values::text(&value));
    let message = field("err").unwrap_or_else(|| "ERR unknown error".into());
    match (field("source"), field("line")) {
        (Some(source), Some(line)) => format!("{message} script: {sha}, on {source}:{line}."),
        _ => message,
    }
}
