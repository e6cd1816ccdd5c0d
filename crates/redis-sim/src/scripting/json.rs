//! The table `cjson`, as far as scripts of locks use it: `encode`, `decode`, `null`.
//!
//! What it writes and which errors it raises are those of the library that Redis contains, with that
//! library's default settings. Left out: numbers that JSON does not have (hexadecimal, NaN, infinity),
//! which that library reads.

use std::ffi::{CStr, c_int};
use std::ptr;

use mlua::ffi::{self, lua_CFunction, lua_State};

use super::interpreter::running;
use super::values;

/// How deep values may be nested.
const DEPTH: c_int = 1000;

/// All functions by name.
pub(super) const FUNCTIONS: [(&CStr, lua_CFunction); 2] =
    [(c"encode", encode), (c"decode", decode)];

/// Pushes what stands for `null`, as nil can't be in a table.
pub(super) unsafe fn push_null(state: *mut lua_State) {
    // SAFETY: a value like another.
    unsafe { ffi::lua_pushlightuserdata(state, ptr::null_mut()) }
}

unsafe fn check_single(state: *mut lua_State) {
    // SAFETY: the frame owns nothing.
    unsafe {
        if ffi::lua_gettop(state) != 1 {
            ffi::luaL_argerror(state, 1, c"expected 1 argument".as_ptr());
        }
    }
}

unsafe extern "C-unwind" fn encode(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its state, while a script runs. The frame owns nothing: the text is
    // made in the `ScriptRun`, while nothing raises.
    unsafe {
        check_single(state);
        let text = &raw mut (*running(state)).scratch;
        (*text).clear();
        match write_value(state, &mut *text, 0) {
            Ok(()) => {
                values::push_bytes(state, &*text);
                1
            }
            Err(Unwritable { kind: Some(kind), why }) => {
                let format = c"Cannot serialise %s: %s".as_ptr();
                ffi::luaL_error(state, format, ffi::lua_typename(state, kind), why.as_ptr())
            }
            Err(Unwritable { kind: None, why }) => ffi::luaL_error(state, why.as_ptr(), DEPTH + 1),
        }
    }
}

/// Why a value has no JSON: its type, unless it is nested too deep, and a reason.
struct Unwritable {
    kind: Option<c_int>,
    why: &'static CStr,
}

/// Writes the value on top of the stack. Raises nothing.
unsafe fn write_value(
    state: *mut lua_State,
    text: &mut Vec<u8>,
    depth: c_int,
) -> Result<(), Unwritable> {
    // SAFETY: reads the value; `write_table` asks for the places that it needs.
    unsafe {
        let kind = ffi::lua_type(state, -1);
        match kind {
            ffi::LUA_TSTRING => write_string(text, values::bytes(state, -1).unwrap_or_default()),
            ffi::LUA_TNUMBER => write_number(text, ffi::lua_tonumber(state, -1))?,
            ffi::LUA_TBOOLEAN if ffi::lua_toboolean(state, -1) != 0 => text.extend(b"true"),
            ffi::LUA_TBOOLEAN => text.extend(b"false"),
            ffi::LUA_TNIL => text.extend(b"null"),
            ffi::LUA_TLIGHTUSERDATA if ffi::lua_touserdata(state, -1).is_null() => {
                text.extend(b"null");
            }
            ffi::LUA_TTABLE => return write_table(state, text, depth + 1),
            _ => return Err(Unwritable { kind: Some(kind), why: c"type not supported" }),
        }
    }
    Ok(())
}

fn write_number(text: &mut Vec<u8>, number: f64) -> Result<(), Unwritable> {
    if !number.is_finite() {
        return Err(Unwritable { kind: Some(ffi::LUA_TNUMBER), why: c"must not be NaN or Inf" });
    }
    text.extend(values::number(number, 14).bytes());
    Ok(())
}

