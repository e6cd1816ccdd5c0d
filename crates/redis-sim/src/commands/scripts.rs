//! Scripts: EVAL and EVALSHA, their read-only forms, and SCRIPT. What runs them is in
//! [`crate::scripting`].

use redis::Value;

use super::{Reply, bulk, flag, integer, is};
use crate::error::Error;
use crate::scripting::{self, Access, Sha};
use crate::session::Call;

pub(super) fn eval(call: &mut Call<'_>, args: &[&[u8]], access: Access) -> Reply {
    let [body, rest @ ..] = args else { return Err(Error::Arity("eval")) };
    let (keys, argv) = split(rest)?;
    let sha = call.scripts.load(body)?;
    scripting::run(call, sha, keys, argv, access)
}

pub(super) fn evalsha(call: &mut Call<'_>, args: &[&[u8]], access: Access) -> Reply {
    let [sha, rest @ ..] = args else { return Err(Error::Arity("evalsha")) };
    // Redis looks at the length first, and for the script last.
    if sha.len() != Sha::DIGITS {
        return Err(Error::NoScript);
    }
    let (keys, argv) = split(rest)?;
    let sha = Sha::parse(sha).ok_or(Error::NoScript)?;
    scripting::run(call, sha, keys, argv, access)
}

type Words<'r, 'a> = &'r [&'a [u8]];

/// Keys and other arguments, apart.
fn split<'r, 'a>(args: Words<'r, 'a>) -> Result<(Words<'r, 'a>, Words<'r, 'a>), Error> {
    let [number, args @ ..] = args else { return Err(Error::Syntax) };
    let number = integer(number)?;
    let number = usize::try_from(number).map_err(|_| Error::NegativeKeys)?;
    args.split_at_checked(number).ok_or(Error::TooManyKeys)
}

pub(super) fn load(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [body] = args else { return Err(Error::Arity("script|load")) };
    let sha = call.scripts.load(body)?;
    Ok(bulk(sha.to_string().as_bytes()))
}

/// When a script runs, the server does not wait for this one's turn: see [`crate::server`].
pub(super) fn kill(call: &mut Call<'_>, _: &[&[u8]]) -> Reply {
    call.scripts.watch.kill().map(|()| Value::Okay)
}

pub(super) fn exists(call: &mut Call<'_>, shas: &[&[u8]]) -> Reply {
    let known = |sha: &&[u8]| Sha::parse(sha).is_some_and(|sha| call.scripts.knows(sha));
    Ok(Value::Array(shas.iter().map(|sha| flag(known(sha))).collect()))
}

pub(super) fn flush(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    match args {
        [] => {}
        [how] if is(how, "sync") || is(how, "async") => {}
        _ => return Err(Error::ScriptFlush),
    }
    call.scripts.forget();
    Ok(Value::Okay)
}
