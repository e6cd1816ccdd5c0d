//! A real `redis-server` for one test: on a port of its own, without persistence, gone afterwards.
//!
//! Tests get theirs from [`redis_or_skip!`], so that `cargo test` passes on a
//! machine without Redis and says which tests it left out. With `NODB_REQUIRE_REDIS=1` a missing
//! server fails the test.

use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use redis::Client;
use tempfile::TempDir;

use crate::program::{PATIENCE, poll, wait_until};

/// A running server. Dropping it kills it.
pub struct RedisServer {
    process: Child,
    port: u16,
    dir: TempDir,
    args: Vec<String>,
}

impl RedisServer {
    /// Starts a server with further arguments, as on its command line.
    pub fn start(args: &[&str]) -> Self {
        // Somebody else may take the port between our looking for it and the server's binding it.
        for _ in 0..20 {
            if let Some(server) = Self::try_start(free_port(), args) {
                return server;
            }
        }
        panic!("redis-server {args:?} did not start on any of 20 ports");
    }

    fn try_start(port: u16, args: &[&str]) -> Option<Self> {
        let dir = tempfile::Builder::new().prefix("nodb-redis-").tempdir().unwrap();
        let args: Vec<String> = args.iter().map(|word| word.to_string()).collect();
        let process = Self::spawn(port, &dir, &args);
        let mut server = Self { process, port, dir, args };
        server.becomes_ready().then_some(server)
    }

