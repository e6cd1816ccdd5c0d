//! What both servers say byte by byte, to several clients at once: replies in either version of the
//! protocol, messages and their order, bytes that are no requests.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::Range;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{TestCaseError, TestRunner};
use redis_sim::Engine;
use redis_sim::clock::WallClock;
use redis_sim::server::{Address, Server};

use super::{config, generate::unescape};
use crate::program::PATIENCE;
use crate::redis_server::{RedisServer, redis_or_skip};

/// One client's end of a connection, and everything that it was told.
struct Client {
    stream: TcpStream,
    came: Vec<u8>,
    told: Vec<Vec<u8>>,
    in_multi: bool,
}

impl Client {
    fn new(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, came: Vec::new(), told: Vec::new(), in_multi: false }
    }

    /// Sends a command, and reads until everything that it answers has come.
    fn ask(&mut self, words: &[Vec<u8>], marker: &str) {
        let ping = [b"PING".to_vec(), marker.into()];
        let both = [redis::pack_command(words), redis::pack_command(&ping)].concat();
        self.stream.write_all(&both).unwrap();
        let name = String::from_utf8_lossy(&words[0]).to_uppercase();
        if self.in_multi && !["EXEC", "DISCARD", "RESET"].contains(&&*name) {
            // Both are queued, or refused.
            self.read_until(|frames| frames.len() == 2);
            return;
        }
        let first = self.told.len();
        let is_marker = |frame: &Vec<u8>| find(frame, marker.as_bytes());
        self.read_until(|frames| {
            frames.last().is_some_and(|last| is_marker(last) || last == b"+QUEUED\r\n")
        });
        self.in_multi = self.told[first..].iter().any(|frame| frame == b"+QUEUED\r\n");
    }

    /// Reads whole frames until `enough` of those that come from now on; messages do not count.
    fn read_until(&mut self, enough: impl Fn(&[Vec<u8>]) -> bool) {
        let mut answers = Vec::new();
        while !enough(&answers) {
            let Some(frame) = frame(&self.came) else {
                let mut chunk = [0; 4096];
                let count = self.stream.read(&mut chunk).unwrap();
                assert_ne!(count, 0, "closed after {:?}", self.shown());
                self.came.extend_from_slice(&chunk[..count]);
                continue;
            };
            let frame: Vec<u8> = self.came.drain(frame).collect();
            if !find(&frame, b"message\r\n") {
                answers.push(frame.clone());
            }
            self.told.push(frame);
        }
    }

    /// Everything that it was told, without what differs from server to server.
    fn shown(&self) -> Vec<String> {
        let mut shown: Vec<String> = Vec::new();
        for frame in &self.told {
            let text = frame.escape_ascii().to_string();
            // The number of the client.
            let text = match text.split_once(r"\r\nid\r\n:") {
                Some((before, rest)) => {
                    format!("{before} id {}", rest.trim_start_matches(char::is_numeric))
                }
                None => text,
            };
            shown.push(text);
        }
        // Redis goes through patterns, and through what ends together, in an order of its own.
        for kind in ["pmessage", "unsubscribe"] {
            for run in shown.chunk_by_mut(|a, b| a.contains(kind) && b.contains(kind)) {
                if run.len() > 1 && kind == "unsubscribe" {
                    // How many are left falls in any case.
                    run.iter_mut().for_each(|frame| {
                        frame.truncate(frame.rfind(':').unwrap_or(frame.len()));
                    });
                }
                run.sort();
            }
        }
        shown
    }
}

fn find(frame: &[u8], wanted: &[u8]) -> bool {
    frame.windows(wanted.len()).any(|part| part == wanted)
}

/// Where the first frame ends, if all of it is there.
fn frame(bytes: &[u8]) -> Option<Range<usize>> {
    Some(0..end_of_frame(bytes, 0)?)
}

fn end_of_frame(bytes: &[u8], from: usize) -> Option<usize> {
    let line = bytes[from..].windows(2).position(|pair| pair == b"\r\n")?;
    let text = std::str::from_utf8(&bytes[from + 1..from + line]).unwrap_or_default();
    let number = text.parse::<i64>().unwrap_or(0);
    let mut at = from + line + 2;
    let items = match bytes[from] {
        b'$' | b'=' if number >= 0 => {
            at += usize::try_from(number).unwrap() + 2;
            return (at <= bytes.len()).then_some(at);
        }
        b'*' | b'~' | b'>' => number,
        b'%' => number * 2,
        _ => 0,
    };
    for _ in 0..items {
        at = end_of_frame(bytes, at)?;
    }
    Some(at)
}

