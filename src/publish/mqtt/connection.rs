//! A connection to a broker, maintained by its own thread.
//!
//! Every connection is a new session: what the client knows ends with it. Messages that the broker hasn't confirmed are
//! kept here, and published again, in order, on the next connection. Messages that the broker never accepts are
//! [identified](Rejections) and dropped.

use super::super::output::{Notice, Notify};
use super::errors::{describe, is_closed_by_broker, refusal};
use super::rejections::{Rejections, Verdict};
use super::session::Session;
use super::settings::{OFFLINE, ONLINE};
use crate::backoff::Attempts;
use crate::config::Qos;
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use rumqttc::{
    AsyncClient, ClientError, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions, Outgoing, Packet, QoS,
};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify as Wake;

/// A line in flight.
#[derive(Clone)]
pub struct Message {
    /// The id of the connection's user that the message belongs to.
    pub owner: u64,
    pub topic: Arc<str>,
    pub qos: Qos,
    pub retain: bool,
    pub payload: Bytes,
}

impl Message {
    /// The size of its packet in bytes (MQTT 3.1.1, 3.3).
    pub fn size(&self) -> usize {
        packet_size(&self.topic, self.payload.len(), self.qos)
    }
}

fn packet_size(topic: &str, payload: usize, qos: Qos) -> usize {
    let id = if qos == Qos::AtMostOnce { 0 } else { 2 };
    let rest = 2 + topic.len() + id + payload;
    // The length field has 7 bits a byte.
    let length = (1..4).find(|bytes| rest < 1 << (7 * bytes)).unwrap_or(4);
    1 + length + rest
}

pub struct Connection {
    state: Mutex<State>,
    /// Notified when there is a message, or space for one, or the connection is to end.
    wake: Wake,
    /// Notified when the last user has left.
    end: Wake,
    /// Notified when a message was delivered, the connection came or went, or its thread ended.
    progress: Condvar,
    settings: Settings,
}

/// How a connection behaves.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub status_topic: Option<String>,
    /// A broker that refuses the connection is retried, like one that is unavailable.
    pub insistent: bool,
}

#[derive(Default)]
struct State {
    users: Vec<User>,
    next_id: u64,
    /// Messages to publish, oldest first.
    waiting: VecDeque<Message>,
    connected: bool,
    /// Why nothing gets through, once that is known; reported once, not at each attempt.
    away: Option<String>,
    /// The broker refused the connection: there are no more attempts.
    refused: Option<(io::ErrorKind, String)>,
    rejections: Rejections,
    /// Messages that the broker doesn't confirm are watched, until they are known to be harmless.
    watchful: bool,
    /// The last user has left.
    closing: bool,
    /// The thread has ended.
    ended: bool,
}

struct User {
    id: u64,
    notify: Notify,
    /// Messages accepted and not delivered.
    undelivered: usize,
    /// Messages that were accepted and dropped.
    left_out: Arc<AtomicU64>,
}

/// Notices to users, sent when the lock isn't held.
type Notices = Vec<(Notify, Notice)>;

impl Connection {
    /// Messages handed to the client at a time.
    const WINDOW: usize = 64;
    /// The same for messages with exactly-once delivery: mosquitto confirms and loses those beyond its
    /// max_inflight_messages, by default 20.
    const EXACTLY_ONCE_WINDOW: usize = 16;
    const CONNECT_LIMIT: Duration = Duration::from_secs(5);
    /// How long leaving waits for the broker to receive the goodbye.
    const FAREWELL: Duration = Duration::from_millis(250);
    /// How long a connection must have been up before a suspected message is sent, to show that it stays up without the
    /// message; and how long after a message that isn't confirmed, to show that it stays up with it.
    const STANDS: Duration = Duration::from_millis(300);
    /// A connection that is closed within this time after a message may have been closed because of it.
    const SOON: Duration = Duration::from_secs(2);
    /// A connection that was up for this long counts as working, even if there was nothing to send.
    const SETTLED: Duration = Duration::from_secs(5);

