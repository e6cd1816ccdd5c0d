//! Requests as bytes, scripts by their digests, refusals, and commands that a server lacks or is not to have.

use parking_lot::Mutex;
use redis::{ErrorKind, RedisResult, Value};
use redis_sim::server::Framer;
use std::collections::HashMap;

/// The words of a request.
pub(super) type Words = Vec<Vec<u8>>;

/// A request as it goes to a server.
pub(super) fn packed(words: &[Vec<u8>], out: &mut Vec<u8>) {
    redis::Cmd::new().arg(words).write_packed_command(out);
}

/// The words of packed requests.
pub(super) fn words(packed: &[u8]) -> Words {
    redis_sim::requests(packed).concat().into_iter().map(<[u8]>::to_vec).collect()
}

/// Whether a server says that it doesn't know a command, and which one, where it names it.
pub(super) fn lacking(answer: &RedisResult<Vec<Value>>) -> Option<Option<String>> {
    match answer {
        Ok(answers) => answers.iter().find_map(lacking_in_value),
        Err(error) => {
            let each = error.clone().into_server_errors();
            let mut each = each.iter().flat_map(|all| all.iter());
            let unknown = each.find_map(|(_, error)| error.details().and_then(lacking_in_text));
            unknown.or_else(|| error.detail().and_then(lacking_in_text))
        }
    }
}

fn lacking_in_value(value: &Value) -> Option<Option<String>> {
    match value {
        Value::ServerError(error) => error.details().and_then(lacking_in_text),
        // Of a transaction.
        Value::Array(answers) => answers.iter().find_map(lacking_in_value),
        _ => None,
    }
}

fn lacking_in_text(text: &str) -> Option<Option<String>> {
    // Where several errors are quoted, each stands behind its place.
    let quoted = text.split_once("error: ResponseError: ").filter(|_| text.starts_with("[(Index"));
    let text = quoted.map_or(text, |(_, error)| error);
    if text.starts_with("Unknown Redis command") {
        return Some(None);
    }
    text.strip_prefix("unknown command '")?.split('\'').next().map(|name| Some(name.to_owned()))
}

