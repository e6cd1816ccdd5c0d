//! The Lua state: compiles scripts, calls them within bounds, and words what went wrong.

use std::any::Any;
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic;
use std::ptr;

use corosensei::on_stack;
use corosensei::stack::DefaultStack;
use mlua::ffi::{self, lua_State};
use mlua::{Lua, LuaOptions, StdLib};

use super::{Sha, sandbox, values};
use crate::error::Error;
use crate::session::Call;

/// How many steps a script may take: some tenths of a second.
pub(super) const INSTRUCTIONS: i64 = 20_000_000;

/// How many steps a command counts for.
pub(super) const PER_COMMAND: i64 = 100;

/// How many steps are taken between two counts of them.
const TICK: c_int = 10_000;

/// How many bytes the scripts of a server may hold.
pub(super) const MEMORY: usize = 64 * 1024 * 1024;

/// Lua recurses on the stack of its caller, and a caller may be a coroutine with little of it. Of this
/// one, only what was ever used takes memory.
const STACK: usize = 16 * 1024 * 1024;

/// Where a state's [`Slot`] is in Lua's registry: the address counts.
static SLOT: u8 = 0;

/// A compiled script, as a place in Lua's registry.
#[derive(Clone, Copy)]
pub(super) struct Function(c_int);

/// What the functions that scripts call have to know; the Lua state has its address.
pub(super) struct Slot {
    /// The script that runs, if one does. Its lifetimes are those of [`Interpreter::run`]'s call.
    run: Cell<*mut ScriptRun<'static>>,
    /// How many steps are left.
    steps: Cell<i64>,
    /// The state of `math.random`, which is reset with each script.
    pub(super) seed: Cell<u64>,
}

// SAFETY: the pointer is null unless a script runs, and then only the thread that runs it gets here.
unsafe impl Send for Slot {}

/// A script while it runs.
pub(super) struct ScriptRun<'a> {
    pub(super) call: Call<'a>,
    pub(super) read_only: bool,
    client_resp3: bool,
    sha: Sha,
    /// What the last command of the script answered: kept here because Lua may jump over the frame
    /// that hands it on.
    pub(super) answer: Result<::redis::Value, String>,
    /// Numbers among the arguments of a command, as text.
    pub(super) scratch: Vec<u8>,
    /// A panic on its way to the caller of the script: it must not pass through C.
    pub(super) panic: Option<Box<dyn Any + Send>>,
}

impl<'a> ScriptRun<'a> {
    pub(super) fn new(call: Call<'a>, read_only: bool, client_resp3: bool, sha: Sha) -> Self {
        Self {
            call,
            read_only,
            client_resp3,
            sha,
            answer: Ok(::redis::Value::Nil),
            scratch: Vec::new(),
            panic: None,
        }
    }
}

