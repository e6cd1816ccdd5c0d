//! The functions of the table `redis`, which scripts call.

use std::ffi::{CStr, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

use mlua::ffi::{self, lua_CFunction, lua_State};

use super::interpreter::{PER_COMMAND, ScriptRun, running, spend};
use super::{Sha, values};
use crate::commands;
use crate::error::Error;
use crate::resp::Request;

/// All functions by name.
pub(super) const FUNCTIONS: [(&CStr, lua_CFunction); 11] = [
    (c"call", call),
    (c"pcall", pcall),
    (c"error_reply", error_reply),
    (c"status_reply", status_reply),
    (c"sha1hex", sha1hex),
    (c"log", log),
    (c"setresp", setresp),
    (c"replicate_commands", replicate_commands),
    (c"set_repl", set_repl),
    (c"breakpoint", breakpoint),
    (c"debug", debug),
];

unsafe extern "C-unwind" fn call(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its state; the frame owns nothing.
    unsafe { if command(state) { ffi::lua_error(state) } else { 1 } }
}

unsafe extern "C-unwind" fn pcall(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its state; the frame owns nothing.
    unsafe { command(state) };
    1
}

/// Runs a command and pushes what it answered; returns whether that is an error.
unsafe fn command(state: *mut lua_State) -> bool {
    // SAFETY: what is owned is owned within `execute`, where nothing raises; the answer stays in the
    // `ScriptRun`, which Lua does not jump over.
    unsafe {
        spend(state, PER_COMMAND);
        let run = running(state);
        execute(state, &mut *run);
        match &(*run).answer {
            Ok(value) => {
                values::push_reply(state, value, (*run).call.session.resp3);
                false
            }
            Err(line) => {
                values::push_table(state, c"err", line.as_bytes());
                values::push_bytes(state, b"ignore_error_stats_update");
                ffi::lua_pushboolean(state, 1);
                ffi::lua_rawset(state, -3);
                true
            }
        }
    }
}

/// Runs the command whose words are on the stack. Raises nothing.
unsafe fn execute(state: *mut lua_State, run: &mut ScriptRun<'_>) {
    // SAFETY: reads the stack; the words live as long as they are on it.
    let answer = catch_unwind(AssertUnwindSafe(|| unsafe { answer(state, run) }));
    run.answer = answer.unwrap_or_else(|panic| {
        run.panic = Some(panic);
        Err("ERR internal error".into())
    });
}

unsafe fn answer(state: *mut lua_State, run: &mut ScriptRun<'_>) -> Result<redis::Value, String> {
    let refused = |why: &str| Err(format!("ERR {why}"));
    // SAFETY: reads the stack.
    let words = unsafe { ffi::lua_gettop(state) };
    if words == 0 {
        return refused("Please specify at least one argument for this redis lib call");
    }
    run.scratch.clear();
    for index in 1..=words {
        // SAFETY: as above.
        unsafe {
            if ffi::lua_type(state, index) == ffi::LUA_TNUMBER {
                let text = values::number(ffi::lua_tonumber(state, index), 17);
                run.scratch.extend_from_slice(text.as_bytes());
                run.scratch.push(b' ');
            }
        }
    }
    let mut numbers = run.scratch.split(|&byte| byte == b' ');
    let mut request = Request::new();
    for index in 1..=words {
        // SAFETY: as above.
        let word = unsafe {
            if ffi::lua_type(state, index) == ffi::LUA_TNUMBER {
                numbers.next()
            } else {
                values::bytes(state, index)
            }
        };
        let Some(word) = word else {
            return refused("Lua redis lib command arguments must be strings or integers");
        };
        request.push(word);
    }
    let (command, args) = match commands::find(request.argv()) {
        Ok(found) => found,
        Err(Error::Arity(_)) => {
            return refused("Wrong number of args calling Redis command from script");
        }
        Err(_) => return refused("Unknown Redis command called from script"),
    };
    if !command.scriptable {
        return refused("This Redis command is not allowed from script");
    }
    if command.writes && run.read_only {
        return refused("Write commands are not allowed from read-only scripts.");
    }
    (command.run)(&mut run.call, args).map_err(|error| error.to_string())
}

/// Raises an error as Redis' own functions do: a table, so that no place is put before the text.
unsafe fn raise(state: *mut lua_State, line: &CStr) -> c_int {
    // SAFETY: owns nothing.
    unsafe {
        values::push_table(state, c"err", line.to_bytes());
        ffi::lua_error(state)
    }
}

const BAD_ARGUMENTS: &[u8] = b"ERR wrong number or type of arguments";

unsafe extern "C-unwind" fn error_reply(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its state; the frame owns nothing, the text is Lua's.
    unsafe {
        let Some(text) = single(state) else {
            values::push_table(state, c"err", BAD_ARGUMENTS);
            return 1;
        };
        let text = text.strip_prefix(b"-").unwrap_or(text).trim_ascii_end();
        ffi::lua_createtable(state, 0, 1);
        values::push_bytes(state, b"err");
        // The first word is the error's code, if there are two.
        values::push_bytes(state, if text.contains(&b' ') { b"" } else { b"ERR " });
        values::push_bytes(state, text);
        ffi::lua_concat(state, 2);
        ffi::lua_rawset(state, -3);
        1
    }
}

unsafe extern "C-unwind" fn status_reply(state: *mut lua_State) -> c_int {
    // SAFETY: as above.
    unsafe {
        match single(state) {
            Some(text) => values::push_table(state, c"ok", text),
            None => values::push_table(state, c"err", BAD_ARGUMENTS),
        }
    }
    1
}

/// The only argument, if it is a string.
unsafe fn single<'a>(state: *mut lua_State) -> Option<&'a [u8]> {
    // SAFETY: reads the stack.
    unsafe { if ffi::lua_gettop(state) == 1 { values::bytes(state, 1) } else { None } }
}

unsafe extern "C-unwind" fn sha1hex(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its state; the frame owns nothing but bytes in an array.
    unsafe {
        if ffi::lua_gettop(state) != 1 {
            return raise(state, c"ERR wrong number of arguments");
        }
        // A number becomes a string.
        ffi::lua_tolstring(state, 1, std::ptr::null_mut());
        let Sha(sha) = Sha::of(values::bytes(state, 1).unwrap_or_default());
        let mut hex = [0; Sha::DIGITS];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(sha) {
            for (digit, half) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
                *digit = if half < 10 { b'0' + half } else { b'a' + half - 10 };
            }
        }
        values::push_bytes(state, &hex);
    }
    1
}

