//! Writes lines to a TCP server, which may come and go.

use super::location::Server;
use super::output::{Notify, Output};
use super::retry::Outage;
use super::subject::Subject;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A TCP client. A line whose sending was interrupted is sent again, whole, on the next connection; lines that were in
/// the socket's buffer and hadn't reached the reader are lost with the connection, since TCP doesn't report them.
pub struct TcpOutput {
    name: String,
    server: Server,
    stream: Option<TcpStream>,
    outage: Outage,
}

impl TcpOutput {
    /// How often a wait checks whether to give up, ms.
    const TICK: u8 = 50;
    const CONNECT_LIMIT: Duration = Duration::from_secs(5);
    /// A reader that hasn't responded for this long counts as dead.
    const DEAD_AFTER: Duration = Duration::from_secs(30);
    /// How long closing waits for the reader to take the data in flight.
    const LINGER: Duration = Duration::from_millis(200);

    /// The output connects when the first line comes.
    pub fn new(server: Server, notify: Notify) -> Self {
        let name = format!("tcp://{server}");
        Self { name, server, stream: None, outage: Outage::new(notify) }
    }

    /// Waits until the next attempt is due and makes it; `false` when given up.
    fn connect(&mut self, give_up: &AtomicBool) -> bool {
        if !self.outage.wait(give_up) {
            return false;
        }
        match self.attempt(give_up) {
            Ok(Some(stream)) => {
                self.stream = Some(stream);
                true
            }
            Ok(None) => false,
            Err(error) => {
                self.lost(&error);
                !give_up.load(Ordering::Relaxed)
            }
        }
    }

    /// `None` when given up.
    fn attempt(&self, give_up: &AtomicBool) -> io::Result<Option<TcpStream>> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
        for address in (&*self.server.host, self.server.port).to_socket_addrs()? {
            match connect(address, give_up, Self::CONNECT_LIMIT) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn lost(&mut self, error: &io::Error) {
        self.stream = None;
        self.outage.failed(|| error.to_string());
    }
}

impl Output for TcpOutput {
    fn name(&self) -> &str {
        &self.name
    }

    fn can_stall(&self) -> bool {
        true
    }

    fn can_be_away(&self) -> bool {
        true
    }

