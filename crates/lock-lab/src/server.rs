//! Where the locks live: the embedded server, or a real Redis at a URL. Opens connections, with a
//! time-out on everything, and puts failures into words that say what to do.

mod connection;
mod exchange;
mod exclusive;
mod line;
mod redis_cli;

pub use connection::{Connection, Sent};
pub use exchange::{Exchange, Listener, secret_from};
pub use exclusive::{ExclusiveServer, Keys, OnCommandByHand, Seen, Stored};
pub use line::{Line, hurry};
pub use redis_cli::quoted_input;

use connection::Transport;
use line::{LATE, SENT};
use redis::{
    ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, ProtocolVersion,
    RedisConnectionInfo, RedisError, ServerErrorKind,
};
use redis_sim::clock::Clock;
use redis_sim::server::of_system;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How long a connection may take to open, and how long a reply may take to come.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may take at least when the run's deadline is near, or has passed: a healthy server
/// answers by then, and a holder still wants to release its lock.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);

/// How long to wait for an answer: no longer than the response time-out, and on a run's clock not
/// past its deadline.
fn patience(clock: Option<&dyn Clock>) -> Duration {
    let left = clock.and_then(Clock::left).unwrap_or(RESPONSE_TIMEOUT);
    let left = left.clamp(SHORTEST_TIMEOUT, RESPONSE_TIMEOUT);
    // As a user reads it.
    Duration::from_millis(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
}

/// The variables that may name the server, in the order in which the application asks for them.
const URL_VARIABLES: [&str; 3] = ["REDIS_URL", "RQ_REDIS_URL", "SESSION_REDIS_URL"];

/// The environment failed: no server, no permission, an answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ServerError(String);

impl ServerError {
    /// A failure in words that say what was tried, what came back and what to do.
    pub fn new(message: String) -> Self {
        Self(message)
    }
}

/// Where the locks live.
#[derive(Debug, Clone)]
pub enum Server {
    /// In this process; invisible to others.
    Embedded(redis_sim::Engine),
    /// A real Redis.
    Redis(Box<Remote>),
}

/// A real Redis. Its password never appears in any output.
#[derive(Clone)]
pub struct Remote {
    info: ConnectionInfo,
    name: String,
    /// The variables of the environment that name it, if it was not named otherwise.
    variables: Option<&'static str>,
    /// The listener to what passes over its connections.
    listener: Option<Listener>,
    /// Whether nothing can stand in for it.
    is_sole: bool,
    /// Where books are kept of what passes over its connections.
    exclusive: Option<Arc<ExclusiveServer>>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Remote").field(&self.name).finish()
    }
}

impl Server {
    /// A new, empty embedded server on this clock.
    pub fn embedded(clock: Arc<dyn Clock>) -> Self {
        Server::Embedded(redis_sim::Engine::new(clock))
    }

    /// The Redis at a URL: `redis://`, `rediss://` (TLS) or `unix:`, with user and password if need
    /// be. Whatever database the URL names, locks live in DB 0 and the cache in DB 13 (contract,
    /// section 1).
    ///
    /// # Errors
    ///
    /// [`ServerError`] if the URL can't be read. Nothing is connected here.
    pub fn at(url: &str, password: Option<&str>) -> Result<Self, ServerError> {
        // The URL may hold a password anywhere, so no error repeats any part of it: of the
        // library's words, only those before the detail.
        let info = url.into_connection_info().map_err(|error| {
            let text = error.to_string();
            let why = text.split(" - ").next().unwrap_or_default().to_lowercase();
            ServerError(format!(
                "the Redis URL can't be read ({why}); it should look like \
                 redis://[user:password@]host:6379, rediss://host:6379 or unix:/path/redis.sock"
            ))
        })?;
        let name = match info.addr() {
            ConnectionAddr::Tcp(host, port) => format!("redis://{}:{port}", bracketed(host)),
            ConnectionAddr::TcpTls { host, port, .. } => {
                format!("rediss://{}:{port}", bracketed(host))
            }
            ConnectionAddr::Unix(path) => format!("unix:{}", path.display()),
            other => other.to_string(),
        };
        let mut settings = info.redis_settings().clone().set_skip_set_lib_name();
        if let (None, Some(password)) = (settings.password(), password) {
            settings = settings.set_password(password);
        }
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
        Ok(Server::Redis(Box::new(Remote {
            info,
            name,
            variables: None,
            is_sole: false,
            listener: None,
            exclusive: None,
        })))
    }

