//! The brokers of a fleet: how they are reached, and how a topic is read as a whole.

use super::CAT;
use crate::config::{SaslMechanism, Secret};
use crate::error::{Error, ErrorKind};
use crate::publish::KafkaEntry;
use ::fleet::{Address, Topics};
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long brokers may take to answer before a command fails.
const PATIENCE: Duration = Duration::from_secs(15);

/// More events than a client has between two looks at them.
const EVENTS: usize = 100;

/// A fleet's address, and the account from the environment.
#[derive(Clone)]
pub struct Cluster {
    pub address: Address,
    config: ClientConfig,
}

/// A record of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    /// `None`: it has none, or one that isn't text.
    pub key: Option<String>,
    /// `None`: what the key means was removed.
    pub value: Option<Vec<u8>>,
}

impl Record {
    pub fn of(message: &impl Message) -> Self {
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().and_then(|key| std::str::from_utf8(key).ok()).map(str::to_owned),
            value: message.payload().map(<[u8]>::to_vec),
        }
    }
}

impl Cluster {
    /// The account is in `KAFKA_USERNAME` and `KAFKA_PASSWORD`, with `KAFKA_SASL_MECHANISM`; `KAFKA_CA_FILE`,
    /// `KAFKA_CERT_FILE` and `KAFKA_KEY_FILE` are PEM files for `kafkas://`.
    ///
    /// # Errors
    /// The address isn't one, or the account is incomplete.
    pub fn new(address: &str) -> Result<Self, Error> {
        let address = Address::parse(address).map_err(|text| Error::new(ErrorKind::Setting, text))?;
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &address.brokers).set("client.id", "gst-trt");
        // Brokers that were away are found again soon.
        config.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "1000");
        config.set("socket.connection.setup.timeout.ms", "5000");
        let account = match (variable("KAFKA_USERNAME"), variable("KAFKA_PASSWORD")) {
            (Some(name), Some(password)) => Some((name, password)),
            (None, None) => None,
            _ => {
                let text = "KAFKA_USERNAME and KAFKA_PASSWORD go together: set both, or none";
                return Err(Error::new(ErrorKind::Setting, text));
            }
        };
        let mechanism = variable("KAFKA_SASL_MECHANISM").unwrap_or_else(|| SaslMechanism::default().name().into());
        let known = SaslMechanism::ALL.into_iter().find(|known| known.name() == mechanism);
        // Without an account it doesn't matter.
        if account.is_some() && known.is_none() {
            let names = SaslMechanism::ALL.map(SaslMechanism::name).join(", ");
            let text = format!("KAFKA_SASL_MECHANISM is {mechanism:?}: write one of {names}");
            return Err(Error::new(ErrorKind::Setting, text));
        }
        let file = |name: &str| variable(name).map(PathBuf::from);
        let entry = KafkaEntry {
            tls: address.tls,
            credentials: account.map(|(name, password)| (name, Secret::new(password))),
            mechanism: known.unwrap_or_default(),
            ca_file: file("KAFKA_CA_FILE"),
            certificate_file: file("KAFKA_CERT_FILE"),
            key_file: file("KAFKA_KEY_FILE"),
        };
        entry.add_to(&mut config);
        Ok(Self { address, config })
    }

    pub fn topics(&self) -> Topics {
        self.address.topics()
    }

    /// What every client of this fleet has in common.
    pub(super) fn config(&self) -> ClientConfig {
        self.config.clone()
    }

    /// A client that reads whole topics.
    fn reader(&self) -> Result<(BaseConsumer<Problems>, Problems), Error> {
        let problems = Problems::default();
        let mut config = self.config();
        config.set("group.id", format!("{}-reader", self.address.name)).set("enable.auto.commit", "false");
        config.set("enable.partition.eof", "true").set("auto.offset.reset", "earliest");
        config.set("fetch.wait.max.ms", "50");
        let consumer = config.create_with_context(problems.clone()).map_err(|error| self.failed(&error, &problems))?;
        Ok((consumer, problems))
    }

    /// The number of a topic's partitions; `None`: there is no such topic.
    ///
    /// # Errors
    /// The brokers don't answer, or refuse the account.
    pub fn partitions(&self, topic: &str) -> Result<Option<i32>, Error> {
        let (consumer, problems) = self.reader()?;
        self.partitions_by(&consumer, &problems, topic)
    }

    fn partitions_by(
        &self,
        consumer: &BaseConsumer<Problems>,
        problems: &Problems,
        topic: &str,
    ) -> Result<Option<i32>, Error> {
        let start = Instant::now();
        loop {
            // Callbacks with the reason of a failure are called by this, one for each call, after lines for the log.
            for _ in 0..EVENTS {
                let _ = consumer.poll(Duration::ZERO);
            }
            match consumer.fetch_metadata(Some(topic), Duration::from_secs(1)) {
                Ok(metadata) => {
                    let found = metadata.topics().iter().find(|found| found.name() == topic);
                    let count =
                        found.filter(|found| found.error().is_none()).map_or(0, |found| found.partitions().len());
                    let known = found.and_then(|found| found.error()).map(rdkafka::error::RDKafkaErrorCode::from);
                    if known == Some(Code::TopicAuthorizationFailed) {
                        let text =
                            format!("this account may not read topic {topic}: change the cluster's access rules (ACL)");
                        return Err(Error::new(ErrorKind::Setting, text));
                    }
                    return Ok(i32::try_from(count).ok().filter(|count| *count > 0));
                }
                Err(error) if start.elapsed() > PATIENCE || problems.is_final() => {
                    return Err(self.failed(&error, problems));
                }
                Err(_) => {}
            }
        }
    }

    /// All records of a topic that are there now; those of one partition are in their order. `None`: there is no such topic.
    ///
    /// # Errors
    /// The brokers don't answer, or refuse the account.
    pub fn read(&self, topic: &str) -> Result<Option<Vec<Record>>, Error> {
        let (consumer, problems) = self.reader()?;
        let Some(partitions) = self.partitions_by(&consumer, &problems, topic)? else { return Ok(None) };
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            let _ = list.add_partition_offset(topic, partition, Offset::Beginning);
        }
        consumer.assign(&list).map_err(|error| self.failed(&error, &problems))?;
        let mut left: BTreeSet<i32> = (0..partitions).collect();
        let (mut records, mut last) = (Vec::new(), Instant::now());
        while !left.is_empty() {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    records.push(Record::of(&message));
                    last = Instant::now();
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    left.remove(&partition);
                    last = Instant::now();
                }
                Some(Err(error)) if last.elapsed() > PATIENCE || problems.is_final() => {
                    return Err(self.failed(&error, &problems));
                }
                None if last.elapsed() > PATIENCE => {
                    let text = format!("{}: topic {topic} can't be read to its end within {PATIENCE:?}", self.address);
                    return Err(Error::new(ErrorKind::Failed, text));
                }
                Some(Err(_)) | None => {}
            }
        }
        Ok(Some(records))
    }

    /// Why something failed, with what to do.
    pub(super) fn failed(&self, error: &KafkaError, problems: &Problems) -> Error {
        let reason = problems.last().unwrap_or_else(|| match error {
            // Without the setting's value, which may be a password.
            KafkaError::ClientConfig(_, description, key, _) => format!("{key}: {description}"),
            other => match other.rdkafka_error_code() {
                Some(Code::BrokerTransportFailure | Code::OperationTimedOut | Code::AllBrokersDown) => no_answer(""),
                _ => other.to_string(),
            },
        });
        Error::new(ErrorKind::Failed, format!("{}: {reason}", self.address))
    }
}