    /// Begins to connect for a first user, whose id is returned.
    ///
    /// # Errors
    /// The system can't create a thread.
    pub fn start(
        options: MqttOptions,
        settings: Settings,
        notify: Notify,
        left_out: Arc<AtomicU64>,
    ) -> io::Result<(u64, Arc<Self>)> {
        let mut state = State::default();
        // The user is added before anything can be refused.
        let id = state.add(notify, left_out);
        let connection = Arc::new(Self {
            state: Mutex::new(state),
            wake: Wake::new(),
            end: Wake::new(),
            progress: Condvar::new(),
            settings,
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let of_thread = connection.clone();
        let main = move || {
            runtime.block_on(of_thread.serve(options));
            // Don't wait for a name lookup that is still running.
            runtime.shutdown_background();
            of_thread.state.lock().ended = true;
            of_thread.progress.notify_all();
        };
        std::thread::Builder::new().name("trtpublish-mqtt".into()).spawn(main)?;
        Ok((id, connection))
    }

    /// Adds a user, which counts accepted messages that can't be delivered in `left_out`. Returns its id, and why there
    /// is no connection if that is known; `None` if this connection is ending.
    pub fn join(&self, notify: Notify, left_out: Arc<AtomicU64>) -> Option<(u64, Option<String>)> {
        let mut state = self.state.lock();
        if state.closing || state.ended || state.refused.is_some() {
            return None;
        }
        let id = state.add(notify, left_out);
        Some((id, state.away.clone().filter(|_| !state.connected)))
    }

    /// Drops the user's messages that are still queued; the last user to leave ends the connection.
    pub fn leave(&self, id: u64) {
        let mut state = self.state.lock();
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
            self.progress.wait_for(&mut state, left);
        }
    }

    /// Accepts the message if the connection is up and fewer than `most` of its owner's are in flight; otherwise
    /// returns it after at most `wait`.
    ///
    /// # Errors
    /// The broker refuses the connection.
    pub fn offer(&self, message: Message, most: usize, wait: Duration) -> io::Result<Option<Message>> {
        let mut state = self.state.lock();
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
                self.progress.wait_for(&mut state, wait);
            }
        }
        Ok(Some(message))
    }

    /// How many of a user's messages haven't been delivered, after waiting at most `wait` for the last.
    ///
    /// # Errors
    /// The broker refuses the connection.
    pub fn undelivered(&self, id: u64, wait: Duration) -> io::Result<usize> {
        let mut state = self.state.lock();
        state.check()?;
        if state.user(id).is_some_and(|user| user.undelivered > 0) {
            self.progress.wait_for(&mut state, wait);
        }
        state.check()?;
        Ok(state.user(id).map_or(0, |user| user.undelivered))
    }

    /// Connects, again and again, until the last user has left or the broker refuses the connection.
    async fn serve(&self, options: MqttOptions) {
        let mut attempts = Attempts::new(Duration::from_millis(100), Duration::from_secs(10));
        let (mut known, mut careful) = (false, 0);
        loop {
            attempts.begin();
            let session = Session::default();
            session.careful.set(careful);
            let result = tokio::select! {
                result = self.session(&session, options.clone()) => result,
                () = self.closing_unconnected() => return,
            };
            let Err(error) = result else { return };
            known |= session.connected.get().is_some();
            // A refusal before the first success is a mistake in the settings; afterwards it's an outage like others.
            let refused = refusal(&error).filter(|_| !known && !self.settings.insistent);
            careful = careful_after(&session);
            let found_out = self.lost(&error, refused, &session);
            if refused.is_some() {
                return;
            }
            if session.got_through.get() || found_out || session.has_stood(Self::SETTLED) {
                attempts.reset();
            }
            tokio::select! {
                () = tokio::time::sleep(attempts.next_wait()) => {}
                () = self.closing_unconnected() => return,
            }
        }
    }

    /// Returns once the last user has left while there is no connection to say goodbye on.
    async fn closing_unconnected(&self) {
        loop {
            let (closing, connected) = {
                let state = self.state.lock();
                (state.closing, state.connected)
            };
            match (closing, connected) {
                (true, false) => return,
                // The session says goodbye.
                (true, true) => std::future::pending().await,
                (false, _) => self.end.notified().await,
            }
        }
    }

    /// One connection from beginning to end. The end is an error unless the last user has left.
    async fn session(&self, session: &Session, options: MqttOptions) -> Result<(), ConnectionError> {
        // There is space for everything in flight, the status and the end.
        let (client, mut events) = AsyncClient::new(options, Self::WINDOW + 4);
        let mut network = NetworkOptions::new();
        network.set_connection_timeout(Self::CONNECT_LIMIT.as_secs());
        events.set_network_options(network);
        while !matches!(events.poll().await?, Event::Incoming(Packet::ConnAck(_))) {}
        session.connected.set(Some(Instant::now()));
        self.state.lock().connected = true;
        self.progress.notify_all();
        tokio::select! {
            result = self.drive(session, &mut events) => result,
            result = self.feed(session, &client) => match result {
                Ok(()) => Ok(()),
                Err(_) => Err(ConnectionError::RequestsDone),
            },
        }
    }

    /// Hands messages to the client, up to the limit in flight.
    async fn feed(&self, session: &Session, client: &AsyncClient) -> Result<(), ClientError> {
        if session.careful.get() > 0 {
            tokio::time::sleep(Self::STANDS).await;
        }
        self.status(session, client, ONLINE).await?;
        while session.alone.get() && !self.state.lock().closing {
            self.wake.notified().await;
        }
        loop {
            while let Some(message) = self.next(session) {
                let Message { topic, qos, retain, payload, .. } = message.clone();
                let watched = session.alone.get() && qos == Qos::AtMostOnce;
                session.sent.borrow_mut().push_back((!watched).then_some(message.clone()));
                session.watched.replace(watched.then_some(message));
                client.publish_bytes(&*topic, qos.into(), retain, payload).await?;
                if watched {
                    tokio::time::sleep(Self::STANDS).await;
                    self.stood(session);
                }
            }
            let closing = self.state.lock().closing;
            if closing {
                self.status(session, client, OFFLINE).await?;
                client.disconnect().await?;
                // The session ends when the client closes the connection.
                std::future::pending::<()>().await;
            }
            self.wake.notified().await;
        }
    }

    /// Publishes a status, unless the broker is known not to accept it.
    async fn status(&self, session: &Session, client: &AsyncClient, text: &'static str) -> Result<(), ClientError> {
        let Some(topic) = &self.settings.status_topic else { return Ok(()) };
        if self.state.lock().rejections.refuses(topic, status_size(topic), Instant::now()) {
            return Ok(());
        }
        session.alone.set(session.careful.get() > 0);
        session.sent.borrow_mut().push_back(None);
        client.publish_bytes(topic, QoS::AtLeastOnce, true, Bytes::from_static(text.as_bytes())).await
    }

    /// The next message that may be sent now. Drops those that the broker is known not to accept.
    fn next(&self, session: &Session) -> Option<Message> {
        let mut state = self.state.lock();
        let now = Instant::now();
        let mut left_out = false;
        let next = loop {
            let Some(message) = state.waiting.front() else { break None };
            let (size, topic) = (message.size(), &message.topic);
            if state.rejections.refuses(topic, size, now) {
                let owner = message.owner;
                state.waiting.pop_front();
                session.careful.set(session.careful.get().saturating_sub(1));
                state.leave_out(owner);
                left_out = true;
                continue;
            }
            let unconfirmable = message.qos == Qos::AtMostOnce;
            let watch = unconfirmable && state.watchful && !state.rejections.is_harmless(topic, size);
            let alone = session.careful.get() > 0 || watch;
            let room = if alone { 1 } else { Self::WINDOW };
            let full = session.under_way() >= room
                || message.qos == Qos::ExactlyOnce && session.under_way_exactly_once() >= Self::EXACTLY_ONCE_WINDOW;
            if session.alone.get() || full {
                break None;
            }
            session.alone.set(alone);
            break state.waiting.pop_front();
        };
        drop(state);
        if left_out {
            self.progress.notify_all();
        }
        next
    }

    /// Runs the client, and records what it has done.
    async fn drive(&self, session: &Session, events: &mut EventLoop) -> Result<(), ConnectionError> {
        loop {
            match events.poll().await {
                Ok(Event::Outgoing(Outgoing::Publish(id))) => {
                    if let Some(message) = session.published(id) {
                        if session.has_stood(Self::SOON) {
                            self.got_through(session);
                        }
                        self.delivered(&message);
                    }
                }
                Ok(Event::Incoming(packet)) => self.confirmed(session, &packet),
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return Ok(()),
                Ok(_) => {}
                Err(error) => {
                    // The broker may confirm and close at once: what it confirmed isn't sent again.
                    for event in events.state.events.drain(..) {
                        if let Event::Incoming(packet) = event {
                            self.confirmed(session, &packet);
                        }
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Handles a packet of the broker, which may confirm a message.
    fn confirmed(&self, session: &Session, packet: &Packet) {
        let Some(confirmed) = session.confirmed_by(packet) else { return };
        match confirmed {
            Some(message) => {
                self.state.lock().rejections.took(&message.topic, message.size());
                self.got_through(session);
                self.delivered(&message);
            }
            None => {
                if let Some(topic) = &self.settings.status_topic {
                    self.state.lock().rejections.took(topic, status_size(topic));
                }
                self.wake.notify_one();
            }
        }
    }

    /// The connection stayed up after a single message that the broker doesn't confirm.
    fn stood(&self, session: &Session) {
        let Some(message) = session.watched.take() else { return };
        session.alone.set(false);
        session.careful.set(session.careful.get().saturating_sub(1));
        self.state.lock().rejections.stood(&message.topic, message.size());
        self.got_through(session);
        self.delivered(&message);
    }

    /// A line got through. That ends the outage, once everything in flight at its beginning has got through.
    fn got_through(&self, session: &Session) {
        session.got_through.set(true);
        let listeners = {
            let mut state = self.state.lock();
            if session.careful.get() > 0 || state.away.take().is_none() { Vec::new() } else { state.listeners() }
        };
        listeners.iter().for_each(|notify| notify(Notice::Back));
    }

    fn delivered(&self, message: &Message) {
        if let Some(user) = self.state.lock().user(message.owner) {
            user.undelivered = user.undelivered.saturating_sub(1);
        }
        self.progress.notify_all();
        // There is space again.
        self.wake.notify_one();
    }

    /// Records the end of a session. Returns whether a message was identified that caused it.
    fn lost(&self, error: &ConnectionError, refused: Option<io::ErrorKind>, session: &Session) -> bool {
        let (text, now) = (describe(error), Instant::now());
        let closed = session.connected.get().is_some() && is_closed_by_broker(error);
        let mut undone = session.undone();
        let mut notices = Notices::new();
        let (suspect, found_out) = {
            let mut state = self.state.lock();
            state.connected = false;
            let suspect = closed && session.alone.get();
            let found_out = suspect && self.judge(&mut state, session, &mut undone, &mut notices);
            // It was sent without confirmation, so it isn't sent again.
            if let Some(message) = session.watched.take() {
                state.leave_out(message.owner);
            }
            for message in undone.into_iter().rev() {
                if state.user(message.owner).is_some() {
                    state.waiting.push_front(message);
                }
            }
            if closed && session.unconfirmable.get().is_some_and(|sent| now.duration_since(sent) < Self::SOON) {
                state.watchful = true;
            }
            if session.connected.get().is_none() {
                state.rejections.doubt(now);
            } else if session.has_stood(Self::SETTLED) {
                state.away = None;
            }
            if let Some(kind) = refused {
                state.refused = Some((kind, text.clone()));
            }
            // A session that a message has ended is no outage. A refusal is reported as an error by each user's next
            // call; where it isn't final it's reported even after an outage, because it has another remedy.
            let news = match &state.away {
                None => true,
                Some(told) => refusal(error).is_some() && *told != text,
            };
            if news && !suspect {
                state.away = Some(text.clone());
                if refused.is_none() {
                    let away = |notify| (notify, Notice::Away(text.clone()));
                    notices.extend(state.listeners().into_iter().map(away));
                }
            }
            (suspect, found_out)
        };
        self.progress.notify_all();
        notices.into_iter().for_each(|(notify, notice)| notify(notice));
        suspect && found_out
    }

    /// Judges the single message of a session that the broker closed. Returns whether it's dropped.
    fn judge(&self, state: &mut State, session: &Session, undone: &mut Vec<Message>, notices: &mut Notices) -> bool {
        let watched = session.watched.borrow().clone();
        let message = watched.clone().or_else(|| undone.first().cloned());
        let (topic, size) = match (&message, &self.settings.status_topic) {
            (Some(message), _) => (message.topic.clone(), message.size()),
            (None, Some(topic)) => (topic.as_str().into(), status_size(topic)),
            (None, None) => return false,
        };
        let Verdict::LeaveOut(told) = state.rejections.strike(&topic, size, Instant::now()) else { return false };
        let owner = message.map(|message| message.owner);
        if let Some(owner) = owner.filter(|_| watched.is_none()) {
            undone.remove(0);
            state.leave_out(owner);
        }
        if let Some(text) = told {
            let concerned = state.users.iter().filter(|user| owner.is_none_or(|owner| user.id == owner));
            notices.extend(concerned.map(|user| (user.notify.clone(), Notice::Undeliverable(text.clone()))));
        }
        true
    }
}

fn status_size(topic: &str) -> usize {
    packet_size(topic, OFFLINE.len(), Qos::AtLeastOnce)
}

/// How many messages have to be sent one at a time after this session.
fn careful_after(session: &Session) -> usize {
    let lone_status = usize::from(session.alone.get());
    session.careful.get().max(session.under_way()).max(lone_status)
}

impl State {
    fn add(&mut self, notify: Notify, left_out: Arc<AtomicU64>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.users.push(User { id, notify, undelivered: 0, left_out });
        id
    }

    fn user(&mut self, id: u64) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.id == id)
    }

    /// Drops a message that was accepted and can't be delivered.
    fn leave_out(&mut self, owner: u64) {
        if let Some(user) = self.user(owner) {
            user.undelivered = user.undelivered.saturating_sub(1);
            user.left_out.fetch_add(1, Ordering::Relaxed);
        }
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

#[cfg(test)]
mod tests {
    use super::super::super::location::{Broker, Server};
    use super::super::super::output::{OnError, Output};
    use super::super::super::subject::Subject;
    use super::super::{MqttOutput, MqttSettings};
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::AtomicBool;

    static GO_ON: AtomicBool = AtomicBool::new(false);

    fn output(port: u16) -> (MqttOutput, Arc<Mutex<Vec<Notice>>>) {
        output_with(port, &MqttSettings::default(), OnError::Fail)
    }

    fn output_with(port: u16, settings: &MqttSettings, on_error: OnError) -> (MqttOutput, Arc<Mutex<Vec<Notice>>>) {
        let server = Server { host: "127.0.0.1".into(), port };
        let broker = Broker { server, tls: false, topic: Some("lines".into()), credentials: None };
        let notices = Arc::new(Mutex::new(Vec::new()));
        let heard = notices.clone();
        let notify: Notify = Arc::new(move |notice| heard.lock().push(notice));
        (MqttOutput::new(&broker, settings, on_error, notify).unwrap(), notices)
    }

    /// Writes a line, and returns whether it was accepted.
    fn write(output: &mut MqttOutput, line: &[u8], give_up: &AtomicBool) -> io::Result<bool> {
        let mut left = line;
        output.write(&mut left, &Subject::objects(""), give_up)?;
        Ok(left.is_empty())
    }

    /// Reads a packet: its first byte, and what follows its length (MQTT 3.1.1, 2.2).
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

    /// Reads the next line published with QoS 1, and its packet id.
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
            assert!(write(&mut output, text.as_bytes(), &GO_ON).unwrap());
        }
        while notices.lock().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(write(&mut output, b"3\n", &GO_ON).unwrap());
        assert_eq!(output.flush(&GO_ON).unwrap(), 0);
        drop(output);
        assert_eq!(broker.join().unwrap(), ["1", "2", "3"]);
        assert!(matches!(notices.lock()[..], [Notice::Away(_), Notice::Back, ..]));
    }

    #[test]
    fn a_broker_that_never_confirms_is_given_up_on() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (mut output, _) = output(listener.local_addr().unwrap().port());
        let broker = std::thread::spawn(move || {
            until_end(accept(&listener, 0));
        });
        let give_up = AtomicBool::new(true);
        while write(&mut output, b"line\n", &give_up).unwrap() {}
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
        let error = write(&mut output, b"line\n", &GO_ON).unwrap_err();
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
            // Confirms and closes at once.
            stream.write_all(&[0x40, 2, id[0], id[1]]).unwrap();
            text
        });
        assert!(write(&mut output, b"line\n", &GO_ON).unwrap());
        assert_eq!(output.flush(&GO_ON).unwrap(), 0);
        assert_eq!(broker.join().unwrap(), "line");
        let notices = notices.lock();
        let [Notice::Away(_), Notice::Away(text), Notice::Back, ..] = &notices[..] else { panic!("{notices:?}") };
        assert!(text.contains("refuses this user name"), "an outage of another kind: {notices:?}");
    }
}
