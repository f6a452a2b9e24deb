//! What an operator writes: cameras and settings, requests to drain a host and to try a camera again.

use super::cluster::{Cluster, Problems, Record};
use super::topics;
use crate::config::Shared;
use crate::error::{Error, ErrorKind};
use ::fleet::{
    CameraRecord, Claim, ClaimState, Drain, HostState, HostStatus, Placed, SETTINGS, Spread, Write, changes, drain_key,
};
use parking_lot::Mutex;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, util::Timeout};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How long brokers may take to confirm what was written.
const CONFIRM: Duration = Duration::from_secs(15);

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    pub partitions: i32,
    /// Cameras in the file.
    pub cameras: usize,
    pub added: Vec<String>,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
    /// To another partition.
    pub moved: Vec<String>,
    pub settings: bool,
    /// Records in the topic that are no cameras; they were left as they are.
    pub strange: Vec<String>,
}

impl Applied {
    /// Whether everything was there already.
    pub fn is_nothing(&self) -> bool {
        let lists = [&self.added, &self.changed, &self.removed, &self.moved];
        !self.settings && lists.iter().all(|list| list.is_empty())
    }
}

/// The last record of each key of each partition.
fn last(records: Vec<Record>) -> BTreeMap<(i32, String), Record> {
    records.into_iter().filter_map(|record| Some(((record.partition, record.key.clone()?), record))).collect()
}

/// The cameras that are there, and what isn't a camera.
fn cameras(records: Vec<Record>) -> (BTreeMap<String, Vec<Placed>>, Vec<String>) {
    let (mut there, mut strange) = (BTreeMap::<String, Vec<Placed>>::new(), Vec::new());
    for ((partition, name), record) in last(records) {
        let Some(value) = record.value else { continue };
        match CameraRecord::read(&name, &value) {
            Ok(record) => there.entry(name).or_default().push(Placed { partition, record }),
            Err(error) => strange.push(format!("{name:?} in partition {partition}: {error}")),
        }
    }
    (there, strange)
}

/// Makes the topics if need be, and writes what differs: cameras, then settings. With `even`, cameras move from fuller
/// partitions to emptier ones.
///
/// # Errors
/// The brokers don't answer, refuse, or have another number of partitions than `partitions`.
pub fn apply(cluster: &Cluster, shared: &Shared, partitions: Option<i32>, even: bool) -> Result<Applied, Error> {
    let partitions = topics::make(cluster, partitions)?;
    let names = cluster.topics();
    let (there, strange) = cameras(cluster.read(&names.cameras)?.unwrap_or_default());
    let mut spread = Spread { partitions, ..Spread::default() };
    // Claims matter to cameras that get another partition only.
    if even || shared.cameras.keys().any(|name| !there.contains_key(name)) {
        for record in cluster.read(&names.claims)?.unwrap_or_default() {
            let next = spread.next_claims.entry(record.partition).or_default();
            *next = record.offset + 1;
            let claim = record.value.as_deref().and_then(|value| Claim::read(value).ok());
            if let Some((claim, name)) = claim.zip(record.key) {
                let last = spread.epochs.entry(name).or_default();
                *last = claim.epoch_at(record.offset).max(*last);
            }
        }
    }
    let writes = changes(&there, &shared.cameras, &spread, even);
    let writer = Writer::new(cluster)?;
    let mut applied = Applied { partitions, cameras: shared.cameras.len(), strange, ..Applied::default() };
    for Write { partition, camera, record } in writes {
        let known = there.contains_key(&camera);
        let elsewhere =
            there.get(&camera).is_some_and(|places| places.iter().all(|place| place.partition != partition));
        let list = match &record {
            None if shared.cameras.contains_key(&camera) => None,
            None => Some(&mut applied.removed),
            Some(_) if !known => Some(&mut applied.added),
            Some(_) if elsewhere => Some(&mut applied.moved),
            Some(_) => Some(&mut applied.changed),
        };
        list.into_iter().for_each(|list| list.push(camera.clone()));
        // A camera isn't in two places at once: what removes it arrives first.
        let moves = record.is_some() && elsewhere;
        if moves {
            writer.confirm()?;
        }
        writer.write(&names.cameras, partition, &camera, record.map(|record| record.write()))?;
    }
    writer.confirm()?;
    let settings = Value::Object(shared.settings.clone());
    let written = last(cluster.read(&names.config)?.unwrap_or_default()).remove(&(0, SETTINGS.to_owned()));
    let written: Option<Value> = written.and_then(|record| serde_json::from_slice(&record.value?).ok());
    if written.as_ref() != Some(&settings) {
        writer.write(&names.config, 0, SETTINGS, Some(settings.to_string().into_bytes()))?;
        applied.settings = true;
    }
    writer.confirm()?;
    Ok(applied)
}

/// What [`remove`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    pub removed: Vec<String>,
    /// No such cameras.
    pub unknown: Vec<String>,
}

