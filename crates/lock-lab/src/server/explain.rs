//! Failures in words: what a server did, or what it is, and what to do about it. One place for all
//! commands.

use super::line::{LATE, SENT};
use super::{Line, Remote};
use redis::{ErrorKind, RedisError, ServerErrorKind};
use redis_sim::server::of_system;
use std::borrow::Cow;
use std::time::Duration;

/// How long a server may take to say what it is.
const PATIENCE: Duration = Duration::from_secs(1);

/// What to do about a node of a cluster that is down.
pub(super) const CLUSTER_DOWN: &str = "it is a node of a Redis Cluster that is down; CLUSTER INFO and \
    CLUSTER NODES on it say which slots or nodes are missing: bring these back first";

/// What to do about a node of a cluster.
const CLUSTER: &str = "it is a Redis Cluster, which has a lock's key and its flag on different nodes; \
    NoDb's locks need a single Redis: name that (of a cluster, only runs with a hash tag in their id \
    can be worked with, on the node that has it)";

/// The failure of a command, from what is known.
pub(super) fn command(name: &str, error: &RedisError) -> String {
    let what = describe(error);
    if let Some(hint) = hint(error, &what) {
        return format!("{name} answered {what}; {hint}");
    }
    if let Some(why) = of_line(name, error, &what) {
        return why;
    }
    match error.is_io_error() {
        true => format!("lost the connection to {name}: {what}; was it stopped?"),
        false => format!("{name} answered {what}"),
    }
}

/// The failure to open a connection within this time.
pub(super) fn connect(remote: &Remote, error: &RedisError, patience: Duration) -> String {
    let (name, what) = (&remote.name, describe(error));
    if let Some(why) = of_line(name, error, &what) {
        return why;
    }
    let what = if error.is_timeout() { format!("no answer within {patience:?}") } else { what };
    let asked = || kind(remote, error).map(Cow::from);
    let hint = match hint(error, &what).or_else(asked) {
        Some(hint) => hint,
        None if error.is_timeout() => "is it stopped, overloaded or behind a firewall?".into(),
        None if error.is_io_error() && remote.is_sole => {
            "is it running, and is that its address?".into()
        }
        None if error.is_io_error() => {
            "start it, or leave out --redis and unset the variables that name \
             a server (REDIS_URL and others) to use the embedded server"
                .into()
        }
        None => "see its log".into(),
    };
    format!("cannot reach Redis at {name}: {what}; {hint}")
}

/// What is wrong between here and a server: no reply that can be used, or no trust.
fn of_line(name: &str, error: &RedisError, what: &str) -> Option<String> {
    if says_what_it_did(what) {
        let is_late_tls = name.starts_with("rediss://") && what.starts_with(LATE);
        let hint = if is_late_tls { " If its port is one without TLS, say redis://" } else { "" };
        return Some(format!("{name} {what}{hint}"));
    }
    if !error.is_io_error() {
        return None;
    }
    let has = |words: &str| what.contains(words);
    if has("corrupt message") {
        return Some(format!(
            "{name} sent what is not TLS ({what}); if that port is without TLS, name the one for TLS, or say redis://"
        ));
    }
    if has("fatal alert") {
        let hint = match () {
            () if has("CertificateRequired") => {
                "it wants a certificate of its clients, which can't be given here"
            }
            // How servers before TLS 1.3 say that, and other things.
            () if has("HandshakeFailure") => {
                "it may want a certificate of its clients, which can't be given here"
            }
            () => "see its log",
        };
        return Some(format!("{name} ended the TLS connection: {what}; {hint}"));
    }
    let hint = match () {
        () if !has("certificate") => return None,
        () if has("valid for name") || has("NotValidForName") => {
            "name the host as its certificate does"
        }
        () if has("xpired") => "have it renewed; if it is not, set the clock of this machine",
        () if has("not valid yet") || has("NotValidYet") => {
            "set the clock of this machine, or wait"
        }
        () => "name the file of its authority in SSL_CERT_FILE",
    };
    Some(format!("cannot trust {name}: {what}; {hint}"))
}

/// Whether an error says what a server did, or did not do.
fn says_what_it_did(what: &str) -> bool {
    [LATE, SENT]
        .iter()
        .any(|word| what.strip_prefix(word).is_some_and(|rest| rest.starts_with(' ')))
}

/// What came back, in the words of Redis or of the system, without the library's decoration. The library
/// shows the complete value of a reply that it can't use.
pub(super) fn describe(error: &RedisError) -> String {
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
pub(super) fn words(code: &str, detail: Option<&str>) -> String {
    let code = if code == "ResponseError" { "ERR" } else { code };
    format!("{code} {}", detail.unwrap_or_default()).trim_end().into()
}

/// Whether an answer says that a script called what its user may not; before Redis 7, and since then.
pub(super) fn is_forbidden_to_scripts(answer: &str) -> bool {
    let ways = ["ACL failure in script", "user executing the script can't"];
    ways.iter().any(|way| answer.contains(way))
}

/// What to do about an answer.
fn hint(error: &RedisError, answer: &str) -> Option<Cow<'static, str>> {
    let hint = of_kind(error).or_else(|| of_answer(answer))?;
    Some(match error.redirect_node() {
        Some((address, _)) => {
            format!("{hint}: name the node that has it: redis://{address}").into()
        }
        None => hint.into(),
    })
}

