//! What a script finds as its globals: the functions here, put together by `sandbox.lua`.

use std::ffi::{CStr, c_int};
use std::ptr;

use mlua::ffi::{self, lua_CFunction, lua_State};

use super::interpreter::{load, out_of_steps, slot};
use super::{json, redis, values};

/// The key under which a mirror's metatable has the real table: the address counts.
static REAL: u8 = 0;

/// Where `math.random` begins in every script.
pub(super) const FIRST_SEED: u64 = seed(0);

const FUNCTIONS: [(&CStr, lua_CFunction); 13] = [
    (c"refuse", refuse),
    (c"nonexistent", nonexistent),
    (c"reading", reading),
    (c"writing", writing),
    (c"pairs", pairs),
    (c"getmetatable", getmetatable),
    (c"collectgarbage", collectgarbage),
    (c"pcall", pcall),
    (c"xpcall", xpcall),
    (c"load", load_from),
    (c"loadstring", loadstring),
    (c"random", random),
    (c"randomseed", randomseed),
];

/// Replaces the state's globals by a sandbox, and leaves the real ones on the stack.
pub(super) unsafe fn build(state: *mut lua_State) {
    // SAFETY: the caller's state, in a protected call; the frame owns nothing.
    unsafe {
        if !load(state, include_bytes!("sandbox.lua"), c"@sandbox") {
            ffi::lua_error(state);
        }
        push_functions(state, &FUNCTIONS);
        push_real_key(state);
        ffi::lua_setfield(state, -2, c"real".as_ptr());
        push_functions(state, &json::FUNCTIONS);
        json::push_null(state);
        ffi::lua_setfield(state, -2, c"null".as_ptr());
        ffi::lua_setfield(state, -2, c"cjson".as_ptr());
        push_functions(state, &redis::FUNCTIONS);
        values::push_bytes(state, crate::VERSION.as_bytes());
        ffi::lua_setfield(state, -2, c"REDIS_VERSION".as_ptr());
        ffi::lua_pushnumber(state, version_number());
        ffi::lua_setfield(state, -2, c"REDIS_VERSION_NUM".as_ptr());
        ffi::lua_call(state, 2, 2);
        ffi::lua_insert(state, -2);
        ffi::lua_replace(state, ffi::LUA_GLOBALSINDEX);
    }
}

/// The version as one number, a byte for each part.
fn version_number() -> f64 {
    let parts = crate::VERSION.split('.').filter_map(|part| part.parse::<u32>().ok());
    f64::from(parts.fold(0, |number, part| number << 8 | part))
}

unsafe fn push_functions(state: *mut lua_State, functions: &[(&CStr, lua_CFunction)]) {
    // SAFETY: needs three places.
    unsafe {
        ffi::lua_createtable(state, 0, c_int::try_from(functions.len()).unwrap_or(0));
        for (name, function) in functions {
            ffi::lua_pushcclosure(state, *function, 0);
            ffi::lua_setfield(state, -2, name.as_ptr());
        }
    }
}

unsafe fn push_real_key(state: *mut lua_State) {
    // SAFETY: the address is never read through.
    unsafe { ffi::lua_pushlightuserdata(state, (&raw const REAL).cast_mut().cast()) }
}

/// Pushes the real table of a mirror; nothing if the value is no mirror.
unsafe fn push_real(state: *mut lua_State, index: c_int) -> bool {
    // SAFETY: `index` is not relative to the top; needs two places, and owns nothing.
    unsafe {
        if ffi::lua_type(state, index) != ffi::LUA_TTABLE
            || ffi::lua_getmetatable(state, index) == 0
        {
            return false;
        }
        push_real_key(state);
        ffi::lua_rawget_(state, -2);
        ffi::lua_remove(state, -2);
        let found = ffi::lua_type(state, -1) == ffi::LUA_TTABLE;
        if !found {
            ffi::lua_settop(state, -2);
        }
        found
    }
}

pub(super) unsafe fn is_mirror(state: *mut lua_State, index: c_int) -> bool {
    // SAFETY: as for `push_real`.
    unsafe {
        let found = push_real(state, index);
        if found {
            ffi::lua_settop(state, -2);
        }
        found
    }
}

const READ_ONLY: &CStr = c"Attempt to modify a readonly table";

/// A mirror's `__newindex`.
unsafe extern "C-unwind" fn refuse(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its state, as all that follow; none owns anything.
    unsafe { ffi::luaL_error(state, READ_ONLY.as_ptr()) }
}

/// The `__index` of the globals.
unsafe extern "C-unwind" fn nonexistent(state: *mut lua_State) -> c_int {
    let format = c"Script attempted to access nonexistent global variable '%s'";
    // SAFETY: `luaL_tolstring` gives a string that Lua keeps while it is on the stack.
    unsafe {
        let name = ffi::luaL_tolstring(state, 2, ptr::null_mut());
        ffi::luaL_error(state, format.as_ptr(), name)
    }
}