fn write_string(text: &mut Vec<u8>, string: &[u8]) {
    text.push(b'"');
    for &byte in string {
        match byte {
            b'"' | b'\\' | b'/' => text.extend([b'\\', byte]),
            8 => text.extend(b"\\b"),
            b'\t' => text.extend(b"\\t"),
            b'\n' => text.extend(b"\\n"),
            12 => text.extend(b"\\f"),
            b'\r' => text.extend(b"\\r"),
            0..32 | 127 => text.extend(format!("\\u{byte:04x}").bytes()),
            _ => text.push(byte),
        }
    }
    text.push(b'"');
}

unsafe fn write_table(
    state: *mut lua_State,
    text: &mut Vec<u8>,
    depth: c_int,
) -> Result<(), Unwritable> {
    // SAFETY: asks for the places that it needs; a key that came from `lua_next` is one that it takes.
    unsafe {
        if depth > DEPTH || ffi::lua_checkstack(state, 4) == 0 {
            return Err(Unwritable {
                kind: None,
                why: c"Cannot serialise, excessive nesting (%d)",
            });
        }
        if let Some(len) = array_len(state)? {
            text.push(b'[');
            for index in 1..=len {
                if index > 1 {
                    text.push(b',');
                }
                ffi::lua_rawgeti_(state, -1, index);
                write_value(state, text, depth)?;
                ffi::lua_settop(state, -2);
            }
            text.push(b']');
            return Ok(());
        }
        text.push(b'{');
        let mut first = true;
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, -2) != 0 {
            if !std::mem::take(&mut first) {
                text.push(b',');
            }
            match ffi::lua_type(state, -2) {
                ffi::LUA_TSTRING => {
                    write_string(text, values::bytes(state, -2).unwrap_or_default());
                }
                ffi::LUA_TNUMBER => {
                    text.push(b'"');
                    write_number(text, ffi::lua_tonumber(state, -2))?;
                    text.push(b'"');
                }
                kind => {
                    let why = c"table key must be a number or string";
                    return Err(Unwritable { kind: Some(kind), why });
                }
            }
            text.push(b':');
            write_value(state, text, depth)?;
            ffi::lua_settop(state, -2);
        }
        text.push(b'}');
    }
    Ok(())
}

/// The length of the table on top of the stack if it is an array: it has only whole numbers for keys.
unsafe fn array_len(state: *mut lua_State) -> Result<Option<c_int>, Unwritable> {
    let (mut last, mut items) = (0, 0);
    // SAFETY: as in `write_table`.
    unsafe {
        ffi::lua_pushnil(state);
        while ffi::lua_next(state, -2) != 0 {
            ffi::lua_settop(state, -2);
            let key = ffi::lua_tonumber(state, -1);
            let whole = ffi::lua_type(state, -1) == ffi::LUA_TNUMBER && key.fract() == 0.0;
            if !whole || !(1.0..=f64::from(c_int::MAX)).contains(&key) {
                ffi::lua_settop(state, -2);
                return Ok(None);
            }
            #[expect(clippy::cast_possible_truncation, reason = "it was looked at")]
            let index = key as c_int;
            last = last.max(index);
            items += 1;
        }
    }
    // More holes than items, unless it is short.
    if last > 10 && last / 2 > items {
        let why = c"excessively sparse array";
        return Err(Unwritable { kind: Some(ffi::LUA_TTABLE), why });
    }
    Ok((last > 0).then_some(last))
}

unsafe extern "C-unwind" fn decode(state: *mut lua_State) -> c_int {
    // SAFETY: Lua calls this with its state, while a script runs. No frame from here on owns anything.
    unsafe {
        check_single(state);
        let mut len = 0;
        let start = ffi::luaL_checklstring(state, 1, &raw mut len);
        let text = std::slice::from_raw_parts(start.cast::<u8>(), len);
        if let [first, second, ..] = text
            && (*first == 0 || *second == 0)
        {
            let why = c"JSON parser does not support UTF-16 or UTF-32";
            return ffi::luaL_error(state, why.as_ptr());
        }
        let scratch = &raw mut (*running(state)).scratch;
        let mut parser = Parser { state, text, at: 0, token_at: 0, depth: 0, scratch };
        let token = parser.next();
        parser.value(token);
        let token = parser.next();
        if token != Token::End {
            parser.fail(c"the end", token);
        }
    }
    1
}