/// One Lua state and all that belongs to it.
pub(super) struct Interpreter {
    lua: Lua,
    slot: Box<Slot>,
    stack: DefaultStack,
    /// The real globals, of which scripts see a mirror, and the message handler, in the registry.
    globals: c_int,
    explain: c_int,
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
        let stack = DefaultStack::new(STACK)
            .map_err(|why| Error::Script(format!("ERR Error running script: no stack: {why}")))?;
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH;
        let lua = Lua::new_with(libraries, LuaOptions::default()).map_err(|e| failed(&e))?;
        let (run, steps, seed) = (Cell::new(ptr::null_mut()), Cell::new(0), Cell::new(0));
        let slot = Box::new(Slot { run, steps, seed });
        let address: *const Slot = &raw const *slot;
        let (mut globals, mut explained) = (0, 0);
        // SAFETY: the closure owns nothing; the slot lives as long as the state, in a box that stays.
        unsafe {
            lua.exec_raw::<()>((), |state| {
                ffi::lua_pushlightuserdata(state, (&raw const SLOT).cast_mut().cast());
                ffi::lua_pushlightuserdata(state, address.cast_mut().cast());
                ffi::lua_rawset(state, ffi::LUA_REGISTRYINDEX);
                ffi::lua_pushcclosure(state, explain, 0);
                explained = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
                sandbox::build(state);
                globals = ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX);
            })
        }
        .map_err(|e| failed(&e))?;
        Ok(Self { lua, slot, stack, globals, explain: explained })
    }

    /// Compiles a script.
    pub(super) fn compile(&mut self, code: &[u8]) -> Result<Function, Error> {
        let mut outcome = Err(None);
        let lua = &self.lua;
        let compiled = on_stack(&mut self.stack, || {
            // SAFETY: the closure owns nothing, and nothing can raise once `outcome` holds a string.
            unsafe {
                lua.exec_raw::<()>((), |state| {
                    if load(state, code, c"@user_script") {
                        outcome = Ok(ffi::luaL_ref(state, ffi::LUA_REGISTRYINDEX));
                    } else {
                        outcome = Err(values::text(state, -1));
                    }
                })
            }
        });
        compiled.map_err(|e| failed(&e))?;
        outcome.map(Function).map_err(|why| Error::Compile(why.unwrap_or_default()))
    }

    /// Runs a script to its end.
    pub(super) fn run(
        &mut self,
        Function(function): Function,
        keys: &[&[u8]],
        argv: &[&[u8]],
        run: &mut ScriptRun<'_>,
    ) -> Result<::redis::Value, Error> {
        let (globals, explain, sha) = (self.globals, self.explain, run.sha);
        let (client_resp3, run) = (run.client_resp3, ptr::from_mut(run));
        let mut outcome = Err(String::new());
        self.slot.run.set(run.cast());
        self.slot.steps.set(INSTRUCTIONS);
        self.slot.seed.set(sandbox::FIRST_SEED);
        let lua = &self.lua;
        let ran = on_stack(&mut self.stack, || {
            // SAFETY: the closure owns nothing, and when `outcome` is written nothing can raise,
            // because what it takes then is not limited.
            unsafe {
                lua.exec_raw::<()>((), |state| {
                    ffi::lua_sethook(state, Some(tick), ffi::LUA_MASKCOUNT, TICK);
                    ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, globals);
                    push_list(state, c"KEYS", keys);
                    push_list(state, c"ARGV", argv);
                    ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, explain);
                    ffi::lua_rawgeti_(state, ffi::LUA_REGISTRYINDEX, function);
                    let _ = lua.set_memory_limit(MEMORY);
                    let ended = ffi::lua_pcall(state, 0, 1, -2);
                    let _ = lua.set_memory_limit(0);
                    if ended == ffi::LUA_OK {
                        let script_resp3 = (*run).call.session.resp3;
                        outcome = Ok(values::to_reply(state, client_resp3, script_resp3));
                    } else {
                        outcome = Err(failure(state, &sha));
                    }
                })
            }
        });
        self.slot.run.set(ptr::null_mut());
        // SAFETY: `run` is the caller's reference, which is not used otherwise in here.
        if let Some(panic) = unsafe { (*run).panic.take() } {
            panic::resume_unwind(panic);
        }
        ran.map_err(|e| failed(&e))?;
        if outcome.is_err() && self.slot.steps.get() < 0 {
            return Err(Error::Script("ERR Error running script: too many instructions".into()));
        }
        outcome.map_err(Error::Script)
    }
}

/// Compiles code, and leaves the function on the stack, or a message about what is wrong with it.
pub(super) unsafe fn load(state: *mut lua_State, code: &[u8], name: &CStr) -> bool {
    // SAFETY: the caller's state; `code` and `name` outlive the call, which copies what it needs.
    unsafe {
        if code.first() == ffi::LUA_SIGNATURE.first() {
            // Lua trusts compiled code with its memory, and with ours.
            values::push_bytes(state, b"compiled code is not allowed");
            return false;
        }
        ffi::luaL_loadbuffer(state, code.as_ptr().cast(), code.len(), name.as_ptr()) == ffi::LUA_OK
    }
}

/// Sets a field of the table on the stack to a list of strings.
unsafe fn push_list(state: *mut lua_State, name: &CStr, list: &[&[u8]]) {
    // SAFETY: needs three places of the stack, of which Lua keeps twenty for a C function.
    unsafe {
        values::push_bytes(state, name.to_bytes());
        ffi::lua_createtable(state, c_int::try_from(list.len()).unwrap_or(0), 0);
        for (item, index) in list.iter().zip(1..) {
            values::push_bytes(state, item);
            ffi::lua_rawseti_(state, -2, index);
        }
        ffi::lua_rawset(state, -3);
    }
}

