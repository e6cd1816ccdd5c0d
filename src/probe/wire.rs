//! Requests and replies as bytes.

use redis::{RedisResult, Value};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The longest argument, in bytes; no lock client sends as much.
const LONGEST: usize = 16 << 20;
/// The most arguments.
const MOST: usize = 1 << 16;

/// The words of a request.
pub(super) type Words = Vec<Vec<u8>>;

/// Bytes that are no request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The first request in these bytes, and how many of them it takes; nothing, if it isn't whole yet.
pub(super) fn request(bytes: &[u8]) -> Result<Option<(Words, usize)>, Malformed> {
    let mut at = 0;
    let Some(count) = number(bytes, &mut at, b'*', MOST)? else { return Ok(None) };
    let mut words = Vec::with_capacity(count.min(16));
    for _ in 0..count {
        let Some(length) = number(bytes, &mut at, b'$', LONGEST)? else { return Ok(None) };
        let Some(word) = bytes.get(at..at + length) else { return Ok(None) };
        let Some(end) = bytes.get(at + length..at + length + 2) else { return Ok(None) };
        if end != b"\r\n" {
            return Err(Malformed);
        }
        words.push(word.to_vec());
        at += length + 2;
    }
    Ok(Some((words, at)))
}

fn number(bytes: &[u8], at: &mut usize, sign: u8, most: usize) -> Result<Option<usize>, Malformed> {
    let Some(rest) = bytes.get(*at..) else { return Ok(None) };
    if rest.first().is_some_and(|first| *first != sign) {
        return Err(Malformed);
    }
    let Some(end) = rest.iter().position(|byte| *byte == b'\r') else {
        return if rest.len() > 20 { Err(Malformed) } else { Ok(None) };
    };
    if rest.len() < end + 2 {
        return Ok(None);
    }
    let digits = rest.get(1..end).and_then(|digits| std::str::from_utf8(digits).ok());
    let number = digits.and_then(|digits| digits.parse().ok()).filter(|number| *number <= most);
    *at += end + 2;
    number.map(Some).ok_or(Malformed)
}

/// A request as it goes to a server.
pub(super) fn packed(words: &[Vec<u8>], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    words.iter().for_each(|word| bulk(word, out));
}

fn bulk(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// The command that a server says it doesn't know.
pub(super) fn lacking(answer: &RedisResult<Vec<Value>>) -> Option<String> {
    let of = |text: &str| {
        if text.starts_with("Unknown Redis command") {
            return Some("a script with a command".to_owned());
        }
        text.strip_prefix("unknown command '")?.split('\'').next().map(str::to_owned)
    };
    let of_value = |value: &Value| match value {
        Value::ServerError(error) => error.details().and_then(of),
        _ => None,
    };
    match answer {
        Ok(answers) => answers.iter().find_map(of_value),
        Err(error) => {
            let each = error.clone().into_server_errors();
            let mut each = each.iter().flat_map(|all| all.iter());
            let unknown = each.find_map(|(_, error)| error.details().and_then(of));
            unknown.or_else(|| error.detail().and_then(of))
        }
    }
}

/// A reply as a client of the second or third version of the protocol reads it; `value` is what
/// becomes of each string.
pub(super) fn reply(answer: &Value, resp3: bool, value: &dyn Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut out = Vec::new();
    write(answer, resp3, value, &mut out);
    out
}

fn write(answer: &Value, resp3: bool, value: &dyn Fn(&[u8]) -> Vec<u8>, out: &mut Vec<u8>) {
    let line = |text: String, out: &mut Vec<u8>| {
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    match answer {
        Value::Nil if resp3 => line("_".into(), out),
        Value::Nil => line("$-1".into(), out),
        Value::Int(number) => line(format!(":{number}"), out),
        Value::Okay => line("+OK".into(), out),
        Value::SimpleString(text) => line(format!("+{text}"), out),
        Value::BulkString(bytes) => bulk(&value(bytes), out),
        Value::Array(parts) | Value::Set(parts) => {
            line(format!("*{}", parts.len()), out);
            parts.iter().for_each(|part| write(part, resp3, value, out));
        }
        Value::Map(pairs) => {
            match resp3 {
                true => line(format!("%{}", pairs.len()), out),
                false => line(format!("*{}", pairs.len() * 2), out),
            }
            for (key, held) in pairs {
                write(key, resp3, value, out);
                write(held, resp3, value, out);
            }
        }
        Value::Double(number) if resp3 => line(format!(",{number}"), out),
        Value::Double(number) => bulk(number.to_string().as_bytes(), out),
        Value::Boolean(holds) if resp3 => line(format!("#{}", if *holds { 't' } else { 'f' }), out),
        Value::Boolean(holds) => line(format!(":{}", u8::from(*holds)), out),
        Value::ServerError(error) => {
            let code = match error.code() {
                "ResponseError" => "ERR",
                code => code,
            };
            line(format!("-{code} {}", error.details().unwrap_or_default()), out);
        }
        other => line(format!("-ERR cannot pass on {other:?}").replace(['\r', '\n'], " "), out),
    }
}

/// The scripts that subjects have sent so far, by digest. A subject is told that a digest is unknown
/// the first time that any has it, and a script then goes to the server whole, so that what a server
/// has forgotten is no matter of orderings.
#[derive(Debug, Default)]
pub(super) struct KnownScripts(Mutex<HashMap<String, Vec<u8>>>);

impl KnownScripts {
    /// Keeps a script; gives its digest.
    pub fn learn(&self, body: &[u8]) -> String {
        let digest = sha1_smol::Sha1::from(body).digest().to_string();
        self.known().insert(digest.clone(), body.to_vec());
        digest
    }

    /// The script that has this digest.
    pub fn find(&self, digest: &[u8]) -> Option<Vec<u8>> {
        let digest = String::from_utf8_lossy(digest).to_ascii_lowercase();
        self.known().get(&digest).cloned()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_request_is_whole_or_not_there(
            words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..5),
        ) {
            let mut bytes = Vec::new();
            packed(&words, &mut bytes);
            for cut in 0..bytes.len() {
                prop_assert_eq!(request(&bytes[..cut]), Ok(None));
            }
            prop_assert_eq!(request(&bytes), Ok(Some((words, bytes.len()))));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = request(&bytes);
        }
    }

    #[test]
    fn what_a_server_lacks_is_named() {
        let error = |text: &str| redis::parse_redis_value(format!("-{text}\r\n").as_bytes());
        let lacks = |text| lacking(&error(text).map(|answer| vec![answer]));
        let unknown = "ERR unknown command 'LPUSH', with args beginning with: 'a' ";
        assert_eq!(lacks(unknown), Some("LPUSH".into()));
        let inner = "ERR Unknown Redis command called from script script: 0a";
        assert_eq!(lacks(inner), Some("a script with a command".into()));
        assert_eq!(lacks("ERR syntax error"), None);
        assert_eq!(lacking(&Ok(vec![Value::BulkString(unknown.into())])), None);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for bytes in [
            &b"GET x\r\n"[..],
            b"*1\r\n+OK\r\n",
            b"*-1\r\n",
            b"*1\r\n$3\r\nabcde",
            b"*99999999\r\n",
        ] {
            assert_eq!(request(bytes), Err(Malformed), "{bytes:?}");
        }
    }
}
