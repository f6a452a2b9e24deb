//! Reads what isn't shared out by the group: the settings, and the claims of the host's partitions.

use super::CAT;
use super::cluster::{Cluster, Problems, Record};
use super::notice::{Notice, Tell};
use crate::error::{Error, ErrorKind};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread::JoinHandle;
use std::time::Duration;

const POLL: Duration = Duration::from_millis(50);

enum Command {
    Follow(Vec<i32>),
    Leave(i32),
}

/// Reads until it's dropped.
pub struct Reader {
    commands: Option<Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Reads the topic of settings from its beginning.
    ///
    /// # Errors
    /// A setting isn't one of librdkafka's, or the system can't create a thread.
    pub fn start(cluster: &Cluster, host: &str, tell: Tell) -> Result<Self, Error> {
        let problems = Problems::default();
        let mut config = cluster.config();
        // Only a name for the broker's logs: offsets are neither committed nor looked up.
        config.set("group.id", format!("{}-{host}", cluster.address.name)).set("enable.auto.commit", "false");
        config.set("enable.partition.eof", "true").set("auto.offset.reset", "earliest").set("fetch.wait.max.ms", "100");
        let failed = |error| cluster.failed(&error, &problems);
        // Two, because the end of a partition is told without its topic.
        let client = || -> Result<BaseConsumer<Problems>, KafkaError> { config.create_with_context(problems.clone()) };
        let (consumer, settings) = (client().map_err(failed)?, client().map_err(failed)?);
        let topics = cluster.topics();
        let mut list = TopicPartitionList::new();
        let _ = list.add_partition_offset(&topics.config, 0, Offset::Beginning);
        settings.assign(&list).map_err(failed)?;
        let (commands, receiver) = mpsc::channel();
        let run = move || run(&consumer, &settings, &topics.claims, &receiver, &tell);
        let thread = std::thread::Builder::new().name("fleet-reader".into()).spawn(run).map_err(|error| {
            Error::new(ErrorKind::Failed, format!("the thread that reads claims can't be created: {error}"))
        })?;
        Ok(Self { commands: Some(commands), thread: Some(thread) })
    }

    /// Reads the claims of these partitions from their beginning, also if it has before.
    pub fn follow(&self, partitions: Vec<i32>) {
        self.send(Command::Follow(partitions));
    }

    /// Reads a partition's claims no more.
    pub fn leave(&self, partition: i32) {
        self.send(Command::Leave(partition));
    }

    fn send(&self, command: Command) {
        if let Some(commands) = &self.commands {
            let _ = commands.send(command);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(
    consumer: &BaseConsumer<Problems>,
    settings: &BaseConsumer<Problems>,
    claims: &str,
    commands: &Receiver<Command>,
    tell: &Tell,
) {
    let report = |done: Result<(), KafkaError>| {
        if let Err(error) = done {
            let _ = tell.unbounded_send(Notice::Trouble(format!("claims can't be read: {error}")));
        }
    };
    let assigned = |partition| consumer.assignment().is_ok_and(|list| list.find_partition(claims, partition).is_some());
    loop {
        loop {
            match commands.try_recv() {
                Ok(Command::Follow(partitions)) => {
                    let (mut old, mut new) = (TopicPartitionList::new(), TopicPartitionList::new());
                    for partition in partitions {
                        if assigned(partition) {
                            old.add_partition(claims, partition);
                        }
                        let _ = new.add_partition_offset(claims, partition, Offset::Beginning);
                    }
                    if old.count() > 0 {
                        report(consumer.incremental_unassign(&old));
                    }
                    if new.count() > 0 {
                        report(consumer.incremental_assign(&new));
                    }
                }
                Ok(Command::Leave(partition)) => {
                    if assigned(partition) {
                        let mut list = TopicPartitionList::new();
                        list.add_partition(claims, partition);
                        report(consumer.incremental_unassign(&list));
                    }
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        if let Some(Ok(message)) = settings.poll(Duration::ZERO)
            && tell.unbounded_send(Notice::Config(Record::of(&message))).is_err()
        {
            return;
        }
        let notice = match consumer.poll(POLL) {
            Some(Ok(message)) => Notice::Claim(Record::of(&message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => Notice::ClaimsRead(partition),
            Some(Err(error)) => {
                gst::debug!(CAT, "{error}");
                continue;
            }
            None => continue,
        };
        if tell.unbounded_send(notice).is_err() {
            return;
        }
    }
}
