//! A connection on which commands are sent and their answers read, in order.

use super::super::tcp;
use super::account::Account;
use super::protocol::{Reply, take_reply, write_command};
use rustls::{ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often a wait checks whether to give up.
const TICK: Duration = Duration::from_millis(50);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// A server that doesn't answer for this long counts as lost.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

pub struct Connection {
    stream: Stream,
    /// What was read of the next answers.
    read: Vec<u8>,
}

/// Reads and writes return after a tick at the latest.
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    /// Connects and logs in; `None` when given up.
    ///
    /// # Errors
    /// `PermissionDenied` for a refused account, `InvalidData` for a refused certificate; or from the network.
    pub fn open(account: &Account, give_up: &AtomicBool) -> io::Result<Option<Self>> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
        let mut connected = None;
        for address in (&*account.server.host, account.server.port).to_socket_addrs()? {
            match tcp::connect(address, give_up, CONNECT_LIMIT) {
                Ok(Some(stream)) => {
                    connected = Some(stream);
                    break;
                }
                Ok(None) => return Ok(None),
                Err(error) => last = error,
            }
        }
        let Some(stream) = connected else { return Err(last) };
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(TICK))?;
        let stream = match &account.tls {
            None => Stream::Plain(stream),
            Some((config, name)) => {
                let client = ClientConnection::new(config.clone(), name.clone()).map_err(io::Error::other)?;
                Stream::Tls(Box::new(StreamOwned::new(client, stream)))
            }
        };
        let mut this = Self { stream, read: Vec::new() };
        let Some((name, password)) = &account.credentials else { return Ok(Some(this)) };
        let mut command = Vec::new();
        let words: [&[u8]; 3] = [b"AUTH", name.as_bytes(), password.expose().as_bytes()];
        match name.is_empty() {
            true => write_command(&mut command, [words[0], words[2]]),
            false => write_command(&mut command, words),
        }
        if !this.send(&command, give_up)? {
            return Ok(None);
        }
        match this.receive(give_up)? {
            Some(Reply::Error(text)) => Err(refused(&text)),
            reply => Ok(reply.map(|_| this)),
        }
    }

    /// Sends commands; `false` when given up.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn send(&mut self, mut commands: &[u8], give_up: &AtomicBool) -> io::Result<bool> {
        let mut since = Instant::now();
        while !commands.is_empty() {
            match self.stream.write(commands) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    commands = commands.get(written..).unwrap_or_default();
                    since = Instant::now();
                }
                Err(error) => wait(error, since, give_up)?,
            }
            if !commands.is_empty() && give_up.load(Ordering::Relaxed) {
                return Ok(false);
            }
        }
        loop {
            match self.stream.flush() {
                Ok(()) => return Ok(true),
                Err(error) => wait(error, since, give_up)?,
            }
            if give_up.load(Ordering::Relaxed) {
                return Ok(false);
            }
        }
    }

    /// The next answer; `None` when given up.
    ///
    /// # Errors
    /// The connection is lost.
    pub fn receive(&mut self, give_up: &AtomicBool) -> io::Result<Option<Reply>> {
        let since = Instant::now();
        let mut bytes = [0; 4096];
        loop {
            if let Some(reply) = take_reply(&mut self.read).map_err(io::Error::other)? {
                return Ok(Some(reply));
            }
            match self.stream.read(&mut bytes) {
                Ok(0) => {
                    return Err(io::Error::new(
                        io::ErrorKind::ConnectionAborted,
                        "the server has closed the connection",
                    ));
                }
                Ok(read) => self.read.extend_from_slice(bytes.get(..read).unwrap_or_default()),
                Err(error) => {
                    wait(error, since, give_up)?;
                    if give_up.load(Ordering::Relaxed) {
                        return Ok(None);
                    }
                }
            }
        }
    }
}

/// What an answer to a login, or the demand for one, means.
pub fn refused(text: &str) -> io::Error {
    let text = format!(
        "the server refuses this user or password ({text}): check the environment variables that credentials-env names"
    );
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

/// Decides whether to go on after a failed read or write: a tick has passed, or the connection is lost.
fn wait(error: io::Error, since: Instant, give_up: &AtomicBool) -> io::Result<()> {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    match error.kind() {
        Interrupted => Ok(()),
        WouldBlock | TimedOut if since.elapsed() < ANSWER_LIMIT || give_up.load(Ordering::Relaxed) => Ok(()),
        WouldBlock | TimedOut => Err(io::Error::new(TimedOut, format!("no answer in {} s", ANSWER_LIMIT.as_secs()))),
        _ if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            let text = format!("TLS: {error}: check that this is the server's TLS port, and tls-ca-file");
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        }
        _ => Err(error),
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(bytes),
            Self::Tls(stream) => stream.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