/// The names of the commands that the scripts of packed requests call, as far as they are written out there.
pub(super) fn called(packed: &[u8]) -> Vec<String> {
    let (mut framer, mut names) = (Framer::default(), Vec::new());
    framer.feed(packed);
    loop {
        let mut words = Vec::new();
        if !matches!(framer.next(&mut words), Ok(true)) {
            return names;
        }
        let is_script = words.first().is_some_and(|name| name.eq_ignore_ascii_case(b"EVAL"));
        let script = words.get(1).filter(|_| is_script).copied().unwrap_or_default();
        for name in called_by(&String::from_utf8_lossy(script)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
}

fn called_by(script: &str) -> Vec<String> {
    let name = |rest: &str| {
        let rest = rest.trim_start().trim_start_matches('(').trim_start();
        let quote = rest.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
        let name = rest.split(quote).nth(1)?;
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_name.then(|| name.to_ascii_uppercase())
    };
    script.split("call").skip(1).filter_map(name).collect()
}

/// What of a request is not passed on to a real Redis: it is about other databases, other clients or
/// the server itself, or leaves the connection where commands can't follow.
pub(super) fn kept_back(words: &[Vec<u8>]) -> Option<String> {
    const NAMES: &str = "\
        ACL AUTH BGREWRITEAOF BGSAVE CLIENT CLUSTER CONFIG DEBUG FAILOVER FLUSHALL FLUSHDB \
        FUNCTION HELLO LATENCY MEMORY MIGRATE MODULE MONITOR MOVE PSUBSCRIBE PSYNC PUNSUBSCRIBE \
        QUIT READONLY READWRITE REPLCONF REPLICAOF RESET SAVE SCRIPT SELECT SHUTDOWN SLAVEOF \
        SLOWLOG SSUBSCRIBE SUBSCRIBE SUNSUBSCRIBE SWAPDB SYNC UNSUBSCRIBE";
    let name = String::from_utf8_lossy(words.first()?).to_ascii_uppercase();
    let is_to_a_database = |word: &Vec<u8>| word.eq_ignore_ascii_case(b"DB");
    match name.as_str() {
        "COPY" => words.iter().skip(3).any(is_to_a_database).then(|| "COPY ... DB".into()),
        "EVAL" | "EVAL_RO" => kept_back_script(&String::from_utf8_lossy(words.get(1)?)),
        name => NAMES.split(' ').any(|kept| kept == name).then(|| name.to_owned()),
    }
}

/// The same of a script. What it may not call anyway (CONFIG) is left to the server.
fn kept_back_script(script: &str) -> Option<String> {
    const NAMES: [&str; 6] = ["FLUSHALL", "FLUSHDB", "MIGRATE", "MOVE", "SELECT", "SWAPDB"];
    // A name stands there as a string; whatever else does is no name, or looks like one.
    let says = |name: &str| {
        script.split(['\'', '"', '[', ']']).any(|piece| piece.eq_ignore_ascii_case(name))
    };
    if says("COPY") && says("DB") {
        return Some("a script with COPY ... DB".into());
    }
    NAMES.iter().find(|name| says(name)).map(|name| format!("a script with {name}"))
}

/// What of a request compares or asks for the digest of a value.
pub(super) fn with_digest(words: &[Vec<u8>]) -> Option<String> {
    const OPTIONS: [&str; 2] = ["IFDEQ", "IFDNE"];
    let name = String::from_utf8_lossy(words.first()?).to_ascii_uppercase();
    let has = |from: usize, option: &str| {
        let options = words.get(from..).unwrap_or_default();
        options.iter().any(|word| word.eq_ignore_ascii_case(option.as_bytes()))
    };
    let option = |from| OPTIONS.into_iter().find(|option| has(from, option));
    match name.as_str() {
        "DIGEST" => Some(name),
        "SET" => option(3).map(|option| format!("SET ... {option}")),
        "DELEX" => {
            option(2).filter(|_| words.len() == 4).map(|option| format!("DELEX ... {option}"))
        }
        "EVAL" | "EVAL_RO" => {
            let script = String::from_utf8_lossy(words.get(1)?);
            let mut called = called_by(&script).into_iter();
            let capitals = script.to_ascii_uppercase();
            let names = OPTIONS.into_iter().find(|option| capitals.contains(option));
            let hashes = capitals.contains("SHA1HEX").then_some("redis.sha1hex");
            let named = names
                .or(hashes)
                .map(str::to_owned)
                .or_else(|| called.find(|name| name == "DIGEST"));
            named.map(|name| format!("a script with {name}"))
        }
        _ => None,
    }
}

/// Where a transaction was refused as a whole, the server's word for that; it is an answer like any
/// other.
pub(super) fn with_refusals(answered: RedisResult<Vec<Value>>) -> RedisResult<Vec<Value>> {
    let error = match &answered {
        Err(error) if matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) => error,
        _ => return answered,
    };
    let why = error.detail().filter(|why| why.starts_with("Transaction"));
    let why = why.unwrap_or("Transaction discarded because of previous errors.");
    refusal(&format!("EXECABORT {why}"))
}

/// What RESP3 says in another way than RESP2, in which servers are asked here: members of hashes
/// and sets, and a number from a sorted set. `names` are those of the commands.
pub(super) fn in_resp3(names: &[Vec<u8>], answers: Vec<Value>, is_exec: bool) -> Vec<Value> {
    if let (true, [Value::Array(inner)]) = (is_exec, answers.as_slice()) {
        return vec![Value::Array(in_resp3(names, inner.clone(), false))];
    }
    let each = names.iter().zip(answers);
    each.map(|(name, answer)| one_in_resp3(&name.to_ascii_uppercase(), answer)).collect()
}

fn one_in_resp3(name: &[u8], answer: Value) -> Value {
    match (name, answer) {
        (b"HGETALL", Value::Array(parts)) => {
            let pairs = parts.chunks_exact(2).filter_map(|pair| match pair {
                [field, held] => Some((field.clone(), held.clone())),
                _ => None,
            });
            Value::Map(pairs.collect())
        }
        (b"SMEMBERS" | b"SDIFF" | b"SINTER" | b"SUNION", Value::Array(parts)) => Value::Set(parts),
        (b"ZSCORE" | b"ZINCRBY", Value::BulkString(score)) => {
            let number = String::from_utf8_lossy(&score).parse();
            number.map_or(Value::BulkString(score), Value::Double)
        }
        (_, answer) => answer,
    }
}

/// An error reply.
pub(super) fn refusal(text: &str) -> RedisResult<Vec<Value>> {
    redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).map(|answer| vec![answer])
}