/// Whether an error says more with what the server is: a Sentinel knows hardly any command, and a replica has
/// a primary.
pub fn depends_on_kind(error: &RedisError) -> bool {
    is_unknown(error) || is_of_replica(error)
}

/// What a server is that answered with this error, if that can be asked.
pub(super) fn kind(remote: &Remote, error: &RedisError) -> Option<String> {
    match () {
        () if is_unknown(error) => sentinel(remote),
        () if is_of_replica(error) => {
            primary(remote).map(|primary| format!("its primary is {primary}"))
        }
        () => None,
    }
}

/// Whether the server does not know a command.
pub(super) fn is_unknown(error: &RedisError) -> bool {
    describe(error).contains("unknown command")
}

/// Whether it is what a replica answers.
fn is_of_replica(error: &RedisError) -> bool {
    use ServerErrorKind::{MasterDown, ReadOnly};
    matches!(error.kind(), ErrorKind::Server(ReadOnly | MasterDown))
}

fn of_kind(error: &RedisError) -> Option<&'static str> {
    Some(match error.kind() {
        ErrorKind::AuthenticationFailed => {
            "give user and password in the URL, or the password in REDIS_PASSWORD"
        }
        ErrorKind::Server(ServerErrorKind::BusyLoading) => {
            "it is still reading its data; try again when it has finished"
        }
        ErrorKind::Server(ServerErrorKind::ReadOnly) => "it is a replica; name its primary",
        ErrorKind::Server(ServerErrorKind::MasterDown) => {
            "it is a replica that has lost its primary; name the primary"
        }
        ErrorKind::Server(ServerErrorKind::NoPerm) => {
            "this user may not do that; ask for the right in its ACL"
        }
        _ => return None,
    })
}

fn of_answer(answer: &str) -> Option<&'static str> {
    if is_forbidden_to_scripts(answer) {
        return Some("this user may not do that; ask for the right in its ACL");
    }
    Some(match answer.split(' ').next()? {
        "NOAUTH" | "WRONGPASS" => {
            "give user and password in the URL, or the password in REDIS_PASSWORD"
        }
        "CLUSTERDOWN" => CLUSTER_DOWN,
        "CROSSSLOT" | "MOVED" | "ASK" => CLUSTER,
        "ERR" if answer.contains("not allowed in cluster mode") => CLUSTER,
        "BUSY" => "a script runs on it and does not end; end it with SCRIPT KILL",
        "OOM" => "it is out of memory: raise maxmemory or free some",
        "MISCONF" => "it can't save to its disk and refuses to write: see its log",
        "NOREPLICAS" => "it has too few replicas to write (min-replicas-to-write): see their logs",
        "WRONGTYPE" => {
            "something else keeps another kind of value under this key: choose another directory, \
             or look at it with TYPE and remove it"
        }
        "ERR" if answer.contains("max number of clients") => {
            "use fewer actors, or raise its maxclients"
        }
        _ => return None,
    })
}

/// A connection to ask a server what it is.
fn line(remote: &Remote) -> Option<Line> {
    let settings = remote.info.redis_settings().clone().set_db(0);
    Line::open(&remote.info, &settings, PATIENCE).ok()
}

/// The primary of a replica, if it may be asked.
pub(super) fn primary(remote: &Remote) -> Option<String> {
    let role: Vec<redis::Value> = redis::cmd("ROLE").query(&mut line(remote)?).ok()?;
    let mut role = role.into_iter().skip(1);
    let host: String = redis::from_redis_value(role.next()?).ok()?;
    let port: u16 = redis::from_redis_value(role.next()?).ok()?;
    Some(format!("redis://{host}:{port}"))
}

/// What to do where a Sentinel was named for a Redis: it knows hardly any command.
pub(super) fn sentinel(remote: &Remote) -> Option<String> {
    let mut line = line(remote)?;
    let info: String = redis::cmd("INFO").arg("server").query(&mut line).ok()?;
    if !info.lines().any(|fact| fact == "redis_mode:sentinel") {
        return None;
    }
    let info: String = redis::cmd("INFO").arg("sentinel").query(&mut line).unwrap_or_default();
    let watched = |line: &str| {
        let (_, address) = line.strip_prefix("master")?.split_once("address=")?;
        Some(format!("redis://{}", address.split(',').next()?))
    };
    let primaries: Vec<String> = info.lines().filter_map(watched).collect();
    Some(match primaries.as_slice() {
        [] => "it is a Sentinel, which keeps no keys; name a Redis".into(),
        names => format!(
            "it is a Sentinel, which keeps no keys; name the primary that it watches: {}",
            names.join(" or ")
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn what_is_wrong_with_tls_is_said_with_what_to_do() {
        for (what, words) in [
            ("received corrupt message of type InvalidContentType", "if that port is without TLS"),
            ("received fatal alert: CertificateRequired", "it wants a certificate of its clients"),
            ("received fatal alert: HandshakeFailure", "it may want a certificate of its clients"),
            ("received fatal alert: ProtocolVersion", "ProtocolVersion; see its log"),
            ("invalid peer certificate: UnknownIssuer", "SSL_CERT_FILE"),
            ("invalid peer certificate: certificate expired: too late", "have it renewed"),
        ] {
            let error = RedisError::from(io::Error::new(io::ErrorKind::InvalidData, what));
            let said = command("rediss://h", &error);
            assert!(said.contains(words) && said.contains("rediss://h"), "{said}");
        }
    }
}
