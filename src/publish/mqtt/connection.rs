//! A connection to a broker, kept up by a thread of its own.
//!
//! Every connection is a new session: what the client knows ends with it. Messages that the broker hasn't confirmed are
//! kept here, and published again, in order, on the next one.

use super::super::output::{Notice, Notify};
use super::settings::{OFFLINE, ONLINE, Qos};
use crate::backoff::Attempts;
use crate::sync::lock;
use bytes::Bytes;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions, Outgoing, Packet,
    QoS, TlsError,
};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify as Wake;

/// A line on its way.
#[derive(Clone)]
pub struct Message {
    /// Whose it is, among the connection's users.
    pub owner: u64,
    pub topic: Arc<str>,
    pub qos: Qos,
    pub retain: bool,
    pub payload: Bytes,
}

pub struct Connection {
    state: Mutex<State>,
    /// There is a message, room for one, or the end.
    wake: Wake,
    /// The last user has left.
    end: Wake,
    /// A message was delivered, the connection came or went, or its thread ended.
    progress: Condvar,
}

#[derive(Default)]
struct State {
    users: Vec<User>,
    next_id: u64,
    /// To be published, the oldest first.
    waiting: VecDeque<Message>,
    connected: bool,
    /// Why it isn't, once that is known; told once, not at each attempt.
    away: Option<String>,
    /// The broker doesn't want us: no more attempts.
    refused: Option<(io::ErrorKind, String)>,
    /// The last has left.
    closing: bool,
    /// The thread is done.
    ended: bool,
}

struct User {
    id: u64,
    notify: Notify,
    /// Messages taken and not delivered.
    undelivered: usize,
}

impl Connection {
    /// Messages handed to the client at a time.
    const WINDOW: usize = 64;
    const CONNECT_LIMIT: Duration = Duration::from_secs(5);
    /// How long leaving waits for the broker to hear of it.
    const FAREWELL: Duration = Duration::from_millis(250);

    /// # Errors
    /// When the system has no thread to give.
    pub fn start(options: MqttOptions, status_topic: Option<String>) -> io::Result<Arc<Self>> {
        let connection =
            Arc::new(Self { state: Mutex::default(), wake: Wake::new(), end: Wake::new(), progress: Condvar::new() });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let of_thread = connection.clone();
        let main = move || {
            runtime.block_on(of_thread.serve(options, status_topic.as_deref()));
            // A name that is still being looked up is not waited for.
            runtime.shutdown_background();
            lock(&of_thread.state).ended = true;
            of_thread.progress.notify_all();
        };
        std::thread::Builder::new().name("trtpublish-mqtt".into()).spawn(main)?;
        Ok(connection)
    }

    /// One more user, and why there is no connection, if that is known; `None` if this one is coming to its end.
    pub fn join(&self, notify: Notify) -> Option<(u64, Option<String>)> {
        let mut state = lock(&self.state);
        if state.closing || state.ended || state.refused.is_some() {
            return None;
        }
        let id = state.next_id;
        state.next_id += 1;
        state.users.push(User { id, notify, undelivered: 0 });
        Some((id, state.away.clone()))
    }

