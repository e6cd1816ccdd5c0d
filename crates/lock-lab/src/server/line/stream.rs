//! What a connection to a Redis goes over: TCP, TLS or a socket file.

use super::{SLICE, is_over};
use crossbeam::channel;
use redis::{ConnectionAddr, ErrorKind, RedisError, RedisResult};
use redis_sim::clock::{Clock, WallClock};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    #[cfg(feature = "tls")]
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, TcpStream>>),
}

impl Stream {
    /// Connects within this time. A read or a write of it waits for no longer than `slice`.
    pub(super) fn open(
        address: &ConnectionAddr,
        patience: Duration,
        slice: Duration,
    ) -> RedisResult<Self> {
        match address {
            ConnectionAddr::Tcp(host, port) => Ok(Stream::Tcp(tcp(host, *port, patience, slice)?)),
            ConnectionAddr::Unix(path) => {
                let path = path.clone();
                let stream = within(patience, move || UnixStream::connect(path))?;
                stream.set_read_timeout(Some(slice))?;
                stream.set_write_timeout(Some(slice))?;
                Ok(Stream::Unix(stream))
            }
            #[cfg(feature = "tls")]
            ConnectionAddr::TcpTls { host, port, insecure: false, .. } => {
                let tls = tls::client(host)?;
                let stream = tcp(host, *port, patience, slice)?;
                Ok(Stream::Tls(Box::new(rustls::StreamOwned::new(tls, stream))))
            }
            _ => Err(RedisError::from((
                ErrorKind::InvalidClientConfig,
                "no connection of this kind can be made",
            ))),
        }
    }
}

/// The first of a host's addresses that answers.
fn tcp(host: &str, port: u16, patience: Duration, slice: Duration) -> io::Result<TcpStream> {
    let clock = WallClock::new(Some(patience));
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    let name = host.to_owned();
    let addresses =
        within(patience, move || Ok((name.as_str(), port).to_socket_addrs()?.collect::<Vec<_>>()))?;
    for address in addresses {
        // Without any time left, this would be no error of the system.
        let left = clock.left().unwrap_or(patience).max(Duration::from_millis(1));
        match within(left, move || TcpStream::connect_timeout(&address, left)) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(slice))?;
                stream.set_write_timeout(Some(slice))?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Does what may block for longer than this time, and gives up on it then, or when the program is to end.
fn within<T: Send + 'static>(
    patience: Duration,
    does: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = channel::bounded(1);
    thread::Builder::new().spawn(move || drop(sender.send(does())))?;
    let clock = WallClock::new(Some(patience));
    loop {
        if let Ok(result) = receiver.recv_timeout(SLICE) {
            return result;
        }
        if clock.check().is_err() || is_over() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "connection timed out"));
        }
    }
}

#[cfg(feature = "tls")]
mod tls {
    use redis::{ErrorKind, RedisError, RedisResult};
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, RootCertStore};
    use std::io;
    use std::sync::Arc;

    /// A client that trusts the authorities of this machine.
    pub(super) fn client(host: &str) -> RedisResult<ClientConnection> {
        let mut authorities = RootCertStore::empty();
        let mut found = rustls_native_certs::load_native_certs();
        if let Some(error) = found.errors.pop() {
            return Err(io::Error::other(error).into());
        }
        authorities.add_parsable_certificates(found.certs);
        let config =
            ClientConfig::builder().with_root_certificates(authorities).with_no_client_auth();
        let wrong = |error: &dyn std::fmt::Display| {
            let why = error.to_string();
            RedisError::from((ErrorKind::InvalidClientConfig, "no TLS to this host", why))
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| wrong(&error))?;
        ClientConnection::new(Arc::new(config), name).map_err(|error| wrong(&error))
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(bytes),
            Stream::Unix(stream) => stream.read(bytes),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => stream.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.flush(),
            Stream::Unix(stream) => stream.flush(),
            #[cfg(feature = "tls")]
            Stream::Tls(stream) => stream.flush(),
        }
    }
}
