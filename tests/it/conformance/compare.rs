//! When two replies to the same command count as the same.

use redis::{RedisError, RedisResult, Value};

/// What came of a step.
pub type Outcome = RedisResult<Value>;

/// How far apart two deadlines may be that were set one after the other, in milliseconds.
const TOLERANCE: i64 = 5_000;

/// Compares the outcome of a step; `names` are its command and, for EXEC and pipelines, the commands
/// within.
pub fn assert_same(names: &[String], real: &Outcome, ours: &Outcome) -> Result<(), String> {
    let same = match (real, ours) {
        (Ok(real), Ok(ours)) => same_reply(names, real, ours),
        (Err(real), Err(ours)) => same_error(real, ours),
        _ => false,
    };
    if same { Ok(()) } else { Err(format!("real: {real:?}\nours: {ours:?}")) }
}

fn same_reply(names: &[String], real: &Value, ours: &Value) -> bool {
    let Some((name, within)) = names.split_first() else { return real == ours };
    match (name.as_str(), real, ours) {
        (_, Value::SimpleString(text), _) if text == "QUEUED" => real == ours,
        ("exec" | "pipeline", Value::Array(real), Value::Array(ours)) => {
            real.len() == ours.len()
                && real.len() == within.len()
                && within
                    .iter()
                    .zip(real.iter().zip(ours))
                    .all(|(name, (real, ours))| same_reply(std::slice::from_ref(name), real, ours))
        }
        ("keys" | "hkeys" | "hvals", Value::Array(real), Value::Array(ours)) => {
            sorted(real) == sorted(ours)
        }
        ("smembers" | "sinter" | "sunion" | "sdiff" | "spop" | "srandmember", real, ours) => {
            same_members(real, ours)
        }
        ("hgetall", _, _) => pairs(real) == pairs(ours),
        ("scan", Value::Array(real), Value::Array(ours)) => match (&real[..], &ours[..]) {
            ([next, Value::Array(real)], [our_next, Value::Array(ours)]) => {
                next == our_next && sorted(real) == sorted(ours)
            }
            _ => false,
        },
        // The fields with their values, in any order.
        ("hscan", Value::Array(real), Value::Array(ours)) => match (&real[..], &ours[..]) {
            ([next, real], [our_next, ours]) => next == our_next && pairs(real) == pairs(ours),
            _ => false,
        },
        ("pttl" | "pexpiretime", Value::Int(real), Value::Int(ours)) => {
            near(*real, *ours, TOLERANCE)
        }
        ("ttl" | "expiretime", Value::Int(real), Value::Int(ours)) => {
            near(*real, *ours, TOLERANCE / 1000)
        }
        ("client", Value::Int(_), Value::Int(_)) => true,
        ("hello", _, _) => without_id(real) == without_id(ours),
        ("time", Value::Array(real), Value::Array(ours)) => {
            let seconds = |parts: &[Value]| redis::from_redis_value(parts[0].clone()).unwrap_or(0);
            real.len() == ours.len() && near(seconds(real), seconds(ours), TOLERANCE / 1000)
        }
        ("info", _, _) => keyspace(real) == keyspace(ours),
        _ => real == ours,
    }
}

/// Kind, code, detail, words and list of commands; see `redis_sim::Connection` for the one exception.
fn same_error(real: &RedisError, ours: &RedisError) -> bool {
    if (real.kind(), real.code()) != (ours.kind(), ours.code()) {
        return false;
    }
    if real.to_string() == ours.to_string() && real.detail() == ours.detail() {
        return true;
    }
    if real.to_string().starts_with("Transaction aborted: ") {
        let list = real.to_string().replace("Transaction aborted: ", "");
        return ours.detail() == Some(&list);
    }
    false
}

/// The negative ones are no times.
fn near(real: i64, ours: i64, tolerance: i64) -> bool {
    real == ours || (real >= 0 && ours >= 0 && real.abs_diff(ours) <= tolerance.unsigned_abs())
}

fn sorted(values: &[Value]) -> Vec<String> {
    let mut shown: Vec<_> = values.iter().map(|value| format!("{value:?}")).collect();
    shown.sort();
    shown
}

/// Members in any order; of one that was drawn, any.
fn same_members(real: &Value, ours: &Value) -> bool {
    match (real, ours) {
        (Value::Array(real), Value::Array(ours)) | (Value::Set(real), Value::Set(ours)) => {
            sorted(real) == sorted(ours)
        }
        (Value::BulkString(_), Value::BulkString(_)) => true,
        _ => real == ours,
    }
}

/// The pairs of a map or of a flat list, and which of them it was.
fn pairs(value: &Value) -> (bool, Vec<String>) {
    let mut pairs: Vec<String> = match value {
        Value::Map(pairs) => pairs.iter().map(|pair| format!("{pair:?}")).collect(),
        Value::Array(flat) => flat.chunks(2).map(|pair| format!("{pair:?}")).collect(),
        other => vec![format!("{other:?}")],
    };
    pairs.sort();
    (matches!(value, Value::Map(_)), pairs)
}

fn without_id(value: &Value) -> (bool, Vec<String>) {
    let (map, mut pairs) = pairs(value);
    // "id" in Debug of a bulk string.
    pairs.retain(|pair| !pair.contains("bulk-string('\"id\"')"));
    (map, pairs)
}

/// What INFO says of the keys, without the average time to live, which Redis estimates; and its type.
fn keyspace(value: &Value) -> (bool, Vec<String>) {
    let text: String =
        redis::from_redis_value(value.clone()).unwrap_or_else(|_| format!("{value:?}"));
    let text = text.find("# Keyspace").map_or(&*text, |start| &text[start..]);
    let lines = text.lines().map(|line| line.split(",avg_ttl").next().unwrap_or("").to_owned());
    (matches!(value, Value::VerbatimString { .. }), lines.collect())
}