    /// Gives up the user's messages that are still here; the last user ends the connection.
    pub fn leave(&self, id: u64) {
        let mut state = lock(&self.state);
        state.users.retain(|user| user.id != id);
        state.waiting.retain(|message| message.owner != id);
        if !state.users.is_empty() {
            return;
        }
        state.closing = true;
        self.wake.notify_one();
        self.end.notify_one();
        let deadline = Instant::now() + Self::FAREWELL;
        while !state.ended
            && let Some(left) = deadline.checked_duration_since(Instant::now())
        {
            state = self.progress.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes the message if the connection stands and fewer than `most` of its owner are under way; else gives it back
    /// after at most `wait`.
    ///
    /// # Errors
    /// The broker refuses us.
    pub fn offer(&self, message: Message, most: usize, wait: Duration) -> io::Result<Option<Message>> {
        let mut state = lock(&self.state);
        for last in [false, true] {
            state.check()?;
            let connected = state.connected;
            if let Some(user) = state.user(message.owner)
                && connected
                && user.undelivered < most
            {
                user.undelivered += 1;
                state.waiting.push_back(message);
                self.wake.notify_one();
                return Ok(None);
            }
            if !last {
                state = self.progress.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        Ok(Some(message))
    }

    /// How many of a user's messages haven't been delivered, after waiting at most `wait` for the last.
    ///
    /// # Errors
    /// The broker refuses us.
    pub fn undelivered(&self, id: u64, wait: Duration) -> io::Result<usize> {
        let mut state = lock(&self.state);
        state.check()?;
        if state.user(id).is_some_and(|user| user.undelivered > 0) {
            state = self.progress.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.check()?;
        Ok(state.user(id).map_or(0, |user| user.undelivered))
    }

    /// Connects, again and again, until the last user has left or the broker refuses us.
    async fn serve(&self, options: MqttOptions, status_topic: Option<&str>) {
        let mut attempts = Attempts::new(Duration::from_millis(100), Duration::from_secs(10));
        let mut known = false;
        loop {
            let session = Session::default();
            let result = tokio::select! {
                result = self.session(&session, options.clone(), status_topic) => result,
                () = self.closing_unconnected() => return,
            };
            let undone = session.undone();
            if session.connected.get() {
                known = true;
                attempts.reset();
            }
            let Err(error) = result else { return };
            // No before the first yes is a mistake in the settings; afterwards it's an outage like others.
            let refused = refusal(&error).filter(|_| !known);
            let refusal_is_final = refused.is_some();
            self.lost(&describe(&error), refused, undone);
            if refusal_is_final {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(attempts.next_wait()) => {}
                () = self.closing_unconnected() => return,
            }
        }
    }

    /// Ends once the last user has left while there is no connection to take leave of.
    async fn closing_unconnected(&self) {
        loop {
            let (closing, connected) = {
                let state = lock(&self.state);
                (state.closing, state.connected)
            };
            match (closing, connected) {
                (true, false) => return,
                // The session takes leave.
                (true, true) => std::future::pending().await,
                (false, _) => self.end.notified().await,
            }
        }
    }

    /// One connection from its beginning to its end, which is an error unless the last user has left.
    async fn session(
        &self,
        session: &Session,
        options: MqttOptions,
        status_topic: Option<&str>,
    ) -> Result<(), ConnectionError> {
        // All that is under way, the status and the end fit.
        let (client, mut events) = AsyncClient::new(options, Self::WINDOW + 4);
        let mut network = NetworkOptions::new();
        network.set_connection_timeout(Self::CONNECT_LIMIT.as_secs());
        events.set_network_options(network);
        while !matches!(events.poll().await?, Event::Incoming(Packet::ConnAck(_))) {}
        session.connected.set(true);
        self.connected();
        tokio::select! {
            result = self.drive(session, &mut events) => result,
            result = self.feed(session, &client, status_topic) => match result {
                Ok(()) => Ok(()),
                Err(_) => Err(ConnectionError::RequestsDone),
            },
        }
    }

    /// Hands messages to the client, as many as may be under way.
    async fn feed(
        &self,
        session: &Session,
        client: &AsyncClient,
        status_topic: Option<&str>,
    ) -> Result<(), rumqttc::ClientError> {
        let status = async |text: &'static str| {
            let Some(topic) = status_topic else { return Ok(()) };
            session.sent.borrow_mut().push_back(None);
            client.publish_bytes(topic, QoS::AtLeastOnce, true, Bytes::from_static(text.as_bytes())).await
        };
        status(ONLINE).await?;
        loop {
            let next = || lock(&self.state).waiting.pop_front();
            while session.under_way() < Self::WINDOW
                && let Some(message) = next()
            {
                let Message { topic, qos, retain, payload, .. } = message.clone();
                session.sent.borrow_mut().push_back(Some(message));
                client.publish_bytes(&*topic, qos.into(), retain, payload).await?;
            }
            let closing = lock(&self.state).closing;
            if closing {
                status(OFFLINE).await?;
                client.disconnect().await?;
                // The client's end of the connection ends the session.
                std::future::pending::<()>().await;
            }
            self.wake.notified().await;
        }
    }

    /// Lets the client work, and takes note of what it has done.
    async fn drive(&self, session: &Session, events: &mut EventLoop) -> Result<(), ConnectionError> {
        loop {
            let done = match events.poll().await {
                Ok(Event::Outgoing(Outgoing::Publish(id))) => session.published(id),
                Ok(Event::Incoming(packet)) => session.confirmed_by(&packet),
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return Ok(()),
                Ok(_) => None,
                Err(error) => {
                    // A broker that confirms and closes at once: what it confirmed isn't sent again.
                    for event in events.state.events.drain(..) {
                        if let Event::Incoming(packet) = event
                            && let Some(message) = session.confirmed_by(&packet)
                        {
                            self.delivered(message.owner);
                        }
                    }
                    return Err(error);
                }
            };
            if let Some(message) = done {
                self.delivered(message.owner);
            }
        }
    }

    fn connected(&self) {
        let listeners = {
            let mut state = lock(&self.state);
            state.connected = true;
            if state.away.take().is_some() { state.listeners() } else { Vec::new() }
        };
        self.progress.notify_all();
        listeners.iter().for_each(|notify| notify(Notice::Back));
    }

    fn delivered(&self, owner: u64) {
        if let Some(user) = lock(&self.state).user(owner) {
            user.undelivered = user.undelivered.saturating_sub(1);
        }
        self.progress.notify_all();
        // There is room again.
        self.wake.notify_one();
    }

    fn lost(&self, text: &str, refused: Option<io::ErrorKind>, undone: Vec<Message>) {
        let listeners = {
            let mut state = lock(&self.state);
            state.connected = false;
            for message in undone.into_iter().rev() {
                if state.user(message.owner).is_some() {
                    state.waiting.push_front(message);
                }
            }
            if let Some(kind) = refused {
                state.refused = Some((kind, text.to_owned()));
            }
            // A refusal is told by each user's next call, as an error.
            let told = state.away.replace(text.to_owned()).is_some() || refused.is_some();
            if told { Vec::new() } else { state.listeners() }
        };
        self.progress.notify_all();
        listeners.iter().for_each(|notify| notify(Notice::Away(text.to_owned())));
    }
}

impl State {
    fn user(&mut self, id: u64) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.id == id)
    }

    fn listeners(&self) -> Vec<Notify> {
        self.users.iter().map(|user| user.notify.clone()).collect()
    }

    fn check(&self) -> io::Result<()> {
        match &self.refused {
            Some((kind, text)) => Err(io::Error::new(*kind, text.clone())),
            None => Ok(()),
        }
    }
}

/// Messages that the client has. `None` is a status message, which nobody waits for.
#[derive(Default)]
struct Session {
    connected: std::cell::Cell<bool>,
    /// Handed to the client, which hasn't sent them yet.
    sent: RefCell<VecDeque<Option<Message>>>,
    /// Sent under these packet ids, in this order, and not confirmed.
    unconfirmed: RefCell<Vec<(u16, Option<Message>)>>,
}

impl Session {
    fn under_way(&self) -> usize {
        self.sent.borrow().len() + self.unconfirmed.borrow().len()
    }

    /// The client has sent its next message. Returns it if there's nothing to confirm (id 0: QoS 0).
    fn published(&self, id: u16) -> Option<Message> {
        let message = self.sent.borrow_mut().pop_front()?;
        if id == 0 {
            return message;
        }
        self.unconfirmed.borrow_mut().push((id, message));
        None
    }

    fn confirmed_by(&self, packet: &Packet) -> Option<Message> {
        let id = match packet {
            Packet::PubAck(ack) => ack.pkid,
            // The last of the four packets of QoS 2.
            Packet::PubComp(complete) => complete.pkid,
            _ => return None,
        };
        let mut unconfirmed = self.unconfirmed.borrow_mut();
        let at = unconfirmed.iter().position(|(sent, _)| *sent == id)?;
        unconfirmed.remove(at).1
    }

    /// What a new session has to send again, in order.
    fn undone(&self) -> Vec<Message> {
        let unconfirmed = self.unconfirmed.take().into_iter().map(|(_, message)| message);
        unconfirmed.chain(self.sent.take()).flatten().collect()
    }
}

/// The kind of an answer that no further attempt will change.
fn refusal(error: &ConnectionError) -> Option<io::ErrorKind> {
    match error {
        ConnectionError::ConnectionRefused(ConnectReturnCode::ServiceUnavailable) => None,
        ConnectionError::ConnectionRefused(_) => Some(io::ErrorKind::PermissionDenied),
        ConnectionError::Tls(_) => tls_error(error).map(|_| io::ErrorKind::InvalidData),
        _ => None,
    }
}

/// What TLS itself didn't like, as opposed to the network under it.
fn tls_error(error: &ConnectionError) -> Option<&rustls::Error> {
    match error {
        ConnectionError::Tls(TlsError::TLS(error)) => Some(error),
        ConnectionError::Tls(TlsError::Io(error)) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// In words, with the remedy where there is one.
fn describe(error: &ConnectionError) -> String {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidForName, NotValidForNameContext, UnknownIssuer};
    let text = match error {
        ConnectionError::ConnectionRefused(code) => match code {
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
                "the broker refuses this user name and password: check the environment's variables that credentials-env names"
            }
            ConnectReturnCode::BadClientId => "the broker refuses this client id: set mqtt-client-id to another",
            ConnectReturnCode::RefusedProtocolVersion => "the broker doesn't speak MQTT 3.1.1",
            ConnectReturnCode::ServiceUnavailable | ConnectReturnCode::Success => "the broker isn't available",
        },
        ConnectionError::NetworkTimeout => "no answer in 5 s",
        ConnectionError::MqttState(rumqttc::StateError::AwaitPingResp) => "the broker has fallen silent",
        ConnectionError::MqttState(rumqttc::StateError::ConnectionAborted) => "the broker has closed the connection",
        ConnectionError::Io(error) => return error.to_string(),
        ConnectionError::MqttState(rumqttc::StateError::Io(error)) => return error.to_string(),
        _ => match tls_error(error) {
            Some(rustls::Error::InvalidCertificate(UnknownIssuer)) => {
                "the broker's certificate is signed by nobody known here: set tls-ca-file to its authority's certificate"
            }
            Some(rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
                "the broker's certificate is for another name: write the location with the name that it has"
            }
            Some(rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. })) => {
                "the broker's certificate has expired"
            }
            Some(rustls::Error::InvalidMessage(_)) => {
                "what answers there doesn't speak TLS: use its TLS port, or mqtt://"
            }
            Some(other) => return format!("TLS: {other}"),
            None => return error.to_string(),
        },
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::super::location::{Broker, Server};
    use super::super::super::output::{Output, Written};
    use super::super::{MqttOutput, MqttSettings};
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::AtomicBool;

    static GO_ON: AtomicBool = AtomicBool::new(false);

    fn output(port: u16) -> (MqttOutput, Arc<Mutex<Vec<Notice>>>) {
        let server = Server { host: "127.0.0.1".into(), port };
        let broker = Broker { server, tls: false, topic: Some("lines".into()), credentials: None };
        let notices = Arc::new(Mutex::new(Vec::new()));
        let heard = notices.clone();
        let notify: Notify = Arc::new(move |notice| lock(&heard).push(notice));
        (MqttOutput::new(&broker, &MqttSettings::default(), notify).unwrap(), notices)
    }

    /// The first byte of a packet, and what follows its length (MQTT 3.1.1, 2.2).
    fn packet(stream: &mut TcpStream) -> (u8, Vec<u8>) {
        let mut byte = || {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            byte[0]
        };
        let first = byte();
        let (mut length, mut shift) = (0, 0);
        loop {
            let part = byte();
            length |= usize::from(part & 0x7f) << shift;
            shift += 7;
            if part < 0x80 {
                break;
            }
        }
        let mut rest = vec![0; length];
        stream.read_exact(&mut rest).unwrap();
        (first, rest)
    }

    fn accept(listener: &TcpListener, answer: u8) -> TcpStream {
        let (mut stream, _) = listener.accept().unwrap();
        assert_eq!(packet(&mut stream).0, 0x10);
        stream.write_all(&[0x20, 2, 0, answer]).unwrap();
        stream
    }

    fn until_end(mut stream: TcpStream) {
        std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
    }

    /// The next line published with QoS 1, and its packet id.
    fn line(stream: &mut TcpStream) -> (String, [u8; 2]) {
        let (first, rest) = packet(stream);
        assert_eq!(first & 0xf6, 0x32, "a PUBLISH with QoS 1");
        assert_eq!(&rest[..7], b"\0\x05lines");
        (String::from_utf8(rest[9..].to_vec()).unwrap(), [rest[7], rest[8]])
    }

    #[test]
    fn what_was_not_confirmed_comes_again_on_the_next_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut output, notices) = output(listener.local_addr().unwrap().port());
        let broker = std::thread::spawn(move || {
            let mut stream = accept(&listener, 0);
            let got: Vec<_> = (0..3).map(|_| line(&mut stream)).collect();
            // Only the first is confirmed before the connection breaks.
            stream.write_all(&[0x40, 2, got[0].1[0], got[0].1[1]]).unwrap();
            std::thread::sleep(Duration::from_millis(100));
            drop(stream);
            let mut stream = accept(&listener, 0);
            let mut again = Vec::new();
            for _ in 0..3 {
                let (text, id) = line(&mut stream);
                stream.write_all(&[0x40, 2, id[0], id[1]]).unwrap();
                again.push(text);
            }
            until_end(stream);
            again
        });
        for text in ["0\n", "1\n", "2\n"] {
            assert_eq!(output.write(text.as_bytes(), "", &GO_ON).unwrap(), Written::Whole);
        }
        while lock(&notices).is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(output.write(b"3\n", "", &GO_ON).unwrap(), Written::Whole);
        assert_eq!(output.flush(&GO_ON).unwrap(), 0);
        drop(output);
        assert_eq!(broker.join().unwrap(), ["1", "2", "3"]);
        assert!(matches!(lock(&notices)[..], [Notice::Away(_), Notice::Back, ..]));
    }

    #[test]
    fn a_broker_that_never_confirms_is_given_up_on() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut output, _) = output(listener.local_addr().unwrap().port());
        let broker = std::thread::spawn(move || {
            until_end(accept(&listener, 0));
        });
        let give_up = AtomicBool::new(true);
        while output.write(b"line\n", "", &give_up).unwrap() == Written::Whole {}
        assert_eq!(output.flush(&give_up).unwrap(), 16);
        let start = Instant::now();
        drop(output);
        assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
        broker.join().unwrap();
    }

    #[test]
    fn a_refusal_is_final_unless_there_was_a_connection_before() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut output, _) = output(listener.local_addr().unwrap().port());
        let broker = std::thread::spawn(move || {
            drop(accept(&listener, 5));
            listener
        });
        let error = output.write(b"line\n", "", &GO_ON).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        drop(output);

        let listener = broker.join().unwrap();
        let (mut output, notices) = self::output(listener.local_addr().unwrap().port());
        let broker = std::thread::spawn(move || {
            let mut stream = accept(&listener, 0);
            line(&mut stream);
            drop(stream);
            drop(accept(&listener, 5));
            let mut stream = accept(&listener, 0);
            let (text, id) = line(&mut stream);
            // Confirms and closes in one go.
            stream.write_all(&[0x40, 2, id[0], id[1]]).unwrap();
            text
        });
        assert_eq!(output.write(b"line\n", "", &GO_ON).unwrap(), Written::Whole);
        assert_eq!(output.flush(&GO_ON).unwrap(), 0);
        assert_eq!(broker.join().unwrap(), "line");
        let notices = lock(&notices);
        assert!(matches!(notices[..], [Notice::Away(_), Notice::Back, ..]), "{notices:?}");
    }
}
