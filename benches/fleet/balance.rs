//! How many cameras each host gets.

use super::growth::Fleet;
use fleet::{Spread, changes};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

pub fn print(fleet: &Fleet, choices: &[i32]) {
    println!(
        "| partitions | hosts with cameras | cameras on a host | on the fullest, after one is lost |\n|---|---|---|---|"
    );
    for partitions in choices {
        let cameras = cameras_by_partition(fleet.cameras, *partitions);
        let mut hosts = shared_out(*partitions, fleet.hosts);
        let counts = |hosts: &[Vec<usize>]| -> Vec<usize> {
            hosts.iter().map(|host| host.iter().map(|partition| cameras[*partition]).sum()).collect()
        };
        let before = counts(&hosts);
        let (least, most) = (before.iter().min().unwrap_or(&0), before.iter().max().unwrap_or(&0));
        let with_cameras = before.iter().filter(|count| **count > 0).count();
        lose_one(&mut hosts);
        let fullest = counts(&hosts).into_iter().max().unwrap_or(0);
        println!("| {partitions} | {with_cameras} | {least}–{most} | {fullest} |");
    }
}

/// What `gst-trt fleet apply` writes into new topics.
fn cameras_by_partition(cameras: usize, partitions: i32) -> Vec<usize> {
    let wanted: BTreeMap<String, Map<String, Value>> = (0..cameras).map(|n| (format!("c{n}"), Map::new())).collect();
    let spread = Spread { partitions, ..Spread::default() };
    let mut counts = vec![0; partitions as usize];
    for write in changes(&BTreeMap::new(), &wanted, &spread, false) {
        counts[write.partition as usize] += 1;
    }
    counts
}

/// Partitions as the sticky assignment shares them out: hosts differ by at most one.
fn shared_out(partitions: i32, hosts: usize) -> Vec<Vec<usize>> {
    let mut shares = vec![Vec::new(); hosts];
    (0..partitions as usize).for_each(|partition| shares[partition % hosts].push(partition));
    shares
}

/// The first host's partitions go to those that have the fewest.
fn lose_one(hosts: &mut Vec<Vec<usize>>) {
    for partition in hosts.remove(0) {
        if let Some(fewest) = hosts.iter_mut().min_by_key(|host| host.len()) {
            fewest.push(partition);
        }
    }
}
