//! One stream's access to a shared connection.

use super::super::location::Broker;
use super::super::output::{Notice, Notify, OnError, Output};
use super::super::subject::{LineKind, Subject};
use super::connection::{self, Connection, Message};
use super::settings::{Account, MqttSettings};
use super::topic::{Topics, check_topic};
use crate::config::Qos;
use bytes::Bytes;
use parking_lot::Mutex;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Hands lines to a connection, which other outputs may share.
pub struct MqttOutput {
    name: String,
    topics: Topics,
    qos: Qos,
    /// Lines of frames; totals always are.
    retain: bool,
    connection: Arc<Connection>,
    /// This output's id among the connection's users.
    id: u64,
    notify: Notify,
    /// Accepted lines that can't be delivered.
    left_out: Arc<AtomicU64>,
    /// Why the last line that couldn't become a message was dropped, as reported.
    told: Option<String>,
}

/// All connections that are established or being made.
static CONNECTIONS: Mutex<Vec<(Account, Weak<Connection>)>> = Mutex::new(Vec::new());

impl MqttOutput {
    /// Lines of one output that the broker hasn't confirmed yet.
    const WINDOW: usize = 16;
    /// How often a wait checks whether to give up.
    const TICK: Duration = Duration::from_millis(50);
    /// The largest packet that the protocol allows, bytes (MQTT 3.1.1, 2.2.3).
    const LONGEST: usize = 268_435_455;
    const DEFAULT_TOPIC: &str = "gst-tensorrt/{stream-id}";

    /// Begins to connect, or joins an existing connection.
    ///
    /// # Errors
    /// The settings are invalid; the broker hasn't been asked yet.
    pub fn new(broker: &Broker, settings: &MqttSettings, on_error: OnError, notify: Notify) -> io::Result<Self> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        let topic = settings.topic.as_deref().or(broker.topic.as_deref()).unwrap_or(Self::DEFAULT_TOPIC).to_owned();
        check_topic(&topic).map_err(|error| invalid(format!("mqtt-topic: {error}")))?;
        let is_chosen = settings.topic.is_some() || broker.topic.is_some();
        let events_topic = match &settings.events_topic {
            Some(topic) => topic.clone(),
            None if settings.only_events && is_chosen => topic.clone(),
            None => format!("{topic}/events"),
        };
        check_topic(&events_topic).map_err(|error| invalid(format!("mqtt-events-topic: {error}")))?;
        let account = Account::new(broker, settings, on_error).map_err(invalid)?;
        let left_out = Arc::<AtomicU64>::default();
        let mut connections = CONNECTIONS.lock();
        connections.retain(|(_, connection)| connection.strong_count() > 0);
        let known = connections.iter().find(|(known, _)| *known == account).and_then(|(_, known)| known.upgrade());
        let joined =
            known.and_then(|connection| Some((connection.join(notify.clone(), left_out.clone())?, connection)));
        let name = account.name();
        let ((id, away), connection) = match joined {
            Some(joined) => joined,
            None => {
                let options = account.options().map_err(invalid)?;
                let settings = connection::Settings {
                    status_topic: account.status_topic.clone(),
                    insistent: account.on_error == OnError::Retry,
                };
                let (id, connection) = Connection::start(options, settings, notify.clone(), left_out.clone())?;
                connections.retain(|(known, _)| *known != account);
                connections.push((account, Arc::downgrade(&connection)));
                ((id, None), connection)
            }
        };
        drop(connections);
        if let Some(reason) = away {
            notify(Notice::Away(reason));
        }
        let (topics, qos, retain) = (Topics::new(topic, events_topic), settings.qos, settings.retain);
        Ok(Self { name, topics, qos, retain, connection, id, notify, left_out, told: None })
    }

    /// Counts a line that can't become a message, and reports why, unless the last report said the same.
    fn leave_out(&mut self, text: String) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
        if self.told.as_ref() != Some(&text) {
            (self.notify)(Notice::Undeliverable(text.clone()));
            self.told = Some(text);
        }
    }
}

impl Output for MqttOutput {
    fn name(&self) -> &str {
        &self.name
    }

    fn can_stall(&self) -> bool {
        true
    }

    fn can_be_away(&self) -> bool {
        true
    }

    fn write(&mut self, lines: &mut &[u8], subject: &Subject, give_up: &AtomicBool) -> io::Result<()> {
        let topic = match self.topics.of(subject) {
            Ok(topic) => topic,
            Err(text) => {
                self.leave_out(text);
                *lines = &[];
                return Ok(());
            }
        };
        let mut message = Message {
            owner: self.id,
            topic,
            qos: self.qos,
            retain: match subject.kind {
                LineKind::Objects => self.retain,
                LineKind::Event => false,
                LineKind::Totals(_) => true,
            },
            payload: Bytes::copy_from_slice(lines.strip_suffix(b"\n").unwrap_or(lines)),
        };
        if message.size() > Self::LONGEST {
            self.leave_out(format!("a message is larger than MQTT's limit of {} bytes", Self::LONGEST));
            *lines = &[];
            return Ok(());
        }
        loop {
            message = match self.connection.offer(message, Self::WINDOW, Self::TICK)? {
                None => {
                    *lines = &[];
                    return Ok(());
                }
                Some(_) if give_up.load(Ordering::Relaxed) => return Ok(()),
                Some(back) => back,
            };
        }
    }

    fn flush(&mut self, give_up: &AtomicBool) -> io::Result<u64> {
        loop {
            match self.connection.undelivered(self.id, Self::TICK)? {
                left if left == 0 || give_up.load(Ordering::Relaxed) => return Ok(left as u64),
                _ => {}
            }
        }
    }

    fn undeliverable(&self) -> Arc<AtomicU64> {
        self.left_out.clone()
    }
}

impl Drop for MqttOutput {
    fn drop(&mut self) {
        self.connection.leave(self.id);
    }
}
