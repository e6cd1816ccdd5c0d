//! What the server says when it refuses a command, in the exact words of Redis 7.0.
//!
//! Clients parse these texts, so each is pinned by the differential test. This file knows no
//! command; it only words what the commands found.

use redis::{ErrorKind, ServerError, Value, parse_redis_value};

/// Why a command was refused. `Display` gives the error line without the leading `-`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(&'static str),
    #[error("ERR unknown command '{name}', with args beginning with: {args}")]
    UnknownCommand { name: String, args: String },
    #[error("ERR unknown subcommand '{name}'. Try {container} HELP.")]
    UnknownSubcommand { name: String, container: String },
    #[error("ERR syntax error")]
    Syntax,
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    #[error("ERR value is out of range, value must between {} and {}", i32::MIN, i32::MAX)]
    OutOfRange,
    #[error("ERR value is out of range, value must between -{} and {}", i64::MAX, i64::MAX)]
    OutOfLongRange,
    #[error("ERR value is out of range, must be positive")]
    NotPositive,
    #[error("ERR index out of range")]
    IndexOutOfRange,
    #[error("ERR no such key")]
    NoSuchKey,
    #[error("ERR source and destination objects are the same")]
    SameObject,
    #[error(
        "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use \
         negative to start from the end of the list"
    )]
    RankZero,
    #[error("ERR {0} can't be negative")]
    Negative(&'static str),
    #[error("ERR value is not a valid float")]
    InvalidFloat,
    #[error("ERR min or max is not a float")]
    InvalidBound,
    #[error("ERR resulting score is not a number (NaN)")]
    ScoreNan,
    #[error("ERR XX and NX options at the same time are not compatible")]
    XxWithNx,
    #[error("ERR GT, LT, and/or NX options at the same time are not compatible")]
    GtLtNx,
    #[error("ERR INCR option supports a single increment-element pair")]
    IncrementPairs,
    #[error(
        "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
    )]
    LimitByRank,
    #[error("ERR hash value is not a float")]
    HashNotFloat,
    #[error("ERR value is NaN or Infinity")]
    InfiniteIncrement,
    #[error("ERR increment would produce NaN or Infinity")]
    InfiniteSum,
    #[error("ERR hash value is not an integer")]
    HashNotAnInteger,
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    #[error("ERR decrement would overflow")]
    DecrementOverflow,
    #[error("ERR invalid expire time in '{0}' command")]
    InvalidExpire(&'static str),
    #[error("ERR Unsupported option {0}")]
    UnsupportedOption(String),
    #[error("ERR NX and XX, GT or LT options at the same time are not compatible")]
    NxWithOthers,
    #[error("ERR GT and LT options at the same time are not compatible")]
    GtWithLt,
    /// In words of ours: no server that has digests is compared with this one.
    #[error("ERR a digest has 16 hexadecimal digits, as DIGEST answers it")]
    InvalidDigest,
    #[error("ERR invalid cursor")]
    InvalidCursor,
    #[error("ERR DB index is out of range")]
    NoSuchDb,
    #[error("ERR MULTI calls can not be nested")]
    NestedMulti,
    #[error("ERR WATCH inside MULTI is not allowed")]
    WatchInMulti,
    #[error("ERR EXEC without MULTI")]
    ExecWithoutMulti,
    #[error("ERR DISCARD without MULTI")]
    DiscardWithoutMulti,
    #[error("EXECABORT Transaction discarded because of previous errors.")]
    ExecAbort,
    #[error("EXECABORT Transaction discarded because of: {0}")]
    ExecRefused(String),
    #[error(
        "ERR AUTH <password> called without any password configured for the default user. \
         Are you sure your configuration is correct?"
    )]
    NoPassword,
    #[error("WRONGPASS invalid username-password pair or user is disabled.")]
    WrongPassword,
    #[error("NOPROTO unsupported protocol version")]
    UnsupportedProtocol,
    #[error("ERR Protocol version is not an integer or out of range")]
    ProtocolNotAnInteger,
    #[error("ERR Syntax error in HELLO option '{0}'")]
    HelloOption(String),
    #[error("ERR Client names cannot contain spaces, newlines or special characters.")]
    ClientName,
    #[error(
        "ERR Can't execute '{0}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
         allowed in this context"
    )]
    Listening(&'static str),
    #[error("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client")]
    DenyBlocking,
    #[error("ERR MONITOR isn't allowed for DENY BLOCKING client")]
    MonitorInExec,
    #[error("ERR Unknown option or number of arguments for CONFIG SET - '{0}'")]
    UnknownSetting(String),
    #[error(
        "ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - Invalid event \
         class character. Use 'Ag$lshzxeKEtmdn'."
    )]
    InvalidEventClass,
    #[error("ERR timeout is not an integer or out of range")]
    TimeoutNotAnInteger,
    #[error("ERR timeout is not a float or out of range")]
    InvalidTimeout,
    #[error("ERR timeout is negative")]
    NegativeTimeout,
    #[error("NOSCRIPT No matching script. Please use EVAL.")]
    NoScript,
    #[error("ERR Number of keys can't be negative")]
    NegativeKeys,
    #[error("ERR Number of keys can't be greater than number of args")]
    TooManyKeys,
    #[error(
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
    )]
    Busy,
    #[error("NOTBUSY No scripts in execution right now.")]
    NotBusy,
    #[error(
        "UNKILLABLE Sorry the script already executed write commands against the dataset. You can \
         either wait the script termination or kill the server in a hard way using the SHUTDOWN \
         NOSAVE command."
    )]
    Unkillable,
    #[error("ERR SCRIPT FLUSH only support SYNC|ASYNC option")]
    ScriptFlush,
    #[cfg(feature = "scripts")]
    #[error("ERR Error compiling script (new function): {0}")]
    Compile(String),
    #[error("ERR Invalid script shebang")]
    Shebang,
    #[error("ERR Unexpected engine in script shebang: {0}")]
    ShebangEngine(String),
    #[error("ERR Unknown lua shebang option: {0}")]
    ShebangOption(String),
    #[error("ERR Unexpected flag in script shebang: {0}")]
    ShebangFlag(String),
    #[error("ERR Can not execute a script with write flag using *_ro command.")]
    ShebangWrites,
    /// What a script made to fail: the line as the script worded it.
    #[error("{0}")]
    Script(String),
    #[error("ERR Protocol error: {0}")]
    Protocol(#[from] super::resp::Malformed),
}

