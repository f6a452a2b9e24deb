//! A consumer group with the settings of hosts, on a real broker.

use super::growth::Fleet;
use super::kafka::Kafka;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A group that hasn't settled after this long never will.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long nothing may move in a group that has settled.
const QUIET: Duration = Duration::from_secs(1);

/// How long a broker may wait for something new before it answers a host.
const FETCH_WAIT_MS: &str = "100";

/// How long a group takes to settle, until the last partition has moved.
pub struct Times {
    /// All hosts start together.
    pub join: Duration,
    /// One unsubscribes, as `gst-trt fleet drain` makes it.
    pub drained: Duration,
    /// It subscribes again.
    pub returns: Duration,
}

/// Counts the requests to brokers.
#[derive(Clone, Default)]
pub struct Requests(Arc<AtomicI64>);

impl Requests {
    pub fn count(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

impl ClientContext for Requests {
    fn stats(&self, statistics: Statistics) {
        self.0.store(statistics.tx, Relaxed);
    }
}

impl ConsumerContext for Requests {}

/// The settings of a host's member: `src/fleet/member.rs`.
fn client(broker: &Kafka, group: &str, host: usize) -> ClientConfig {
    let mut config = broker.client();
    config
        .set("group.id", group)
        .set("group.instance.id", format!("host-{host}"))
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "750")
        .set("fetch.wait.max.ms", FETCH_WAIT_MS)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("statistics.interval.ms", "500");
    config
}

struct Host {
    assigned: Arc<Mutex<BTreeSet<i32>>>,
    member: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    requests: Requests,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    /// The group has the topic's name: a static member that comes back gets what it had, also of another topic.
    fn start(broker: &Kafka, number: usize, topic: &str) -> Self {
        let requests = Requests::default();
        let consumer: BaseConsumer<Requests> =
            client(broker, topic, number).create_with_context(requests.clone()).unwrap();
        let assigned: Arc<Mutex<BTreeSet<i32>>> = Arc::default();
        let (member, ends) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        let (seen, wanted, end, topic) = (assigned.clone(), member.clone(), ends.clone(), topic.to_owned());
        let run = move || {
            let mut subscribed = false;
            while !end.load(Relaxed) {
                if wanted.load(Relaxed) != subscribed {
                    subscribed = !subscribed;
                    if subscribed { consumer.subscribe(&[&topic]).unwrap() } else { consumer.unsubscribe() }
                }
                let _ = consumer.poll(Duration::from_millis(20));
                let now = consumer.assignment().unwrap();
                *seen.lock().unwrap() = now.elements().iter().map(|element| element.partition()).collect();
            }
            consumer.unsubscribe();
        };
        let thread = std::thread::Builder::new().name(format!("host-{number}")).spawn(run).unwrap();
        Self { assigned, member, ends, requests, thread: Some(thread) }
    }

