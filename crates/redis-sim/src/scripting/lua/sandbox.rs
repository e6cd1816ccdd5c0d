//! What a script finds as its globals: put together by `sandbox.lua` from what only Rust can do.

use std::borrow::Cow;

use mlua::{BString, Function, Lua, Table, Value};

use super::{PER_COMMAND, guard, is_cut, json, redis, running, spend, strings};
use crate::scripting::Sha;

/// Where `math.random` begins in every script.
pub(super) const FIRST_SEED: u64 = seed(0);

/// Replaces the state's globals by a sandbox; gives the function that runs one of the scripts in it.
pub(super) fn build(lua: &Lua, scripts: &Table) -> mlua::Result<Function> {
    let native = lua.create_table_from([
        ("guard", lua.create_function(guard::guard)?),
        ("place", lua.create_function(place)?),
        ("is_cut", lua.create_function(|lua, ()| is_cut(lua))?),
        ("spend", lua.create_function(|lua, steps| spend(lua, &mut *running(lua)?, steps))?),
        ("next_match", lua.create_function(strings::next_match)?),
        ("draw", lua.create_function(draw)?),
        ("randomseed", lua.create_function(randomseed)?),
        ("call", lua.create_function(|lua, words| redis::command(lua, &words, guard::RAISE))?),
        ("pcall", lua.create_function(|lua, words| redis::command(lua, &words, Value::Nil))?),
        ("setresp", lua.create_function(redis::setresp)?),
        ("sha1", lua.create_function(|_, text: BString| Ok(Sha::of(&text).to_string()))?),
        ("encode", lua.create_function(json::encode)?),
        ("decode", lua.create_function(json::decode)?),
    ])?;
    native.raw_set("scripts", scripts)?;
    native.raw_set("null", Value::NULL)?;
    native.raw_set("per_command", PER_COMMAND)?;
    native.raw_set("version", crate::VERSION)?;
    native.raw_set("version_number", version_number())?;
    let code = include_str!("sandbox.lua");
    let (globals, run): (Table, Function) = lua.load(code).set_name("@sandbox").call(native)?;
    lua.set_globals(globals)?;
    Ok(run)
}

/// The version as one number, a byte for each part.
fn version_number() -> u32 {
    let parts = crate::VERSION.split('.').filter_map(|part| part.parse::<u32>().ok());
    parts.fold(0, |number, part| number << 8 | part)
}

/// Where an error was raised, for a function of Lua that handles it.
fn place(lua: &Lua, (): ()) -> mlua::Result<(Option<String>, Option<usize>)> {
    let at = |level| {
        lua.inspect_stack(level, |frame| {
            let source = frame.source();
            (source.what == "C", source.source.map(Cow::into_owned), frame.current_line())
        })
    };
    // A function of C, like `error`, has no place of its own: its caller has.
    let place = at(2).and_then(|place| if place.0 { at(3) } else { Some(place) });
    Ok(place.map_or((None, None), |(_, source, line)| (source, line)))
}

/// The state of Redis' random numbers, which are those of `drand48`.
const fn seed(seed: u32) -> u64 {
    (seed as u64) << 16 | 0x330e
}

/// The next random number, from 0 to 1: the same ones in each run of a script.
fn draw(lua: &Lua, (): ()) -> mlua::Result<f64> {
    let mut running = running(lua)?;
    let seed = &mut running.seed;
    *seed = seed.wrapping_mul(0x5_deec_e66d).wrapping_add(0xb) & 0xffff_ffff_ffff;
    let limit = f64::from(i32::MAX);
    // The highest 31 of 48 bits.
    let drawn = f64::from(u32::try_from(*seed >> 17).unwrap_or(0));
    Ok((drawn % limit) / limit)
}

#[expect(clippy::cast_possible_truncation, reason = "as C casts it to an int")]
#[expect(clippy::cast_sign_loss, reason = "as bits")]
fn randomseed(lua: &Lua, number: f64) -> mlua::Result<()> {
    running(lua)?.seed = seed(number as i64 as u32);
    Ok(())
}
