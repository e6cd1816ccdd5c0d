//! What actors sent, as lines of bash that call redis-cli.

use crate::report::escape;
use lock_lab::server::{Exchange, quoted_input, secret_from};
use redis::Value;

/// Commands that wait for messages.
const LISTENING: [&str; 4] = ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "MONITOR"];
/// Commands that wait until there is something. The embedded server answers them at once.
const WAITING: [&str; 9] =
    ["BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP", "WAIT"];
/// What is, or announces, a time of the day.
const ABSOLUTE: [&str; 4] = ["EXPIREAT", "PEXPIREAT", "EXAT", "PXAT"];

/// Why redis-cli can't repeat an exchange, if so.
pub(super) fn left_out(exchange: &Exchange) -> Option<&'static str> {
    let requests = exchange.requests();
    let replied = exchange.replies.as_deref().unwrap_or_default();
    if requests.iter().any(|request| secret_from(request).is_some()) {
        Some("it holds a password")
    } else if is_any(exchange, &LISTENING) {
        Some("redis-cli would wait for messages")
    } else if is_any(exchange, &WAITING) && matches!(replied, [Value::Nil | Value::Int(_)]) {
        Some("nothing was there, and redis-cli would wait for it")
    } else if is_any(exchange, &["MULTI"]) && matches!(replied, [Value::Nil]) {
        Some("EXEC replied nil and nothing was carried out, because a watched key had changed")
    } else {
        None
    }
}

/// Whether a command watches keys.
pub(super) fn watches(exchange: &Exchange) -> bool {
    is_any(exchange, &["WATCH"])
}

/// Whether a command asks for what is left of a TTL.
pub(super) fn counts_down(exchange: &Exchange) -> bool {
    is_any(exchange, &["TTL", "PTTL"])
}

/// Whether a command names a time of the day.
pub(super) fn is_absolute(exchange: &Exchange) -> bool {
    exchange.requests().iter().flatten().any(|word| is_one_of(word, &ABSOLUTE))
}

/// Whether one of the commands has one of these names.
fn is_any(exchange: &Exchange, names: &[&str]) -> bool {
    let requests = exchange.requests();
    requests.iter().filter_map(|request| request.first()).any(|name| is_one_of(name, names))
}

fn is_one_of(word: &[u8], names: &[&str]) -> bool {
    names.iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes()))
}

/// The lines that repeat an exchange. What went out at once goes through one redis-cli, and so does
/// a zero byte, which no argument of a program can hold.
pub(super) fn lines(exchange: &Exchange) -> String {
    let requests = exchange.requests();
    let cli = match exchange.db {
        0 => "redis-cli".to_owned(),
        db => format!("redis-cli -n {db}"),
    };
    match requests.as_slice() {
        [request] if !request.iter().any(|word| word.contains(&0)) => {
            format!("{cli} {}\n", joined(request, argument))
        }
        requests => {
            let typed = requests.iter().map(|request| joined(request, input) + "\n");
            format!("{cli} <<'EOF'\n{}EOF\n", typed.collect::<String>())
        }
    }
}

/// A command of ours.
pub(super) fn line(words: &[&str]) -> String {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    format!("redis-cli {}\n", joined(&words, argument))
}

fn joined(words: &[&[u8]], as_word: fn(&[u8]) -> String) -> String {
    words.iter().map(|word| as_word(word)).collect::<Vec<_>>().join(" ")
}

fn plain(word: &[u8]) -> Option<&str> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(byte);
    let text = str::from_utf8(word).ok()?;
    (!word.is_empty() && word.iter().all(is_plain)).then_some(text)
}

/// A word as bash reads it.
fn argument(word: &[u8]) -> String {
    if let Some(text) = plain(word) {
        return text.into();
    }
    let is_readable = |text: &&str| text.split('\n').all(|line| escape(line) == line);
    if let Some(text) = str::from_utf8(word).ok().filter(is_readable) {
        // Most scripts have single quotes in them.
        return match text.contains('\'') && !text.contains(['"', '$', '`', '\\', '!']) {
            true => format!("\"{text}\""),
            false => format!("'{}'", text.replace('\'', r"'\''")),
        };
    }
    let byte = |byte: &u8| match byte {
        b'\'' | b'\\' => format!("\\{}", char::from(*byte)),
        b' '..=b'~' => char::from(*byte).into(),
        _ => format!("\\x{byte:02x}"),
    };
    format!("$'{}'", word.iter().map(byte).collect::<String>())
}

/// A word as redis-cli reads it from its input. None is EOF, which ends that.
fn input(word: &[u8]) -> String {
    plain(word).filter(|text| *text != "EOF").map_or_else(|| quoted_input(word), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lock_history::history::Moment;
    use redis::RedisResult;
    use std::process::Command;

    fn exchange(requests: &[&[&str]], replies: RedisResult<Vec<Value>>) -> Exchange {
        let mut pipe = redis::pipe();
        for request in requests {
            pipe.add_command(redis::cmd(request[0])).arg(&request[1..]);
        }
        let commands = pipe.get_packed_pipeline();
        let never = Moment::default();
        Exchange { sent: never, received: never, db: 0, commands, replies, observed: Vec::new() }
    }

    #[test]
    fn bash_reads_every_word_as_it_was() {
        for word in [
            &b"plain:word-1"[..],
            b"",
            b"a b",
            b"it's",
            b"it's $HOME",
            b"'!\\'",
            b"`x` \"y\"",
            "l\u{f6}ck".as_bytes(),
            "\u{202e}x".as_bytes(),
            b"two\nlines\n",
            b"\x01\x7f\xff0\t'",
        ] {
            let printf = format!("printf %s {}", argument(word));
            let output = Command::new("bash").args(["-c", &printf]).output().unwrap();
            assert_eq!(output.stdout, word, "{printf}");
        }
    }

    #[test]
    fn no_word_ends_the_input_of_redis_cli() {
        let sent =
            exchange(&[&["MULTI"], &["EOF"], &["SET", "a b", "x\ny"], &["EXEC"]], Ok(vec![]));
        let expected = "redis-cli <<'EOF'\nMULTI\n\"EOF\"\nSET \"a b\" \"x\\ny\"\nEXEC\nEOF\n";
        assert_eq!(lines(&sent), expected);
        let sent = Exchange { db: 13, ..exchange(&[&["GET", "a\0"]], Ok(vec![])) };
        assert_eq!(lines(&sent), "redis-cli -n 13 <<'EOF'\nGET \"a\\x00\"\nEOF\n");
    }

    #[test]
    fn what_redis_cli_can_t_repeat_or_must_not_show_is_left_out() {
        for (request, reply, is_left_out) in [
            (&["AUTH", "secret"][..], Value::Okay, true),
            (&["subscribe", "lock"], Value::Nil, true),
            (&["BLPOP", "signal", "0"], Value::Nil, true),
            (&["BLPOP", "signal", "0"], Value::Array(vec![Value::Okay]), false),
            (&["WAIT", "1", "0"], Value::Int(0), true),
            (&["GET", "AUTH"], Value::Nil, false),
        ] {
            let sent = exchange(&[request], Ok(vec![reply]));
            assert_eq!(left_out(&sent).is_some(), is_left_out, "{request:?}");
        }
        let transaction =
            |reply| exchange(&[&["MULTI"], &["DEL", "a"], &["EXEC"]], Ok(vec![reply]));
        assert!(left_out(&transaction(Value::Nil)).is_some());
        assert!(left_out(&transaction(Value::Array(vec![Value::Int(1)]))).is_none());
    }
}
