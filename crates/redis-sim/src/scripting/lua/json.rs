//! The table `cjson`, as far as scripts of locks use it: `encode`, `decode`, `null`.
//!
//! What it writes and which errors it raises are those of the library that Redis contains, with that
//! library's default settings. Left out: numbers that JSON does not have (hexadecimal, NaN, infinity),
//! which that library reads.

use mlua::{BString, Error, Lua, Result, Table, Value};

use super::{MEMORY, unlimited, values};
use crate::number;

/// How deep values may be nested.
const DEPTH: usize = 1000;

pub(super) fn encode(lua: &Lua, value: Value) -> Result<(Value, Value)> {
    unlimited(lua, || {
        let mut text = Vec::new();
        write_value(&mut text, &value, 0)?;
        Ok((Value::Nil, Value::String(lua.create_string(text)?)))
    })
}

pub(super) fn decode(lua: &Lua, text: BString) -> Result<(Value, Value)> {
    unlimited(lua, || {
        if let [0, _, ..] | [_, 0, ..] = text.as_slice() {
            return fail("JSON parser does not support UTF-16 or UTF-32".into());
        }
        let mut parser = Parser { lua, text: &text, at: 0, token_at: 0, depth: 0 };
        let token = parser.next()?;
        let value = parser.value(token)?;
        match parser.next()? {
            Token::End => Ok((Value::Nil, value)),
            token => parser.unexpected("the end", &token),
        }
    })
}

fn fail<T>(why: String) -> Result<T> {
    Err(Error::RuntimeError(why))
}

/// Ends what takes more memory than scripts have: a table that is in many places is written as often.
fn check_memory(taken: usize) -> Result<()> {
    match taken > MEMORY {
        true => Err(Error::MemoryError("not enough memory".into())),
        false => Ok(()),
    }
}

fn write_value(text: &mut Vec<u8>, value: &Value, depth: usize) -> Result<()> {
    check_memory(text.len())?;
    match value {
        Value::String(string) => write_string(text, &string.as_bytes()),
        Value::Integer(_) | Value::Number(_) => write_number(text, value)?,
        Value::Boolean(true) => text.extend(b"true"),
        Value::Boolean(false) => text.extend(b"false"),
        Value::Nil => text.extend(b"null"),
        value if value.is_null() => text.extend(b"null"),
        Value::Table(table) => write_table(text, table, depth + 1)?,
        other => return unwritable(other, "type not supported"),
    }
    Ok(())
}

fn unwritable<T>(value: &Value, why: &str) -> Result<T> {
    // Names of types are Lua's, of which mlua has more.
    let kind = match value {
        Value::Integer(_) => "number",
        Value::LightUserData(_) => "userdata",
        other => other.type_name(),
    };
    fail(format!("Cannot serialise {kind}: {why}"))
}

