//! The wire format of replies, in either version of the protocol.
//!
//! The commands answer with values that the client's version has, so most have only one form here.

use std::io::Write;

use redis::{PushKind, Value, VerbatimFormat};

use crate::engine::scripting::number as double;

/// How replies are written.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Format {
    /// The third version of the protocol.
    pub(in crate::engine) resp3: bool,
    /// Whether nothing is written as a list that is not there. Only EXEC says it like that.
    pub(in crate::engine) no_list: bool,
}

/// Adds a value's bytes to `out`.
pub(in crate::engine) fn write(value: &Value, format: Format, out: &mut Vec<u8>) {
    let each = |values: &[Value], out: &mut Vec<u8>| {
        let format = Format { no_list: false, ..format };
        values.iter().for_each(|value| write(value, format, out));
    };
    match value {
        Value::Nil => out.extend_from_slice(match format {
            Format { resp3: true, .. } => b"_\r\n",
            Format { no_list: true, .. } => b"*-1\r\n",
            _ => b"$-1\r\n",
        }),
        Value::Int(number) => line(out, b':', *number),
        Value::BulkString(bytes) => bulk(out, b'$', bytes),
        Value::Okay => out.extend_from_slice(b"+OK\r\n"),
        Value::SimpleString(text) => line(out, b'+', text),
        Value::Array(items) => {
            line(out, b'*', items.len());
            each(items, out);
        }
        Value::Set(items) => {
            line(out, b'~', items.len());
            each(items, out);
        }
        Value::Map(pairs) => {
            line(out, b'%', pairs.len());
            for (key, value) in pairs {
                each(std::slice::from_ref(key), out);
                each(std::slice::from_ref(value), out);
            }
        }
        Value::Push { kind, data } => {
            line(out, if format.resp3 { b'>' } else { b'*' }, data.len() + 1);
            bulk(out, b'$', name(kind).as_bytes());
            each(data, out);
        }
        Value::Boolean(yes) => line(out, b'#', if *yes { 't' } else { 'f' }),
        Value::Double(number) => line(out, b',', double(*number, 17)),
        Value::BigNumber(digits) => {
            out.push(b'(');
            out.extend_from_slice(digits);
            out.extend_from_slice(b"\r\n");
        }
        Value::VerbatimString { format, text } => {
            bulk(out, b'=', format!("{}:{text}", kind_of_text(format)).as_bytes());
        }
        Value::ServerError(error) => match error.details() {
            Some(details) => line(out, b'-', format_args!("{} {details}", error.code())),
            None => line(out, b'-', error.code()),
        },
        Value::Attribute { data, .. } => write(data, format, out),
        // No command here answers with a kind of value that is not known yet.
        _ => out.extend_from_slice(b"-ERR internal error\r\n"),
    }
}

/// A line: its letter and what it says. Writing to memory does not fail.
fn line(out: &mut Vec<u8>, letter: u8, text: impl std::fmt::Display) {
    out.push(letter);
    let _ = write!(out, "{text}\r\n");
}

/// Bytes with their length before them.
fn bulk(out: &mut Vec<u8>, letter: u8, bytes: &[u8]) {
    line(out, letter, bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn kind_of_text(kind: &VerbatimFormat) -> &str {
    match kind {
        VerbatimFormat::Text => "txt",
        VerbatimFormat::Markdown => "mkd",
        VerbatimFormat::Unknown(other) => other,
        _ => "txt",
    }
}

fn name(kind: &PushKind) -> &str {
    match kind {
        PushKind::Message => "message",
        PushKind::PMessage => "pmessage",
        PushKind::SMessage => "smessage",
        PushKind::Subscribe => "subscribe",
        PushKind::PSubscribe => "psubscribe",
        PushKind::SSubscribe => "ssubscribe",
        PushKind::Unsubscribe => "unsubscribe",
        PushKind::PUnsubscribe => "punsubscribe",
        PushKind::SUnsubscribe => "sunsubscribe",
        PushKind::Invalidate => "invalidate",
        PushKind::Other(other) => other,
        _ => "",
    }
}
