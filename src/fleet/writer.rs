//! Writes a host's claims and status.

use super::cluster::{Cluster, Problems};
use super::notice::{Notice, Tell};
use crate::error::Error;
use ::fleet::{Claim, Slot};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, util::Timeout};
use std::time::Duration;

/// A claim that hasn't arrived after this time is given up: it would be late.
const CLAIM: Duration = Duration::from_secs(5);

pub struct Writer {
    producer: ThreadedProducer<Delivered>,
    claims: String,
    status: String,
}

struct Delivered {
    tell: Tell,
    problems: Problems,
}

impl ClientContext for Delivered {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.problems.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.problems.note(&error, reason);
    }
}

impl ProducerContext for Delivered {
    /// The camera whose claim it is; `None`: it isn't a claim.
    type DeliveryOpaque = Box<Option<Slot>>;

    fn delivery(&self, result: &DeliveryResult<'_>, slot: Self::DeliveryOpaque) {
        let Some(slot) = *slot else { return };
        let notice = match result {
            Ok(message) => Notice::Claimed { slot, offset: message.offset() },
            Err((error, _)) => {
                Notice::ClaimFailed { slot, reason: self.problems.last().unwrap_or_else(|| error.to_string()) }
            }
        };
        // Without a receiver the host has ended.
        let _ = self.tell.unbounded_send(notice);
    }
}

impl Writer {
    pub fn start(cluster: &Cluster, tell: Tell) -> Result<Self, Error> {
        let problems = Problems::default();
        let mut config = cluster.config();
        config.set("acks", "all").set("enable.idempotence", "true").set("linger.ms", "0");
        config.set("message.timeout.ms", CLAIM.as_millis().to_string());
        let context = Delivered { tell, problems: problems.clone() };
        let producer = config.create_with_context(context).map_err(|error| cluster.failed(&error, &problems))?;
        let topics = cluster.topics();
        Ok(Self { producer, claims: topics.claims, status: topics.status })
    }

    /// Writes a claim; a notice with its offset follows.
    pub fn claim(&self, slot: &Slot, claim: &Claim) {
        self.send_claim(slot, claim, Some(slot.clone()));
    }

    /// Writes what has become of a claim.
    pub fn note(&self, slot: &Slot, claim: &Claim) {
        self.send_claim(slot, claim, None);
    }

    fn send_claim(&self, slot: &Slot, claim: &Claim, told: Option<Slot>) {
        let value = claim.write();
        let record = BaseRecord::with_opaque_to(&self.claims, Box::new(told))
            .partition(slot.partition)
            .key(&slot.camera)
            .payload(&value);
        if let Err((error, record)) = self.producer.send(record)
            && let Some(slot) = *record.delivery_opaque
        {
            let _ =
                self.producer.context().tell.unbounded_send(Notice::ClaimFailed { slot, reason: error.to_string() });
        }
    }

    /// Writes a host's status; one that can't be delivered is followed by another.
    pub fn status(&self, host: &str, value: &[u8]) {
        let record = BaseRecord::with_opaque_to(&self.status, Box::new(None)).partition(0).key(host).payload(value);
        let _ = self.producer.send(record);
    }

    /// Waits until everything has arrived, at most for `limit`.
    pub fn flush(&self, limit: Duration) {
        let _ = self.producer.flush(Timeout::After(limit));
    }
}
