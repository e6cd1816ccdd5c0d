//! Values of Lua and of Redis, each made from the other by the rules of Redis.

use std::cell::Cell;

use mlua::{IntoLua, Lua, Table, Value};
use redis::{Value as Reply, VerbatimFormat};

use super::MEMORY;
use crate::error::Error;
use crate::number;

/// How deep tables of a reply may be nested. Redis allows more, but no client of the redis crate could
/// read it.
const DEPTH: usize = 100;

/// A number; mlua keeps integers apart, which Lua 5.1 does not.
#[expect(clippy::cast_precision_loss, reason = "a number of Lua is a double")]
pub(super) fn double(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Number(number) => Some(*number),
        _ => None,
    }
}

/// A string, or a number as one.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.to_string_lossy()),
        other => double(other).map(|number| number::shown(number, 14)),
    }
}

/// What Redis answers for a value: to a client of the third version of the protocol or not, from a
/// script that asked for the third version or not.
pub(super) fn to_reply(
    value: &Value,
    client_resp3: bool,
    script_resp3: bool,
) -> mlua::Result<Reply> {
    Replies { client_resp3, script_resp3, left: Cell::new(MEMORY) }.reply(value, 0)
}

struct Replies {
    client_resp3: bool,
    script_resp3: bool,
    /// How many bytes the reply may still take: a table that is in many places is answered as often.
    left: Cell<usize>,
}

impl Replies {
    fn reply(&self, value: &Value, depth: usize) -> mlua::Result<Reply> {
        let text = if let Value::String(text) = value { text.as_bytes().len() } else { 0 };
        let left = self.left.get().checked_sub(size_of::<Reply>() + text);
        self.left
            .set(left.ok_or_else(|| mlua::Error::MemoryError("the reply is too large".into()))?);
        Ok(match value {
            Value::String(text) => Reply::BulkString(text.as_bytes().to_vec()),
            Value::Integer(number) => Reply::Int(*number),
            Value::Number(number) => Reply::Int(integer(*number)),
            Value::Boolean(yes) => self.boolean(*yes),
            Value::Table(_) if depth >= DEPTH => {
                Error::Script("ERR reached lua stack limit".into()).into_value()
            }
            Value::Table(table) => self.table(table, depth)?,
            _ => Reply::Nil,
        })
    }

    fn boolean(&self, yes: bool) -> Reply {
        match (self.script_resp3, yes) {
            (true, _) if self.client_resp3 => Reply::Boolean(yes),
            (_, true) => Reply::Int(1),
            (true, false) => Reply::Int(0),
            (false, false) => Reply::Nil,
        }
    }

    fn table(&self, table: &Table, depth: usize) -> mlua::Result<Reply> {
        let line = |text: &mlua::LuaString| text.to_string_lossy().replace(['\r', '\n'], " ");
        if let Value::String(text) = table.raw_get("err")? {
            // The line is the script's own, without an `ERR` that it does not have.
            return Ok(Error::Script(text.to_string_lossy()).into_value());
        }
        if let Value::String(text) = table.raw_get("ok")? {
            let line = line(&text);
            return Ok(if line == "OK" { Reply::Okay } else { Reply::SimpleString(line) });
        }
        if let Some(number) = double(&table.raw_get("double")?) {
            return Ok(self.double(number));
        }
        if let Value::Table(map) = table.raw_get("map")? {
            return self.map(&map, depth);
        }
        if let Value::Table(set) = table.raw_get("set")? {
            return self.set(&set, depth);
        }
        if let Value::String(digits) = table.raw_get("big_number")? {
            return Ok(self.big_number(&line(&digits)));
        }
        if let Value::Table(parts) = table.raw_get("verbatim_string")? {
            return self.verbatim(&parts);
        }
        let items = table.sequence_values().map(|item| self.reply(&item?, depth + 1));
        items.collect::<mlua::Result<_>>().map(Reply::Array)
    }

    fn double(&self, double: f64) -> Reply {
        if self.client_resp3 {
            Reply::Double(double)
        } else {
            Reply::BulkString(number::shown(double, 17).into_bytes())
        }
    }