/// The reply to a subject that is to come to an end. What tidies up succeeds, or a client would try again later.
pub(super) fn refusal_at_the_end(requests: &[Words], text: &str) -> RedisResult<Vec<Value>> {
    let first = requests.iter().flatten().next();
    let tidies = first.is_some_and(|it| it.eq_ignore_ascii_case(b"UNWATCH"));
    if tidies { Ok(vec![Value::Okay]) } else { refusal(text) }
}

/// The scripts that subjects have sent so far, by digest. The first EVALSHA of a digest is answered
/// with NOSCRIPT, and a script then goes to the server in full, so that orderings don't depend on
/// what a server has cached.
#[derive(Debug, Default)]
pub(super) struct KnownScripts(Mutex<HashMap<String, Vec<u8>>>);

impl KnownScripts {
    /// Keeps a script; gives its digest.
    pub fn learn(&self, body: &[u8]) -> String {
        let digest = sha1_smol::Sha1::from(body).digest().to_string();
        self.0.lock().insert(digest.clone(), body.to_vec());
        digest
    }

    /// The script that has this digest.
    pub fn find(&self, digest: &[u8]) -> Option<Vec<u8>> {
        let digest = String::from_utf8_lossy(digest).to_ascii_lowercase();
        self.0.lock().get(&digest).cloned()
    }
}

/// The request with the script itself in place of its digest; none, if the script was never sent.
pub(super) fn whole_script(mut words: Words, scripts: &KnownScripts) -> Option<Words> {
    let name = words.first().map(|name| name.to_ascii_uppercase()).unwrap_or_default();
    match (name.as_slice(), words.get_mut(1)) {
        (b"EVAL", Some(body)) => drop(scripts.learn(body)),
        (b"EVALSHA", Some(digest)) => {
            *digest = scripts.find(digest)?;
            if let Some(name) = words.first_mut() {
                *name = b"EVAL".to_vec();
            }
        }
        _ => {}
    }
    Some(words)
}