#[derive(Clone, Copy, PartialEq)]
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    /// Its text is in the scratch.
    String,
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Error(&'static CStr),
}

impl Token {
    /// As an error has it.
    fn name(self) -> &'static CStr {
        match self {
            Self::ObjectBegin => c"T_OBJ_BEGIN",
            Self::ObjectEnd => c"T_OBJ_END",
            Self::ArrayBegin => c"T_ARR_BEGIN",
            Self::ArrayEnd => c"T_ARR_END",
            Self::String => c"T_STRING",
            Self::Number(_) => c"T_NUMBER",
            Self::Boolean(_) => c"T_BOOLEAN",
            Self::Null => c"T_NULL",
            Self::Colon => c"T_COLON",
            Self::Comma => c"T_COMMA",
            Self::End => c"T_END",
            Self::Error(why) => why,
        }
    }
}

/// Reads text and pushes values.
struct Parser<'a> {
    state: *mut lua_State,
    text: &'a [u8],
    at: usize,
    /// Where the last token began, or is wrong.
    token_at: usize,
    depth: c_int,
    scratch: *mut Vec<u8>,
}

impl Parser<'_> {
    /// Where the last token is, counted from 1.
    fn place(&self) -> c_int {
        c_int::try_from(self.token_at + 1).unwrap_or(c_int::MAX)
    }

    unsafe fn fail(&self, expected: &CStr, found: Token) {
        let format = c"Expected %s but found %s at character %d".as_ptr();
        let place = self.place();
        // SAFETY: the frames that Lua jumps over own nothing.
        unsafe {
            ffi::luaL_error(self.state, format, expected.as_ptr(), found.name().as_ptr(), place);
        }
    }

    /// Pushes the value that begins with `token`.
    unsafe fn value(&mut self, token: Token) {
        // SAFETY: as for `fail`; asks for the places that it needs.
        unsafe {
            ffi::luaL_checkstack(self.state, 4, c"too deep".as_ptr());
            match token {
                Token::String => values::push_bytes(self.state, &*self.scratch),
                Token::Number(number) => ffi::lua_pushnumber(self.state, number),
                Token::Boolean(yes) => ffi::lua_pushboolean(self.state, yes.into()),
                Token::Null => push_null(self.state),
                Token::ObjectBegin => self.nested(Self::object),
                Token::ArrayBegin => self.nested(Self::array),
                _ => self.fail(c"value", token),
            }
        }
    }

    unsafe fn nested(&mut self, parse: unsafe fn(&mut Self)) {
        // SAFETY: as for `fail`.
        unsafe {
            self.depth += 1;
            if self.depth > DEPTH {
                let format = c"Found too many nested data structures (%d) at character %d".as_ptr();
                ffi::luaL_error(self.state, format, self.depth, self.place());
            }
            ffi::lua_createtable(self.state, 0, 0);
            parse(self);
            self.depth -= 1;
        }
    }

    unsafe fn object(&mut self) {
        // SAFETY: as for `fail`.
        unsafe {
            let mut token = self.next();
            if token == Token::ObjectEnd {
                return;
            }
            loop {
                if token != Token::String {
                    self.fail(c"object key string", token);
                }
                values::push_bytes(self.state, &*self.scratch);
                token = self.next();
                if token != Token::Colon {
                    self.fail(c"colon", token);
                }
                token = self.next();
                self.value(token);
                ffi::lua_rawset(self.state, -3);
                token = self.next();
                match token {
                    Token::ObjectEnd => return,
                    Token::Comma => {}
                    _ => self.fail(c"comma or object end", token),
                }
                token = self.next();
            }
        }
    }

    unsafe fn array(&mut self) {
        // SAFETY: as for `fail`.
        unsafe {
            let mut token = self.next();
            if token == Token::ArrayEnd {
                return;
            }
            for index in 1.. {
                self.value(token);
                ffi::lua_rawseti_(self.state, -2, index);
                token = self.next();
                match token {
                    Token::ArrayEnd => return,
                    Token::Comma => {}
                    _ => self.fail(c"comma or array end", token),
                }
                token = self.next();
            }
        }
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Reads the next token.
    fn next(&mut self) -> Token {
        let blank = self.rest().iter().take_while(|byte| b" \t\n\r".contains(byte)).count();
        self.at += blank;
        self.token_at = self.at;
        let (token, len) = match self.rest() {
            // The text ends at a NUL, as in C.
            [] | [0, ..] => (Token::End, 0),
            [b'{', ..] => (Token::ObjectBegin, 1),
            [b'}', ..] => (Token::ObjectEnd, 1),
            [b'[', ..] => (Token::ArrayBegin, 1),
            [b']', ..] => (Token::ArrayEnd, 1),
            [b':', ..] => (Token::Colon, 1),
            [b',', ..] => (Token::Comma, 1),
            [b't', b'r', b'u', b'e', ..] => (Token::Boolean(true), 4),
            [b'f', b'a', b'l', b's', b'e', ..] => (Token::Boolean(false), 5),
            [b'n', b'u', b'l', b'l', ..] => (Token::Null, 4),
            [b'-' | b'+' | b'0'..=b'9', ..] => number(self.rest()),
            [b'"', ..] => return self.string(),
            _ => (Token::Error(c"invalid token"), 0),
        };
        self.at += len;
        token
    }

    /// Reads a string into the scratch.
    fn string(&mut self) -> Token {
        // SAFETY: the `ScriptRun` that the scratch is of is not used elsewhere meanwhile.
        let scratch = unsafe { &mut *self.scratch };
        scratch.clear();
        self.at += 1;
        loop {
            let plain = self.rest().iter().take_while(|byte| !b"\"\\\0".contains(byte)).count();
            scratch.extend_from_slice(self.rest().get(..plain).unwrap_or_default());
            self.at += plain;
            let escaped = match self.rest() {
                [b'"', ..] => {
                    self.at += 1;
                    return Token::String;
                }
                [b'\\', b'u', hex @ ..] => {
                    let Some((letter, len)) = unicode(hex) else {
                        self.token_at = self.at;
                        return Token::Error(c"invalid unicode escape code");
                    };
                    scratch.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                    self.at += 2 + len;
                    continue;
                }
                [b'\\', escaped, ..] => *escaped,
                [b'\\'] => 0,
                _ => {
                    self.token_at = self.at;
                    return Token::Error(c"unexpected end of string");
                }
            };
            scratch.push(match escaped {
                b'"' | b'\\' | b'/' => escaped,
                b'b' => 8,
                b't' => b'\t',
                b'n' => b'\n',
                b'f' => 12,
                b'r' => b'\r',
                _ => {
                    self.token_at = self.at;
                    return Token::Error(c"invalid escape code");
                }
            });
            self.at += 2;
        }
    }
}