    fn map(&self, map: &Table, depth: usize) -> mlua::Result<Reply> {
        let mut pairs = Vec::new();
        for pair in map.pairs() {
            let (key, value) = pair?;
            pairs.push((self.reply(&key, depth + 1)?, self.reply(&value, depth + 1)?));
        }
        Ok(if self.client_resp3 {
            Reply::Map(pairs)
        } else {
            Reply::Array(pairs.into_iter().flat_map(|(key, value)| [key, value]).collect())
        })
    }

    fn set(&self, set: &Table, depth: usize) -> mlua::Result<Reply> {
        let members = set.pairs::<Value, Value>().map(|pair| self.reply(&pair?.0, depth + 1));
        let members = members.collect::<mlua::Result<_>>()?;
        Ok(if self.client_resp3 { Reply::Set(members) } else { Reply::Array(members) })
    }

    fn big_number(&self, digits: &str) -> Reply {
        if self.client_resp3 {
            // The type of the value depends on a feature of the redis crate, so let it make it.
            let line = format!("({digits}\r\n");
            redis::parse_redis_value(line.as_bytes()).unwrap_or(Reply::Nil)
        } else {
            Reply::BulkString(digits.into())
        }
    }

    fn verbatim(&self, parts: &Table) -> mlua::Result<Reply> {
        let text = text(&parts.raw_get("string")?).unwrap_or_default();
        if !self.client_resp3 {
            return Ok(Reply::BulkString(text.into_bytes()));
        }
        let format = self::text(&parts.raw_get("format")?).unwrap_or_default();
        let format = match format.as_str() {
            "txt" => VerbatimFormat::Text,
            "mkd" => VerbatimFormat::Markdown,
            other => VerbatimFormat::Unknown(other.to_owned()),
        };
        Ok(Reply::VerbatimString { format, text })
    }
}

/// A number as C's cast cuts it on the machines that Redis runs on, where what does not fit becomes the
/// least of all.
#[expect(clippy::cast_possible_truncation, reason = "cutting is what is asked for")]
fn integer(number: f64) -> i64 {
    // Exactly 2^63, which is the first that does not fit.
    if number < 9_223_372_036_854_775_808.0 { number as i64 } else { i64::MIN }
}

/// What a command answered, for a script that asked for the third version of the protocol or not.
pub(super) struct Answer<'a> {
    pub(super) value: &'a Reply,
    pub(super) resp3: bool,
}

impl IntoLua for Answer<'_> {
    #[expect(clippy::cast_precision_loss, reason = "a number of Lua is a double")]
    fn into_lua(self, lua: &Lua) -> mlua::Result<Value> {
        let Self { value, resp3 } = self;
        let inner = |value| Self { value, resp3 };
        Ok(Value::Table(match value {
            Reply::Int(number) => return Ok(Value::Number(*number as f64)),
            Reply::BulkString(bytes) => return lua.create_string(bytes).map(Value::String),
            Reply::Okay => table(lua, "ok", "OK")?,
            Reply::SimpleString(line) => table(lua, "ok", line.as_str())?,
            Reply::Array(items) => lua.create_sequence_from(items.iter().map(inner))?,
            Reply::Map(pairs) => {
                let pairs = pairs.iter().map(|(key, value)| (inner(key), inner(value)));
                table(lua, "map", lua.create_table_from(pairs)?)?
            }
            Reply::VerbatimString { text, .. } => {
                let parts = [("format", "txt"), ("string", text.as_str())];
                table(lua, "verbatim_string", lua.create_table_from(parts)?)?
            }
            _ if resp3 => return Ok(Value::Nil),
            _ => return Ok(Value::Boolean(false)),
        }))
    }
}

/// A table with one field.
pub(super) fn table(lua: &Lua, name: &str, value: impl IntoLua) -> mlua::Result<Table> {
    lua.create_table_from([(name, value)])
}

#[cfg(test)]
mod tests {
    use super::*;

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
