//! Values of Lua and of Redis, each made from the other by the rules of Redis.

use std::ffi::{CStr, c_int};
use std::fmt::Write;

use mlua::ffi::{self, lua_State};
use redis::{Value, VerbatimFormat};

use crate::error::Error;

/// How deep tables of a reply may be nested. Redis allows more, but no client of the redis crate could
/// read it.
const DEPTH: usize = 100;

pub(super) unsafe fn push_bytes(state: *mut lua_State, bytes: &[u8]) {
    // SAFETY: Lua copies the bytes.
    unsafe { ffi::lua_pushlstring_(state, bytes.as_ptr().cast(), bytes.len()) }
}

/// The bytes of a value that is a string; they live as long as it is on the stack.
pub(super) unsafe fn bytes<'a>(state: *mut lua_State, index: c_int) -> Option<&'a [u8]> {
    // SAFETY: of a string, Lua gives its own bytes, and does not convert or raise anything.
    unsafe {
        if ffi::lua_type(state, index) != ffi::LUA_TSTRING {
            return None;
        }
        let mut len = 0;
        let start = ffi::lua_tolstring(state, index, &raw mut len);
        Some(std::slice::from_raw_parts(start.cast(), len))
    }
}

/// A string, or a number as one.
pub(super) unsafe fn text(state: *mut lua_State, index: c_int) -> Option<String> {
    // SAFETY: reads what is there.
    unsafe {
        if ffi::lua_type(state, index) == ffi::LUA_TNUMBER {
            return Some(number(ffi::lua_tonumber(state, index), 14));
        }
        bytes(state, index).map(|text| String::from_utf8_lossy(text).into_owned())
    }
}

/// The text in a field of the table on top of the stack.
pub(super) unsafe fn field(state: *mut lua_State, name: &CStr) -> Option<String> {
    // SAFETY: pushes one value and takes it off again.
    unsafe {
        raw_field(state, name);
        let text = text(state, -1);
        ffi::lua_settop(state, -2);
        text
    }
}

/// Pushes a field of the table on top of the stack, without asking its metatable.
unsafe fn raw_field(state: *mut lua_State, name: &CStr) -> c_int {
    // SAFETY: the name becomes the value.
    unsafe {
        push_bytes(state, name.to_bytes());
        ffi::lua_rawget_(state, -2);
        ffi::lua_type(state, -1)
    }
}

/// What Redis answers for the value on top of the stack: to a client of the third version of the
/// protocol or not, from a script that asked for the third version or not. Leaves the value there.
pub(super) unsafe fn to_reply(
    state: *mut lua_State,
    client_resp3: bool,
    script_resp3: bool,
) -> Value {
    // SAFETY: the caller's state.
    unsafe { Replies { state, client_resp3, script_resp3 }.top(0) }
}

struct Replies {
    state: *mut lua_State,
    client_resp3: bool,
    script_resp3: bool,
}

impl Replies {
    /// The reply for the value on top of the stack.
    unsafe fn top(&self, depth: usize) -> Value {
        let state = self.state;
        // SAFETY: every branch leaves the stack as it was.
        unsafe {
            match ffi::lua_type(state, -1) {
                ffi::LUA_TSTRING => Value::BulkString(bytes(state, -1).unwrap_or_default().into()),
                ffi::LUA_TNUMBER => Value::Int(integer(ffi::lua_tonumber(state, -1))),
                ffi::LUA_TBOOLEAN => self.boolean(ffi::lua_toboolean(state, -1) != 0),
                ffi::LUA_TTABLE if depth >= DEPTH || ffi::lua_checkstack(state, 8) == 0 => {
                    Error::Script("ERR reached lua stack limit".into()).into_value()
                }
                ffi::LUA_TTABLE => self.table(depth),
                _ => Value::Nil,
            }
        }
    }

    fn boolean(&self, yes: bool) -> Value {
        match (self.script_resp3, yes) {
            (true, _) if self.client_resp3 => Value::Boolean(yes),
            (_, true) => Value::Int(1),
            (true, false) => Value::Int(0),
            (false, false) => Value::Nil,
        }
    }

