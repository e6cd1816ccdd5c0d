//! A server between the program and Redis, or in Redis's place, that does to single commands what
//! servers do on a bad day.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What becomes of one command.
pub enum Fate {
    /// Redis answers it.
    Pass,
    /// Redis answers it, and this is done when it has been sent there.
    PassAnd(Box<dyn Fn() + Send>),
    /// Redis gets this instead, and answers it.
    Instead(Vec<String>),
    /// This is the answer; Redis never sees the command.
    Answer(&'static str),
    /// No answer, ever.
    Silence,
    /// The answer begins so, and goes on with its last byte, one at a time and slowly, for ever.
    Drip(&'static str),
    /// The answer begins so, and the connection breaks.
    Cut(&'static str),
    /// Redis executes it, and the connection breaks before the answer.
    LoseTheReply,
}

type Rule = dyn Fn(&[String]) -> Fate + Send + Sync;

/// It ends with the test's process; each test has its own.
pub struct Middleman {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Middleman {
    /// In Redis's place.
    pub fn alone(rule: impl Fn(&[String]) -> Fate + Send + Sync + 'static) -> Self {
        Self::start(None, Arc::new(rule))
    }

    /// Between the program and the Redis at this port.
    pub fn before(port: u16, rule: impl Fn(&[String]) -> Fate + Send + Sync + 'static) -> Self {
        Self::start(Some(port), Arc::new(rule))
    }

    fn start(port: Option<u16>, rule: Arc<Rule>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::default());
        let log = Arc::clone(&seen);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (rule, log) = (Arc::clone(&rule), Arc::clone(&log));
                thread::spawn(move || serve(client, port, &*rule, &log));
            }
        });
        Self { address, seen }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    /// How many commands came.
    pub fn commands(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// How often a command came that is called so.
    pub fn count(&self, name: &str) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|command| command.first().is_some_and(|first| first == name)).count()
    }
}

fn serve(client: TcpStream, port: Option<u16>, rule: &Rule, log: &Mutex<Vec<Vec<String>>>) {
    let redis = port.map(|port| TcpStream::connect(("127.0.0.1", port)).unwrap());
    if let Some(redis) = &redis {
        let (mut from, mut to) = (redis.try_clone().unwrap(), client.try_clone().unwrap());
        thread::spawn(move || std::io::copy(&mut from, &mut to));
    }
    let mut answers = client.try_clone().unwrap();
    let mut reader = BufReader::new(client);
    while let Some((command, raw)) = read_command(&mut reader) {
        log.lock().unwrap().push(command.clone());
        let fate = rule(&command);
        let pass = |redis: &mut &TcpStream| redis.write_all(&raw);
        let instead = |words: &[String]| {
            let mut other = redis::Cmd::new();
            other.arg(words);
            other.get_packed_command()
        };
        let done = match (&fate, &mut redis.as_ref()) {
            (Fate::Pass, Some(redis)) => pass(redis),
            (Fate::PassAnd(then), Some(redis)) => pass(redis).inspect(|()| then()),
            (Fate::Instead(words), Some(redis)) => redis.write_all(&instead(words)),
            (Fate::Answer(answer), _) => answers.write_all(answer.as_bytes()),
            (Fate::Drip(answer), _) => drip(&answers, answer.as_bytes()),
            (Fate::Cut(answer), _) => answers
                .write_all(answer.as_bytes())
                .and_then(|()| answers.shutdown(std::net::Shutdown::Both)),
            (Fate::LoseTheReply, Some(redis)) => {
                let _ = answers.shutdown(std::net::Shutdown::Both);
                pass(redis)
            }
            _ => Ok(()),
        };
        if done.is_err() {
            break;
        }
    }
    if let Some(redis) = redis {
        let _ = redis.shutdown(std::net::Shutdown::Both);
    }
}

/// Sends a byte whenever the client has said nothing for a while, until it goes.
fn drip(mut answers: &TcpStream, answer: &[u8]) -> std::io::Result<()> {
    answers.set_read_timeout(Some(Duration::from_millis(100)))?;
    let mut byte = 0;
    loop {
        byte = answer.get(byte).map_or(byte, |_| byte + 1);
        answers.write_all(&answer[byte - 1..byte])?;
        if let Ok(0) = answers.peek(&mut [0]) {
            return Ok(());
        }
    }
}

/// One command, as words and as it came.
fn read_command(reader: &mut impl BufRead) -> Option<(Vec<String>, Vec<u8>)> {
    let mut raw = Vec::new();
    let number = |kind: u8, raw: &mut Vec<u8>, reader: &mut dyn BufRead| -> Option<usize> {
        let start = raw.len();
        reader.read_until(b'\n', raw).ok()?;
        let line = raw.get(start..)?.strip_prefix(&[kind])?;
        std::str::from_utf8(line).ok()?.trim_end().parse().ok()
    };
    let count = number(b'*', &mut raw, reader)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let length = number(b'$', &mut raw, reader)?;
        let mut word = vec![0; length + 2];
        reader.read_exact(&mut word).ok()?;
        words.push(String::from_utf8_lossy(word.get(..length)?).into_owned());
        raw.extend(word);
    }
    Some((words, raw))
}
