//! What `sandbox.lua` makes `string.find`, `match`, `gmatch` and `gsub` of.

use mlua::{Lua, LuaString, MultiValue, Value};

use super::pattern::{Capture, Failure, Matcher};
use super::{running, spend};

/// The first match of a pattern at a place or behind it, counted from 1: where it begins, where it ends, and
/// what it captured; nil if there is none; or false and what is wrong with the pattern.
pub(super) fn next_match(
    lua: &Lua,
    (text, pattern, from, kind): (LuaString, LuaString, usize, LuaString),
) -> mlua::Result<MultiValue> {
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    let mut running = running(lua)?;
    let mut matcher = Matcher::new(&text, &pattern, running.steps);
    let from = from.saturating_sub(1);
    let found = match &*kind.as_bytes() {
        b"plain" => matcher.find_plain(from, &pattern),
        b"find" if !matcher.has_specials() => matcher.find_plain(from, &pattern),
        // In `gmatch`, this byte means nothing but itself.
        b"each" => matcher.find(from, false),
        _ => matcher.find(from, pattern.starts_with(b"^")),
    };
    let steps = running.steps - matcher.steps;
    spend(lua, &mut running, steps)?;
    drop(running);
    let wrong = |why| {
        let why = Value::String(lua.create_string(why)?);
        Ok(MultiValue::from_iter([Value::Boolean(false), why]))
    };
    let range = match found {
        Ok(Some(range)) => range,
        Ok(None) => return Ok(MultiValue::from_iter([Value::Nil])),
        Err(Failure::Pattern(why)) => return wrong(why),
        Err(Failure::OutOfSteps) => return Err(mlua::Error::runtime("too many instructions")),
    };
    let number = |place: usize| i64::try_from(place).map_or(Value::Nil, Value::Integer);
    let mut values = vec![number(range.start + 1), number(range.end)];
    for capture in &matcher.captures {
        values.push(match *capture {
            Capture::Open(_) => return wrong("unfinished capture"),
            Capture::Position(at) => number(at + 1),
            Capture::Closed(start, end) => {
                match lua.create_string(text.get(start..end).unwrap_or_default()) {
                    Ok(caught) => Value::String(caught),
                    Err(mlua::Error::MemoryError(_)) => return wrong("not enough memory"),
                    Err(error) => return Err(error),
                }
            }
        });
    }
    Ok(values.into_iter().collect())
}
