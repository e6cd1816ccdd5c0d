//! `serve`: the embedded server as other programs meet it, and as those meet it that mean no good.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use redis::ConnectionLike;
use redis_sim::Engine;
use redis_sim::clock::WallClock;
use redis_sim::server::{Address, Handler, MAX_CLIENTS, Next, Outbox, Server, Service};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use crate::program::{PATIENCE, Place, Program, Running, wait_until};
use crate::redis_server::redis_or_skip;

/// `serve` at work, and the address that it printed.
struct Served {
    running: Running,
    url: String,
    /// Where its one line went.
    _place: Place,
}

impl Served {
    fn new(arguments: &[&str]) -> Self {
        let place = Place::new();
        let stdout = std::fs::File::create(place.at("stdout")).unwrap();
        let words = [&["serve"], arguments].concat();
        let running = Program::new(words).stdout(stdout).start();
        let printed = || std::fs::read_to_string(place.at("stdout")).unwrap();
        wait_until("the URL is printed", || printed().ends_with('\n'));
        let url = printed().trim_end().to_owned();
        assert!(!url.contains('\n'), "{url}");
        Self { running, url, _place: place }
    }

    fn port(&self) -> u16 {
        self.url.strip_prefix("redis://127.0.0.1:").unwrap().parse().unwrap()
    }

    fn connect(&self) -> redis::Connection {
        redis::Client::open(&*self.url).unwrap().get_connection().unwrap()
    }
}

/// A server in this process.
fn here() -> Server {
    Server::start(Address::Port(0), Arc::new(engine())).unwrap()
}

fn engine() -> Engine {
    Engine::new(Arc::new(WallClock::new(None)))
}

fn port(server: &Server) -> u16 {
    match server.address() {
        Address::Port(port) => *port,
        other => panic!("{other:?}"),
    }
}

/// A connection that never waits longer than a test may.
fn raw(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends bytes and reads as many as are expected.
#[track_caller]
fn answers(stream: &mut (impl Read + Write), sent: &[u8], expected: &str) {
    stream.write_all(sent).unwrap();
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), expected);
}

/// What still comes, up to the end of the connection.
fn rest(stream: &mut impl Read) -> Vec<u8> {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    rest
}

