//! What concerns the whole server: INFO, TIME, COMMAND, DBSIZE, FLUSHDB, FLUSHALL, WAIT, ROLE.

use std::fmt::Write;

use redis::{Value, VerbatimFormat};

use super::{COMMANDS, Reply, bulk, count, integer, is};
use crate::VERSION;
use crate::error::{Error, quoted};
use crate::events::Published;
use crate::glob;
use crate::session::Call;

pub(super) fn dbsize(call: &mut Call<'_>, _: &[&[u8]]) -> Reply {
    Ok(count(call.db().len()))
}

pub(super) fn flushdb(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    check_flush(args)?;
    call.db().clear();
    Ok(Value::Okay)
}

pub(super) fn flushall(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    check_flush(args)?;
    let now = call.now_ms();
    call.keyspace.all(now).for_each(|mut db| db.clear());
    Ok(Value::Okay)
}

/// Whether to free memory in the background makes no difference here.
fn check_flush(args: &[&[u8]]) -> Result<(), Error> {
    match args {
        [] => Ok(()),
        [how] if is(how, "sync") || is(how, "async") => Ok(()),
        _ => Err(Error::Syntax),
    }
}

/// The one setting that there is.
const NOTIFY: &[u8] = b"notify-keyspace-events";

pub(super) fn config_get(call: &mut Call<'_>, patterns: &[&[u8]]) -> Reply {
    let is_wanted = patterns.iter().any(|pattern| {
        let pattern = pattern.to_ascii_lowercase();
        glob::matches(&pattern, NOTIFY)
    });
    let setting = is_wanted.then(|| (bulk(NOTIFY), bulk(&call.pubsub.published.shown())));
    Ok(super::map(call, setting))
}

pub(super) fn config_set(call: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let (pairs, []) = args.as_chunks::<2>() else { return Err(Error::Arity("config|set")) };
    if let Some([unknown, _]) = pairs.iter().find(|[name, _]| !name.eq_ignore_ascii_case(NOTIFY)) {
        return Err(Error::UnknownSetting(quoted(unknown, 128)));
    }
    for [_, letters] in pairs {
        call.pubsub.published = Published::read(letters).ok_or(Error::InvalidEventClass)?;
    }
    call.keyspace.is_noted = call.pubsub.published.is_on();
    Ok(Value::Okay)
}

pub(super) fn time(call: &mut Call<'_>, _: &[&[u8]]) -> Reply {
    let parts = [call.now.as_secs(), call.now.subsec_micros().into()];
    Ok(Value::Array(parts.iter().map(|part| bulk(part.to_string().as_bytes())).collect()))
}

/// There are no replicas, and it is of no use to wait for some: the answer that would come when the
/// time is up comes at once.
pub(super) fn wait(_: &mut Call<'_>, args: &[&[u8]]) -> Reply {
    let [replicas, timeout] = args else { return Err(Error::Arity("wait")) };
    integer(replicas)?;
    if integer(timeout).map_err(|_| Error::TimeoutNotAnInteger)? < 0 {
        return Err(Error::NegativeTimeout);
    }
    Ok(count(0))
}

/// A master without replicas.
pub(super) fn role(_: &mut Call<'_>, _: &[&[u8]]) -> Reply {
    Ok(Value::Array(vec![bulk(b"master"), Value::Int(0), Value::Array(Vec::new())]))
}

/// Clients ask for the list of commands only to help users that type.
pub(super) fn command(_: &mut Call<'_>, _: &[&[u8]]) -> Reply {
    Ok(Value::Array(Vec::new()))
}

pub(super) fn command_count(_: &mut Call<'_>, _: &[&[u8]]) -> Reply {
    Ok(count(COMMANDS.len()))
}

pub(super) fn command_docs(call: &mut Call<'_>, _: &[&[u8]]) -> Reply {
    Ok(super::map(call, std::iter::empty()))
}

pub(super) fn command_info(_: &mut Call<'_>, names: &[&[u8]]) -> Reply {
    Ok(Value::Array(names.iter().map(|_| Value::Nil).collect()))
}

/// Writes the body of a section of INFO.
type Section = fn(&Call<'_>) -> String;

pub(super) fn info(call: &mut Call<'_>, wanted: &[&[u8]]) -> Reply {
    let everything = wanted.is_empty()
        || wanted
            .iter()
            .any(|name| is(name, "default") || is(name, "all") || is(name, "everything"));
    let sections: [(&str, Section); 4] = [
        ("Server", server_section),
        ("Clients", |call| format!("connected_clients:{}\r\n", call.keyspace.clients)),
        ("Replication", |_| "role:master\r\nconnected_slaves:0\r\n".into()),
        ("Keyspace", keyspace_section),
    ];
    let texts: Vec<String> = sections
        .iter()
        .filter(|(name, _)| everything || wanted.iter().any(|wanted| is(wanted, name)))
        .map(|(name, text)| format!("# {name}\r\n{}", text(call)))
        .collect();
    let text = texts.join("\r\n");
    if call.session.resp3 {
        return Ok(Value::VerbatimString { format: VerbatimFormat::Text, text });
    }
    Ok(bulk(text.as_bytes()))
}

fn server_section(call: &Call<'_>) -> String {
    let micros = call.now.as_micros();
    let pid = std::process::id();
    format!(
        "redis_version:{VERSION}\r\nredis_mode:standalone\r\nprocess_id:{pid}\r\ntcp_port:0\r\n\
         server_time_usec:{micros}\r\n"
    )
}

fn keyspace_section(call: &Call<'_>) -> String {
    let mut text = String::new();
    for (db, (keys, expires)) in call.keyspace.sizes().enumerate().filter(|(_, size)| size.0 > 0) {
        // Redis samples the average; nothing in a lock depends on it.
        let _ = write!(text, "db{db}:keys={keys},expires={expires},avg_ttl=0\r\n");
    }
    text
}
