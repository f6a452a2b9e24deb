//! A member of the consumer group: the thread that is given partitions of cameras and reads them.

use super::CAT;
use super::cluster::{Cluster, Problems, Record};
use super::notice::{Notice, Tell};
use crate::error::{Error, ErrorKind};
use crate::publish::Lease;
use parking_lot::{Condvar, Mutex};
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::util::Timeout;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two renewals of the lease, and longest time that a command waits.
const POLL: Duration = Duration::from_millis(50);
/// How long the group waits for cameras to stop; longer than they take.
const LET_GO: Duration = Duration::from_secs(8);

/// The membership. Dropping it closes the member without leaving the group: a static member that comes back within the
/// session finds its partitions again.
pub struct Member {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Partitions that were asked for and still have running cameras.
    awaited: BTreeSet<i32>,
    leave: bool,
    close: bool,
}

struct Context {
    shared: Arc<Shared>,
    tell: Tell,
    lease: Arc<Lease>,
    problems: Problems,
}

impl Context {
    fn tell(&self, notice: Notice) {
        // Without a receiver the host has ended.
        let _ = self.tell.unbounded_send(notice);
    }

    /// Renews the lease, and tells if it had expired.
    fn renew(&self) {
        if self.lease.renew() {
            gst::debug!(CAT, "the process was suspended for longer than a session");
            self.tell(Notice::Suspended);
        }
    }

    /// Waits until the cameras of these partitions have stopped.
    fn wait(&self, partitions: &[i32]) {
        let deadline = Instant::now() + LET_GO;
        let mut state = self.shared.state.lock();
        state.awaited.extend(partitions);
        drop(state);
        self.tell(Notice::Revoked(partitions.to_vec()));
        state = self.shared.state.lock();
        while !state.awaited.is_empty() && !state.close && Instant::now() < deadline {
            self.shared.changed.wait_for(&mut state, POLL);
            parking_lot::MutexGuard::unlocked(&mut state, || self.renew());
        }
        if !std::mem::take(&mut state.awaited).is_empty() && !state.close {
            self.tell(Notice::Trouble(format!("cameras that another host is to have didn't stop within {LET_GO:?}")));
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.problems.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let before = self.problems.last();
        self.problems.note(&error, reason);
        let now = self.problems.last();
        if let Some(text) = now.filter(|now| before.as_ref() != Some(now)) {
            self.tell(Notice::Trouble(text));
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<i32> = list.elements().iter().map(|element| element.partition()).collect();
        let done = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                gst::info!(CAT, "assigned: {partitions:?}");
                // Never from a committed offset: the records are the state.
                let _ = list.set_all_offsets(Offset::Beginning);
                let done = consumer.incremental_assign(list);
                self.tell(Notice::Assigned(partitions));
                done
            }
            _ => {
                let lost = consumer.assignment_lost();
                gst::info!(CAT, "{}: {partitions:?}", if lost { "lost" } else { "revoked" });
                if lost {
                    self.tell(Notice::Lost(partitions));
                } else {
                    self.wait(&partitions);
                }
                consumer.incremental_unassign(list)
            }
        };
        if let Err(error) = done {
            self.tell(Notice::Trouble(format!("the group's partitions can't be taken over: {error}")));
        }
    }

    fn main_queue_min_poll_interval(&self) -> Timeout {
        Timeout::After(POLL)
    }
}

impl Member {
    /// Joins the group as the static member `host`.
    ///
    /// # Errors
    /// A setting isn't one of librdkafka's, or the system can't create a thread.
    pub fn join(
        cluster: &Cluster,
        host: &str,
        session: Duration,
        lease: Arc<Lease>,
        tell: Tell,
    ) -> Result<Self, Error> {
        let problems = Problems::default();
        let shared = Arc::new(Shared::default());
        let mut config = cluster.config();
        config.set("group.id", &cluster.address.name).set("group.instance.id", host);
        config.set("partition.assignment.strategy", "cooperative-sticky");
        config.set("session.timeout.ms", session.as_millis().to_string());
        // Others learn of a rebalance by their next heartbeat.
        config.set("heartbeat.interval.ms", (session / 8).as_millis().max(100).to_string());
        config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        config.set("enable.partition.eof", "true").set("auto.offset.reset", "earliest").set("fetch.wait.max.ms", "100");
        let context = Context { shared: shared.clone(), tell, lease, problems: problems.clone() };
        let failed = |error| cluster.failed(&error, &problems);
        let consumer: BaseConsumer<Context> = config.create_with_context(context).map_err(failed)?;
        consumer.subscribe(&[&cluster.topics().cameras]).map_err(failed)?;
        let run = {
            let shared = shared.clone();
            move || run(&consumer, &shared)
        };
        let thread = std::thread::Builder::new().name("fleet-member".into()).spawn(run).map_err(|error| {
            Error::new(ErrorKind::Failed, format!("the thread of the group's member can't be created: {error}"))
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Nothing of this partition runs any more.
    pub fn let_go(&self, partition: i32) {
        self.shared.state.lock().awaited.remove(&partition);
        self.shared.changed.notify_all();
    }

    /// Leaves the group, so that others take the cameras over at once; they are asked for first.
    pub fn leave(&self) {
        self.shared.state.lock().leave = true;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.shared.state.lock().close = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread. When it returns the consumer is closed, which a static member's group doesn't take as leaving.
fn run(consumer: &BaseConsumer<Context>, shared: &Shared) {
    let context = consumer.context().clone();
    loop {
        context.renew();
        let (leave, close) = {
            let mut state = shared.state.lock();
            (std::mem::take(&mut state.leave), state.close)
        };
        if close {
            return;
        }
        if leave {
            // The callback for what is revoked is called by a later poll.
            consumer.unsubscribe();
            let deadline = Instant::now() + LET_GO;
            while consumer.assignment().is_ok_and(|left| left.count() > 0) && Instant::now() < deadline {
                let _ = consumer.poll(POLL);
                context.renew();
            }
            context.tell(Notice::Left);
            continue;
        }
        match consumer.poll(POLL) {
            Some(Ok(message)) => context.tell(Notice::Camera(Record::of(&message))),
            Some(Err(KafkaError::PartitionEOF(partition))) => context.tell(Notice::CamerasRead(partition)),
            Some(Err(error)) => gst::debug!(CAT, "{error}"),
            None => {}
        }
    }
}
