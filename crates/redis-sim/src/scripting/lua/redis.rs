//! What the table `redis` has of functions that reach the server.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mlua::{IntoLua, Lua, MultiValue, Value};

use super::values::{self, Answer};
use super::{PER_COMMAND, Running, running, spend, unlimited};
use crate::commands;
use crate::error::Error;
use crate::number;
use crate::resp::Request;
use crate::scripting::Scripts;
use crate::session::Call;

pub(super) fn setresp(lua: &Lua, resp3: bool) -> mlua::Result<()> {
    running(lua)?.session.resp3 = resp3;
    Ok(())
}

/// Runs a command; gives what it answered, and before that what becomes of an error.
pub(super) fn command(
    lua: &Lua,
    words: &MultiValue,
    of_error: Value,
) -> mlua::Result<(Value, Value)> {
    let mut running = running(lua)?;
    spend(lua, &mut running, PER_COMMAND)?;
    let answer = catch_unwind(AssertUnwindSafe(|| answer(&mut running, words)));
    let answer = answer.unwrap_or_else(|panic| {
        running.panic = Some(panic);
        Err("ERR internal error".into())
    });
    let resp3 = running.session.resp3;
    drop(running);
    unlimited(lua, || match &answer {
        Ok(value) => Ok((Value::Nil, Answer { value, resp3 }.into_lua(lua)?)),
        Err(line) => {
            let error = values::table(lua, "err", line.as_str())?;
            error.raw_set("ignore_error_stats_update", true)?;
            Ok((of_error, Value::Table(error)))
        }
    })
}

/// Runs the command with these words.
fn answer(running: &mut Running, words: &MultiValue) -> Result<redis::Value, String> {
    let refused = |why: &str| Err(format!("ERR {why}"));
    if words.is_empty() {
        return refused("Please specify at least one argument for this redis lib call");
    }
    let words: Option<Vec<Vec<u8>>> = words.iter().map(word).collect();
    let Some(words) = words else {
        return refused("Lua redis lib command arguments must be strings or integers");
    };
    let mut request = Request::new();
    words.iter().for_each(|word| request.push(word));
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
    if command.writes && running.read_only {
        return refused("Write commands are not allowed from read-only scripts.");
    }
    if command.writes && !running.writes() {
        return refused("Script killed by user with SCRIPT KILL");
    }
    let mut call = Call {
        keyspace: &mut running.keyspace,
        // No command can be called from a script that needs scripts.
        scripts: &mut Scripts::default(),
        pubsub: &mut running.pubsub,
        session: &mut running.session,
        now: running.now,
    };
    call.run(command, request.argv(), args).map_err(|error| error.to_string())
}

/// A word of a command.
fn word(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        number => values::double(number).map(|number| number::shown(number, 17).into_bytes()),
    }
}