    unsafe fn table(&self, depth: usize) -> Value {
        type Special = unsafe fn(&Replies, usize) -> Value;
        let specials: [(&CStr, c_int, Special); 7] = [
            (c"err", ffi::LUA_TSTRING, Self::error),
            (c"ok", ffi::LUA_TSTRING, Self::status),
            (c"double", ffi::LUA_TNUMBER, Self::double),
            (c"map", ffi::LUA_TTABLE, Self::map),
            (c"set", ffi::LUA_TTABLE, Self::set),
            (c"big_number", ffi::LUA_TSTRING, Self::big_number),
            (c"verbatim_string", ffi::LUA_TTABLE, Self::verbatim),
        ];
        // SAFETY: `top` made sure of eight places; each function finds its value on top.
        unsafe {
            for (name, kind, reply) in specials {
                let found = raw_field(self.state, name) == kind;
                let reply = found.then(|| reply(self, depth));
                ffi::lua_settop(self.state, -2);
                if let Some(reply) = reply {
                    return reply;
                }
            }
            let mut items = Vec::new();
            for index in 1.. {
                ffi::lua_rawgeti_(self.state, -1, index);
                let ended = ffi::lua_type(self.state, -1) == ffi::LUA_TNIL;
                if !ended {
                    items.push(self.top(depth + 1));
                }
                ffi::lua_settop(self.state, -2);
                if ended {
                    break;
                }
            }
            Value::Array(items)
        }
    }

    /// The line is the script's own, without an `ERR` that it does not have.
    unsafe fn error(&self, _: usize) -> Value {
        // SAFETY: the string is on top.
        Error::Script(unsafe { text(self.state, -1) }.unwrap_or_default()).into_value()
    }

    unsafe fn status(&self, _: usize) -> Value {
        // SAFETY: the string is on top.
        let line = unsafe { text(self.state, -1) }.unwrap_or_default().replace(['\r', '\n'], " ");
        if line == "OK" { Value::Okay } else { Value::SimpleString(line) }
    }

    unsafe fn double(&self, _: usize) -> Value {
        // SAFETY: the number is on top.
        let double = unsafe { ffi::lua_tonumber(self.state, -1) };
        if self.client_resp3 {
            Value::Double(double)
        } else {
            Value::BulkString(number(double, 17).into_bytes())
        }
    }

    unsafe fn map(&self, depth: usize) -> Value {
        let mut pairs = Vec::new();
        // SAFETY: walks the table on top; a key that came from `lua_next` is one that it takes.
        unsafe {
            ffi::lua_pushnil(self.state);
            while ffi::lua_next(self.state, -2) != 0 {
                ffi::lua_pushvalue(self.state, -2);
                let key = self.top(depth + 1);
                ffi::lua_settop(self.state, -2);
                pairs.push((key, self.top(depth + 1)));
                ffi::lua_settop(self.state, -2);
            }
        }
        if self.client_resp3 {
            Value::Map(pairs)
        } else {
            Value::Array(pairs.into_iter().flat_map(|(key, value)| [key, value]).collect())
        }
    }

    unsafe fn set(&self, depth: usize) -> Value {
        let mut members = Vec::new();
        // SAFETY: as in `map`; the copy of the key is what `lua_next` goes on from.
        unsafe {
            ffi::lua_pushnil(self.state);
            while ffi::lua_next(self.state, -2) != 0 {
                ffi::lua_settop(self.state, -2);
                members.push(self.top(depth + 1));
            }
        }
        if self.client_resp3 { Value::Set(members) } else { Value::Array(members) }
    }

    unsafe fn big_number(&self, _: usize) -> Value {
        // SAFETY: the string is on top.
        let digits = unsafe { text(self.state, -1) }.unwrap_or_default().replace(['\r', '\n'], " ");
        if self.client_resp3 {
            // The type of the value depends on a feature of the redis crate, so let it make it.
            redis::parse_redis_value(format!("({digits}\r\n").as_bytes()).unwrap_or(Value::Nil)
        } else {
            Value::BulkString(digits.into_bytes())
        }
    }

    unsafe fn verbatim(&self, _: usize) -> Value {
        // SAFETY: the table is on top.
        let (format, text) =
            unsafe { (field(self.state, c"format"), field(self.state, c"string")) };
        let text = text.unwrap_or_default();
        if !self.client_resp3 {
            return Value::BulkString(text.into_bytes());
        }
        let format = match format.unwrap_or_default().as_str() {
            "txt" => VerbatimFormat::Text,
            "mkd" => VerbatimFormat::Markdown,
            other => VerbatimFormat::Unknown(other.to_owned()),
        };
        Value::VerbatimString { format, text }
    }
}

/// A number as C's cast cuts it on the machines that Redis runs on, where what does not fit becomes the
/// least of all.
#[expect(clippy::cast_possible_truncation, reason = "cutting is what is asked for")]
fn integer(number: f64) -> i64 {
    // Exactly 2^63, which is the first that does not fit.
    if number < 9_223_372_036_854_775_808.0 { number as i64 } else { i64::MIN }
}