/// The slot of a state.
pub(super) unsafe fn slot<'a>(state: *mut lua_State) -> &'a Slot {
    // SAFETY: `Interpreter::new` put its address there, and a box that lives as long as the state.
    unsafe {
        ffi::lua_pushlightuserdata(state, (&raw const SLOT).cast_mut().cast());
        ffi::lua_rawget_(state, ffi::LUA_REGISTRYINDEX);
        let slot: *mut c_void = ffi::lua_touserdata(state, -1);
        ffi::lua_settop(state, -2);
        &*slot.cast::<Slot>()
    }
}

/// The script that runs: Lua calls nothing of ours when none does.
pub(super) unsafe fn running<'a>(state: *mut lua_State) -> *mut ScriptRun<'a> {
    // SAFETY: as the caller promises to hold on to it for no longer than the call of a function.
    unsafe { slot(state).run.get().cast() }
}

/// Counts steps, and ends the script if there were too many.
pub(super) unsafe fn spend(state: *mut lua_State, steps: i64) {
    // SAFETY: the caller's state.
    unsafe {
        let left = &slot(state).steps;
        left.set(left.get() - steps);
        if left.get() < 0 {
            // From now on at every step, so that a script that catches this one gets no further.
            ffi::lua_sethook(state, Some(tick), ffi::LUA_MASKCOUNT, 1);
            ffi::luaL_error(state, c"too many instructions".as_ptr());
        }
    }
}

/// Whether the script that runs is being ended.
pub(super) unsafe fn out_of_steps(state: *mut lua_State) -> bool {
    // SAFETY: the caller's state.
    unsafe { slot(state) }.steps.get() < 0
}

unsafe extern "C-unwind" fn tick(state: *mut lua_State, _: *mut ffi::lua_Debug) {
    // SAFETY: Lua calls this with its state.
    unsafe { spend(state, i64::from(TICK)) }
}

/// Lua's message handler: makes of any error a table with the message, and where it was raised.
unsafe extern "C-unwind" fn explain(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with the error as the only value on the stack; `place` is filled in by
    // `lua_getstack` before it is read.
    unsafe {
        if ffi::lua_type(state, 1) != ffi::LUA_TTABLE {
            ffi::lua_createtable(state, 0, 3);
            values::push_bytes(state, b"err");
            values::push_bytes(state, b"ERR ");
            ffi::luaL_tolstring(state, 1, ptr::null_mut());
            ffi::lua_concat(state, 2);
            ffi::lua_rawset(state, -3);
            ffi::lua_replace(state, 1);
        }
        let mut place: ffi::lua_Debug = std::mem::zeroed();
        // A function of C, like `error`, has no place of its own: its caller has.
        let found = describe(state, 1, &mut place)
            && (!CStr::from_ptr(place.what).to_bytes().eq(b"C") || describe(state, 2, &mut place));
        if found && !sandbox::is_mirror(state, 1) {
            values::push_bytes(state, b"source");
            values::push_bytes(state, CStr::from_ptr(place.source).to_bytes());
            ffi::lua_rawset(state, 1);
            values::push_bytes(state, b"line");
            ffi::lua_pushnumber(state, f64::from(place.currentline));
            ffi::lua_rawset(state, 1);
        }
        1
    }
}

unsafe fn describe(state: *mut lua_State, level: c_int, place: &mut ffi::lua_Debug) -> bool {
    let what: *const c_char = c"Sl".as_ptr();
    // SAFETY: `lua_getstack` fills in what `lua_getinfo` needs.
    unsafe {
        ffi::lua_getstack(state, level, place) != 0 && ffi::lua_getinfo(state, what, place) != 0
    }
}

/// The error line for what [`explain`] left on the stack. Raises nothing.
unsafe fn failure(state: *mut lua_State, sha: &Sha) -> String {
    // SAFETY: reads a value that is on the stack; what it pushes are strings that exist.
    unsafe {
        if ffi::lua_type(state, -1) != ffi::LUA_TTABLE {
            let why = values::text(state, -1).unwrap_or_else(|| "execution failure".into());
            return format!("ERR Error running script: {why}");
        }
        let message = values::field(state, c"err").unwrap_or_else(|| "ERR unknown error".into());
        match (values::field(state, c"source"), values::field(state, c"line")) {
            (Some(source), Some(line)) => format!("{message} script: {sha}, on {source}:{line}."),
            _ => message,
        }
    }
}