/// Whether a command is no matter of locks: it is about the connection, or asks what the server is.
pub(super) fn is_aside(name: &str) -> bool {
    const NAMES: &str = "\
        HELLO AUTH PING ECHO SELECT QUIT RESET INFO COMMAND CLIENT READONLY READWRITE SCRIPT \
        CONFIG TIME";
    NAMES.split(' ').any(|aside| aside == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::ConnectionLike;
    use redis_sim::Engine;
    use redis_sim::clock::VirtualClock;
    use std::sync::Arc;

    #[test]
    fn what_resp3_says_in_another_way_is_said_so() {
        let text = |text: &str| Value::BulkString(text.into());
        let list = || Value::Array(vec![text("a"), text("1")]);
        let names = ["hgetall", "SMEMBERS", "ZSCORE", "LRANGE", "GET"].map(|it| it.into());
        let asked = vec![list(), list(), text("1.5"), list(), Value::Nil];
        let said = vec![
            Value::Map(vec![(text("a"), text("1"))]),
            Value::Set(vec![text("a"), text("1")]),
            Value::Double(1.5),
            list(),
            Value::Nil,
        ];
        assert_eq!(
            in_resp3(&names, vec![Value::Array(asked.clone())], true),
            [Value::Array(said.clone())]
        );
        assert_eq!(in_resp3(&names, asked, false), said);
        assert_eq!(in_resp3(&names, vec![Value::Nil], true), [Value::Nil]);
    }

    #[test]
    fn what_a_server_lacks_is_named() {
        let error = |text: &str| redis::parse_redis_value(format!("-{text}\r\n").as_bytes());
        let lacks = |text| lacking(&error(text).map(|answer| vec![answer]));
        let unknown = "ERR unknown command 'XADD', with args beginning with: 'a' ";
        assert_eq!(lacks(unknown), Some(Some("XADD".into())));
        let inner = "ERR Unknown Redis command called from script script: 0a";
        assert_eq!(lacks(inner), Some(None));
        assert_eq!(lacks("ERR syntax error"), None);
        assert_eq!(lacking(&Ok(vec![Value::BulkString(unknown.into())])), None);
        let of_exec = Value::Array(vec![Value::Okay, error(inner).unwrap()]);
        assert_eq!(lacking(&Ok(vec![of_exec])), Some(None));
    }

    #[test]
    fn a_transaction_with_an_unknown_command_names_it() {
        let mut server = Engine::new(Arc::new(VirtualClock::new(None))).connect(0);
        let mut pack = redis::pipe();
        pack.atomic().cmd("SET").arg("a").arg(1).cmd("XADD").arg("b");
        let answered = server.req_packed_commands(&pack.get_packed_pipeline(), 3, 1);
        assert_eq!(lacking(&answered), Some(Some("XADD".into())));
    }

    #[test]
    fn the_commands_that_scripts_call_are_named() {
        let mut bytes = Vec::new();
        let script = "redis.call('get', KEYS[1]) redis.pcall (\"XADD\", 1) redis.call(name) \
                      redis.call('get', 'call') return redis.call[[x]]";
        let words = |text: &[&str]| text.iter().map(|word| word.as_bytes().to_vec()).collect();
        let request: Words = words(&["EVAL", script, "1", "redis.call('no')"]);
        packed(&words(&["MULTI"]) as &Words, &mut bytes);
        packed(&request, &mut bytes);
        assert_eq!(called(&bytes), ["GET", "XADD"]);
    }

    #[test]
    fn commands_with_digests_are_named() {
        let with_digest = |line: &str| {
            let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.into()).collect();
            with_digest(&words)
        };
        for (line, what) in [
            ("digest k", "DIGEST"),
            ("SET k v PX 5 ifdeq 0", "SET ... IFDEQ"),
            ("DELEX k IFDNE 0", "DELEX ... IFDNE"),
            ("EVAL redis.call('delex',KEYS[1],'ifdeq',ARGV[1]) 1 k 0", "a script with IFDEQ"),
            ("EVAL redis.call('digest',KEYS[1]) 1 k", "a script with DIGEST"),
            ("EVAL redis.sha1hex(ARGV[1]) 1 k 0", "a script with redis.sha1hex"),
        ] {
            assert_eq!(with_digest(line).as_deref(), Some(what), "{line}");
        }
        for line in
            ["SET k IFDEQ", "SET IFDEQ v IFEQ v", "DELEX IFDEQ", "GET DIGEST", "DELEX k IFEQ v"]
        {
            assert_eq!(with_digest(line), None, "{line}");
        }
    }

    #[test]
    fn what_is_about_more_than_keys_is_kept_back() {
        let kept = |line: &str| {
            let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.into()).collect();
            kept_back(&words)
        };
        for (line, what) in [
            ("flushall ASYNC", "FLUSHALL"),
            // These come so far only in a transaction.
            ("SELECT 1", "SELECT"),
            ("CONFIG SET timeout 1", "CONFIG"),
            ("COPY a b db 1", "COPY ... DB"),
            ("EVAL redis.call('flushAll') 0", "a script with FLUSHALL"),
            ("EVAL local\u{a0}c=redis.call;c(\"select\",1) 0", "a script with SELECT"),
            ("EVAL redis.call([[MOVE]],KEYS[1],1) 1 a", "a script with MOVE"),
            ("EVAL redis.call('copy',KEYS[1],KEYS[2],'DB',1) 2 a b", "a script with COPY ... DB"),
        ] {
            assert_eq!(kept(line).as_deref(), Some(what), "{line}");
        }
        for line in [
            "DEL flushall",
            "LPUSH a b",
            "PUBLISH a b",
            "COPY DB db",
            "EVAL redis.call('del',KEYS[1]) 2 select flushall",
            "EVAL redis.call('copy',KEYS[1],KEYS[2]) 2 a db",
        ] {
            assert_eq!(kept(line), None, "{line}");
        }
    }
}