fn write_number(text: &mut Vec<u8>, value: &Value) -> Result<()> {
    match values::double(value).filter(|number| number.is_finite()) {
        Some(number) => text.extend(number::shown(number, 14).bytes()),
        None => return unwritable(value, "must not be NaN or Inf"),
    }
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

fn write_table(text: &mut Vec<u8>, table: &Table, depth: usize) -> Result<()> {
    if depth > DEPTH {
        return fail(format!("Cannot serialise, excessive nesting ({depth})"));
    }
    if let Some(len) = array_len(table)? {
        for index in 1..=len {
            text.push(if index == 1 { b'[' } else { b',' });
            write_value(text, &table.raw_get(index)?, depth)?;
        }
        text.push(b']');
        return Ok(());
    }
    text.push(b'{');
    let start = text.len();
    for pair in table.pairs() {
        let (key, value): (Value, Value) = pair?;
        if text.len() > start {
            text.push(b',');
        }
        match &key {
            Value::String(key) => write_string(text, &key.as_bytes()),
            Value::Integer(_) | Value::Number(_) => {
                text.push(b'"');
                write_number(text, &key)?;
                text.push(b'"');
            }
            other => return unwritable(other, "table key must be a number or string"),
        }
        text.push(b':');
        write_value(text, &value, depth)?;
    }
    text.push(b'}');
    Ok(())
}

/// The length of a table if it is an array: it has only whole numbers for keys.
fn array_len(table: &Table) -> Result<Option<i32>> {
    let (mut last, mut items) = (0, 0);
    for pair in table.pairs::<Value, Value>() {
        let index = match pair?.0 {
            Value::Integer(index) => i32::try_from(index).ok().filter(|index| *index > 0),
            _ => None,
        };
        let Some(index) = index else { return Ok(None) };
        last = last.max(index);
        items += 1;
    }
    // More holes than items, unless it is short.
    if last > 10 && last / 2 > items {
        return fail("Cannot serialise table: excessively sparse array".into());
    }
    Ok((last > 0).then_some(last))
}

/// A piece of JSON.
enum Token {
    /// A bracket, a colon or a comma.
    Mark(u8),
    /// A value that is no table, and what an error calls it.
    Value(&'static str, Value),
    End,
    Error(&'static str),
}

impl Token {
    /// As an error has it.
    fn name(&self) -> &'static str {
        match self {
            Self::Mark(b'{') => "T_OBJ_BEGIN",
            Self::Mark(b'}') => "T_OBJ_END",
            Self::Mark(b'[') => "T_ARR_BEGIN",
            Self::Mark(b']') => "T_ARR_END",
            Self::Mark(b':') => "T_COLON",
            Self::Mark(_) => "T_COMMA",
            Self::End => "T_END",
            Self::Value(name, _) | Self::Error(name) => name,
        }
    }
}

/// Reads text and makes values.
struct Parser<'a> {
    lua: &'a Lua,
    text: &'a [u8],
    at: usize,
    /// Where the last token began, or is wrong.
    token_at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn unexpected<T>(&self, expected: &str, found: &Token) -> Result<T> {
        let (found, place) = (found.name(), self.token_at + 1);
        fail(format!("Expected {expected} but found {found} at character {place}"))
    }

    /// The value that begins with `token`.
    fn value(&mut self, token: Token) -> Result<Value> {
        match token {
            Token::Value(_, value) => Ok(value),
            Token::Mark(b'{') => self.nested(b'}', "comma or object end"),
            Token::Mark(b'[') => self.nested(b']', "comma or array end"),
            _ => self.unexpected("value", &token),
        }
    }

    /// The rest of an object, or of an array.
    fn nested(&mut self, end: u8, comma_or_end: &str) -> Result<Value> {
        self.depth += 1;
        if self.depth > DEPTH {
            let (depth, place) = (self.depth, self.token_at + 1);
            return fail(format!(
                "Found too many nested data structures ({depth}) at character {place}"
            ));
        }
        let table = self.lua.create_table()?;
        let mut token = self.next()?;
        for index in 1.. {
            check_memory(self.lua.used_memory())?;
            if index == 1 && matches!(token, Token::Mark(mark) if mark == end) {
                break;
            }
            let (key, first) = match end {
                b'}' => self.key(token)?,
                _ => (Value::Integer(index), token),
            };
            table.raw_set(key, self.value(first)?)?;
            match self.next()? {
                Token::Mark(mark) if mark == end => break,
                Token::Mark(b',') => token = self.next()?,
                token => return self.unexpected(comma_or_end, &token),
            }
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }

    /// The key of an object, and the first token of its value.
    fn key(&mut self, token: Token) -> Result<(Value, Token)> {
        let Token::Value("T_STRING", key) = token else {
            return self.unexpected("object key string", &token);
        };
        match self.next()? {
            Token::Mark(b':') => Ok((key, self.next()?)),
            token => self.unexpected("colon", &token),
        }
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Reads the next token.
    fn next(&mut self) -> Result<Token> {
        let blank = self.rest().iter().take_while(|byte| b" \t\n\r".contains(byte)).count();
        self.at += blank;
        self.token_at = self.at;
        let boolean = |yes| Token::Value("T_BOOLEAN", Value::Boolean(yes));
        let (token, len) = match self.rest() {
            // The text ends at a NUL, as in C.
            [] | [0, ..] => (Token::End, 0),
            [mark @ (b'{' | b'}' | b'[' | b']' | b':' | b','), ..] => (Token::Mark(*mark), 1),
            [b't', b'r', b'u', b'e', ..] => (boolean(true), 4),
            [b'f', b'a', b'l', b's', b'e', ..] => (boolean(false), 5),
            [b'n', b'u', b'l', b'l', ..] => (Token::Value("T_NULL", Value::NULL), 4),
            [b'-' | b'+' | b'0'..=b'9', ..] => number(self.rest()),
            [b'"', ..] => return self.string(),
            _ => (Token::Error("invalid token"), 0),
        };
        self.at += len;
        Ok(token)
    }

    fn string(&mut self) -> Result<Token> {
        let mut string = Vec::new();
        self.at += 1;
        let why = loop {
            let plain = self.rest().iter().take_while(|byte| !b"\"\\\0".contains(byte)).count();
            string.extend_from_slice(self.rest().get(..plain).unwrap_or_default());
            self.at += plain;
            match self.rest() {
                [b'"', ..] => {
                    self.at += 1;
                    let string = self.lua.create_string(string)?;
                    return Ok(Token::Value("T_STRING", Value::String(string)));
                }
                [b'\\', b'u', hex @ ..] => {
                    let Some((letter, len)) = unicode(hex) else {
                        break "invalid unicode escape code";
                    };
                    string.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                    self.at += 2 + len;
                }
                [b'\\', escaped @ ..] => {
                    string.push(match escaped.first() {
                        Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
                        Some(b'b') => 8,
                        Some(b't') => b'\t',
                        Some(b'n') => b'\n',
                        Some(b'f') => 12,
                        Some(b'r') => b'\r',
                        _ => break "invalid escape code",
                    });
                    self.at += 2;
                }
                _ => break "unexpected end of string",
            }
        };
        self.token_at = self.at;
        Ok(Token::Error(why))
    }
}

/// The number that a text begins with, and its length; C's `strtod` allows more than JSON.
fn number(text: &[u8]) -> (Token, usize) {
    let at = |place: usize| text.get(place).copied().unwrap_or(0);
    let digits =
        |from: usize| text.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let sign = |place: usize| usize::from(matches!(at(place), b'+' | b'-'));
    let mut end = sign(0) + digits(sign(0));
    if at(end) == b'.' {
        end += 1 + digits(end + 1);
    }
    let exponent = end + 1 + sign(end + 1);
    if matches!(at(end), b'e' | b'E') && at(exponent).is_ascii_digit() {
        end = exponent + digits(exponent);
    }
    let number = text.get(..end).and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    match number {
        Some(number) => (Token::Value("T_NUMBER", Value::Number(number)), end),
        None => (Token::Error("invalid number"), 0),
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
