//! Words and replies as redis-cli reads and prints them.

use super::{Exchange, describe, words};
use redis::Value;

impl Exchange {
    /// The replies as redis-cli prints them on a terminal, one after the other. Of a transaction
    /// only the reply of EXEC was kept; where it was carried out, that says what the others were.
    pub fn printed(&self) -> String {
        let replies = match &self.replies {
            Ok(replies) => replies,
            Err(error) => return format!("(error) {}\n", describe(error)),
        };
        let unseen = self.requests().len().saturating_sub(replies.len());
        let queued = (0..unseen).map(|number| if number == 0 { "OK\n" } else { "QUEUED\n" });
        queued.map(str::to_owned).chain(replies.iter().map(|reply| printed(reply, ""))).collect()
    }
}

/// Any bytes as redis-cli prints them, and reads them from its input or with `--quoted-input`.
pub fn quoted_input(bytes: &[u8]) -> String {
    let byte = |byte: &u8| match byte {
        b'"' | b'\\' => format!("\\{}", char::from(*byte)),
        b'\n' => "\\n".into(),
        b'\r' => "\\r".into(),
        b'\t' => "\\t".into(),
        b'\x07' => "\\a".into(),
        b'\x08' => "\\b".into(),
        b' '..=b'~' => char::from(*byte).into(),
        _ => format!("\\x{byte:02x}"),
    };
    format!("\"{}\"", bytes.iter().map(byte).collect::<String>())
}

fn printed(reply: &Value, indent: &str) -> String {
    match reply {
        Value::Nil => "(nil)\n".into(),
        Value::Okay => "OK\n".into(),
        Value::Int(number) => format!("(integer) {number}\n"),
        Value::SimpleString(text) => format!("{text}\n"),
        Value::BulkString(bytes) => quoted_input(bytes) + "\n",
        Value::ServerError(error) => format!("(error) {}\n", words(error.code(), error.details())),
        Value::Array(parts) if parts.is_empty() => "(empty array)\n".into(),
        Value::Array(parts) => {
            let width = parts.len().to_string().len();
            let inner = format!("{indent}{}", " ".repeat(width + 2));
            let part = |(number, part): (usize, &Value)| {
                let indent = if number == 0 { "" } else { indent };
                format!("{indent}{:>width$}) {}", number + 1, printed(part, &inner))
            };
            parts.iter().enumerate().map(part).collect()
        }
        other => format!("{other:?}\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lock_history::history::Moment;
    use redis::pipe;

    #[test]
    fn replies_look_as_redis_cli_prints_them() {
        let text = |text: &str| Value::BulkString(text.into());
        let inner = Value::Array(vec![text("a"), Value::Array(vec![]), text("\"\n\u{e9}\0")]);
        let nested = Value::Array(vec![Value::Int(1), inner, Value::Nil]);
        let expected = concat!(
            "1) (integer) 1\n",
            "2) 1) \"a\"\n",
            "   2) (empty array)\n",
            "   3) \"\\\"\\n\\xc3\\xa9\\x00\"\n",
            "3) (nil)\n",
        );
        assert_eq!(printed(&nested, ""), expected);
        let ten = Value::Array(vec![Value::Okay; 10]);
        assert!(printed(&ten, "").starts_with(" 1) OK\n 2) OK\n"), "{}", printed(&ten, ""));
        let error = redis::parse_redis_value(b"-ERR no such key\r\n").unwrap();
        assert_eq!(printed(&error, ""), "(error) ERR no such key\n");
    }

    #[test]
    fn a_transaction_that_was_carried_out_was_queued_before() {
        let commands = pipe().atomic().del("a").get("b").get_packed_pipeline();
        let replies = Ok(vec![Value::Array(vec![Value::Int(1), Value::Nil])]);
        let never = Moment::default();
        let exchange =
            Exchange { sent: never, received: never, db: 0, commands, replies, observed: vec![] };
        assert_eq!(exchange.printed(), "OK\nQUEUED\nQUEUED\n1) (integer) 1\n2) (nil)\n");
    }
}