/// Wraps a function of C: given a mirror, it works on the real table.
unsafe extern "C-unwind" fn reading(state: *mut lua_State) -> c_int {
    // SAFETY: see `refuse`.
    unsafe { ffi::lua_pushcclosure(state, read, 1) };
    1
}

unsafe extern "C-unwind" fn read(state: *mut lua_State) -> c_int {
    // SAFETY: see `refuse`.
    unsafe {
        if push_real(state, 1) {
            ffi::lua_replace(state, 1);
        }
        wrapped(state)
    }
}

/// Wraps a function of C: given a mirror, it fails.
unsafe extern "C-unwind" fn writing(state: *mut lua_State) -> c_int {
    // SAFETY: see `refuse`.
    unsafe { ffi::lua_pushcclosure(state, write, 1) };
    1
}

unsafe extern "C-unwind" fn write(state: *mut lua_State) -> c_int {
    // SAFETY: see `refuse`.
    unsafe {
        if is_mirror(state, 1) {
            values::push_bytes(state, READ_ONLY.to_bytes());
            ffi::lua_error(state);
        }
        wrapped(state)
    }
}

/// Goes on as the wrapped function, in the same frame, so that errors name the right caller.
unsafe fn wrapped(state: *mut lua_State) -> c_int {
    // SAFETY: `sandbox.lua` wraps only functions of C that have no upvalues of their own.
    unsafe {
        match ffi::lua_tocfunction(state, ffi::lua_upvalueindex(1)) {
            Some(function) => function(state),
            None => 0,
        }
    }
}

/// Gives `pairs` another `next` to answer with.
unsafe extern "C-unwind" fn pairs(state: *mut lua_State) -> c_int {
    // SAFETY: Lua's `pairs` has one upvalue, the function to answer with.
    unsafe {
        if let Some(pairs) = ffi::lua_tocfunction(state, 1) {
            ffi::lua_pushcclosure(state, pairs, 1);
        }
    }
    1
}

/// Wraps `getmetatable`: a mirror has none.
unsafe extern "C-unwind" fn getmetatable(state: *mut lua_State) -> c_int {
    unsafe extern "C-unwind" fn without(state: *mut lua_State) -> c_int {
        // SAFETY: see `refuse`.
        unsafe {
            if is_mirror(state, 1) {
                return 0;
            }
            wrapped(state)
        }
    }
    // SAFETY: see `refuse`.
    unsafe { ffi::lua_pushcclosure(state, without, 1) };
    1
}

/// Wraps `collectgarbage`: it may not be stopped or slowed down, as that would outlast the script.
unsafe extern "C-unwind" fn collectgarbage(state: *mut lua_State) -> c_int {
    unsafe extern "C-unwind" fn harmless(state: *mut lua_State) -> c_int {
        // SAFETY: see `refuse`.
        unsafe {
            if matches!(values::bytes(state, 1), Some(b"stop" | b"setpause" | b"setstepmul")) {
                ffi::lua_pushnumber(state, 0.0);
                return 1;
            }
            wrapped(state)
        }
    }
    // SAFETY: see `refuse`.
    unsafe { ffi::lua_pushcclosure(state, harmless, 1) };
    1
}

/// Lua's `pcall`, but of an error of `redis.call`, which is a table, the script gets the text.
unsafe extern "C-unwind" fn pcall(state: *mut lua_State) -> c_int {
    // SAFETY: see `refuse`.
    unsafe {
        let args = ffi::lua_gettop(state);
        ffi::lua_pushboolean(state, 1);
        ffi::lua_insert(state, 1);
        if args == 0 || ffi::lua_pcall(state, args - 1, ffi::LUA_MULTRET, 0) == ffi::LUA_OK {
            if args == 0 {
                // Redis calls what is on the stack, which is the `true`.
                ffi::lua_pushboolean(state, 0);
                values::push_bytes(state, b"attempt to call a boolean value");
                return 2;
            }
            return ffi::lua_gettop(state);
        }
        if ffi::lua_type(state, -1) == ffi::LUA_TTABLE {
            ffi::lua_getfield(state, -1, c"err".as_ptr());
            if ffi::lua_isstring(state, -1) == 0 {
                ffi::lua_settop(state, -2);
            }
        }
        ffi::lua_pushboolean(state, 0);
        ffi::lua_insert(state, -2);
        2
    }
}