/// Pushes what a command answered, for a script that asked for the third version of the protocol or
/// not.
pub(super) unsafe fn push_reply(state: *mut lua_State, value: &Value, resp3: bool) {
    // SAFETY: owns nothing, so Lua may raise; asks for the places that it needs.
    unsafe {
        ffi::luaL_checkstack(state, 4, c"too deep".as_ptr());
        match value {
            #[expect(clippy::cast_precision_loss, reason = "a number of Lua is a double")]
            Value::Int(number) => ffi::lua_pushnumber(state, *number as f64),
            Value::BulkString(bytes) => push_bytes(state, bytes),
            Value::Okay => push_table(state, c"ok", b"OK"),
            Value::SimpleString(line) => push_table(state, c"ok", line.as_bytes()),
            Value::Array(items) => {
                let len = c_int::try_from(items.len()).unwrap_or(c_int::MAX);
                ffi::lua_createtable(state, len, 0);
                for (item, index) in items.iter().zip(1..) {
                    push_reply(state, item, resp3);
                    ffi::lua_rawseti_(state, -2, index);
                }
            }
            Value::Map(pairs) => {
                ffi::lua_createtable(state, 0, 1);
                push_bytes(state, b"map");
                ffi::lua_createtable(state, 0, c_int::try_from(pairs.len()).unwrap_or(0));
                for (key, value) in pairs {
                    push_reply(state, key, resp3);
                    push_reply(state, value, resp3);
                    ffi::lua_rawset(state, -3);
                }
                ffi::lua_rawset(state, -3);
            }
            Value::VerbatimString { text, .. } => {
                ffi::lua_createtable(state, 0, 1);
                push_bytes(state, b"verbatim_string");
                push_table(state, c"format", b"txt");
                push_bytes(state, b"string");
                push_bytes(state, text.as_bytes());
                ffi::lua_rawset(state, -3);
                ffi::lua_rawset(state, -3);
            }
            _ if resp3 => ffi::lua_pushnil(state),
            _ => ffi::lua_pushboolean(state, 0),
        }
    }
}

/// Pushes a table with one field.
pub(super) unsafe fn push_table(state: *mut lua_State, name: &CStr, text: &[u8]) {
    // SAFETY: needs three places, which every caller has.
    unsafe {
        ffi::lua_createtable(state, 0, 1);
        push_bytes(state, name.to_bytes());
        push_bytes(state, text);
        ffi::lua_rawset(state, -3);
    }
}

/// A number as C's `%.{digits}g` prints it.
pub(crate) fn number(number: f64, digits: usize) -> String {
    if number.is_nan() {
        return if number.is_sign_negative() { "-nan" } else { "nan" }.to_owned();
    }
    if number.is_infinite() {
        return if number < 0.0 { "-inf" } else { "inf" }.to_owned();
    }
    let scientific = format!("{number:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let places = i32::try_from(digits).unwrap_or(i32::MAX) - 1 - exponent;
    if exponent < -4 || places < 0 {
        let mut text = trimmed(mantissa).to_owned();
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(text, "e{sign}{:02}", exponent.abs());
        return text;
    }
    trimmed(&format!("{number:.*}", usize::try_from(places).unwrap_or(0))).to_owned()
}

/// Without zeros at the end of its fraction.
fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_c_prints_them() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.5, "3.5"),
            (1.0 / 3.0, "0.33333333333333331"),
            (1e-5, "1.0000000000000001e-05"),
            (0.0001, "0.0001"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (9_007_199_254_740_992.0, "9007199254740992"),
            (-1.5e300, "-1.5000000000000001e+300"),
            (99_999_999_999_999_999.0, "1e+17"),
            (f64::INFINITY, "inf"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value, 17), text);
        }
        assert_eq!(number(1.0 / 3.0, 14), "0.33333333333333");
        assert_eq!(number(1e14, 14), "1e+14");
    }

    #[test]
    fn numbers_are_cut_as_c_cuts_them() {
        let cases = [(3.99, 3), (-3.99, -3), (f64::NAN, i64::MIN), (1e300, i64::MIN)];
        for (value, cut) in cases {
            assert_eq!(integer(value), cut);
        }
        assert_eq!(integer(-9_223_372_036_854_775_808.0), i64::MIN);
        assert_eq!(integer(9_223_372_036_854_774_784.0), 9_223_372_036_854_774_784);
    }
}
