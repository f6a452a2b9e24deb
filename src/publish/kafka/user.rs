//! One output's share of a connection: what it has in flight, and what it's told.

use super::super::output::{Notice, Notify, OnError};
use super::errors;
use parking_lot::{Condvar, Mutex};
use rdkafka::error::RDKafkaErrorCode as Code;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Shared with librdkafka's thread, through the messages in flight.
pub struct User {
    notify: Notify,
    on_error: OnError,
    /// Accepted lines that can't be delivered.
    pub left_out: Arc<AtomicU64>,
    state: Mutex<State>,
    /// Notified when a message was delivered or has failed.
    progress: Condvar,
}

#[derive(Default)]
struct State {
    /// Messages accepted and not confirmed.
    in_flight: usize,
    /// A message got through.
    has_worked: bool,
    /// An outage was reported and isn't over.
    away: bool,
    /// Why messages can't be delivered, and the topic, as last reported. Sizes differ from message to message.
    told: Option<(Code, String)>,
    /// Why the output can't be used any more.
    failure: Option<(io::ErrorKind, String)>,
}

impl User {
    pub fn new(notify: Notify, on_error: OnError) -> Self {
        Self { notify, on_error, left_out: Arc::default(), state: Mutex::default(), progress: Condvar::new() }
    }

    /// Counts a message in flight if there are fewer than `most`; otherwise waits at most `wait` for one to be delivered. Returns
    /// whether it was counted.
    ///
    /// # Errors
    /// The output can't be used any more.
    pub fn begin(&self, most: usize, wait: Duration) -> io::Result<bool> {
        let mut state = self.state.lock();
        for last in [false, true] {
            state.check()?;
            if state.in_flight < most {
                state.in_flight += 1;
                return Ok(true);
            }
            if !last {
                self.progress.wait_for(&mut state, wait);
            }
        }
        Ok(false)
    }

    /// How many messages are in flight, after waiting at most `wait` for one to be delivered.
    ///
    /// # Errors
    /// The output can't be used any more.
    pub fn in_flight(&self, wait: Duration) -> io::Result<usize> {
        let mut state = self.state.lock();
        state.check()?;
        if state.in_flight > 0 {
            self.progress.wait_for(&mut state, wait);
        }
        state.check()?;
        Ok(state.in_flight)
    }

    /// A message wasn't sent after all.
    pub fn taken_back(&self) {
        self.state.lock().in_flight -= 1;
    }

    /// The brokers have confirmed a message.
    pub fn delivered(&self) {
        let mut state = self.state.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.has_worked = true;
        state.told = None;
        let was_away = std::mem::take(&mut state.away);
        drop(state);
        self.progress.notify_all();
        if was_away {
            (self.notify)(Notice::Back);
        }
    }

    /// A message of this size will never be delivered.
    pub fn failed(&self, code: Code, topic: &str, bytes: usize) {
        let mut state = self.state.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        self.left_out.fetch_add(1, Ordering::Relaxed);
        let mut notice = None;
        if !matches!(code, Code::PurgeQueue | Code::PurgeInflight) {
            // A mistake in the settings, unless it has worked with them before.
            let refusal = errors::refusal(code, topic);
            let is_fatal = code == Code::Fatal;
            if let Some(refusal) = refusal.filter(|_| !state.has_worked && self.on_error == OnError::Fail) {
                state.failure.get_or_insert(refusal);
            } else if is_fatal {
                let text = "the connection has lost track of what the brokers have; a new one is needed".to_owned();
                state.failure.get_or_insert((io::ErrorKind::Other, text));
            } else {
                let reason = (code, topic.to_owned());
                if state.told.as_ref() != Some(&reason) {
                    state.told = Some(reason);
                    notice = Some(Notice::Undeliverable(errors::describe(code, topic, bytes)));
                }
            }
        }
        drop(state);
        self.progress.notify_all();
        if let Some(notice) = notice {
            (self.notify)(notice);
        }
    }

    /// Nothing gets through, for this reason.
    pub fn away(&self, reason: &str) {
        let mut state = self.state.lock();
        let is_known = std::mem::replace(&mut state.away, true) || state.failure.is_some();
        drop(state);
        if !is_known {
            (self.notify)(Notice::Away(reason.to_owned()));
        }
    }

    /// No broker has a connection now. Brokers end idle connections too, so that this means something only to an output that waits.
    pub fn unconnected(&self, reason: &str) {
        let state = self.state.lock();
        let waits = state.in_flight > 0 || !state.has_worked;
        drop(state);
        if waits {
            self.away(reason);
        }
    }

    /// The cluster doesn't let this client in.
    pub fn rejected(&self, kind: io::ErrorKind, text: &str) {
        let mut state = self.state.lock();
        if state.has_worked || self.on_error == OnError::Retry {
            drop(state);
            return self.away(text);
        }
        state.failure.get_or_insert((kind, text.to_owned()));
        drop(state);
        self.progress.notify_all();
    }
}

impl State {
    fn check(&self) -> io::Result<()> {
        match &self.failure {
            Some((kind, text)) => Err(io::Error::new(*kind, text.clone())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(on_error: OnError) -> (User, Arc<Mutex<Vec<Notice>>>) {
        let notices = Arc::<Mutex<Vec<Notice>>>::default();
        let heard = notices.clone();
        (User::new(Arc::new(move |notice| heard.lock().push(notice)), on_error), notices)
    }

    #[test]
    fn a_mistake_in_the_settings_fails_and_an_outage_is_told_once() {
        let (fresh, _) = user(OnError::Fail);
        assert!(fresh.begin(1, Duration::ZERO).unwrap() && !fresh.begin(1, Duration::ZERO).unwrap());
        fresh.failed(Code::UnknownTopic, "objects", 10);
        assert_eq!(fresh.begin(1, Duration::ZERO).unwrap_err().kind(), io::ErrorKind::NotFound);

        for on_error in [OnError::Fail, OnError::Retry] {
            let (user, notices) = user(on_error);
            if on_error == OnError::Fail {
                assert!(user.begin(9, Duration::ZERO).unwrap());
                user.delivered();
            }
            if on_error == OnError::Fail {
                user.unconnected("idle");
            }
            user.rejected(io::ErrorKind::PermissionDenied, "no");
            user.unconnected("gone");
            assert!(user.begin(9, Duration::ZERO).unwrap());
            user.delivered();
            for _ in 0..3 {
                assert!(user.begin(9, Duration::ZERO).unwrap());
                user.failed(Code::MessageSizeTooLarge, "objects", 10);
            }
            let notices = notices.lock();
            assert!(
                matches!(&notices[..], [Notice::Away(no), Notice::Back, Notice::Undeliverable(_)] if no == "no"),
                "{notices:?}"
            );
            assert_eq!((user.left_out.load(Ordering::Relaxed), user.in_flight(Duration::ZERO).unwrap()), (3, 0));
        }
    }
}
