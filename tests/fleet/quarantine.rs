//! A camera that ends every process in which it starts.

use crate::common::fleet::{Fleet, SECOND};
use crate::common::running::register;
use ::fleet::{Claim, ClaimState};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const CAMERAS: usize = 6;
const POISONED: &str = "c1";
/// The others are started one after the other, because each of them may have ended the host as well.
const START: Duration = Duration::from_secs(120);

/// Follows the claims, and kills each host as soon as it has claimed [`POISONED`]: for the fleet that camera ends it.
struct Poison(BaseConsumer);

impl Poison {
    fn new(fleet: &Fleet) -> Self {
        let consumer: BaseConsumer = fleet.kafka.client().set("group.id", "poison").create().unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..CAMERAS as i32 {
            list.add_partition_offset(&fleet.topic("claims"), partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        Self(consumer)
    }

    /// The claim whose host was killed.
    #[track_caller]
    fn kills(&self, fleet: &mut Fleet) -> Claim {
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < START, "no host claims it\n{}", fleet.describe());
            let Some(Ok(message)) = self.0.poll(SECOND / 10) else { continue };
            if message.key() != Some(POISONED.as_bytes()) {
                continue;
            }
            let claim = Claim::read(message.payload().unwrap()).unwrap();
            if claim.state == ClaimState::Started && fleet.hosts.contains_key(&claim.host) {
                fleet.kill(&claim.host);
                return claim;
            }
        }
    }
}

fn wait_for_the_others(fleet: &Fleet) {
    let others: BTreeSet<String> = (0..CAMERAS).map(|n| format!("c{n}")).filter(|name| name != POISONED).collect();
    let start = Instant::now();
    loop {
        std::thread::sleep(SECOND / 4);
        let publishers = fleet.lines.publishers(start.max(Instant::now() - SECOND));
        if publishers.keys().eq(&others) && publishers.values().all(|hosts| hosts.len() == 1) {
            return;
        }
        assert!(start.elapsed() < START, "{publishers:?}\n{}", fleet.describe());
    }
}

fn of_the_poisoned(fleet: &Fleet) -> serde_json::Value {
    let status = fleet.status();
    status["cameras"].as_array().unwrap().iter().find(|camera| camera["name"] == POISONED).unwrap().clone()
}

#[test]
fn a_camera_that_ends_two_hosts_is_not_started_on_a_third() {
    register();
    let Some(mut fleet) = Fleet::open() else { return };
    fleet.apply(&fleet.config(CAMERAS), &["--partitions", "6"]);
    let poison = Poison::new(&fleet);
    fleet.start("a", &[]);
    let first = poison.kills(&mut fleet);
    fleet.start("b", &[]);
    let second = poison.kills(&mut fleet);
    assert_eq!((first.host.as_str(), first.strikes), ("a", 0));
    assert_eq!((second.host.as_str(), second.strikes), ("b", 1));

    let started = Instant::now();
    fleet.start("c", &[]);
    fleet.wait_for_line("c", "c1: in quarantine, because two hosts ended while they started it");
    wait_for_the_others(&fleet);
    println!("all other cameras run {:?} after the third host was started", started.elapsed());
    let camera = of_the_poisoned(&fleet);
    assert_eq!(camera["state"], "quarantined", "{camera}");
    let text = String::from_utf8(fleet.command(&["status"]).stdout).unwrap();
    assert!(text.contains("5 of 6 cameras run") && text.contains("gst-trt fleet release"), "{text}");
    assert!(fleet.get("c", "/metrics").contains("gst_trt_camera_unserved{camera=\"c1\"} 1"));
    assert!(fleet.lines.all().iter().all(|line| line.camera != POISONED || line.host != "c"));

    // The claims say so, not the process.
    fleet.stop("c");
    fleet.start("d", &[]);
    wait_for_the_others(&fleet);
    fleet.wait_for_line("d", "c1: in quarantine");
    let released = fleet.command(&["release", POISONED]);
    assert!(released.status.success(), "{released:?}");
    fleet.wait_for_all(CAMERAS, START);
    assert_eq!(of_the_poisoned(&fleet)["host"], "d");
}
