//! Which partition a camera gets, and what is to be written for an edited config.json.
//!
//! A group gives each host the same number of partitions, so cameras are spread evenly over partitions. A camera keeps its
//! partition until it's removed.

use super::record::CameraRecord;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A camera that is in the topic.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    pub partition: i32,
    pub record: CameraRecord,
}

/// What new epochs have to be larger than.
#[derive(Debug, Clone, Default)]
pub struct Spread {
    /// The number of partitions.
    pub partitions: i32,
    /// By camera, also of cameras that were removed: the epoch of the last claim.
    pub epochs: BTreeMap<String, i64>,
    /// By partition: the offset that the next claim gets.
    pub next_claims: BTreeMap<i32, i64>,
}

impl Spread {
    /// What a record counts epochs from, for a camera that gets this partition.
    fn base(&self, camera: &str, partition: i32) -> i64 {
        let next = self.next_claims.get(&partition).copied().unwrap_or(0);
        self.epochs.get(camera).map_or(0, |last| (last + 1 - next).max(0))
    }
}

/// A record to write; without a value it removes the camera.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    pub partition: i32,
    pub camera: String,
    pub record: Option<CameraRecord>,
}

/// What is to be written, in this order, so that the topic has the cameras `wanted`; nothing where it has them. `there`
/// lists each place of each camera: a re-spread that was interrupted leaves none or one. With `even`, cameras of fuller
/// partitions move to emptier ones; each is removed from its old place first.
pub fn changes(
    there: &BTreeMap<String, Vec<Placed>>,
    wanted: &BTreeMap<String, Map<String, Value>>,
    spread: &Spread,
    even: bool,
) -> Vec<Write> {
    let mut writes = Vec::new();
    let remove = |camera: &str, partition| Write { partition, camera: camera.to_owned(), record: None };
    let mut counts: BTreeMap<i32, usize> = (0..spread.partitions).map(|partition| (partition, 0)).collect();
    let mut kept: BTreeMap<&str, &Placed> = BTreeMap::new();
    for (name, places) in there {
        let keep = places.first().filter(|place| wanted.contains_key(name) && counts.contains_key(&place.partition));
        writes.extend(places.iter().skip(usize::from(keep.is_some())).map(|place| remove(name, place.partition)));
        if let Some(place) = keep {
            *counts.entry(place.partition).or_default() += 1;
            kept.insert(name, place);
        }
    }
    let mut moved: BTreeSet<&str> = BTreeSet::new();
    if even {
        // As many cameras as each partition gets, and one more for as many as are left.
        let (each, more) = (wanted.len() / counts.len().max(1), wanted.len() % counts.len().max(1));
        let mut fullest: Vec<(i32, usize)> = counts.iter().map(|(partition, count)| (*partition, *count)).collect();
        fullest.sort_by_key(|(partition, count)| (std::cmp::Reverse(*count), *partition));
        let targets: BTreeMap<i32, usize> =
            fullest.iter().enumerate().map(|(n, (partition, _))| (*partition, each + usize::from(n < more))).collect();
        for (name, place) in &kept {
            let count = counts.entry(place.partition).or_default();
            if *count > targets.get(&place.partition).copied().unwrap_or(0) {
                *count -= 1;
                moved.insert(name);
                writes.push(remove(name, place.partition));
            }
        }
    }
    for (name, camera) in wanted {
        match kept.get(name.as_str()).filter(|_| !moved.contains(name.as_str())) {
            Some(place) if place.record.camera == *camera => {}
            Some(place) => {
                let record = CameraRecord { camera: camera.clone(), base: place.record.base };
                writes.push(Write { partition: place.partition, camera: name.clone(), record: Some(record) });
            }
            None => {
                let emptiest = counts.iter_mut().min_by_key(|(partition, count)| (**count, **partition));
                let Some((partition, count)) = emptiest else { continue };
                *count += 1;
                let record = CameraRecord { camera: camera.clone(), base: spread.base(name, *partition) };
                writes.push(Write { partition: *partition, camera: name.clone(), record: Some(record) });
            }
        }
    }
    writes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type There = BTreeMap<String, Vec<Placed>>;

    fn camera(name: &str, url: u8) -> Map<String, Value> {
        let text = format!("{{\"NAME\":\"{name}\",\"URL\":\"rtsp://{url}\"}}");
        serde_json::from_str(&text).unwrap()
    }

    fn wanted(cameras: impl IntoIterator<Item = (u8, u8)>) -> BTreeMap<String, Map<String, Value>> {
        cameras.into_iter().map(|(n, url)| (format!("c{n}"), camera(&format!("c{n}"), url))).collect()
    }

    fn write(there: &mut There, writes: &[Write]) {
        for Write { partition, camera, record } in writes {
            let places = there.entry(camera.clone()).or_default();
            places.retain(|place| place.partition != *partition);
            places.extend(record.clone().map(|record| Placed { partition: *partition, record }));
        }
        there.retain(|_, places| !places.is_empty());
    }

    fn counts(there: &There, partitions: i32) -> Vec<usize> {
        let of = |partition| there.values().flatten().filter(|place| place.partition == partition).count();
        (0..partitions).map(of).collect()
    }

    fn spread(partitions: i32) -> Spread {
        Spread { partitions, ..Spread::default() }
    }

    #[test]
    fn cameras_are_spread_evenly_and_stay() {
        let (mut there, spread) = (There::new(), spread(4));
        let first = changes(&there, &wanted((0..10).map(|n| (n, 0))), &spread, false);
        write(&mut there, &first);
        assert_eq!(counts(&there, 4), [3, 3, 2, 2]);
        assert_eq!(changes(&there, &wanted((0..10).map(|n| (n, 0))), &spread, false), []);
        assert_eq!(changes(&there, &wanted((0..10).map(|n| (n, 0))), &spread, true), []);

        // One changes, two go, one comes: each is written once, where it is.
        let before = there.clone();
        let next = wanted([(0, 0), (1, 9), (2, 0), (3, 0), (5, 0), (6, 0), (7, 0), (8, 0), (20, 0)]);
        let writes = changes(&there, &next, &spread, false);
        assert_eq!(writes.len(), 4, "{writes:?}");
        write(&mut there, &writes);
        for name in next.keys().filter(|name| before.contains_key(*name)) {
            assert_eq!(there[name][0].partition, before[name][0].partition, "{name}");
        }
        assert_eq!(there["c20"][0].partition, before["c4"][0].partition);
    }

    #[test]
    fn a_camera_that_moves_is_removed_first_and_keeps_counting() {
        let mut there = There::new();
        let placed = |name: &str| Placed { partition: 0, record: CameraRecord { camera: camera(name, 0), base: 0 } };
        for name in ["c0", "c1", "c2", "c3"] {
            there.insert(name.into(), vec![placed(name)]);
        }
        let wanted = wanted((0..4).map(|n| (n, 0)));
        let epochs = (0..4).map(|n| (format!("c{n}"), 50 + n)).collect();
        let spread = Spread { partitions: 2, epochs, next_claims: [(0, 60), (1, 3)].into() };
        assert_eq!(changes(&there, &wanted, &spread, false), []);
        let writes = changes(&there, &wanted, &spread, true);
        let order: Vec<_> = writes.iter().map(|w| (w.camera.as_str(), w.partition, w.record.is_some())).collect();
        assert_eq!(order, [("c0", 0, false), ("c1", 0, false), ("c0", 1, true), ("c1", 1, true)]);
        let record = writes[2].record.as_ref().unwrap();
        assert!(record.base + 3 > 50, "the next claim is later than the last: {record:?}");
        // The same name after it was removed.
        let again = changes(&There::new(), &super::tests::wanted([(3, 0)]), &spread, false);
        assert_eq!(again[0].record.as_ref().unwrap().base, 0, "partition 0's claims are at 60");
    }

    proptest! {
        /// Any edits: afterwards the topic has what is wanted, and applying it again writes nothing; with `even`
        /// partitions differ by at most one camera.
        #[test]
        fn what_is_wanted_is_there_afterwards(
            partitions in 1..9i32,
            edits in prop::collection::vec((prop::collection::btree_map(0..30u8, 0..3u8, 0..25), any::<bool>()), 1..8),
        ) {
            let (mut there, spread) = (There::new(), spread(partitions));
            for (cameras, even) in edits {
                let wanted = wanted(cameras);
                let before = there.clone();
                let writes = changes(&there, &wanted, &spread, even);
                write(&mut there, &writes);
                prop_assert_eq!(there.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
                for (name, places) in &there {
                    prop_assert_eq!(places.len(), 1);
                    prop_assert_eq!(&places[0].record.camera, &wanted[name]);
                    let same = before.get(name).is_none_or(|before| before[0].partition == places[0].partition);
                    prop_assert!(same || even, "{} moved", name);
                }
                if even {
                    let counts = counts(&there, partitions);
                    prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", counts);
                }
                prop_assert_eq!(changes(&there, &wanted, &spread, even), vec![]);
            }
        }
    }
}