/// Lua's `xpcall`, but the handler is not asked about the end of a script that took too long: what
/// it does then is not counted.
unsafe extern "C-unwind" fn xpcall(state: *mut lua_State) -> c_int {
    unsafe extern "C-unwind" fn handle(state: *mut lua_State) -> c_int {
        // SAFETY: see `refuse`.
        unsafe {
            if !out_of_steps(state) {
                ffi::lua_pushvalue(state, ffi::lua_upvalueindex(1));
                ffi::lua_insert(state, 1);
                ffi::lua_call(state, 1, 1);
            }
        }
        1
    }
    // SAFETY: see `refuse`.
    unsafe {
        ffi::luaL_checkany(state, 2);
        ffi::lua_settop(state, 2);
        ffi::lua_pushcclosure(state, handle, 1);
        ffi::lua_insert(state, 1);
        let ended = ffi::lua_pcall(state, 0, ffi::LUA_MULTRET, 1);
        ffi::lua_pushboolean(state, c_int::from(ended == ffi::LUA_OK));
        ffi::lua_replace(state, 1);
        ffi::lua_gettop(state)
    }
}

unsafe extern "C-unwind" fn loadstring(state: *mut lua_State) -> c_int {
    // SAFETY: see `refuse`; the text is on the stack all the time.
    unsafe {
        let mut len = 0;
        let start = ffi::luaL_checklstring(state, 1, &raw mut len);
        let code = std::slice::from_raw_parts(start.cast(), len);
        let name = ffi::luaL_optlstring(state, 2, start, ptr::null_mut());
        loaded(state, code, CStr::from_ptr(name))
    }
}

/// `load`: the code is what a function gives, piece by piece.
unsafe extern "C-unwind" fn load_from(state: *mut lua_State) -> c_int {
    // SAFETY: see `refuse`; the text is on the stack all the time.
    unsafe {
        ffi::luaL_checktype(state, 1, ffi::LUA_TFUNCTION);
        let name = ffi::luaL_optlstring(state, 2, c"=(load)".as_ptr(), ptr::null_mut());
        ffi::lua_settop(state, 2);
        values::push_bytes(state, b"");
        loop {
            ffi::lua_pushvalue(state, 1);
            ffi::lua_call(state, 0, 1);
            if ffi::lua_type(state, -1) == ffi::LUA_TNIL {
                break;
            }
            match values::bytes(state, -1) {
                Some(b"") => break,
                Some(_) => ffi::lua_concat(state, 2),
                None => {
                    ffi::luaL_error(state, c"reader function must return a string".as_ptr());
                }
            }
        }
        ffi::lua_settop(state, 3);
        loaded(state, values::bytes(state, 3).unwrap_or_default(), CStr::from_ptr(name))
    }
}

unsafe fn loaded(state: *mut lua_State, code: &[u8], name: &CStr) -> c_int {
    // SAFETY: see `refuse`.
    unsafe {
        if load(state, code, name) {
            return 1;
        }
        ffi::lua_pushnil(state);
        ffi::lua_insert(state, -2);
        2
    }
}

/// The state of Redis' random numbers, which are those of `drand48`.
const fn seed(seed: u32) -> u64 {
    (seed as u64) << 16 | 0x330e
}

/// `math.random`, which gives the same numbers in each run of a script.
unsafe extern "C-unwind" fn random(state: *mut lua_State) -> c_int {
    // SAFETY: see `refuse`; checks arguments as Lua's own does.
    unsafe {
        let seed = &slot(state).seed;
        let next = seed.get().wrapping_mul(0x5_deec_e66d).wrapping_add(0xb) & 0xffff_ffff_ffff;
        seed.set(next);
        let limit = f64::from(i32::MAX);
        // The highest 31 of 48 bits.
        let drawn = f64::from(u32::try_from(next >> 17).unwrap_or(0));
        let part = (drawn % limit) / limit;
        let (low, high, last) = match ffi::lua_gettop(state) {
            0 => {
                ffi::lua_pushnumber(state, part);
                return 1;
            }
            1 => (1.0, whole(state, 1), 1),
            2 => (whole(state, 1), whole(state, 2), 2),
            _ => return ffi::luaL_error(state, c"wrong number of arguments".as_ptr()),
        };
        if low > high {
            return ffi::luaL_argerror(state, last, c"interval is empty".as_ptr());
        }
        ffi::lua_pushnumber(state, (part * (high - low + 1.0)).floor() + low);
    }
    1
}

/// An argument that has to be a number, cut to a whole one.
unsafe fn whole(state: *mut lua_State, index: c_int) -> f64 {
    // SAFETY: see `refuse`.
    unsafe { ffi::luaL_checknumber(state, index) }.trunc()
}

unsafe extern "C-unwind" fn randomseed(state: *mut lua_State) -> c_int {
    // SAFETY: see `refuse`.
    unsafe {
        let number = whole(state, 1);
        // As C casts it to an int.
        #[expect(clippy::cast_possible_truncation, reason = "only the low half counts")]
        #[expect(clippy::cast_sign_loss, reason = "as bits")]
        let low = number as i64 as u32;
        slot(state).seed.set(seed(low));
    }
    0
}
