//! The port that one subject's connections come to, so that each is known by its actor. Reads whole
//! requests and hands them over one by one; answers nothing by itself.

use super::wire;
use crossbeam::channel::Sender;
use redis_sim::server::Framer;
use std::io::{self, Read};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// The most connections that one subject may open as long as it runs.
const MOST: usize = 64_000;

/// What a subject does.
#[derive(Debug)]
pub(super) enum Event {
    /// It said a line.
    Said(String),
    /// It has closed its output: it is over.
    Ended,
    /// It opened a connection, which has this number and is answered here.
    Opened(usize, TcpStream),
    /// It sent a request.
    Asked(usize, wire::Words),
    /// It closed a connection, or sent what is no request.
    Closed(usize),
}

/// A port of this machine.
pub(super) struct Gateway {
    address: SocketAddr,
}

impl Gateway {
    /// Opens a free port; what comes to it goes to `events`.
    pub fn open(events: Sender<Event>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        thread::spawn(move || accept(&listener, &events));
        Ok(Self { address })
    }

    /// What a client calls it.
    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // The thread that accepts notices only at the next connection that the gateway is closed.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, events: &Sender<Event>) {
    for (number, stream) in listener.incoming().enumerate() {
        let Ok(stream) = stream else { return };
        let _ = stream.set_nodelay(true);
        let Ok(answers) = stream.try_clone() else { return };
        if events.send(Event::Opened(number, answers)).is_err() {
            return;
        }
        if number >= MOST {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
        let events = events.clone();
        thread::spawn(move || {
            read(number, stream, &events);
            let _ = events.send(Event::Closed(number));
        });
    }
}

fn read(number: usize, mut stream: TcpStream, events: &Sender<Event>) {
    let mut framer = Framer::default();
    let mut chunk = [0; 4096];
    loop {
        let mut words = Vec::new();
        match framer.next(&mut words) {
            Ok(true) => {
                let words = words.into_iter().map(<[u8]>::to_vec).collect();
                if events.send(Event::Asked(number, words)).is_err() {
                    return;
                }
                continue;
            }
            Ok(false) => {}
            Err(_) => return,
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(read) => framer.feed(chunk.get(..read).unwrap_or_default()),
        }
    }
}
