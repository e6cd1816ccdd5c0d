//! The one function that talks to Lua's C interface.
//!
//! What a function of mlua raises reaches a script as a userdata, but a script has to get the text or
//! the table that Redis raises, with its own place before a text. Only a function of C that the script
//! calls itself can do that: a function of Lua loses the place of a caller that ends with
//! `return redis.call(...)`, because Lua drops that caller's frame.

use std::ffi::c_int;
use std::ptr;

use mlua::ffi::{self, lua_State};
use mlua::{Function, Lua, Value};

/// Says that what comes next is the text of an error, to be raised behind the place of the caller.
pub(super) const HERE: Value = Value::Integer(0);

/// Says that what comes next is to be raised as it is.
pub(super) const RAISE: Value = Value::Boolean(true);

const CHECK: c_int = ffi::lua_upvalueindex(1);
const WRAPPED: c_int = ffi::lua_upvalueindex(2);
const AFTER: c_int = ffi::lua_upvalueindex(3);

/// Makes a function of C that scripts can call. `check` looks at the arguments first:
///
/// - A function gets them and returns nil and the arguments to go on with; or false and the results; or
///   [`HERE`] or [`RAISE`]; or the number of an argument and what is wrong with it.
/// - A table has what stands in for the first argument, or a text to raise.
///
/// `wrapped`, a function of Lua's library, goes on with the arguments in the same frame; without it,
/// they are the results. `after` makes the results of what `wrapped` gave.
pub(super) fn guard(
    lua: &Lua,
    (check, wrapped, after): (Value, Value, Value),
) -> mlua::Result<Function> {
    // SAFETY: the closure owns nothing; the three values are on the stack, and become the upvalues that
    // `guarded` expects.
    unsafe {
        lua.exec_raw((check, wrapped, after), |state| {
            if !ffi::lua_getupvalue(state, 2, 1).is_null() {
                ffi::luaL_error(state, c"a function with upvalues can't be wrapped".as_ptr());
            }
            ffi::lua_pushcclosure(state, guarded, 3);
        })
    }
}

unsafe extern "C-unwind" fn guarded(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its state and at least twenty free places. The frame owns nothing, so
    // an error may jump over it. What is wrapped has no upvalues, so it does not miss them here.
    unsafe {
        if ffi::lua_type(state, CHECK) == ffi::LUA_TTABLE {
            ffi::lua_pushvalue(state, 1);
            ffi::lua_rawget_(state, CHECK);
            match ffi::lua_type(state, -1) {
                ffi::LUA_TNIL => ffi::lua_settop(state, -2),
                ffi::LUA_TSTRING => ffi::lua_error(state),
                _ => ffi::lua_replace(state, 1),
            }
        } else {
            ffi::lua_pushvalue(state, CHECK);
            ffi::lua_insert(state, 1);
            ffi::lua_call(state, ffi::lua_gettop(state) - 1, ffi::LUA_MULTRET);
            match ffi::lua_type(state, 1) {
                ffi::LUA_TNONE => {}
                ffi::LUA_TNIL => ffi::lua_remove(state, 1),
                ffi::LUA_TNUMBER => return refuse(state),
                _ if ffi::lua_toboolean(state, 1) != 0 => ffi::lua_error(state),
                _ => return ffi::lua_gettop(state) - 1,
            }
        }
        let Some(wrapped) = ffi::lua_tocfunction(state, WRAPPED) else {
            return ffi::lua_gettop(state);
        };
        let results = wrapped(state);
        if ffi::lua_type(state, AFTER) == ffi::LUA_TNIL {
            return results;
        }
        let others = ffi::lua_gettop(state) - results;
        ffi::luaL_checkstack(state, 1, c"too many results".as_ptr());
        ffi::lua_pushvalue(state, AFTER);
        ffi::lua_insert(state, others + 1);
        ffi::lua_call(state, results, ffi::LUA_MULTRET);
        ffi::lua_gettop(state) - others
    }
}

/// Raises the text on top, about the argument whose number is below it.
unsafe fn refuse(state: *mut lua_State) -> c_int {
    // SAFETY: as in `guarded`; the text is on the stack while Lua reads it.
    unsafe {
        let argument = ffi::lua_tointeger(state, 1);
        if argument > 0 {
            let why = ffi::lua_tolstring(state, 2, ptr::null_mut());
            return ffi::luaL_argerror(state, c_int::try_from(argument).unwrap_or(1), why);
        }
        ffi::luaL_where(state, 1);
        ffi::lua_insert(state, -2);
        ffi::lua_concat(state, 2);
        ffi::lua_error(state)
    }
}