/// The number that a text begins with, and its length; C's `strtod` allows more than JSON.
fn number(text: &[u8]) -> (Token, usize) {
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let mut end = usize::from(matches!(text, [b'-' | b'+', ..]));
    let mut found = digits(end);
    end += found;
    if text.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        found += fraction;
        end += 1 + fraction;
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    let number = std::str::from_utf8(text.get(..end).unwrap_or_default()).unwrap_or_default();
    match number.parse() {
        Ok(number) if found > 0 => (Token::Number(number), end),
        _ => (Token::Error(c"invalid number"), 0),
    }
}

/// The letter that the digits after `\u` stand for, which may take a second escape, and their length.
fn unicode(hex: &[u8]) -> Option<(char, usize)> {
    let high = unit(hex)?;
    if let Some(letter) = char::from_u32(high) {
        return Some((letter, 4));
    }
    let low = hex.get(4..)?.strip_prefix(b"\\u")?;
    let low = unit(low).filter(|low| (0xdc00..0xe000).contains(low))?;
    let letter = 0x1_0000 + (high.checked_sub(0xd800).filter(|high| *high < 0x400)? << 10);
    Some((char::from_u32(letter + (low - 0xdc00))?, 10))
}

fn unit(hex: &[u8]) -> Option<u32> {
    let digits = hex.get(..4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