    /// The Redis that the environment names (contract, sections 1 and 6): `REDIS_URL`, else
    /// `RQ_REDIS_URL`, else `SESSION_REDIS_URL`, else `REDIS_HOST` and `REDIS_PORT`;
    /// `REDIS_PASSWORD` where the URL has none.
    ///
    /// # Errors
    ///
    /// [`ServerError`] if the URL can't be read; it names the variables. Nothing is connected here.
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, ServerError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let named = URL_VARIABLES.iter().find_map(|name| Some((set(name)?, *name)));
        let (url, variables) = match (named, set("REDIS_HOST"), set("REDIS_PORT")) {
            (Some(named), _, _) => named,
            (None, None, None) => return Ok(None),
            (None, host, port) => {
                let host = host.unwrap_or_else(|| "localhost".into());
                let port = port.unwrap_or_else(|| "6379".into());
                (format!("redis://{}:{port}", bracketed(&host)), "REDIS_HOST and REDIS_PORT")
            }
        };
        let server = Self::at(&url, set("REDIS_PASSWORD").as_deref())
            .map_err(|error| ServerError(format!("in the environment ({variables}): {error}")))?;
        Ok(Some(match server {
            Server::Redis(remote) => {
                Server::Redis(Box::new(Remote { variables: Some(variables), ..*remote }))
            }
            embedded => embedded,
        }))
    }

    /// The variables of the environment that name it, if it was not named otherwise.
    pub fn variables(&self) -> Option<&'static str> {
        match self {
            Server::Embedded(_) => None,
            Server::Redis(remote) => remote.variables,
        }
    }

    /// The same, with a listener that gets each exchange on each connection that is opened from now
    /// on, but not what opens it (AUTH, SELECT). An embedded server has no listener: what happens
    /// on it is in the history of its run.
    #[must_use]
    pub fn heard_by(mut self, listener: Listener) -> Self {
        if let Server::Redis(remote) = &mut self {
            remote.listener = Some(listener);
        }
        self
    }

    /// The same for a command that inspects it: no failure suggests the embedded server.
    pub fn sole(mut self) -> Self {
        if let Server::Redis(remote) = &mut self {
            remote.is_sole = true;
        }
        self
    }

    /// What to call it, without any password.
    pub fn name(&self) -> &str {
        match self {
            Server::Embedded(_) => "embedded",
            Server::Redis(remote) => &remote.name,
        }
    }

    /// The database that its URL names; 0 if it names none.
    pub fn database(&self) -> i64 {
        match self {
            Server::Embedded(_) => 0,
            Server::Redis(remote) => remote.info.redis_settings().db(),
        }
    }

    /// The words that one types before a command to reach this server by hand; none for the
    /// embedded one, which others can't reach.
    pub fn redis_cli(&self) -> Option<Vec<String>> {
        let Server::Redis(remote) = self else { return None };
        let mut words: Vec<String> = match remote.info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                vec!["-h".into(), host.clone(), "-p".into(), port.to_string()]
            }
            ConnectionAddr::TcpTls { host, port, .. } => {
                vec!["--tls".into(), "-h".into(), host.clone(), "-p".into(), port.to_string()]
            }
            ConnectionAddr::Unix(path) => vec!["-s".into(), path.display().to_string()],
            _ => Vec::new(),
        };
        let settings = remote.info.redis_settings();
        if let Some(user) = settings.username() {
            words.extend(["--user".into(), user.into()]);
        }
        if settings.password().is_some() {
            words.push("--askpass".into());
        }
        words.insert(0, "redis-cli".into());
        Some(words)
    }

    /// The URL under which a later command reaches it again, without the password, which
    /// REDIS_PASSWORD can give; and whether there is one.
    pub fn url_to_type(&self) -> (String, bool) {
        let Server::Redis(remote) = self else { return (String::from("embedded"), false) };
        let settings = remote.info.redis_settings();
        let url = match (settings.username(), remote.name.split_once("://")) {
            (Some(user), Some((scheme, rest))) => format!("{scheme}://{}@{rest}", encoded(user)),
            _ => remote.name.clone(),
        };
        (url, settings.password().is_some())
    }

    /// Opens a connection to one of its databases.
    ///
    /// # Errors
    ///
    /// [`ServerError`] if the server can't be reached, or refuses the user or the database.
    pub fn connect(&self, db: i64) -> Result<Connection, ServerError> {
        self.open(db, None)
    }

    /// Opens a connection on which no wait for an answer exceeds the deadline of this clock.
    ///
    /// # Errors
    ///
    /// [`ServerError`] if the server can't be reached, or refuses the user or the database.
    pub fn connect_on(&self, clock: Arc<dyn Clock>, db: i64) -> Result<Connection, ServerError> {
        self.open(db, Some(clock))
    }

    fn open(&self, db: i64, clock: Option<Arc<dyn Clock>>) -> Result<Connection, ServerError> {
        let patience = patience(clock.as_deref());
        let remote = match self {
            Server::Embedded(engine) => {
                return Ok(Connection::new(Transport::Embedded(engine.connect(db)), None));
            }
            Server::Redis(remote) => remote,
        };
        let settings = remote.info.redis_settings().clone().set_db(db);
        let connection = remote.open(settings.clone(), patience)?;
        let mut connection = Connection::new(Transport::Redis(Box::new(connection)), clock);
        if let Some(exclusive) = remote.exclusive.as_ref().filter(|_| db == 0) {
            let watching = remote.open(settings, patience)?;
            connection = connection.exclusive_to(Arc::clone(exclusive), watching);
        }
        Ok(match &remote.listener {
            Some(listener) => connection.heard_by(listener.clone()),
            None => connection,
        })
    }

    /// Opens a connection to DB 0 of a real Redis, of which no record is kept.
    ///
    /// # Errors
    ///
    /// [`ServerError`] on the embedded server, if the server can't be reached, or if it refuses the
    /// user or the protocol.
    pub fn open_raw(&self, protocol: ProtocolVersion) -> Result<Line, ServerError> {
        match self {
            Server::Embedded(_) => {
                Err(ServerError("nobody else can use the embedded server".into()))
            }
            Server::Redis(remote) => {
                let settings = remote.info.redis_settings().clone();
                let settings = settings.set_db(0).set_protocol(protocol);
                remote.open(settings, RESPONSE_TIMEOUT)
            }
        }
    }

    /// Puts the failure of a command into words.
    pub fn explain(&self, error: &RedisError) -> ServerError {
        let what = describe(error);
        ServerError(match hint(error) {
            Some(hint) => format!("{} answered {what}; {hint}", self.name()),
            None if says_what_it_did(&what) => format!("{} {what}", self.name()),
            None if what.contains("certificate") => format!(
                "cannot trust {}: {what}; name the file of its authority in SSL_CERT_FILE",
                self.name()
            ),
            None if error.is_io_error() => {
                format!("lost the connection to {}: {what}; was it stopped?", self.name())
            }
            None => format!("{} answered {what}", self.name()),
        })
    }
}