    fn spawn(port: u16, dir: &TempDir, args: &[String]) -> Child {
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .arg("--dir")
            .arg(dir.path())
            .arg("--unixsocket")
            .arg(dir.path().join("redis.sock"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Waits for it; false if somebody else has its port.
    fn becomes_ready(&mut self) -> bool {
        let is_ready = poll(|| match self.is_ready() {
            true => Some(true),
            false => self.process.try_wait().unwrap().map(|_| false),
        });
        let (log, args) = (self.log(), &self.args);
        assert!(is_ready.is_some(), "redis-server {args:?}: {log}");
        let has_port = is_ready == Some(true);
        assert!(has_port || log.contains("Address already in use"), "redis-server {args:?}: {log}");
        has_port
    }

    /// Starts it again after [`kill`](Self::kill), at the same address and empty.
    pub fn restart(&mut self) {
        self.process = Self::spawn(self.port, &self.dir, &self.args);
        assert!(self.becomes_ready(), "somebody took port {} meanwhile", self.port);
    }

    /// Asked through its own socket file, so that nobody else who took the port can answer.
    fn is_ready(&self) -> bool {
        Client::open(self.unix_url())
            .and_then(|client| client.get_connection_with_timeout(PATIENCE))
            .is_ok_and(|mut con| redis::cmd("PING").exec(&mut con).is_ok())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The address, database 0.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// The address of the socket file, database 0.
    pub fn unix_url(&self) -> String {
        format!("redis+unix://{}", self.unix_socket().display())
    }

    /// The socket file.
    pub fn unix_socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A client of this server.
    pub fn client(&self) -> Client {
        Client::open(self.url()).unwrap()
    }

    /// The number after `begin` in a line of INFO; 0 if there is no such line.
    pub fn count(&self, section: &str, begin: &str) -> u64 {
        let mut con = self.client().get_connection().unwrap();
        let info: String = redis::cmd("INFO").arg(section).query(&mut con).unwrap();
        let count = info.lines().find_map(|line| line.strip_prefix(begin));
        count.map_or(0, |count| count.split(',').next().unwrap().parse().unwrap())
    }

    /// How many commands it has executed.
    pub fn commands(&self) -> u64 {
        self.count("stats", "total_commands_processed:")
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Everything in all databases: database, key, its value as DUMP gives it, and whether it has a
    /// TTL.
    pub fn everything(&self) -> Vec<(u32, String, Vec<u8>, bool)> {
        let mut con = self.client().get_connection().unwrap();
        let mut found = Vec::new();
        for db in 0..16 {
            redis::cmd("SELECT").arg(db).exec(&mut con).unwrap();
            let mut keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query(&mut con).unwrap();
            keys.sort();
            for key in keys {
                let dumped: Option<Vec<u8>> = redis::cmd("DUMP").arg(&key).query(&mut con).unwrap();
                let ttl: i64 = redis::cmd("PTTL").arg(&key).query(&mut con).unwrap();
                let name = String::from_utf8_lossy(&key).into_owned();
                found.push((db, name, dumped.unwrap_or_default(), ttl >= 0));
            }
        }
        found
    }

    /// Fails unless all databases are empty.
    #[track_caller]
    pub fn is_empty(&self) {
        assert_eq!(self.everything(), []);
    }

    /// Stops the server from answering, as an overloaded machine would.
    pub fn freeze(&self) {
        crate::program::send_signal(self.pid(), rustix::process::Signal::STOP);
    }

    /// Lets it answer again.
    pub fn thaw(&self) {
        crate::program::send_signal(self.pid(), rustix::process::Signal::CONT);
    }

    /// Ends the server at once, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port of 127.0.0.1 that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Whether there is a `redis-server`, of this version (or any: ""). If not, this says on stderr that
/// `test` is left out, or panics if Redis is required.
pub fn available(test: &str, version: &str) -> bool {
    static FOUND: OnceLock<Option<String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let output = Command::new("redis-server").arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Some(text.split_once("v=")?.1.split(' ').next()?.to_owned())
    });
    let what = match found {
        Some(found) if found.starts_with(version) => return true,
        Some(found) => format!("needs redis-server {version}, found {found}"),
        None => "no redis-server on the PATH".to_owned(),
    };
    leave_out(test, &what);
    false
}

/// Says on stderr that `test` is left out because something is missing, or panics if nothing may be:
/// `NODB_REQUIRE_REDIS=1` asks for all that tests need beside the program, not for Redis alone.
pub fn leave_out(test: &str, what: &str) {
    assert!(std::env::var_os("NODB_REQUIRE_REDIS").is_none_or(|v| v != "1"), "{test}: {what}");
    // The handle, not the macro: what eprintln! says, cargo test hides if the test passes. In one
    // write, on a line of its own, because the harness is writing to the same terminal.
    let line = format!("\nleft out: {test} ({what})\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// A [`RedisServer`] with these arguments; without Redis, the calling test ends here and is named.
/// `redis_or_skip!(version "7.0", ...)` insists on a version.
macro_rules! redis_or_skip {
    (version $version:expr $(, $arg:expr)* $(,)?) => {{
        // The name of the test is the path of this function without its last part.
        fn here() {}
        let path = std::any::type_name_of_val(&here);
        if !$crate::redis_server::available(path.trim_end_matches("::here"), $version) {
            return;
        }
        $crate::redis_server::RedisServer::start(&[$($arg),*])
    }};
    ($($arg:expr),* $(,)?) => { redis_or_skip!(version "" $(, $arg)*) };
}
pub(crate) use redis_or_skip;

#[test]
fn a_server_starts_answers_on_both_addresses_and_is_gone_afterwards() {
    let mut server = redis_or_skip!("--maxmemory", "3mb");
    for client in [server.client(), Client::open(server.unix_url()).unwrap()] {
        let mut con = client.get_connection().unwrap();
        let info: String = redis::cmd("INFO").query(&mut con).unwrap();
        assert!(info.contains(&format!("process_id:{}\r\n", server.pid())));
        assert!(info.contains("maxmemory:3145728\r\n"));
    }
    server.kill();
    assert!(server.client().get_connection().is_err());
    let dir = server.dir.path().to_owned();
    drop(server);
    assert!(!dir.exists());
}

/// Lets the only node of a cluster serve.
pub fn serve_all_slots(cluster: &RedisServer) {
    let mut con = cluster.client().get_connection().unwrap();
    let mut slots = redis::cmd("CLUSTER");
    slots.arg("ADDSLOTSRANGE").arg(0).arg(16383).exec(&mut con).unwrap();
    wait_until("the cluster is up", || {
        let info: String = redis::cmd("CLUSTER").arg("INFO").query(&mut con).unwrap();
        info.contains("cluster_state:ok")
    });
}