/// There is no log; what would be an error is one.
unsafe extern "C-unwind" fn log(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its state; the frame owns nothing.
    unsafe {
        if ffi::lua_gettop(state) < 2 {
            return raise(state, c"ERR redis.log() requires two arguments or more.");
        }
        if ffi::lua_isnumber(state, 1) == 0 {
            return raise(state, c"ERR First argument must be a number (log level).");
        }
        // Cut to a whole number first, as Redis does.
        if !(0.0..=3.0).contains(&ffi::lua_tonumber(state, 1).trunc()) {
            return raise(state, c"ERR Invalid debug level.");
        }
    }
    0
}

unsafe extern "C-unwind" fn setresp(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its state, while a script runs; the frame owns nothing.
    unsafe {
        if ffi::lua_gettop(state) != 1 {
            return raise(state, c"ERR redis.setresp() requires one argument.");
        }
        let version = ffi::lua_tonumber(state, 1).trunc();
        if version != 2.0 && version != 3.0 {
            return raise(state, c"ERR RESP version must be 2 or 3.");
        }
        (*running(state)).call.session.resp3 = version > 2.5;
    }
    0
}

/// What old scripts ask for, and newer servers always do.
unsafe extern "C-unwind" fn replicate_commands(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its state.
    unsafe { ffi::lua_pushboolean(state, 1) };
    1
}

/// There are no replicas.
unsafe extern "C-unwind" fn set_repl(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its state; the frame owns nothing.
    unsafe {
        if ffi::lua_gettop(state) != 1 {
            return raise(state, c"ERR redis.set_repl() requires two arguments.");
        }
        if !(0.0..=3.0).contains(&ffi::lua_tonumber(state, 1).trunc()) {
            return raise(
                state,
                c"ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.",
            );
        }
    }
    0
}

/// No debugger is attached here, and then Redis says so too.
unsafe extern "C-unwind" fn breakpoint(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its state.
    unsafe { ffi::lua_pushboolean(state, 0) };
    1
}

unsafe extern "C-unwind" fn debug(_: *mut lua_State) -> c_int {
    0
}