/// Whether an error says what a server did, or did not do.
fn says_what_it_did(what: &str) -> bool {
    [LATE, SENT]
        .iter()
        .any(|word| what.strip_prefix(word).is_some_and(|rest| rest.starts_with(' ')))
}

impl Remote {
    fn open(&self, settings: RedisConnectionInfo, patience: Duration) -> Result<Line, ServerError> {
        Line::open(&self.info, &settings, patience)
            .map_err(|error| ServerError(self.explain_connect(&error, patience)))
    }

    fn explain_connect(&self, error: &RedisError, patience: Duration) -> String {
        let what = describe(error);
        if says_what_it_did(&what) {
            return format!("{} {what}", self.name);
        }
        let what = if error.is_timeout() { format!("no answer within {patience:?}") } else { what };
        let hint = match hint(error) {
            Some(hint) => hint,
            None if error.is_timeout() => "is it stopped, overloaded or behind a firewall?",
            None if error.is_io_error() && self.is_sole => {
                "is it running, and is that its address?"
            }
            None if error.is_io_error() => {
                "start it, or leave out --redis and unset the variables that name a server (REDIS_URL and others) to use the embedded server"
            }
            None => "see its log",
        };
        format!("cannot reach Redis at {}: {what}; {hint}", self.name)
    }
}