/// A step: who, and a line as for `Pair::script`.
type Line = (usize, &'static str);

const CLIENTS: usize = 3;

/// What clients say: a few channels, so that they meet, and commands whose replies have one form only.
const LINES: &[&str] = &[
    "SUBSCRIBE a",
    "SUBSCRIBE b a",
    "SUBSCRIBE",
    "PSUBSCRIBE a*",
    "PSUBSCRIBE ? [ab]",
    "SSUBSCRIBE a",
    "SSUBSCRIBE b a",
    "UNSUBSCRIBE",
    "UNSUBSCRIBE a",
    "UNSUBSCRIBE c a",
    "PUNSUBSCRIBE",
    "PUNSUBSCRIBE a*",
    "SUNSUBSCRIBE",
    "SUNSUBSCRIBE a b",
    "PUBLISH a x",
    "PUBLISH a \\0\\xff\\r\\n",
    "PUBLISH b ''",
    "PUBLISH c x",
    "PUBLISH a",
    "SPUBLISH a x",
    "SPUBLISH b y",
    "EVAL return\\sredis.call('publish','a',KEYS[1]) 1 z",
    "EVAL return\\sredis.call('subscribe','a') 0",
    "PING",
    "PING \\xff",
    "PING a b",
    "HELLO 3",
    "HELLO 3",
    "HELLO 2",
    "HELLO 9",
    "RESET",
    "GET k",
    "SET k \\xff\\0",
    "DEL k",
    "SET k v NX GET",
    "SET k v XX",
    "MGET k h none",
    "HSET h f v",
    "HGETALL h",
    "HSCAN h 0",
    "HMGET h f g",
    "RPUSH l a \\xff b",
    "LPOP l",
    "LPOP l 2",
    "BLPOP l 0.001",
    "BLMOVE l m LEFT RIGHT 0.001",
    "LPOS l a COUNT 0",
    "SADD s a",
    "SMEMBERS s",
    "SPOP s 1",
    "SRANDMEMBER s 2",
    "SINTER s s",
    "ZADD z 0.1 a 2 b",
    "ZADD z NX INCR 1 a",
    "ZADD z INCR -inf c",
    "ZSCORE z a",
    "ZMSCORE z a none",
    "ZRANGE z 0 -1 WITHSCORES",
    "ZRANGEBYSCORE z (0.1 +inf WITHSCORES",
    "ZRANK z none",
    "ZPOPMIN z",
    "ZPOPMAX z 2",
    "BZPOPMIN z 0.001",
    "GETEX k PERSIST",
    "ROLE",
    "TYPE k",
    "PTTL none",
    "WAIT 0 0",
    "CLIENT GETNAME",
    "CLIENT NOPE",
    "ECHO \\xff",
    "NOPE a",
    "EVAL return\\s{1,false,'x',{ok='fine'},{err='BAD\\sx'}} 0",
    "EVAL return\\s{double=1/3} 0",
    "EVAL return\\s{map={a=1}} 0",
    "EVAL redis.setresp(3)\\sreturn\\s{true,false} 0",
    "EVAL return\\s{set={a=true}} 0",
    "EVAL return\\s{big_number='123'} 0",
    "EVAL return\\s{verbatim_string={format='mkd',string='a'}} 0",
    "INFO keyspace",
    "WATCH k",
    "MULTI",
    "EXEC",
    "EXEC",
    "DISCARD",
];

/// In a transaction, Redis answers these in a way that no client can read; see `redis_sim::pubsub`.
fn unreadable_in_multi(line: &str) -> bool {
    ["SUBSCRIBE", "UNSUBSCRIBE", "PUBLISH", "publish", "HELLO"]
        .iter()
        .any(|name| line.contains(name))
}

/// Follows the lines on one server; gives what each client was told.
fn follow(port: u16, lines: &[Line]) -> Vec<Vec<String>> {
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::new(port)).collect();
    clients[0].ask(&[b"FLUSHALL".to_vec()], "start");
    for (number, (client, line)) in lines.iter().enumerate() {
        let client = &mut clients[*client];
        if !(client.in_multi && unreadable_in_multi(line)) {
            let words: Vec<Vec<u8>> = line.split(' ').map(unescape).collect();
            client.ask(&words, &format!("marker-{number}"));
        }
    }
    for client in &mut clients {
        client.ask(&[b"RESET".to_vec()], "the-end");
    }
    clients.iter().map(Client::shown).collect()
}

