//! What a host's lines cost, at its rate and at the fastest.

use super::group::Requests;
use super::kafka::Kafka;
use nix::sys::resource::{UsageWho, getrusage};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use std::time::{Duration, Instant};

pub struct Published {
    /// Lines a second.
    pub lines: f64,
    pub megabytes: f64,
    /// Requests a second.
    pub requests: f64,
    /// CPU time of this process for each line.
    pub cpu_us: f64,
}

/// As `kafka://` publishes: docs/outputs.md.
fn producer(broker: &Kafka, requests: &Requests) -> ThreadedProducer<Context> {
    let mut config = broker.client();
    config.set("enable.idempotence", "true").set("acks", "all").set("statistics.interval.ms", "500");
    config.create_with_context(Context(requests.clone())).unwrap()
}

struct Context(Requests);

impl rdkafka::ClientContext for Context {
    fn stats(&self, statistics: rdkafka::Statistics) {
        self.0.stats(statistics);
    }
}

impl rdkafka::producer::ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, delivered: &rdkafka::producer::DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = delivered {
            panic!("a line wasn't delivered: {error}");
        }
    }
}

/// Publishes each camera's lines at its rate for some seconds.
pub fn paced(broker: &Kafka, line: &[u8], cameras: usize, rate: f64) -> Published {
    let every = Duration::from_secs_f64(1.0 / (cameras as f64 * rate));
    publish(broker, "lines-paced", line, cameras, Duration::from_secs(10), Some(every))
}

/// Publishes as many lines as fit.
pub fn fastest(broker: &Kafka, line: &[u8]) -> Published {
    publish(broker, "lines-fastest", line, 64, Duration::from_secs(5), None)
}

fn publish(
    broker: &Kafka,
    topic: &str,
    line: &[u8],
    cameras: usize,
    length: Duration,
    every: Option<Duration>,
) -> Published {
    broker.create_topic(topic, 24, &[]);
    let requests = Requests::default();
    let producer = producer(broker, &requests);
    let keys: Vec<String> = (0..cameras).map(|n| format!("camera-{n}")).collect();
    let (before, start) = (cpu(), Instant::now());
    let mut sent = 0_u32;
    while start.elapsed() < length {
        let record = BaseRecord::to(topic).key(&keys[sent as usize % cameras]).payload(line);
        match producer.send(record) {
            Ok(()) => sent += 1,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err((error, _)) => panic!("{error}"),
        }
        if let Some(due) = every.map(|every| every * sent) {
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    // The last figures of the client come with its next statistics.
    std::thread::sleep(Duration::from_secs(1));
    Published {
        lines: f64::from(sent) / seconds,
        megabytes: f64::from(sent) * line.len() as f64 / seconds / 1e6,
        requests: requests.count() as f64 / seconds,
        cpu_us: (cpu() - before).as_secs_f64() * 1e6 / f64::from(sent),
    }
}

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let time =
        |time: nix::sys::time::TimeVal| Duration::from_micros(time.tv_sec() as u64 * 1_000_000 + time.tv_usec() as u64);
    time(usage.user_time()) + time(usage.system_time())
}