    fn has(&self) -> BTreeSet<i32> {
        self.assigned.lock().unwrap().clone()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.ends.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Measures a group of so many hosts.
pub fn settle(broker: &Kafka, hosts: usize, partitions: i32) -> Times {
    let topic = format!("cameras-{hosts}-{partitions}");
    broker.create_topic(&topic, partitions, &[]);
    let start = Instant::now();
    let all: Vec<Host> = (0..hosts).map(|number| Host::start(broker, number, &topic)).collect();
    let join = settled(&all, partitions, hosts, start);
    let start = Instant::now();
    all[0].member.store(false, Relaxed);
    let drained = settled(&all[1..], partitions, hosts - 1, start);
    let start = Instant::now();
    all[0].member.store(true, Relaxed);
    let returns = settled(&all, partitions, hosts, start);
    // They end together.
    all.iter().for_each(|host| host.ends.store(true, Relaxed));
    Times { join, drained, returns }
}

/// Waits until each partition is on one host, and hosts differ by at most one partition; returns when that began.
fn settled(hosts: &[Host], partitions: i32, members: usize, start: Instant) -> Duration {
    let mut since: Option<(Vec<BTreeSet<i32>>, Instant)> = None;
    loop {
        let shares: Vec<BTreeSet<i32>> = hosts.iter().map(Host::has).collect();
        let (least, most) = (partitions as usize / members, (partitions as usize).div_ceil(members));
        let even = shares.iter().all(|share| (least..=most).contains(&share.len()));
        let complete = shares.iter().map(BTreeSet::len).sum::<usize>() == partitions as usize
            && shares.iter().flatten().collect::<BTreeSet<_>>().len() == partitions as usize;
        match &since {
            Some((before, at)) if *before == shares => {
                if at.elapsed() > QUIET {
                    return at.duration_since(start);
                }
            }
            _ if even && complete => since = Some((shares, Instant::now())),
            _ => since = None,
        }
        let counts = || hosts.iter().map(|host| host.has().len()).collect::<Vec<_>>();
        assert!(start.elapsed() < PATIENCE, "the group doesn't settle; partitions of hosts: {:?}", counts());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Requests a second of one host with so many partitions of cameras, which also reads as many of claims, and in which nothing
/// happens.
pub fn idle_requests(broker: &Kafka, partitions: i32) -> f64 {
    let [cameras, claims] = ["cameras-idle", "claims-idle"];
    [cameras, claims].iter().for_each(|topic| broker.create_topic(topic, partitions, &[]));
    let host = Host::start(broker, 0, cameras);
    settled(std::slice::from_ref(&host), partitions, 1, Instant::now());
    let requests = Requests::default();
    let mut config = broker.client();
    config.set("group.id", "reader").set("fetch.wait.max.ms", FETCH_WAIT_MS).set("statistics.interval.ms", "500");
    let reader: BaseConsumer<Requests> = config.create_with_context(requests.clone()).unwrap();
    reader.assign(&beginning(claims, 0..partitions)).unwrap();
    let counted = || host.requests.count() + requests.count();
    let mut before = None;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(12) {
        let _ = reader.poll(Duration::from_millis(50));
        // Connections are made in the first two seconds.
        if before.is_none() && start.elapsed() > Duration::from_secs(2) {
            before = Some((counted(), Instant::now()));
        }
    }
    let (before, since) = before.unwrap();
    (counted() - before) as f64 / since.elapsed().as_secs_f64()
}

fn beginning(topic: &str, partitions: impl Iterator<Item = i32>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    list
}

/// How long a host reads cameras.
pub struct Reading {
    /// The number of its share.
    pub share: usize,
    pub reads_share: Duration,
    pub reads_all: Duration,
}

/// Writes all camera records, and reads one host's share, then all.
pub fn reads_cameras(broker: &Kafka, record: &[u8], fleet: &Fleet) -> Reading {
    let topic = "cameras-written";
    broker.create_topic(topic, fleet.partitions, &[("cleanup.policy", "compact")]);
    let producer: BaseProducer = broker.client().set("queue.buffering.max.messages", "20000").create().unwrap();
    for n in 0..fleet.cameras {
        let key = format!("c{n}");
        let record = BaseRecord::to(topic).partition(n as i32 % fleet.partitions).key(&key).payload(record);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let read = |partitions: std::ops::Range<i32>, count: usize| {
        let start = Instant::now();
        let consumer: BaseConsumer = broker.client().set("group.id", "reader").create().unwrap();
        consumer.assign(&beginning(topic, partitions)).unwrap();
        let mut read = 0;
        while read < count {
            read += usize::from(matches!(consumer.poll(Duration::from_millis(100)), Some(Ok(_))));
            assert!(start.elapsed() < PATIENCE, "{read} of {count} cameras were read");
        }
        start.elapsed()
    };
    let own = 0..fleet.partitions / fleet.hosts as i32;
    let share = (0..fleet.cameras).filter(|n| own.contains(&(*n as i32 % fleet.partitions))).count();
    let reads_share = read(own, share);
    Reading { share, reads_share, reads_all: read(0..fleet.partitions, fleet.cameras) }
}
