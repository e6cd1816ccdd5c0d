//! What concerns a client's connection: PING, HELLO, AUTH, SELECT, CLIENT and the like.

use redis::Value;

use super::{Reply, bulk, integer, is};
use crate::VERSION;
use crate::error::{Error, quoted};
use crate::keyspace::DbIndex;
use crate::session::Call;

pub(super) fn ping(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    if call.session.listening && !call.session.resp3 && args.len() < 2 {
        // What comes to a listener of the old protocol is a list.
        let text = args.first().copied().unwrap_or_default();
        return Ok(Value::Array(vec![bulk(b"pong"), bulk(text)]));
    }
    match args {
        [] => Ok(Value::SimpleString("PONG".into())),
        [text] => Ok(bulk(text)),
        _ => Err(Error::Arity("ping")),
    }
}

pub(super) fn echo(_: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [text] = args else { return Err(Error::Arity("echo")) };
    Ok(bulk(text))
}

pub(super) fn quit(call: &mut Call<'_>, _: &[&[u8]]) -> Reply {
    call.session.closed = true;
    Ok(Value::Okay)
}

pub(super) fn reset(call: &mut Call<'_>, _: &[&[u8]]) -> Reply {
    call.unwatch();
    call.stop_listening();
    let session = &mut *call.session;
    session.queue = None;
    session.db = DbIndex::FIRST;
    session.name.clear();
    session.resp3 = false;
    Ok(Value::SimpleString("RESET".into()))
}

pub(super) fn select(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [number] = args else { return Err(Error::Arity("select")) };
    call.session.db = database(number)?;
    Ok(Value::Okay)
}

/// The database whose number an argument is.
pub(super) fn database(number: &[u8]) -> Result<DbIndex, Error> {
    let number = integer(number)?;
    i32::try_from(number).map_err(|_| Error::OutOfRange)?;
    DbIndex::new(number)
}

/// There is one user, `default`, without a password: any will do if the user is named.
pub(super) fn auth(_: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    match args {
        [_] => Err(Error::NoPassword),
        [user, _] => authenticate(user).map(|()| Value::Okay),
        _ => Err(Error::Syntax),
    }
}

fn authenticate(user: &[u8]) -> Result<(), Error> {
    if user == b"default" { Ok(()) } else { Err(Error::WrongPassword) }
}

pub(super) fn hello(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let Some((version, mut options)) = args.split_first() else { return Ok(greeting(call)) };
    let resp3 = match integer(version) {
        Ok(2) => false,
        Ok(3) => true,
        Ok(_) => return Err(Error::UnsupportedProtocol),
        Err(_) => return Err(Error::ProtocolNotAnInteger),
    };
    // Each takes effect at once, even if a later one is refused.
    while let Some((option, _)) = options.split_first() {
        options = match options {
            [_, user, _, rest @ ..] if is(option, "auth") => {
                authenticate(user)?;
                rest
            }
            [_, name, rest @ ..] if is(option, "setname") => {
                set_name(call, name)?;
                rest
            }
            _ => return Err(Error::HelloOption(quoted(option, usize::MAX))),
        };
    }
    call.session.resp3 = resp3;
    call.pubsub.set_protocol(call.session.id, resp3);
    Ok(greeting(call))
}

fn greeting(call: &Call<'_>) -> Value {
    let version = if call.session.resp3 { 3 } else { 2 };
    let pairs = [
        ("server", bulk(b"redis")),
        ("version", bulk(VERSION.as_bytes())),
        ("proto", Value::Int(version)),
        ("id", Value::Int(call.session.id)),
        ("mode", bulk(b"standalone")),
        ("role", bulk(b"master")),
        ("modules", Value::Array(Vec::new())),
    ];
    super::map(call, pairs.into_iter().map(|(name, value)| (bulk(name.as_bytes()), value)))
}

pub(super) fn client_id(call: &mut Call<'_>, _: &[&[u8]]) -> Reply {
    Ok(Value::Int(call.session.id))
}

pub(super) fn client_getname(call: &mut Call<'_>, _: &[&[u8]]) -> Reply {
    let name = &call.session.name;
    Ok(if name.is_empty() { Value::Nil } else { bulk(name) })
}

pub(super) fn client_setname(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [name] = args else { return Err(Error::Arity("client|setname")) };
    set_name(call, name).map(|()| Value::Okay)
}

fn set_name(call: &mut Call<'_>, name: &[u8]) -> Result<(), Error> {
    if !name.iter().all(u8::is_ascii_graphic) {
        return Err(Error::ClientName);
    }
    call.session.name = name.to_vec();
    Ok(())
}
