//! Where the locks live: the embedded server, or a real Redis at a URL. Opens connections, with a
//! time-out on everything, and puts failures into words that say what to do.

mod connection;
mod exchange;
mod exclusive;
mod explain;
mod line;
mod redis_cli;

pub use connection::{Connection, Sent};
pub use exchange::{Exchange, Listener, secret_from};
pub use exclusive::{ExclusiveServer, Keys, OnCommandByHand, Seen, Stored};
pub use explain::depends_on_kind;
pub use line::{Line, hurry, is_hurried};
pub use redis_cli::quoted_input;

use connection::Transport;
use explain::{describe, is_forbidden_to_scripts, words};
use redis::{
    ConnectionAddr, ConnectionInfo, ConnectionLike, IntoConnectionInfo, ProtocolVersion,
    RedisConnectionInfo, RedisError,
};
use redis_sim::clock::Clock;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long a connection may take to open, and how long a reply may take to come, by default.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may take at least when the run's deadline is near, or has passed: a healthy server
/// answers by then, and a holder still wants to release its lock.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);

/// The same, if another one was set.
static GIVEN_TIMEOUT: OnceLock<Duration> = OnceLock::new();

/// How long a connection may take to open, and how long a reply may take to come.
pub fn response_timeout() -> Duration {
    GIVEN_TIMEOUT.get().copied().unwrap_or(RESPONSE_TIMEOUT)
}

/// Gives all connections of this process another [`response_timeout`]. The first call decides.
pub fn set_response_timeout(timeout: Duration) {
    GIVEN_TIMEOUT.get_or_init(|| timeout);
}

/// How long to wait for an answer: no longer than the response time-out, and on a run's clock not
/// past its deadline.
fn patience(clock: Option<&dyn Clock>) -> Duration {
    let most = response_timeout();
    let left = clock.and_then(Clock::left).unwrap_or(most);
    let left = left.clamp(SHORTEST_TIMEOUT.min(most), most);
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
                remote.open(settings, response_timeout())
            }
        }
    }

    /// Fails if it is a node of a cluster that is down, or a Sentinel: neither shows any key.
    ///
    /// # Errors
    ///
    /// [`ServerError`] with what to do.
    pub fn check_kind(&self, link: &mut dyn ConnectionLike) -> Result<(), ServerError> {
        let why = match redis::cmd("CLUSTER").arg("INFO").query::<String>(link) {
            Ok(facts) if facts.contains("cluster_state:fail") => explain::CLUSTER_DOWN.to_owned(),
            Err(error) if explain::is_unknown(&error) => match self {
                Server::Redis(remote) => explain::sentinel(remote).unwrap_or_default(),
                Server::Embedded(_) => String::new(),
            },
            _ => String::new(),
        };
        match why.is_empty() {
            true => Ok(()),
            false => Err(ServerError(format!("{} can't be used: {why}", self.name()))),
        }
    }

    /// Puts the failure of a command into words. Where the answer depends on what the server is, it is asked
    /// on a connection of its own.
    pub fn explain(&self, error: &RedisError) -> ServerError {
        let mut words = self.explain_known(error).0;
        if let Some(kind) = self.kind_behind(error) {
            words = format!("{words}; {kind}");
        }
        ServerError(words)
    }

    /// The same from what is known: nothing is asked.
    pub fn explain_known(&self, error: &RedisError) -> ServerError {
        ServerError(explain::command(self.name(), error))
    }

    /// What the server is, where an error [depends on it](depends_on_kind) and it can be asked.
    pub fn kind_behind(&self, error: &RedisError) -> Option<String> {
        match self {
            Server::Redis(remote) => explain::kind(remote, error),
            Server::Embedded(_) => None,
        }
    }
}

impl Remote {
    fn open(&self, settings: RedisConnectionInfo, patience: Duration) -> Result<Line, ServerError> {
        Line::open(&self.info, &settings, patience)
            .map_err(|error| ServerError(explain::connect(self, &error, patience)))
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
