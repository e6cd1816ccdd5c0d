//! Scripts that take too long, as other clients meet them.

use parking_lot::Mutex;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use super::{connect, error, eval};
use crate::clock::VirtualClock;
use crate::error::Error;
use crate::scripting::Watch;
use crate::server::{Address, Server};
use crate::{Engine, Shared, State};

/// A script that would take minutes in steps of which each takes long.
const LONG: &str = "while true do local s = ('x'):rep(1e6) .. 'y' end";

const HOUR: Duration = Duration::from_secs(3600);

fn engine(longest: Duration, busy_after: Duration) -> Engine {
    let mut state = State::default();
    let mut watch = Watch::default();
    (watch.longest, watch.busy_after) = (longest, busy_after);
    let watch = Arc::new(watch);
    state.scripts.watch = Arc::clone(&watch);
    let clock = Arc::new(VirtualClock::new(None));
    Engine(Arc::new(Shared { clock, state: Mutex::new(state), watch }))
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn new(server: &Server) -> Self {
        let Address::Port(port) = server.address() else { panic!("{}", server.url()) };
        Self(BufReader::new(TcpStream::connect(("127.0.0.1", *port)).unwrap()))
    }

    fn send(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
    }

    fn receive(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.receive()
    }
}

#[test]
fn a_script_ends_when_its_time_is_over_and_the_next_one_has_its_own() {
    let mut con = engine(Duration::ZERO, HOUR).connect(0);
    let text = error(&mut con, LONG);
    assert_eq!(text, "Error running script: it took more than 10s");
    assert_eq!(eval::<i64>(&mut con, "return 7").unwrap(), 7);
}

#[test]
fn while_a_script_takes_too_long_clients_are_answered_busy_and_one_kills_it() {
    let server = Server::start(Address::Port(0), Arc::new(engine(HOUR, Duration::ZERO))).unwrap();
    let (mut early, mut runs) = (Client::new(&server), Client::new(&server));
    assert_eq!(early.ask("SCRIPT KILL"), "-NOTBUSY No scripts in execution right now.");
    assert_eq!(early.ask("MULTI"), "+OK");
    runs.send(&format!("EVAL \"{LONG}\" 0"));
    let busy =
        "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
    while early.ask("PING") != busy {}
    let mut late = Client::new(&server);
    assert_eq!(late.ask("PING"), busy);
    assert_eq!(late.ask("script kill"), "+OK");
    assert_eq!(runs.receive(), "-ERR Script killed by user with SCRIPT KILL.");
    assert_eq!(late.ask("PING"), "+PONG");
    let refused = "-EXECABORT Transaction discarded because of previous errors.";
    assert_eq!(early.ask("EXEC"), refused);
    assert_eq!(early.ask("PING"), "+PONG");
}

#[test]
fn a_script_that_has_written_is_not_killed() {
    let mut con = connect();
    let watch = Arc::clone(&con.engine.0.watch);
    assert_eq!(watch.kill(), Err(Error::NotBusy));
    let clock = watch.begin();
    watch.writes();
    assert_eq!(watch.kill(), Err(Error::Unkillable));
    drop(clock);
    watch.end();
    eval::<()>(&mut con, "redis.call('set', 'a', 1)").unwrap();
    assert_eq!(watch.kill(), Err(Error::NotBusy));
}
