//! GStreamer 1.28's `ioutracker` does what crates/tracking/tests/metrics.py has as its algorithm, with which our trackers are
//! compared.

use super::common::find;
use super::common::systems::System;
use super::systems;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

fn text(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The boxes of each frame in order, with tracks numbered in the order in which they appear: the element's first id is another.
fn renumbered(printed: &str) -> Vec<[i64; 6]> {
    let mut numbers = BTreeMap::new();
    let mut rows: Vec<[i64; 6]> = printed
        .lines()
        .map(|line| {
            let values: Vec<i64> = line.split(',').map(|value| value.parse().unwrap()).collect();
            values.try_into().unwrap()
        })
        .collect();
    rows.sort_by_key(|[frame, _, place @ ..]| (*frame, *place));
    for row in &mut rows {
        let next = numbers.len() as i64;
        row[1] = *numbers.entry(row[1]).or_insert(next);
    }
    rows
}

#[test]
fn ioutracker_is_the_algorithm_that_ours_are_compared_with() {
    let Some(python) = find::python() else { return };
    let has = |system: &&System| system.command("gst-inspect-1.0").arg("ioutracker").output().unwrap().status.success();
    let Some(system) = systems().iter().find(has) else {
        find::skip("ioutracker", "GStreamer 1.28 or later: cargo xtask roots, as root");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let metrics = find::root().join("crates/tracking/tests/metrics.py");
    text(Command::new(&python).arg(&metrics).arg("detections").arg(folder.path()).arg("2"));
    let mut compared = 0;
    for file in fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.path()) {
        let ours = renumbered(&text(Command::new(&python).arg(&metrics).arg("ioutracker").arg(&file)));
        let mut command = system.command("python3");
        let theirs = renumbered(&text(command.arg("tests/python/iou_tracker.py").arg(&file).current_dir(find::root())));
        assert!(ours.len() > 50, "{}", file.display());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "{}: frame, id, left, top, width, height", file.display());
        }
        assert_eq!(ours.len(), theirs.len(), "{}", file.display());
        compared += 1;
    }
    assert_eq!(compared, 2 * 3 * 3 * 2);
}