/// Removes cameras, also those whose records can't be read.
///
/// # Errors
/// The brokers don't answer or refuse; there is no such fleet.
pub fn remove(cluster: &Cluster, names: &[String]) -> Result<Removed, Error> {
    let topic = cluster.topics().cameras;
    let records = cluster.read(&topic)?.ok_or_else(|| no_fleet(cluster))?;
    let writer = Writer::new(cluster)?;
    let mut done = Removed { removed: Vec::new(), unknown: names.to_vec() };
    for ((partition, name), record) in last(records) {
        if record.value.is_some() && names.contains(&name) {
            writer.write(&topic, partition, &name, None)?;
            done.unknown.retain(|unknown| *unknown != name);
            done.removed.push(name);
        }
    }
    writer.confirm()?;
    Ok(done)
}

/// Lets hosts try cameras again that are in quarantine.
///
/// # Errors
/// The brokers don't answer or refuse; a camera isn't in quarantine.
pub fn release(cluster: &Cluster, names: &[String]) -> Result<(), Error> {
    let topics = cluster.topics();
    let claims = last(cluster.read(&topics.claims)?.ok_or_else(|| no_fleet(cluster))?);
    let writer = Writer::new(cluster)?;
    for name in names {
        let of = claims.iter().filter(|((_, camera), _)| camera == name);
        let claims = of.filter_map(|((partition, _), record)| {
            let claim = Claim::read(record.value.as_deref()?).ok()?;
            Some((*partition, claim.epoch_at(record.offset), claim))
        });
        let latest = claims.max_by_key(|(_, epoch, _)| *epoch);
        let Some((partition, epoch, claim)) = latest.filter(|(_, _, claim)| claim.state == ClaimState::Quarantined)
        else {
            return Err(Error::new(ErrorKind::Setting, format!("{name} isn't in quarantine")));
        };
        let claim = Claim { state: ClaimState::Released, strikes: 0, epoch: Some(epoch), ..claim };
        writer.write(&topics.claims, partition, name, Some(claim.write()))?;
    }
    writer.confirm()
}

/// Asks a host to give its cameras away. The process that runs now is meant, not one that follows it.
///
/// # Errors
/// The brokers don't answer or refuse; there is no such host.
pub fn drain(cluster: &Cluster, host: &str) -> Result<HostStatus, Error> {
    let topics = cluster.topics();
    let hosts = last(cluster.read(&topics.status)?.ok_or_else(|| no_fleet(cluster))?);
    let status = |record: &Record| HostStatus::read(record.value.as_deref()?).ok();
    let known: Vec<HostStatus> = hosts.values().filter_map(status).filter(|h| h.state != HostState::Stopped).collect();
    let Some(found) = known.iter().find(|known| known.host == host) else {
        let names: Vec<&str> = known.iter().map(|known| known.host.as_str()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(Error::new(ErrorKind::Setting, format!("no host {host} runs in this fleet; running: {names}")));
    };
    let writer = Writer::new(cluster)?;
    let request = Drain { run: found.run.clone() };
    writer.write(&topics.config, 0, &drain_key(host), Some(request.write()))?;
    writer.confirm()?;
    Ok(found.clone())
}

fn no_fleet(cluster: &Cluster) -> Error {
    let text = format!("{}: there is no such fleet: gst-trt fleet apply makes it", cluster.address);
    Error::new(ErrorKind::Setting, text)
}

/// Writes records and waits until they have arrived.
struct Writer {
    producer: ThreadedProducer<Confirmed>,
    confirmed: Confirmed,
    cluster: Cluster,
}

#[derive(Clone, Default)]
struct Confirmed {
    problems: Problems,
    failed: Arc<Mutex<Option<KafkaError>>>,
}

impl ClientContext for Confirmed {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.problems.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.problems.note(&error, reason);
    }
}

impl ProducerContext for Confirmed {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.failed.lock().get_or_insert_with(|| error.clone());
        }
    }
}

impl Writer {
    fn new(cluster: &Cluster) -> Result<Self, Error> {
        let confirmed = Confirmed::default();
        let mut config = cluster.config();
        config.set("acks", "all").set("enable.idempotence", "true").set("linger.ms", "5");
        config.set("message.timeout.ms", CONFIRM.as_millis().to_string());
        let producer = config.create_with_context(confirmed.clone());
        let producer = producer.map_err(|error| cluster.failed(&error, &confirmed.problems))?;
        Ok(Self { producer, confirmed, cluster: cluster.clone() })
    }

    fn write(&self, topic: &str, partition: i32, key: &str, value: Option<Vec<u8>>) -> Result<(), Error> {
        let record = BaseRecord::to(topic).partition(partition).key(key);
        let sent = match &value {
            Some(value) => self.producer.send(record.payload(value)),
            None => self.producer.send(record),
        };
        sent.map_err(|(error, _)| self.cluster.failed(&error, &self.confirmed.problems))
    }

    fn confirm(&self) -> Result<(), Error> {
        let failed = |error: KafkaError| self.cluster.failed(&error, &self.confirmed.problems);
        self.producer.flush(Timeout::After(CONFIRM + Duration::from_secs(1))).map_err(failed)?;
        self.confirmed.failed.lock().take().map_or(Ok(()), |error| Err(failed(error)))
    }
}