impl Error {
    /// The value that the redis crate makes of this error when it arrives over a socket.
    ///
    /// The crate has no public constructor for the error kinds that it knows by name, so its own
    /// parser makes the value. Line breaks in quoted arguments become spaces, as in Redis.
    pub(super) fn into_value(self) -> Value {
        let line = self.to_string().replace(['\r', '\n'], " ");
        // It refuses no line.
        parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap_or(Value::Nil)
    }
}

/// An argument as Redis quotes it in an error: at most `limit` bytes, and C ends it at a NUL.
///
/// Bytes that are no UTF-8 are replaced: Redis sends them as they are, and the redis crate then
/// gives up on the connection, which is of no use.
pub(super) fn quoted(argument: &[u8], limit: usize) -> String {
    let argument = argument.get(..limit).unwrap_or(argument);
    let end = argument.iter().position(|&byte| byte == 0).unwrap_or(argument.len());
    String::from_utf8_lossy(argument.get(..end).unwrap_or_default()).into_owned()
}

/// What the redis crate returns for a pipeline of which commands were refused before EXEC.
///
/// The kind and code are the crate's; its own error cannot be made outside of it, so the refused
/// commands, which it keeps in a list, are in the detail here.
pub(super) fn aborted(refused: &[(usize, ServerError)]) -> redis::RedisError {
    let list: Vec<String> =
        refused.iter().map(|(index, error)| format!("(Index {index}, error: {error})")).collect();
    let kind = ErrorKind::Server(redis::ServerErrorKind::ExecAbort);
    (kind, "Transaction aborted", format!("[{}]", list.join(", "))).into()
}
