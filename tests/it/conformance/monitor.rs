//! What MONITOR shows of the same commands, and which keyspace notifications are sent, on both servers.

use super::generate::{self, Step};
use super::{LAZY, Pair, config};
use crate::redis_server::redis_or_skip;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use redis::{PushKind, Value};
use redis_sim::Engine;
use redis_sim::clock::WallClock;
use redis_sim::server::{Address, Server};
use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// A client that listens to everything, and one that sets marks.
struct Listener {
    listening: redis::Connection,
    marking: redis::Connection,
}

impl Listener {
    fn new(url: &str) -> Self {
        let client = redis::Client::open(url).unwrap();
        let mut marking = client.get_connection().unwrap();
        let all = ["SET", "notify-keyspace-events", "AKE"];
        redis::cmd("CONFIG").arg(&all).exec(&mut marking).unwrap();
        let mut listening = client.get_connection().unwrap();
        for words in [&["HELLO", "3"][..], &["PSUBSCRIBE", "__key*"], &["MONITOR"]] {
            let command = redis::cmd(words[0]).arg(&words[1..]).get_packed_command();
            listening.send_packed_command(&command).unwrap();
            listening.recv_response().unwrap();
        }
        Self { listening, marking }
    }

    /// What came since the last call, without times and addresses.
    fn heard(&mut self) -> Vec<String> {
        redis::cmd("ECHO").arg("a mark").exec(&mut self.marking).unwrap();
        let mut heard = Vec::new();
        loop {
            match self.listening.recv_response().unwrap() {
                Value::SimpleString(line) if line.ends_with(r#""ECHO" "a mark""#) => break,
                Value::SimpleString(line) => heard.push(without_address(&line)),
                Value::Push { kind: PushKind::PMessage, data } => heard.push(format!("{data:?}")),
                other => panic!("{other:?}"),
            }
        }
        // In which order a SCAN comes upon keys that have expired differs.
        let is_expired = |line: &String| line.contains("expired");
        heard.chunk_by_mut(|one, next| is_expired(one) && is_expired(next)).for_each(<[_]>::sort);
        heard
    }
}

/// A line with the database and the words, and whether a script sent it.
fn without_address(line: &str) -> String {
    let (_, rest) = line.split_once(" [").unwrap();
    let (db, rest) = rest.split_once(' ').unwrap();
    let (source, words) = rest.split_once("] ").unwrap();
    let source = if source == "lua" { source } else { "client" };
    format!("{db} {source} {words}")
}

fn follow(cases: u32, steps: impl Strategy<Value = Vec<Step>>) {
    let server = redis_or_skip!(version "7.0", LAZY[0], LAZY[1]);
    let pair = Pair::over_sockets(&server, generate::CLIENTS);
    let ours = pair.socket.as_ref().unwrap().url();
    let listeners = [server.url(), ours].map(|url| Listener::new(&url));
    let state = RefCell::new((pair, listeners));
    let run = |steps: Vec<Step>| {
        let (pair, listeners) = &mut *state.borrow_mut();
        pair.reset();
        listeners.iter_mut().for_each(|listener| drop(listener.heard()));
        for step in &steps {
            if matches!(step, Step::Walk { .. } | Step::Pipeline { atomic: true, .. }) {
                continue;
            }
            pair.step(step)?;
            let [real, ours] = listeners.each_mut().map(Listener::heard);
            if real != ours {
                let what = format!("{step:?}\nreal: {real:#?}\nours: {ours:#?}");
                return Err(TestCaseError::fail(what));
            }
        }
        Ok(())
    };
    TestRunner::new(config(cases)).run(&steps, run).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn generated_commands_are_shown_and_notified_alike_by_both() {
    follow(150, prop::collection::vec(generate::step(), 1..60));
}

#[test]
fn generated_commands_of_collections_are_shown_and_notified_alike_by_both() {
    follow(150, generate::steps_of_collections());
}

#[test]
fn settings_are_answered_alike_by_both() {
    let server = redis_or_skip!(version "7.0", LAZY[0], LAZY[1]);
    let mut pair = Pair::over_sockets(&server, 2);
    pair.script(&[
        "CONFIG GET notify-keyspace-events",
        "CONFIG SET notify-keyspace-events KEx$",
        "CONFIG GET NOTIFY-keyspace-*",
        "CONFIG SET notify-keyspace-events AKEnm",
        "config get notify-keyspace-events",
        "CONFIG SET notify-keyspace-events nmxK",
        "CONFIG GET notify-keyspace-events no-such-setting",
        "CONFIG SET notify-keyspace-events KEq",
        "CONFIG SET notify-keyspace-events",
        "CONFIG SET no-such-setting 1",
        "CONFIG GET",
        "CONFIG",
        "HELLO 3",
        "CONFIG GET notify-keyspace-events",
        "CONFIG SET notify-keyspace-events ''",
        "CONFIG GET notify-keyspace-events",
        "EVAL return\\sredis.call('CONFIG','GET','x') 0",
        "MULTI",
        "MONITOR",
        "EXEC",
    ]);
}

/// In its place before the command that came upon it, on both.
#[test]
fn an_expired_key_is_notified_before_the_command_that_finds_it_gone() {
    let server = redis_or_skip!(version "7.0", LAZY[0], LAZY[1]);
    let mut pair = Pair::over_sockets(&server, 1);
    let ours = pair.socket.as_ref().unwrap().url();
    let mut listeners = [server.url(), ours].map(|url| Listener::new(&url));
    pair.script(&[
        "SET k v PXAT 1",
        "SET l v PXAT 1",
        "EVAL return\\sredis.call('GET',KEYS[1]) 1 k",
    ]);
    pair.script(&["SET l w NX", "EXPIRE l -1"]);
    let [real, ours] = listeners.each_mut().map(Listener::heard);
    assert_eq!(ours, real);
    let shown = |end: &str| real.iter().position(|line| line.ends_with(end)).unwrap();
    assert!(shown(r#"lua "GET" "k""#) > 0);
    assert!(real[shown(r#"lua "GET" "k""#) - 1].contains("expired"), "{real:#?}");
}

#[test]
fn a_client_is_shown_by_its_address() {
    let engine = Engine::new(Arc::new(WallClock::new(None)));
    let server = Server::start(Address::Port(0), Arc::new(engine)).unwrap();
    let port = server.url().rsplit(':').next().unwrap().parse().unwrap();
    let connect = || TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (mut monitor, mut client) = (connect(), connect());
    monitor.write_all(b"MONITOR\r\n").unwrap();
    let mut shown = BufReader::new(monitor).lines().map(Result::unwrap);
    assert_eq!(shown.next().unwrap(), "+OK");
    client.write_all(b"PING\r\n").unwrap();
    let (line, address) = (shown.next().unwrap(), client.local_addr().unwrap());
    assert!(line.ends_with(&format!(" [0 {address}] \"PING\"")), "{line} of {address}");
}
