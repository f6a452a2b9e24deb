//! One stream's access to a shared connection.

use super::super::location::Cluster;
use super::super::options::PublishOptions;
use super::super::output::{Notify, Output};
use super::super::subject::{LineKind, Subject};
use super::account::Account;
use super::check_topic;
use super::connection::{Connection, NotSent};
use super::headers::Headers;
use super::user::User;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Hands lines to a connection, which other outputs may share. A line's key is its stream's name.
pub struct KafkaOutput {
    name: String,
    topic: String,
    events_topic: String,
    connection: Arc<Connection>,
    user: Arc<User>,
    headers: Headers,
    gather: Duration,
}

impl KafkaOutput {
    /// Lines of one output that the brokers haven't confirmed yet.
    const WINDOW: usize = 64;
    /// How often a wait checks whether to give up.
    const TICK: Duration = Duration::from_millis(50);
    /// Brokers that confirm nothing for this long count as away, even if their connections stand.
    const SILENCE: Duration = Duration::from_secs(5);
    /// As for files: waking threads for each line costs more than writing it.
    const GATHER: Duration = Duration::from_millis(100);

    /// Begins to connect, or joins an existing connection.
    ///
    /// # Errors
    /// The settings are invalid; the brokers haven't been asked yet.
    pub fn new(cluster: &Cluster, options: &PublishOptions, notify: Notify) -> io::Result<Self> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        let topic = cluster.topic.clone();
        let events_topic = options.events_place(&topic, "-events");
        check_topic(&events_topic).map_err(|error| invalid(format!("events-topic: {error}")))?;
        let account = Account::new(cluster, &options.server, options.on_error).map_err(invalid)?;
        let user = Arc::new(User::new(notify, options.on_error));
        let connection = Connection::join(&account, &user)?;
        let headers = Headers::new(options.format, options.origin());
        // Only one binary message is known from the next by where the data ends.
        let gather = if options.format.is_text() { Self::GATHER } else { Duration::ZERO };
        Ok(Self { name: account.name(), topic, events_topic, connection, user, headers, gather })
    }

    /// Hands over one message; `false` when given up.
    fn send(&mut self, payload: &[u8], subject: &Subject, give_up: &AtomicBool) -> io::Result<bool> {
        let mut waiting_since = None;
        while !self.user.begin(Self::WINDOW, Self::TICK)? {
            if give_up.load(Ordering::Relaxed) {
                return Ok(false);
            }
            if waiting_since.get_or_insert_with(Instant::now).elapsed() > Self::SILENCE {
                self.user.away("the brokers don't answer");
            }
        }
        let topic = if subject.kind == LineKind::Objects { &self.topic } else { &self.events_topic };
        loop {
            let headers = self.headers.next(subject);
            match self.connection.send(&self.user, topic, &subject.stream, payload, headers) {
                Ok(()) => return Ok(true),
                Err(NotSent::Full) if give_up.load(Ordering::Relaxed) => {
                    self.user.taken_back();
                    return Ok(false);
                }
                Err(NotSent::Full) => std::thread::sleep(Self::TICK),
                Err(NotSent::Never(code)) => {
                    self.user.failed(code, topic, payload.len());
                    return Ok(true);
                }
            }
        }
    }
}

impl Output for KafkaOutput {
    fn name(&self) -> &str {
        &self.name
    }

    fn can_stall(&self) -> bool {
        true
    }

    fn can_be_away(&self) -> bool {
        true
    }

    fn gather(&self) -> Duration {
        self.gather
    }

    fn write(&mut self, lines: &mut &[u8], subject: &Subject, give_up: &AtomicBool) -> io::Result<()> {
        while !lines.is_empty() {
            let all = *lines;
            let end = match self.gather.is_zero() {
                true => all.len(),
                false => all.iter().position(|byte| *byte == b'\n').map_or(all.len(), |newline| newline + 1),
            };
            let (line, rest) = all.split_at(end);
            if give_up.load(Ordering::Relaxed)
                || !self.send(line.strip_suffix(b"\n").unwrap_or(line), subject, give_up)?
            {
                return Ok(());
            }
            *lines = rest;
        }
        Ok(())
    }

    fn flush(&mut self, give_up: &AtomicBool) -> io::Result<u64> {
        loop {
            match self.user.in_flight(Self::TICK)? {
                left if left == 0 || give_up.load(Ordering::Relaxed) => return Ok(left as u64),
                _ => {}
            }
        }
    }

    fn undeliverable(&self) -> Arc<AtomicU64> {
        self.user.left_out.clone()
    }
}
