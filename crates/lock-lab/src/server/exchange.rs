//! Some commands and their replies: the listener, and their readable form.

use lock_history::history::{Moment, Sequence};
use redis::{RedisResult, Value};
use redis_sim::clock::Clock;
use redis_sim::{Kept, requests};
use std::fmt;
use std::sync::Arc;

/// How much of a command or a reply is shown.
const LONGEST: usize = 240;

/// How much of a word of a command is shown.
const LONGEST_WORD: usize = 100;

/// Some commands and their replies.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// When they were sent.
    pub sent: Moment,
    /// When the last reply had come.
    pub received: Moment,
    /// To which database.
    pub db: i64,
    /// The commands, as they were sent.
    pub commands: Vec<u8>,
    /// The replies, or how reading them failed.
    pub replies: RedisResult<Vec<Value>>,
    /// What the keys held before and after, that are
    /// [observed](super::Connection::observe).
    pub observed: Vec<[Option<Kept>; 2]>,
}

/// A listener that gets every exchange as soon as it has happened.
#[derive(Clone)]
pub struct Listener {
    pub(super) sequence: Sequence,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) hear: Arc<dyn Fn(&Exchange) + Send + Sync>,
}

impl Listener {
    /// A listener, with the times of this clock.
    pub fn new(clock: Arc<dyn Clock>, hear: impl Fn(&Exchange) + Send + Sync + 'static) -> Self {
        Self { sequence: Sequence::default(), clock, hear: Arc::new(hear) }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

impl Exchange {
    /// The commands as a person would type them, shortened and without passwords.
    pub fn asked(&self) -> String {
        let requests = requests(&self.commands);
        let requests = requests.iter().map(|request| typed(request)).collect::<Vec<_>>();
        shortened(requests.join("; "), LONGEST)
    }

    /// Each command as its words.
    pub fn requests(&self) -> Vec<Vec<&[u8]>> {
        requests(&self.commands)
    }

    /// The replies as a person reads them, shortened.
    pub fn answered(&self) -> String {
        shortened(
            match &self.replies {
                Ok(replies) => replies.iter().map(shown).collect::<Vec<_>>().join("; "),
                Err(error) => format!("({error})"),
            },
            LONGEST,
        )
    }
}

fn typed(request: &[&[u8]]) -> String {
    let open = secret_from(request).unwrap_or(request.len());
    let words = request.iter().take(open).map(|word| String::from_utf8_lossy(word));
    let words = words.map(|word| match word.is_empty() {
        true => "\"\"".to_owned(),
        // What follows a long word is seen, too.
        false => {
            let word = word.split_whitespace().collect::<Vec<_>>().join(" ");
            shortened(word, LONGEST_WORD)
        }
    });
    let secret = (open < request.len()).then(|| "***".to_owned());
    words.chain(secret).collect::<Vec<_>>().join(" ")
}

/// Where the words begin that may hold a password, if any may.
pub fn secret_from(request: &[&[u8]]) -> Option<usize> {
    const AFTER: [&[u8]; 5] = [b"AUTH", b"AUTH2", b"SETUSER", b"REQUIREPASS", b"MASTERAUTH"];
    let (name, _) = request.split_first()?;
    let may = [&b"AUTH"[..], b"HELLO", b"MIGRATE", b"ACL", b"CONFIG"];
    if !may.iter().any(|may| may.eq_ignore_ascii_case(name)) {
        return None;
    }
    let marks = |word: &&[u8]| AFTER.iter().any(|mark| mark.eq_ignore_ascii_case(word));
    request.iter().position(marks).map(|mark| mark + 1)
}

/// A reply as a person reads it.
fn shown(reply: &Value) -> String {
    match reply {
        Value::Nil => "nil".into(),
        Value::Okay => "OK".into(),
        Value::Int(number) => number.to_string(),
        Value::SimpleString(text) => text.clone(),
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Array(parts) => {
            format!("[{}]", parts.iter().map(shown).collect::<Vec<_>>().join(", "))
        }
        other => format!("{other:?}"),
    }
}

fn shortened(text: String, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::{Pipeline, cmd};

    fn exchange(commands: Vec<u8>, replies: RedisResult<Vec<Value>>) -> Exchange {
        let never = Moment::default();
        Exchange { sent: never, received: never, db: 0, commands, replies, observed: Vec::new() }
    }

    #[test]
    fn commands_and_replies_are_shown_as_they_are_typed_and_read() {
        let mut both = Pipeline::new();
        both.set("a key", "two\n  lines").cmd("GET").arg("b");
        let text = Value::BulkString(b"x\xff".to_vec());
        let exchanged = exchange(
            both.get_packed_pipeline(),
            Ok(vec![Value::Okay, Value::Array(vec![Value::Nil, Value::Int(3), text])]),
        );
        assert_eq!(exchanged.asked(), "SET a key two lines; GET b");
        assert_eq!(exchanged.answered(), "OK; [nil, 3, x\u{fffd}]");
        let long = exchange(cmd("GET").arg("x".repeat(500)).get_packed_command(), Ok(vec![]));
        assert_eq!(long.asked(), format!("GET {}…", "x".repeat(LONGEST_WORD)));
        let mut options = cmd("SET");
        options.arg("k").arg("x".repeat(500)).arg("").arg("NX");
        let options = exchange(options.get_packed_command(), Ok(vec![]));
        assert!(options.asked().ends_with("… \"\" NX"), "{}", options.asked());
        let keys = exchange(cmd("DEL").arg(&["key"; 500]).get_packed_command(), Ok(vec![]));
        assert_eq!(keys.asked().chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_password_is_never_shown() {
        for (words, shown) in [
            (&["AUTH", "secret"][..], "AUTH ***"),
            (&["auth", "me", "secret"], "auth ***"),
            (&["HELLO", "3", "auth", "me", "secret"], "HELLO 3 auth ***"),
            (&["HELLO", "3"], "HELLO 3"),
            (&["CONFIG", "SET", "requirepass", "secret"], "CONFIG SET requirepass ***"),
            (&["ACL", "SETUSER", "me", "on", ">secret"], "ACL SETUSER ***"),
            (&["MIGRATE", "h", "1", "k", "0", "9", "AUTH", "secret"], "MIGRATE h 1 k 0 9 AUTH ***"),
            (&["GET", "auth", "x"], "GET auth x"),
        ] {
            let mut command = redis::Cmd::new();
            words.iter().for_each(|word| {
                command.arg(word);
            });
            let exchanged = exchange(command.get_packed_command(), Ok(vec![]));
            assert_eq!(exchanged.asked(), shown);
        }
    }
}