/// A user as a URL has it.
fn encoded(user: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    user.bytes()
        .map(|byte| if plain(byte) { char::from(byte).into() } else { format!("%{byte:02X}") })
        .collect::<Vec<String>>()
        .concat()
}

fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.into() }
}

/// What came back, in the words of Redis or of the system, without the library's decoration. The library
/// shows the complete value of a reply that it can't use.
fn describe(error: &RedisError) -> String {
    const LONGEST: usize = 300;
    let what = described(error);
    match what.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", what.get(..end).unwrap_or_default()),
        None => what,
    }
}

fn described(error: &RedisError) -> String {
    if error.is_io_error() {
        let text = of_system(error);
        let mut letters = text.chars();
        let first = letters.next().map(|first| first.to_lowercase().to_string());
        return first.unwrap_or_default() + letters.as_str();
    }
    if error.kind() == ErrorKind::AuthenticationFailed {
        // The library keeps neither Redis's own words nor which of the two it was.
        return "wrong user or password".into();
    }
    // A transaction carries the errors of its commands; the first one says what is wrong.
    if let Some(first) = error.clone().into_server_errors().as_deref().and_then(<[_]>::first) {
        let (_, first) = first;
        return words(first.code(), first.details());
    }
    match (error.code(), error.detail()) {
        (Some(code), detail) => words(code, detail),
        (None, Some(detail)) => format!("{}: {detail}", error.category()),
        (None, None) => error.to_string(),
    }
}

/// An error reply as Redis sends it.
fn words(code: &str, detail: Option<&str>) -> String {
    let code = if code == "ResponseError" { "ERR" } else { code };
    format!("{code} {}", detail.unwrap_or_default()).trim_end().into()
}

/// Whether an answer says that a script called what its user may not; before Redis 7, and since then.
fn is_forbidden_to_scripts(answer: &str) -> bool {
    let ways = ["ACL failure in script", "user executing the script can't"];
    ways.iter().any(|way| answer.contains(way))
}

fn hint(error: &RedisError) -> Option<&'static str> {
    match error.kind() {
        ErrorKind::AuthenticationFailed => {
            return Some("give user and password in the URL, or the password in REDIS_PASSWORD");
        }
        ErrorKind::Server(ServerErrorKind::BusyLoading) => {
            return Some("it is still reading its data; try again when it has finished");
        }
        ErrorKind::Server(ServerErrorKind::ReadOnly) => {
            return Some("it is a replica; name its primary");
        }
        ErrorKind::Server(ServerErrorKind::NoPerm) => {
            return Some("this user may not do that; ask for the right in its ACL");
        }
        _ => {}
    }
    let answer = describe(error);
    if is_forbidden_to_scripts(&answer) {
        return Some("this user may not do that; ask for the right in its ACL");
    }
    match answer.split(' ').next()? {
        "NOAUTH" | "WRONGPASS" => {
            Some("give user and password in the URL, or the password in REDIS_PASSWORD")
        }
        "CROSSSLOT" | "MOVED" | "ASK" | "CLUSTERDOWN" => Some(
            "it is a Redis Cluster, which has a lock's key and its flag on different nodes; NoDb's \
             locks need a single Redis: name that (of a cluster, only runs with a hash tag in \
             their id can be worked with, on the node that has it)",
        ),
        "OOM" => Some("it is out of memory: raise maxmemory or free some"),
        "MISCONF" => Some("it can't save to its disk and refuses to write: see its log"),
        "WRONGTYPE" => Some(
            "something else keeps another kind of value under this key: choose another directory, \
             or look at it with TYPE and remove it",
        ),
        "ERR" if answer.contains("max number of clients") => {
            Some("use fewer actors, or raise its maxclients")
        }
        _ => None,
    }
}