/// `reason`: as librdkafka has it, or empty.
fn no_answer(reason: &str) -> String {
    // It also tells how long it took, and how often it has told.
    let reason = reason.split(" (after ").next().unwrap_or_default();
    let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    format!(
        "no broker answers{reason}: check the address, and that the port is the right one of several (kafka:// without TLS, \
         kafkas:// with TLS)"
    )
}

/// What brokers were reported to refuse.
#[derive(Clone, Default)]
pub(super) struct Problems(Arc<Mutex<Found>>);

#[derive(Default)]
struct Found {
    last: Option<String>,
    is_final: bool,
}

impl Problems {
    pub fn note(&self, error: &KafkaError, reason: &str) {
        gst::debug!(CAT, "{error}: {reason}");
        let mut found = self.0.lock();
        let (text, is_final) = match error.rdkafka_error_code() {
            Some(Code::Authentication) => (
                format!(
                    "the brokers refuse the account ({reason}): check KAFKA_USERNAME, KAFKA_PASSWORD and \
                     KAFKA_SASL_MECHANISM in the environment"
                ),
                true,
            ),
            Some(Code::SSL) => (
                format!(
                    "TLS: {reason}: check that this is the brokers' TLS port, that the address has the name in their \
                     certificate, and KAFKA_CA_FILE"
                ),
                true,
            ),
            Some(Code::BrokerTransportFailure | Code::Resolve | Code::AllBrokersDown) if !found.is_final => {
                (no_answer(reason), false)
            }
            _ => return,
        };
        // "All brokers are down" says less than what was said before.
        if found.last.is_none() || error.rdkafka_error_code() != Some(Code::AllBrokersDown) {
            *found = Found { last: Some(text), is_final };
        }
    }

    pub fn last(&self) -> Option<String> {
        self.0.lock().last.clone()
    }

    fn is_final(&self) -> bool {
        self.0.lock().is_final
    }
}

impl ClientContext for Problems {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        gst::debug!(CAT, "{facility}: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.note(&error, reason);
    }
}

impl ConsumerContext for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_what_a_person_can_use() {
        let text = no_answer(
            "a:9/bootstrap: Connect to ipv4#127.0.0.1:9 failed: Connection refused (after 0ms in state CONNECT)",
        );
        assert!(text.starts_with(
            "no broker answers (a:9/bootstrap: Connect to ipv4#127.0.0.1:9 failed: Connection refused): check"
        ));
        assert!(no_answer("").starts_with("no broker answers: check the address, "));
    }
}
