//! A fleet of 10,000 cameras on 300 hosts, on paper: what is measured with few hosts on a real broker, how it grows, and what
//! follows for many.
//!
//!     cargo bench --package gst-tensorrt-fleet --bench fleet
//!
//! 1. [`sizes`]: how large the records are, written by the code that hosts use.
//! 2. [`balance`]: how many cameras hosts get, and how many more when one is lost, by the code that spreads cameras, and the group's
//!    way of sharing out partitions.
//! 3. [`group`]: how long a group takes to settle, by the number of hosts and of partitions; requests to the brokers of a host that
//!    has nothing to do, and of one that publishes; how long a host reads its cameras.
//! 4. [`growth`]: straight lines through the measurements, and the figures of the large fleet.
//!
//! Hosts are consumers of one process, which is a machine for all of them: times are longer than with a machine for each.

mod balance;
mod group;
mod growth;
#[path = "../../tests/common/kafka.rs"]
#[allow(dead_code)]
mod kafka;
mod publishing;
mod sizes;
#[path = "../../tests/common/tls.rs"]
mod tls;

use growth::{Fleet, Line};
use kafka::Kafka;
use std::time::Duration;

/// What the broker of the tests needs of theirs.
mod find {
    pub fn skip(what: &str, remedy: &str) {
        println!("skipped: {what} is missing: {remedy}");
    }
}

/// The fleet that the figures are for.
const LARGE: Fleet = Fleet { cameras: 10_000, hosts: 300, partitions: 2048, frames_per_second: 15.0, objects: 20 };

/// Hosts, and partitions, with which a group is measured.
const BY_HOSTS: [(usize, i32); 4] = [(3, 256), (10, 256), (30, 256), (60, 256)];
const BY_PARTITIONS: [(usize, i32); 4] = [(10, 64), (10, 256), (10, 1024), (10, 2048)];

fn main() {
    println!("\nRecords, bytes\n");
    let sizes = sizes::measure(&LARGE);
    sizes.print();

    println!("\n{} cameras on {} hosts, by the number of partitions\n", LARGE.cameras, LARGE.hosts);
    balance::print(&LARGE, &[256, 512, 1024, 2048, 4096]);

    let Some(broker) = Kafka::with("log.flush.interval.messages=1000000\n") else { return };
    println!(
        "\nA group settles, s\n\n| hosts | partitions | all join | one is drained | it returns |\n|---|---|---|---|---|"
    );
    // The first group waits for the broker's own topics.
    group::settle(&broker, 2, 2);
    let mut measured = Vec::new();
    for (hosts, partitions) in BY_HOSTS.into_iter().chain(BY_PARTITIONS) {
        if measured.iter().any(|(h, p, _)| (*h, *p) == (hosts, partitions)) {
            continue;
        }
        let times = group::settle(&broker, hosts, partitions);
        let [join, drained, returns] = [times.join, times.drained, times.returns].map(|time| time.as_secs_f64());
        println!("| {hosts} | {partitions} | {join:.2} | {drained:.2} | {returns:.2} |");
        measured.push((hosts, partitions, times));
    }
    let line = |points: &[(usize, i32)], x: fn(usize, i32) -> f64, y: fn(&group::Times) -> Duration| {
        let of = |point: &(usize, i32)| {
            let (hosts, partitions, times) = measured.iter().find(|(h, p, _)| (*h, *p) == *point)?;
            Some((x(*hosts, *partitions), y(times).as_secs_f64()))
        };
        Line::through(&points.iter().filter_map(of).collect::<Vec<_>>())
    };
    let by_hosts = line(&BY_HOSTS, |hosts, _| hosts as f64, |times| times.drained);
    let by_partitions = line(&BY_PARTITIONS, |_, partitions| f64::from(partitions), |times| times.drained);

    println!("\nOne host\n");
    let share = (LARGE.cameras / LARGE.hosts).max(1);
    let idle = group::idle_requests(&broker, LARGE.partitions / LARGE.hosts as i32);
    println!("- with nothing to do: {idle:.1} requests/s to the brokers");
    let paced = publishing::paced(&broker, &sizes.line, share, LARGE.frames_per_second);
    println!(
        "- that publishes {:.0} lines/s of {} bytes: {:.1} requests/s, {:.0} µs of CPU a line",
        paced.lines,
        sizes.line.len(),
        paced.requests,
        paced.cpu_us
    );
    let fastest = publishing::fastest(&broker, &sizes.line);
    println!(
        "- as fast as it can: {:.0} lines/s, {:.0} MB/s, with the broker on the same two cores",
        fastest.lines, fastest.megabytes
    );
    let reading = group::reads_cameras(&broker, &sizes.camera, &LARGE);
    println!(
        "- reads its {} cameras in {:.2} s; all {} would take {:.2} s",
        reading.share,
        reading.reads_share.as_secs_f64(),
        LARGE.cameras,
        reading.reads_all.as_secs_f64()
    );

    println!("\nThe large fleet\n");
    growth::print(&LARGE, &sizes, &by_hosts, &by_partitions, idle, paced.requests);
}
