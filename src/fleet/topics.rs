//! The topics of a fleet.

use super::cluster::{Cluster, Problems};
use crate::error::{Error, ErrorKind};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode as Code;
use std::time::{Duration, Instant};

/// Partitions of cameras and claims, unless an operator says otherwise.
pub const PARTITIONS: i32 = 256;

/// How long brokers take to agree on new topics.
const SETTLES: Duration = Duration::from_secs(20);

/// Makes the topics that aren't there, and returns the number of partitions. `wanted` must be that of existing topics.
///
/// # Errors
/// The brokers don't answer or refuse; another number is wanted than there is.
pub fn make(cluster: &Cluster, wanted: Option<i32>) -> Result<i32, Error> {
    let topics = cluster.topics();
    let there = cluster.partitions(&topics.cameras)?;
    if let (Some(there), Some(wanted)) = (there, wanted)
        && there != wanted
    {
        let text = format!(
            "{} has {there} partitions, and their number is fixed: Kafka can only add some, and then cameras would be spread \
             unevenly and hosts that share them out now would have to agree anew. For {wanted}, make a fleet of another name: \
             kafka://…/NAME",
            topics.cameras
        );
        return Err(Error::new(ErrorKind::Setting, text));
    }
    let partitions = there.or(wanted).unwrap_or(PARTITIONS);
    let all = [(&topics.cameras, partitions), (&topics.claims, partitions), (&topics.config, 1), (&topics.status, 1)];
    let mut missing = Vec::new();
    for (name, count) in all {
        match cluster.partitions(name)? {
            None => missing.push((name, count)),
            Some(found) if found != count => {
                let text = format!("{name} has {found} partitions instead of {count}: it isn't this fleet's topic");
                return Err(Error::new(ErrorKind::Setting, text));
            }
            Some(_) => {}
        }
    }
    if missing.is_empty() {
        return Ok(partitions);
    }
    let problems = Problems::default();
    let failed = |error| cluster.failed(&error, &problems);
    let admin: AdminClient<Problems> = cluster.config().create_with_context(problems.clone()).map_err(failed)?;
    let settings = |name, count| {
        // The broker's number of copies; removed cameras are readable as such for a day.
        NewTopic::new(name, count, TopicReplication::Fixed(-1))
            .set("cleanup.policy", "compact")
            .set("min.cleanable.dirty.ratio", "0.1")
            .set("segment.ms", "600000")
    };
    let new: Vec<NewTopic> = missing.iter().map(|(name, count)| settings(name.as_str(), *count)).collect();
    let options = AdminOptions::new().operation_timeout(Some(SETTLES)).request_timeout(Some(SETTLES));
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| Error::new(ErrorKind::Failed, error.to_string()))?;
    for made in runtime.block_on(admin.create_topics(&new, &options)).map_err(failed)? {
        match made {
            Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
            Err((name, code)) => {
                let text =
                    format!("topic {name} can't be made: {code}: make it (compacted), or change the access rules");
                return Err(Error::new(ErrorKind::Failed, text));
            }
        }
    }
    let start = Instant::now();
    for (name, count) in missing {
        while cluster.partitions(name)? != Some(count) {
            if start.elapsed() > SETTLES {
                let text = format!("topic {name} was made and isn't there after {SETTLES:?}");
                return Err(Error::new(ErrorKind::Failed, text));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(partitions)
}
