//! A fleet on a real broker, over many minutes: hosts are killed, suspended, restarted and drained, brokers restarted, and the
//! configuration changed, in an order that the seed decides. What must hold is checked from the lines and topics alone:
//!
//!     cargo test --release --test soak_fleet -- --ignored --nocapture
//!
//! FLEET_SEED and FLEET_STEPS choose another history than 1 and 200 steps.

mod common;

use ::fleet::{CameraRecord, Claim, ClaimState};
use common::fleet::{Fleet, SECOND, check_lines};
use common::random::Random;
use common::running::register;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const HOSTS: [&str; 3] = ["a", "b", "c"];
const CAMERAS: usize = 24;
/// A busy machine starts processes slowly.
const CALM: Duration = Duration::from_secs(120);

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What the topics say: each camera has one record, and its claims' epochs grow.
fn check_topics(fleet: &Fleet, wanted: &BTreeSet<String>) -> BTreeMap<String, i64> {
    let limit = Duration::from_secs(3);
    let mut cameras = BTreeMap::<(String, i32), bool>::new();
    for record in fleet.kafka.read_for(&fleet.topic("cameras"), usize::MAX, limit) {
        let there = record.value.as_deref().map(|value| CameraRecord::read(&record.key, value).unwrap()).is_some();
        cameras.insert((record.key, record.partition), there);
    }
    let there: Vec<&String> = cameras.iter().filter(|(_, there)| **there).map(|((name, _), _)| name).collect();
    assert_eq!(there, wanted.iter().collect::<Vec<_>>(), "each camera is in one partition");
    let mut claims: Vec<_> = fleet.kafka.read_for(&fleet.topic("claims"), usize::MAX, limit);
    claims.sort_by_key(|record| (record.partition, record.offset));
    let mut epochs = BTreeMap::new();
    for record in claims {
        let claim = Claim::read(record.value.as_deref().unwrap()).unwrap();
        let epoch = claim.epoch_at(record.offset);
        let before = epochs.get(&record.key).copied().unwrap_or(-1);
        if claim.state == ClaimState::Started {
            assert!(epoch > before, "{}: epoch {epoch} after {before}", record.key);
            epochs.insert(record.key, epoch);
        }
    }
    epochs
}

#[test]
#[ignore = "an hour: cargo test --release --test soak_fleet -- --ignored"]
fn whatever_happens_each_camera_has_one_host() {
    register();
    let Some(mut fleet) = Fleet::open() else { return };
    let (seed, steps) = (number("FLEET_SEED", 1), number("FLEET_STEPS", 200));
    let mut random = Random::new(seed);
    let mut count = CAMERAS;
    fleet.apply(&fleet.config(count), &["--partitions", "24"]);
    HOSTS.iter().for_each(|host| fleet.start(host, &[]));
    fleet.wait_for_all(count, CALM);
    let (start, mut longest) = (Instant::now(), Duration::ZERO);
    for step in 1..=steps {
        std::thread::sleep(Duration::from_millis(2000 + random.below(4000) as u64));
        let host = HOSTS[random.below(HOSTS.len())];
        let what = match random.below(7) {
            0 => {
                fleet.kill(host);
                fleet.start(host, &[]);
                "killed, and back at once"
            }
            1 => {
                fleet.kill(host);
                std::thread::sleep(Duration::from_millis(7000 + random.below(4000) as u64));
                fleet.start(host, &[]);
                "killed, and back after its session"
            }
            2 => {
                fleet.signal(host, "STOP");
                std::thread::sleep(Duration::from_millis(random.below(12_000) as u64));
                fleet.signal(host, "CONT");
                "suspended"
            }
            3 => {
                fleet.stop(host);
                fleet.start(host, &[]);
                "restarted"
            }
            4 => {
                let drained = fleet.command(&["drain", host, "--wait", "60"]);
                assert!(drained.status.success(), "{host}: {drained:?}\n{}", fleet.describe());
                fleet.stop(host);
                fleet.start(host, &[]);
                "drained and restarted"
            }
            5 => {
                fleet.kafka.stop();
                std::thread::sleep(Duration::from_millis(random.below(10_000) as u64));
                fleet.kafka.start();
                "(brokers restarted)"
            }
            _ => {
                count = CAMERAS - random.below(6);
                let more: &[&str] = if random.below(2) == 0 { &["--respread"] } else { &[] };
                fleet.apply(&fleet.config(count), more);
                "(cameras changed)"
            }
        };
        let changed = Instant::now();
        // A camera whose host was killed twice while it started waits for its operator.
        let quarantined: Vec<String> = fleet.status()["cameras"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|camera| camera["state"] == "quarantined")
            .map(|camera| camera["name"].as_str().unwrap().to_owned())
            .collect();
        for camera in &quarantined {
            let _ = fleet.command(&["release", camera]);
        }
        fleet.wait_for_all(count, CALM);
        longest = longest.max(changed.elapsed());
        println!("step {step}: {host} {what}: all {count} cameras after {:.1?} {quarantined:?}", changed.elapsed());
        check_lines(&fleet.lines.all());
        if step % 10 == 0 {
            check_topics(&fleet, &(0..count).map(|n| format!("c{n}")).collect());
        }
    }
    let lines = fleet.lines.all();
    let (dropped, epochs) = (check_lines(&lines), check_topics(&fleet, &(0..count).map(|n| format!("c{n}")).collect()));
    let last: BTreeMap<&String, i64> = lines.iter().map(|line| (&line.camera, line.epoch)).collect();
    for n in 0..count {
        let name = format!("c{n}");
        assert_eq!(last[&name], epochs[&name], "{name}: the last line is of the last claim");
    }
    println!(
        "seed {seed}: {steps} steps in {:?}; {} lines, of which a reader that follows epochs drops {dropped}; \
         the longest until all cameras ran again was {longest:?}",
        start.elapsed(),
        lines.len()
    );
    assert!(longest < 60 * SECOND, "{longest:?}");
}
