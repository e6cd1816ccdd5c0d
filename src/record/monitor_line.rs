//! One line of MONITOR: when, in which database, from which client, and the command.

/// Where a command came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CommandSource {
    /// A connection, by its address.
    Client(String),
    /// The script that is running.
    Script,
}

/// Whether a client came over a Unix socket: all of its clients have the same address.
pub(super) fn is_socket(address: &str) -> bool {
    address.starts_with("unix:")
}

/// A command that the server ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MonitorLine {
    /// The server's clock in microseconds since 1970, read when the command had run (and before a
    /// script began to run).
    pub at: u64,
    /// The database that was selected afterwards.
    pub db: u64,
    /// The sender.
    pub source: CommandSource,
    /// The command and its arguments; at least one.
    pub arguments: Vec<Vec<u8>>,
}

impl MonitorLine {
    /// Reads a line; nothing if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (stamp, rest) = text.split_once(" [")?;
        // The path of a socket may hold anything; what follows it is certain.
        let (head, rest) = rest.split_once("] \"")?;
        let (db, source) = head.split_once(' ')?;
        let source = match source {
            "lua" => CommandSource::Script,
            address => CommandSource::Client(address.to_owned()),
        };
        let arguments = arguments(rest)?;
        Some(Self { at: microseconds(stamp)?, db: db.parse().ok()?, source, arguments })
    }
}

/// `seconds.microseconds`.
fn microseconds(stamp: &str) -> Option<u64> {
    let (seconds, fraction) = stamp.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if fraction.len() != 6 || !digits(seconds) || !digits(fraction) {
        return None;
    }
    let seconds: u64 = seconds.parse().ok()?;
    seconds.checked_mul(1_000_000)?.checked_add(fraction.parse().ok()?)
}

/// The arguments, without the quote that opens the first one.
fn arguments(text: &str) -> Option<Vec<Vec<u8>>> {
    let mut arguments = Vec::new();
    let mut rest = text.as_bytes();
    loop {
        let (argument, after) = argument(rest)?;
        arguments.push(argument);
        match after {
            [] => return Some(arguments),
            [b' ', b'"', next @ ..] => rest = next,
            _ => return None,
        }
    }
}

/// One argument up to the quote that closes it, and what follows.
fn argument(mut text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut argument = Vec::new();
    loop {
        text = match text {
            [b'"', rest @ ..] => return Some((argument, rest)),
            [b'\\', b'x', high, low, rest @ ..] => {
                argument.push(hexadecimal(*high)? << 4 | hexadecimal(*low)?);
                rest
            }
            [b'\\', escaped, rest @ ..] => {
                argument.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'a' => 7,
                    b'b' => 8,
                    b'"' | b'\\' => *escaped,
                    _ => return None,
                });
                rest
            }
            [b'\\'] | [] => return None,
            [byte, rest @ ..] => {
                argument.push(*byte);
                rest
            }
        };
    }
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write;

    /// As `sdscatrepr` of Redis writes it.
    fn quoted(argument: &[u8]) -> String {
        let mut text = String::from("\"");
        for byte in argument {
            match byte {
                b'\\' | b'"' => text.extend(['\\', char::from(*byte)]),
                b'\n' => text.push_str("\\n"),
                b'\r' => text.push_str("\\r"),
                b'\t' => text.push_str("\\t"),
                7 => text.push_str("\\a"),
                8 => text.push_str("\\b"),
                b' '..=b'~' => text.push(char::from(*byte)),
                _ => write!(text, "\\x{byte:02x}").unwrap(),
            }
        }
        text + "\""
    }

    fn written(line: &MonitorLine) -> String {
        let source = match &line.source {
            CommandSource::Client(address) => address,
            CommandSource::Script => "lua",
        };
        let arguments: Vec<String> = line.arguments.iter().map(|one| quoted(one)).collect();
        let (seconds, rest) = (line.at / 1_000_000, line.at % 1_000_000);
        format!("{seconds}.{rest:06} [{} {source}] {}", line.db, arguments.join(" "))
    }

    proptest! {
        #[test]
        fn what_redis_writes_is_read_back(
            at in 0..u64::MAX / 2,
            db in 0..100u64,
            address in "lua|127\\.0\\.0\\.1:[0-9]{1,5}|\\[::1\\]:[0-9]{1,5}|unix:/[ a-z\\]\\[]{0,9}",
            arguments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..5),
        ) {
            let source =
                if address == "lua" { CommandSource::Script } else { CommandSource::Client(address) };
            let line = MonitorLine { at, db, source, arguments };
            prop_assert_eq!(MonitorLine::parse(&written(&line)), Some(line));
        }

        #[test]
        fn nothing_else_ends_the_program(text in ".{0,60}") {
            let _ = MonitorLine::parse(&text);
            let _ = MonitorLine::parse(&format!("1.000000 [0 a:1] \"GET\" \"{text}"));
        }
    }

    #[test]
    fn lines_as_they_are_on_the_wire() {
        let line = MonitorLine::parse(
            r#"1700000000.123456 [3 127.0.0.1:5000] "SET" "k" "v\xff\"\\\n" "NX""#,
        );
        let line = line.unwrap();
        assert_eq!((line.at, line.db), (1_700_000_000_123_456, 3));
        assert_eq!(line.source, CommandSource::Client("127.0.0.1:5000".into()));
        assert_eq!(line.arguments, [&b"SET"[..], b"k", b"v\xff\"\\\n", b"NX"]);
        let inner = MonitorLine::parse(r#"1.000000 [0 lua] "GET" """#).unwrap();
        assert_eq!((inner.source, inner.arguments.len()), (CommandSource::Script, 2));
    }

    #[test]
    fn what_is_damaged_is_no_line() {
        for text in [
            "",
            "OK",
            "1700000000 [0 a:1] \"GET\"",
            "1.00000 [0 a:1] \"GET\"",
            "1.000000 [x a:1] \"GET\"",
            "1.000000 [0] \"GET\"",
            "1.000000 [0 a:1] GET",
            "1.000000 [0 a:1] \"GET",
            "1.000000 [0 a:1] \"GET\\",
            "1.000000 [0 a:1] \"GET\\x4\"",
            "1.000000 [0 a:1] \"GET\\q\"",
            "1.000000 [0 a:1] \"GET\"x",
            "1.000000 [0 a:1] \"GET\" ",
            "99999999999999999999.000000 [0 a:1] \"GET\"",
        ] {
            assert_eq!(MonitorLine::parse(text), None, "{text}");
        }
    }
}