fn embedded() -> (Server, u16) {
    let engine = Engine::new(Arc::new(WallClock::new(None)));
    let server = Server::start(Address::Port(0), Arc::new(engine)).unwrap();
    let Address::Port(port) = *server.address() else { panic!("{:?}", server.address()) };
    (server, port)
}

#[test]
fn clients_are_told_the_same_bytes_in_the_same_order_by_both() {
    let real = redis_or_skip!(version "7.0");
    let (_ours, port) = embedded();
    let lines = prop::collection::vec((0..CLIENTS, select(LINES)), 1..60);
    TestRunner::new(config(400))
        .run(&lines, |lines| {
            let (real, ours) = (follow(real.port(), &lines), follow(port, &lines));
            for (client, (real, ours)) in real.iter().zip(&ours).enumerate() {
                let first = real.iter().zip(ours).position(|(real, ours)| real != ours);
                prop_assert_eq!(first.map(|at| (&real[at], &ours[at])), None, "client {}", client);
                prop_assert_eq!(real.len(), ours.len(), "{:#?} {:#?}", real, ours);
            }
            Ok(())
        })
        .unwrap_or_else(|why| panic!("{why}"));
}

/// What a server says to bytes after which the client sends no more.
fn said(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let _ = stream.shutdown(Shutdown::Write);
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    said
}

/// Parts of requests, of either kind.
const PARTS: &[&[u8]] = &[
    b"*1\r\n$4\r\nPING\r\n",
    b"*2\r\n$4\r\nECHO\r\n$2\r\nab\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n",
    b"*1\r\n",
    b"*2\r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"*",
    b"$",
    b"*01\r\n",
    b"*+1\r\n",
    b"*2147483648\r\n",
    b"$4\r\n",
    b"$0\r\n",
    b"$-1\r\n",
    b"$536870913\r\n",
    b"PING",
    b"ping\r\n",
    b"ECHO ",
    b"\r\n",
    b"\r",
    b"\n",
    b" ",
    b"\t",
    b"\x0b",
    b"\0",
    b"\"",
    b"'",
    b"\\",
    b"\"\\x41\\n\\q\"",
    b"'it\\'s'",
    b"abc",
    b"\xff",
    b"QUIT\r\n",
    b"4",
];

#[test]
fn bytes_of_any_kind_are_answered_the_same_by_both() {
    let real = redis_or_skip!(version "7.0");
    let (_ours, port) = embedded();
    let parts = prop::collection::vec(select(PARTS), 1..9);
    TestRunner::new(config(1500))
        .run(&parts, |parts| same(&real, port, &parts.concat()))
        .unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn a_web_page_is_hung_up_on_by_both() {
    let real = redis_or_skip!(version "7.0");
    let (_ours, port) = embedded();
    for bytes in ["POST / HTTP/1.1\r\n", "Host: a\r\nPING\r\n", "post\r\n", "host:\r\n"] {
        same(&real, port, bytes.as_bytes()).unwrap();
    }
}

#[test]
fn lines_that_do_not_end_are_refused_by_both() {
    let real = redis_or_skip!(version "7.0");
    let (_ours, port) = embedded();
    for start in ["*", "*1\r\n$", "PING ", "*1\r\n$4\r\n"] {
        for length in [65_000, 65_536, 65_537, 70_000] {
            let bytes = [start.as_bytes(), &vec![b'1'; length]].concat();
            same(&real, port, &bytes).unwrap();
        }
    }
}

fn same(real: &RedisServer, port: u16, bytes: &[u8]) -> Result<(), TestCaseError> {
    let (real, ours) = (said(real.port(), bytes), said(port, bytes));
    // In its errors, the embedded server replaces what is no text.
    let shown = |said: &[u8]| format!("{:?}", String::from_utf8_lossy(said));
    prop_assert_eq!(shown(&ours), shown(&real), "{}", shown(bytes));
    Ok(())
}
