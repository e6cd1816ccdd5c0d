//! The wire format of replies, in either version of the protocol.
//!
//! The commands answer with values that the client's version has, so most have only one form here.

use std::io::Write;

use redis::Value;

use crate::number::shown as double;

/// How replies are written.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// The third version of the protocol, which has a word of its own for nothing. (A transaction that
    /// changes the version says nothing in the words of the last one only.)
    pub resp3: bool,
    /// Whether nothing is written as a list that is not there, as EXEC says it. Answers that come
    /// straight from the engine are marked where they need it.
    pub no_list: bool,
}

/// Adds a value's bytes to `out`.
pub fn write(value: &Value, format: Format, out: &mut Vec<u8>) {
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
            bulk(out, b'$', kind.to_string().as_bytes());
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
            bulk(out, b'=', format!("{format}:{text}").as_bytes());
        }
        Value::ServerError(error) => match error.details() {
            Some(details) => line(out, b'-', format_args!("{} {details}", error.code())),
            None => line(out, b'-', error.code()),
        },
        // See `session::no_list`.
        Value::Attribute { data, attributes } if attributes.is_empty() => {
            write(data, Format { no_list: true, ..format }, out);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::no_list;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..12);
        let leaf = prop_oneof![
            Just(Value::Nil),
            Just(Value::Okay),
            any::<i64>().prop_map(Value::Int),
            bytes().prop_map(Value::BulkString),
            "[a-zA-N ]{0,9}".prop_map(Value::SimpleString),
            any::<bool>().prop_map(Value::Boolean),
            (-1e9..1e9).prop_map(Value::Double),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let items = prop::collection::vec(inner.clone(), 0..4);
            let pairs = prop::collection::vec((inner.clone(), inner), 0..4);
            prop_oneof![
                items.clone().prop_map(Value::Array),
                items.prop_map(Value::Set),
                pairs.prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_client_reads_what_was_answered(value in value()) {
            let mut bytes = Vec::new();
            write(&value, Format { resp3: true, no_list: false }, &mut bytes);
            prop_assert_eq!(redis::parse_redis_value(&bytes).unwrap(), value);
        }
    }

    #[test]
    fn nothing_is_said_in_three_ways() {
        for (resp3, no_list, expected) in
            [(false, false, "$-1\r\n"), (false, true, "*-1\r\n"), (true, true, "_\r\n")]
        {
            let mut bytes = Vec::new();
            write(&Value::Nil, Format { resp3, no_list }, &mut bytes);
            assert_eq!(bytes, expected.as_bytes());
        }
        let list = Value::Array(vec![Value::Nil, no_list()]);
        let mut bytes = Vec::new();
        write(&list, Format { resp3: false, no_list: true }, &mut bytes);
        assert_eq!(bytes, b"*2\r\n$-1\r\n*-1\r\n");
    }
}