fn redis_cli(words: &[&str]) -> String {
    let output = Command::new("redis-cli").args(words).stdin(Stdio::null()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn redis_cli_works_with_it_in_both_protocols() {
    let _tells_whether_redis_is_installed = redis_or_skip!();
    let served = Served::new(&[]);
    for protocol in ["-2", "-3"] {
        let cli = |words: &[&str]| redis_cli(&[&["-u", &served.url, protocol], words].concat());
        assert_eq!(cli(&["SET", "lock", "me", "NX", "PX", "9000"]), "OK");
        assert_eq!(cli(&["SET", "lock", "you", "NX"]), "");
        assert_eq!(cli(&["EVAL", "return redis.call('get', KEYS[1])", "1", "lock"]), "me");
        assert_eq!(cli(&["HSET", "h", "f", "v"]), "1");
        assert_eq!(cli(&["HGETALL", "h"]).split_whitespace().collect::<Vec<_>>(), ["f", "v"]);
        assert!(cli(&["XLEN", "x"]).starts_with("ERR unknown command 'XLEN', with args"));
        assert_eq!(cli(&["--scan"]).lines().count(), 2);
        assert_eq!(cli(&["FLUSHALL"]), "OK");
    }
}

#[test]
fn redis_cli_reads_commands_and_sends_them_by_the_thousand() {
    let _tells_whether_redis_is_installed = redis_or_skip!();
    let served = Served::new(&[]);
    for mode in [&["--pipe"][..], &[]] {
        let lines: String = (0..5000).map(|n| format!("SET k{n} v{n}\r\n")).collect();
        let mut cli = Command::new("redis-cli")
            .args(["-u", &served.url])
            .args(mode)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = cli.stdin.take().unwrap();
        let writer = thread::spawn(move || stdin.write_all(lines.as_bytes()));
        let said = cli.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(said.status.success(), "{said:?}");
        let mut con = served.connect();
        assert_eq!(redis::cmd("DBSIZE").query::<i64>(&mut con).unwrap(), 5000);
        redis::cmd("FLUSHALL").exec(&mut con).unwrap();
    }
}

#[test]
fn a_socket_file_is_there_while_it_serves() {
    let place = Place::new();
    let path = place.at("redis.sock");
    let served = Served::new(&["--socket", path.to_str().unwrap()]);
    assert_eq!(served.url, format!("unix://{}", path.display()));
    let mut stream = UnixStream::connect(&path).unwrap();
    answers(&mut stream, b"PING\r\n", "+PONG\r\n");
    redis::cmd("SET").arg("a").arg("b").exec(&mut served.connect()).unwrap();

    let taken = Program::new(["serve", "--socket", path.to_str().unwrap()]).run();
    taken.refuses(3, &["cannot listen on", "redis.sock", "the file exists", "remove it"]);
    served.running.signal(Signal::TERM);
    served.running.end().exits(0).says(&["Ctrl-C or SIGTERM", "interrupted"]);
    assert_eq!(rest(&mut stream), b"");
    place.is_empty();
}

#[test]
fn somebody_else_s_socket_file_is_left_alone() {
    let place = Place::new();
    let path = place.at("redis.sock");
    let served = Served::new(&["--socket", path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "theirs").unwrap();
    served.running.signal(Signal::INT);
    served.running.end().exits(0);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "theirs");
}

#[test]
fn a_signal_ends_it_whatever_its_clients_do() {
    for signal in [Signal::INT, Signal::TERM] {
        let served = Served::new(&[]);
        let mut idle = raw(served.port());
        let mut half = raw(served.port());
        half.write_all(b"*2\r\n$3\r\nGET\r\n$100\r\nab").unwrap();
        let mut listens = raw(served.port());
        answers(&mut listens, b"SUBSCRIBE a\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
        let mut reads_nothing = raw(served.port());
        for _ in 0..100 {
            reads_nothing.write_all(&b"INFO\r\n".repeat(1000)).unwrap();
        }
        answers(&mut idle, b"PING\r\n", "+PONG\r\n");
        served.running.signal(signal);
        served.running.end().exits(0);
        for stream in [&mut idle, &mut half, &mut listens] {
            assert_eq!(rest(stream), b"");
        }
        rest(&mut reads_nothing);
    }
}

#[test]
fn a_port_that_is_taken_is_refused_and_two_servers_are_two() {
    let theirs = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = theirs.local_addr().unwrap().port().to_string();
    let refused = Program::new(["serve", "--port", &port]).run();
    refused.refuses(3, &["cannot listen on", &port, "the port is taken", "choose another"]);
    Program::new(["serve", "--port", "1", "--socket", "x"]).run().exits(2);
    Program::new(["serve", "--port", "65536"]).run().exits(2);

    let (one, two) = (Served::new(&[]), Served::new(&["--port", "0"]));
    redis::cmd("SET").arg("a").arg("b").exec(&mut one.connect()).unwrap();
    let there: bool = redis::cmd("EXISTS").arg("a").query(&mut two.connect()).unwrap();
    assert!(!there);
}

#[test]
fn a_closed_stdout_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let place = Place::new();
    let path = place.at("redis.sock");
    let running =
        Program::new(["serve", "--socket", path.to_str().unwrap()]).stdout(writer).start();
    wait_until("it serves", || UnixStream::connect(&path).is_ok());
    running.signal(Signal::TERM);
    running.end().exits(0);
}

#[test]
fn a_client_moves_the_virtual_clock_and_no_other() {
    let served = Served::new(&["--virtual"]);
    let mut con = served.connect();
    let mut ask = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let answer = redis::cmd(words[0]).arg(&words[1..]).query::<redis::Value>(&mut con);
        answer.and_then(redis::Value::extract_error)
    };
    let time = ask("TIME").unwrap();
    ask("SET lock me PX 1000").unwrap();
    ask("nodb.advance 1000").unwrap();
    assert_eq!(ask("PTTL lock"), Ok(redis::Value::Int(0)));
    ask("NODB.ADVANCE 1").unwrap();
    assert_eq!(ask("EXISTS lock"), Ok(redis::Value::Int(0)));
    assert_ne!(ask("TIME").unwrap(), time);
    assert_eq!(ask("TIME"), ask("TIME"));
    for (wrong, why) in [
        ("NODB.ADVANCE", "wrong number of arguments for 'nodb.advance' command"),
        ("NODB.ADVANCE 1 2", "wrong number of arguments for 'nodb.advance' command"),
        ("NODB.ADVANCE -1", "value is not an integer or out of range"),
        ("NODB.ADVANCE x", "value is not an integer or out of range"),
    ] {
        assert_eq!(ask(wrong).unwrap_err().detail(), Some(why), "{wrong}");
    }
    ask("NODB.ADVANCE 9223372036854775807").unwrap();
    ask("NODB.ADVANCE 9223372036854775807").unwrap();
    ask("SET lock me EX 10").unwrap();

    let wall = Served::new(&[]);
    let unknown = redis::cmd("NODB.ADVANCE").arg(1).exec(&mut wall.connect()).unwrap_err();
    assert!(unknown.to_string().contains("unknown command 'NODB.ADVANCE'"), "{unknown}");
}

#[test]
fn requests_may_come_in_any_pieces() {
    let server = here();
    let mut stream = raw(port(&server));
    stream.set_nodelay(true).unwrap();
    for byte in b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\nbc\r\nget a\r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    answers(&mut stream, b"", "+OK\r\n$2\r\nbc\r\n");
    let many = b"*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n".repeat(10_000);
    answers(&mut stream, &many, &"$1\r\nx\r\n".repeat(10_000));
}

#[test]
fn what_was_asked_before_an_error_is_answered_and_what_comes_after_is_not() {
    let server = here();
    for (wrong, why) in [
        ("*x\r\n", "invalid multibulk length"),
        ("*1\r\n$-5\r\n", "invalid bulk length"),
        ("*1\r\n$99999999999999\r\n", "invalid bulk length"),
        ("*1\r\n+\r\n", "expected '$', got '+'"),
        ("PING 'x\r\n", "unbalanced quotes in request"),
    ] {
        let mut stream = raw(port(&server));
        let sent = format!("PING\r\n{wrong}PING\r\n{}", "PING\r\n".repeat(5000));
        stream.write_all(sent.as_bytes()).unwrap();
        let said = String::from_utf8(rest(&mut stream)).unwrap();
        assert_eq!(said, format!("+PONG\r\n-ERR Protocol error: {why}\r\n"), "{wrong:?}");
    }
    let mut stream = raw(port(&server));
    stream.write_all(b"QUIT\r\nSET a b\r\n").unwrap();
    assert_eq!(rest(&mut stream), b"+OK\r\n");
    answers(&mut raw(port(&server)), b"GET a\r\n", "$-1\r\n");
}

#[test]
fn a_request_that_never_ends_costs_others_nothing() {
    let server = here();
    let mut half = raw(port(&server));
    half.write_all(b"*2000000000\r\n$536870912\r\nabc").unwrap();
    let mut large = raw(port(&server));
    let megabytes = vec![b'x'; 20 << 20];
    let head = format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n${}\r\n", megabytes.len());
    large.write_all(head.as_bytes()).unwrap();
    large.write_all(&megabytes).unwrap();
    answers(&mut raw(port(&server)), b"PING\r\n", "+PONG\r\n");
    answers(&mut large, b"\r\nSTRLEN a\r\n", "+OK\r\n:20971520\r\n");
}

#[test]
fn a_client_may_send_all_its_requests_before_it_reads_a_reply() {
    let server = here();
    let mut stream = raw(port(&server));
    answers(&mut stream, format!("SET a {}\r\n", "x".repeat(10_000)).as_bytes(), "+OK\r\n");
    // Far more than fits into the sockets' buffers on the way, in both directions.
    let get = b"*4\r\n$8\r\nGETRANGE\r\n$1\r\na\r\n$1\r\n0\r\n$4\r\n9999\r\n".repeat(4000);
    stream.write_all(&get).unwrap();
    let one = format!("$10000\r\n{}\r\n", "x".repeat(10_000));
    let mut answer = vec![0; one.len() * 4000];
    stream.read_exact(&mut answer).unwrap();
    assert!(answer.chunks(one.len()).all(|part| part == one.as_bytes()));
}

#[test]
fn a_client_that_goes_in_the_middle_of_its_reply_is_forgotten() {
    let server = here();
    let mut stays = raw(port(&server));
    answers(&mut stays, format!("SET a {}\r\n", "x".repeat(60_000)).as_bytes(), "+OK\r\n");
    for _ in 0..20 {
        let mut goes = raw(port(&server));
        goes.write_all(b"SUBSCRIBE c\r\n").unwrap();
        let mut asks = raw(port(&server));
        asks.write_all(&b"GET a\r\n".repeat(500)).unwrap();
    }
    wait_until("they are gone", || {
        let mut con = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
        let info: String = redis::cmd("INFO").arg("clients").query(&mut con).unwrap();
        info.contains("connected_clients:2\r\n")
    });
    answers(&mut stays, b"PUBLISH c x\r\n", ":0\r\n");
}

#[test]
fn a_subscriber_that_never_reads_holds_nobody_up_and_is_hung_up_on() {
    let server = here();
    let mut deaf = raw(port(&server));
    answers(&mut deaf, b"SUBSCRIBE a\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    let mut listens = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let mut heard = listens.as_pubsub();
    heard.subscribe("a").unwrap();
    heard.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut sender = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    sender.set_read_timeout(Some(PATIENCE)).unwrap();
    let megabyte = vec![b'x'; 1 << 20];
    let mut told = Vec::new();
    for _ in 0..64 {
        let publish = redis::cmd("PUBLISH").arg("a").arg(&megabyte).query::<i64>(&mut sender);
        told.push(publish.unwrap());
        assert_eq!(heard.get_message().unwrap().get_payload_bytes().len(), megabyte.len());
    }
    // What the sockets' buffers hold, and 32 MB more: then it is over.
    assert_eq!((told[0], told[30], told[63]), (2, 2, 1), "{told:?}");
    let read = rest(&mut deaf).len();
    assert!(read < 64 << 20, "{read}");
}

#[test]
fn messages_come_in_the_order_in_which_they_were_sent() {
    let server = here();
    let client = redis::Client::open(server.url()).unwrap();
    let mut listens = client.get_connection().unwrap();
    let mut heard = listens.as_pubsub();
    heard.subscribe("a").unwrap();
    heard.set_read_timeout(Some(PATIENCE)).unwrap();
    let senders: Vec<_> = (0..4u32)
        .map(|sender| {
            let mut con = client.get_connection().unwrap();
            thread::spawn(move || {
                for number in 0..500u32 {
                    let text = format!("{sender}:{number}");
                    redis::cmd("PUBLISH").arg("a").arg(text).exec(&mut con).unwrap();
                }
            })
        })
        .collect();
    let mut next = [0u32; 4];
    for _ in 0..2000 {
        let text: String = heard.get_message().unwrap().get_payload().unwrap();
        let (sender, number) = text.split_once(':').unwrap();
        let sender: usize = sender.parse().unwrap();
        assert_eq!(number.parse(), Ok(next[sender]));
        next[sender] += 1;
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

/// Makes room for many connections in this process; tells whether there is.
fn room_for_files(wanted: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let wanted = Rlimit { current: Some(wanted), ..limit };
        return setrlimit(Resource::Nofile, wanted).is_ok();
    }
    true
}

#[test]
fn two_thousand_clients_are_served_at_a_time_and_one_more_is_told_why_not() {
    assert!(room_for_files(MAX_CLIENTS as u64 + 500), "ulimit -Hn is too low");
    let served = Served::new(&[]);
    let mut clients: Vec<TcpStream> = (0..MAX_CLIENTS).map(|_| raw(served.port())).collect();
    let mut refused = raw(served.port());
    assert_eq!(rest(&mut refused), b"-ERR max number of clients reached\r\n");
    for client in &mut clients {
        client.write_all(b"INCR n\r\nGET none\r\n").unwrap();
    }
    for client in &mut clients {
        let mut lines = BufReader::new(client).lines();
        assert!(lines.next().unwrap().unwrap().starts_with(':'));
        assert_eq!(lines.next().unwrap().unwrap(), "$-1");
    }
    clients.pop();
    wait_until("there is a place again", || {
        let mut next = raw(served.port());
        let mut answer = [0; 7];
        next.write_all(b"PING\r\n").is_ok()
            && next.read_exact(&mut answer).is_ok()
            && &answer == b"+PONG\r\n"
    });
    served.running.signal(Signal::INT);
    served.running.end().exits(0);
}

#[test]
fn too_few_files_make_clients_wait_and_nothing_worse() {
    let place = Place::new();
    let stdout = std::fs::File::create(place.at("stdout")).unwrap();
    let running = Program::after("ulimit -n 30", ["serve"]).stdout(stdout).start();
    let printed = || std::fs::read_to_string(place.at("stdout")).unwrap();
    wait_until("the URL is printed", || printed().ends_with('\n'));
    let port: u16 = printed().trim_end().rsplit(':').next().unwrap().parse().unwrap();
    let mut clients: Vec<TcpStream> = (0..60).map(|_| raw(port)).collect();
    answers(&mut clients[0], b"PING\r\n", "+PONG\r\n");
    let mut last = clients.pop().unwrap();
    drop(clients);
    answers(&mut last, b"PING\r\n", "+PONG\r\n");
    running.signal(Signal::TERM);
    running.end().exits(0);
}

#[test]
fn a_dropped_server_is_gone() {
    let server = here();
    let mut clients: Vec<TcpStream> = (0..50).map(|_| raw(port(&server))).collect();
    for client in &mut clients {
        answers(client, b"PING\r\n", "+PONG\r\n");
    }
    let port = port(&server);
    drop(server);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    for client in &mut clients {
        assert_eq!(rest(client), b"");
    }
}

/// Lets everything pass but the reply to GET.
struct Swallows(Box<dyn Handler>);

impl Handler for Swallows {
    fn answer(&mut self, argv: &[&[u8]], outbox: &Outbox) -> Next {
        if argv[0].eq_ignore_ascii_case(b"GET") {
            let swallowed = Outbox::detached();
            self.0.answer(argv, &swallowed);
            assert!(!swallowed.take().is_empty());
            return Next::Close;
        }
        self.0.answer(argv, outbox)
    }
}

/// The engine behind one who stands in between.
struct Between(Engine);

impl Service for Between {
    fn open(&self, outbox: &Outbox) -> Box<dyn Handler> {
        Box::new(Swallows(self.0.open(outbox)))
    }
}

#[test]
fn somebody_may_stand_between_a_client_and_the_engine() {
    let engine = engine();
    let server = Server::start(Address::Port(0), Arc::new(Between(engine.clone()))).unwrap();
    let mut stream = raw(port(&server));
    answers(&mut stream, b"SET a b\r\n", "+OK\r\n");
    stream.write_all(b"GET a\r\n").unwrap();
    assert_eq!(rest(&mut stream), b"");
    let mut inside = engine.connect(0);
    let kept: String = redis::cmd("GET").arg("a").query(&mut inside).unwrap();
    assert_eq!(kept, "b");
    assert!(inside.is_open());
}

/// A script that would take minutes, after it has told the subscribers of `c` that it runs.
const ENDLESS: &str =
    "redis.call('publish', 'c', 'x') while true do local s = ('x'):rep(1e6) .. 'y' end";

#[test]
fn a_signal_ends_it_in_the_middle_of_a_script() {
    for signal in [Signal::INT, Signal::TERM] {
        let place = Place::new();
        let path = place.at("redis.sock");
        let served = Served::new(&["--socket", path.to_str().unwrap()]);
        let connect = || UnixStream::connect(&path).unwrap();
        let (mut listens, mut runs, mut waits) = (connect(), connect(), connect());
        answers(&mut listens, b"SUBSCRIBE c\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
        runs.write_all(format!("EVAL \"{ENDLESS}\" 0\r\n").as_bytes()).unwrap();
        answers(&mut listens, b"", "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n");
        waits.write_all(b"PING\r\n").unwrap();
        served.running.signal(signal);
        served.running.end().exits(0);
        for stream in [&mut listens, &mut runs, &mut waits] {
            assert_eq!(rest(stream), b"");
        }
        place.is_empty();
    }
}