    fn write(&mut self, lines: &mut &[u8], _: &Subject, give_up: &AtomicBool) -> io::Result<()> {
        loop {
            let Some(stream) = &mut self.stream else {
                if !self.connect(give_up) {
                    return Ok(());
                }
                continue;
            };
            match send(stream, lines, give_up) {
                Ok(true) => {
                    self.outage.worked();
                    *lines = &[];
                    return Ok(());
                }
                Ok(false) => {
                    self.stream = None;
                    return Ok(());
                }
                Err(error) => self.lost(&error),
            }
        }
    }
}

impl Drop for TcpOutput {
    /// Shuts down the sending side and waits a moment for the reader to close: closing a socket with unread data would
    /// discard what the reader hasn't received yet.
    fn drop(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        let deadline = Instant::now() + Self::LINGER;
        if stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        while Instant::now() < deadline && discard_input(stream).is_ok() {
            let _ = poll(&mut [PollFd::new(stream.as_fd(), PollFlags::POLLIN)], TcpOutput::TICK);
        }
    }
}

/// Connects a non-blocking stream; `None` when given up.
pub fn connect(address: SocketAddr, give_up: &AtomicBool, limit: Duration) -> io::Result<Option<TcpStream>> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(TcpOutput::DEAD_AFTER))?;
    let third = TcpOutput::DEAD_AFTER / 3;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(third).with_interval(third))?;
    match socket.connect(&SockAddr::from(address)) {
        Ok(()) => return Ok(Some(socket.into())),
        Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => {}
        Err(error) => return Err(error),
    }
    let deadline = Instant::now() + limit;
    loop {
        match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)], TcpOutput::TICK) {
            Ok(0) | Err(Errno::EINTR) if give_up.load(Ordering::Relaxed) => return Ok(None),
            Ok(0) if Instant::now() >= deadline => return Err(io::ErrorKind::TimedOut.into()),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => {
                return match socket.take_error()? {
                    Some(error) => Err(error),
                    None => Ok(Some(socket.into())),
                };
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sends a line; `false` when given up.
fn send(stream: &mut TcpStream, line: &[u8], give_up: &AtomicBool) -> io::Result<bool> {
    // A reader that has closed is noticed before the line is written to a dead connection, where it would be lost.
    discard_input(stream)?;
    let mut left = line;
    while !left.is_empty() {
        match stream.write(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => left = left.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                match poll(&mut [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)], TcpOutput::TICK) {
                    Ok(0) | Err(Errno::EINTR) if give_up.load(Ordering::Relaxed) => return Ok(false),
                    Ok(_) | Err(Errno::EINTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Discards what the reader sends, which has no meaning here.
fn discard_input(stream: &mut TcpStream) -> io::Result<()> {
    let mut bytes = [0; 512];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => {
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the reader has closed the connection"));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::output::Notice;
    use super::*;
    use crate::backoff::Attempts;
    use parking_lot::Mutex;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::sync::Arc;

    fn output(port: u16) -> (TcpOutput, Arc<Mutex<Vec<Notice>>>) {
        let notices = Arc::new(Mutex::new(Vec::new()));
        let heard = notices.clone();
        let notify: Notify = Arc::new(move |notice| heard.lock().push(notice));
        (TcpOutput::new(Server { host: "127.0.0.1".into(), port }, notify), notices)
    }

    static GO_ON: AtomicBool = AtomicBool::new(false);

    /// Whether the line was written.
    fn write(output: &mut TcpOutput, line: &[u8], give_up: &AtomicBool) -> bool {
        let mut left = line;
        output.write(&mut left, &Subject::objects(""), give_up).unwrap();
        left.is_empty()
    }

    #[test]
    fn a_reader_that_comes_back_gets_whole_lines() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (mut output, notices) = output(address.port());
        let long = [vec![b'x'; 8 << 20], b"\n".to_vec()].concat();
        let first = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // Reads a part of the long line and closes; the kernel has taken no more than its buffers hold.
            stream.read_exact(&mut [0; 4096]).unwrap();
            drop((stream, listener));
            std::thread::sleep(Duration::from_millis(300));
            let listener = TcpListener::bind(address).unwrap();
            let (stream, _) = listener.accept().unwrap();
            BufReader::new(stream).split(b'\n').map(|line| line.unwrap().len()).collect::<Vec<_>>()
        });
        assert!(write(&mut output, &long, &GO_ON));
        std::thread::sleep(Attempts::APART);
        assert!(write(&mut output, b"second\n", &GO_ON));
        drop(output);
        assert_eq!(first.join().unwrap(), [8 << 20, 6]);
        let notices = notices.lock();
        assert!(matches!(notices[..], [Notice::Away(_), Notice::Back]), "{notices:?}");
    }

    #[test]
    fn giving_up_ends_every_wait() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // There is no listener on this port any more.
        let (mut away, _) = output(port);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut stuck, _) = output(listener.local_addr().unwrap().port());
        let long = vec![b'x'; 32 << 20];
        let give_up = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| write(&mut away, b"line\n", &give_up));
            let sending = scope.spawn(|| write(&mut stuck, &long, &give_up));
            std::thread::sleep(Duration::from_millis(200));
            assert!(!writing.is_finished() && !sending.is_finished());
            give_up.store(true, Ordering::Relaxed);
            let start = Instant::now();
            assert_eq!((writing.join().unwrap(), sending.join().unwrap()), (false, false));
            assert!(start.elapsed() < Duration::from_millis(300), "{:?}", start.elapsed());
        });
    }

    #[test]
    fn what_was_written_arrives_though_the_reader_talks() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut output, _) = output(listener.local_addr().unwrap().port());
        let reading = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(&[b'?'; 2000]).unwrap();
            std::thread::sleep(Duration::from_millis(50));
            BufReader::new(stream).lines().map(|line| line.unwrap()).collect::<Vec<_>>()
        });
        for n in 0..100 {
            assert!(write(&mut output, format!("{n}\n").as_bytes(), &GO_ON));
        }
        drop(output);
        assert_eq!(reading.join().unwrap(), (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    }

    /// A reader that takes a line and closes, again and again.
    #[test]
    fn a_reader_that_does_not_stay_is_not_called_in_a_storm() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (mut output, notices) = output(listener.local_addr().unwrap().port());
        let end = Arc::new(AtomicBool::new(false));
        let (until, start) = (end.clone(), Instant::now());
        let reader = std::thread::spawn(move || {
            let mut connections = 0;
            while !until.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        connections += 1;
                        stream.set_nonblocking(false).unwrap();
                        let _ = BufReader::new(stream).read_line(&mut String::new());
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
            connections
        });
        while start.elapsed() < Duration::from_secs(3) {
            write(&mut output, b"line\n", &AtomicBool::new(true));
            std::thread::sleep(Duration::from_millis(10));
        }
        end.store(true, Ordering::Relaxed);
        let connections = reader.join().unwrap();
        assert!((2..=4).contains(&connections), "{connections} connections in 3 s");
        let notices = notices.lock();
        assert!(matches!(notices[..], [Notice::Away(_)]), "{notices:?}");
    }
}
