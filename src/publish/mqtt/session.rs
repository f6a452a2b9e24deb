//! The messages in flight on one connection.

use super::connection::Message;
use crate::config::Qos;
use rumqttc::Packet;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Messages that the client has. `None` stands for a status message, whose delivery needs no tracking.
#[derive(Default)]
pub struct Session {
    /// When the broker accepted the connection.
    pub connected: Cell<Option<Instant>>,
    /// The broker has confirmed a line, or kept the connection open after one.
    pub got_through: Cell<bool>,
    /// This many messages are sent one at a time: those that were in flight when the previous connection was closed.
    /// That way a message that closes this connection too is identified.
    pub careful: Cell<usize>,
    /// A message is sent alone; no other is sent until it is done.
    pub alone: Cell<bool>,
    /// The message that is sent alone, if the broker doesn't confirm it.
    pub watched: RefCell<Option<Message>>,
    /// When a message that the broker doesn't confirm was last sent.
    pub unconfirmable: Cell<Option<Instant>>,
    /// Messages handed to the client that it hasn't sent yet.
    pub sent: RefCell<VecDeque<Option<Message>>>,
    /// Messages sent under these packet ids, in this order, and not confirmed.
    unconfirmed: RefCell<Vec<(u16, Option<Message>)>>,
}

impl Session {
    pub fn under_way(&self) -> usize {
        self.sent.borrow().len() + self.unconfirmed.borrow().len()
    }

    pub fn under_way_exactly_once(&self) -> usize {
        let (sent, unconfirmed) = (self.sent.borrow(), self.unconfirmed.borrow());
        let all = sent.iter().chain(unconfirmed.iter().map(|(_, message)| message)).flatten();
        all.filter(|message| message.qos == Qos::ExactlyOnce).count()
    }

    /// Whether the broker accepted the connection at least this long ago.
    pub fn has_stood(&self, time: Duration) -> bool {
        self.connected.get().is_some_and(|since| since.elapsed() >= time)
    }

    /// Records that the client has sent its next message. Returns the message if the broker won't confirm it (id 0: QoS
    /// 0).
    pub fn published(&self, id: u16) -> Option<Message> {
        let message = self.sent.borrow_mut().pop_front()?;
        if id == 0 {
            self.unconfirmable.set(Some(Instant::now()));
            return message;
        }
        self.unconfirmed.borrow_mut().push((id, message));
        None
    }

    /// Handles a packet of the broker. Returns whether it confirms something that was sent, and the message if it was
    /// one.
    pub fn confirmed_by(&self, packet: &Packet) -> Option<Option<Message>> {
        let id = match packet {
            Packet::PubAck(ack) => ack.pkid,
            // The last of the four packets of QoS 2.
            Packet::PubComp(complete) => complete.pkid,
            _ => return None,
        };
        let mut unconfirmed = self.unconfirmed.borrow_mut();
        let at = unconfirmed.iter().position(|(sent, _)| *sent == id)?;
        let message = unconfirmed.remove(at).1;
        if message.is_some() {
            self.careful.set(self.careful.get().saturating_sub(1));
        }
        self.alone.set(false);
        Some(message)
    }

    /// The messages that a new session has to send again, in order.
    pub fn undone(&self) -> Vec<Message> {
        let unconfirmed = self.unconfirmed.take().into_iter().map(|(_, message)| message);
        unconfirmed.chain(self.sent.take()).flatten().collect()
    }
}
