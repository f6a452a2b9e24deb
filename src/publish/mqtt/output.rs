//! One stream's way into a shared connection.

use super::super::location::Broker;
use super::super::output::{Notice, Notify, Output, Written};
use super::connection::{Connection, Message};
use super::settings::{Account, MqttSettings, Qos};
use super::topic::{Topic, check_topic};
use crate::sync::lock;
use bytes::Bytes;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// Hands lines to a connection, which others may use too.
pub struct MqttOutput {
    name: String,
    topic: Topic,
    qos: Qos,
    retain: bool,
    connection: Arc<Connection>,
    /// Among the connection's users.
    id: u64,
}

/// Every connection that is up or being made.
static CONNECTIONS: Mutex<Vec<(Account, Weak<Connection>)>> = Mutex::new(Vec::new());

impl MqttOutput {
    /// Lines of one output that the broker hasn't confirmed yet.
    const WINDOW: usize = 16;
    /// How often a wait looks whether it's to end.
    const TICK: Duration = Duration::from_millis(50);
    const DEFAULT_TOPIC: &str = "gst-tensorrt/{stream-id}";

    /// Begins to connect, or joins the connection that is there.
    ///
    /// # Errors
    /// Settings that can't be; the broker isn't asked yet.
    pub fn new(broker: &Broker, settings: &MqttSettings, notify: Notify) -> io::Result<Self> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        let topic = settings.topic.as_deref().or(broker.topic.as_deref()).unwrap_or(Self::DEFAULT_TOPIC).to_owned();
        check_topic(&topic).map_err(|error| invalid(format!("mqtt-topic: {error}")))?;
        let account = Account::new(broker, settings).map_err(invalid)?;
        let mut connections = lock(&CONNECTIONS);
        connections.retain(|(_, connection)| connection.strong_count() > 0);
        let known = connections.iter().find(|(known, _)| *known == account).and_then(|(_, known)| known.upgrade());
        let joined = known.and_then(|connection| Some((connection.join(notify.clone())?, connection)));
        let name = account.name();
        let ((id, away), connection) = match joined {
            Some(joined) => joined,
            None => {
                let options = account.options().map_err(invalid)?;
                let connection = Connection::start(options, account.status_topic.clone())?;
                let joined = connection.join(notify.clone()).ok_or(io::ErrorKind::NotConnected)?;
                connections.retain(|(known, _)| *known != account);
                connections.push((account, Arc::downgrade(&connection)));
                (joined, connection)
            }
        };
        drop(connections);
        if let Some(reason) = away {
            notify(Notice::Away(reason));
        }
        Ok(Self { name, topic: Topic::new(topic), qos: settings.qos, retain: settings.retain, connection, id })
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

    fn write(&mut self, line: &[u8], stream: &str, give_up: &AtomicBool) -> io::Result<Written> {
        let mut message = Message {
            owner: self.id,
            topic: self.topic.of(stream),
            qos: self.qos,
            retain: self.retain,
            payload: Bytes::copy_from_slice(line.strip_suffix(b"\n").unwrap_or(line)),
        };
        loop {
            message = match self.connection.offer(message, Self::WINDOW, Self::TICK)? {
                None => return Ok(Written::Whole),
                Some(_) if give_up.load(Ordering::Relaxed) => return Ok(Written::Not),
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
}

impl Drop for MqttOutput {
    fn drop(&mut self) {
        self.connection.leave(self.id);
    }
}
