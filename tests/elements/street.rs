//! `trtdetect ! trttrack` on a street with people, compared with their annotation by hand and with PyPI's `trackers` on the same
//! detections. tests/data/street/README.md says what is annotated.

use crate::common::find;
use crate::common::running::{Running, start};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tracking::Algorithm;

/// Those that are annotated.
const FRAMES: u64 = 200;
const FRAME_RATE: &str = "10";

/// What the test needs; skips where something isn't there.
struct Needed {
    clip: PathBuf,
    model: PathBuf,
    python: PathBuf,
}

fn needed() -> Option<Needed> {
    let (clip, model) = (find::media("vtest_h264.mp4")?, find::real_model("yolov12n")?);
    let python = find::python()?;
    start().then_some(Needed { clip, model, python })
}

/// Runs the detector once over the clip, at every frame and at every third, and all trackers behind it. Leaves
/// `detections.jsonl` and a file of lines for each tracker in `folder`.
fn run(needed: &Needed, frames: u64, folder: &Path) {
    let Needed { clip, model, .. } = needed;
    let lines =
        |name: &str| format!("trtpublish location={} ! fakesink", folder.join(name).with_extension("jsonl").display());
    let detect = format!("trtdetect backend=cpu model={} classes=person confidence=0.1", model.display());
    let mut launch = format!(
        "filesrc location={} ! qtdemux ! h264parse ! avdec_h264 ! identity eos-after={} ! tee name=frames \
         frames. ! queue ! {detect} ! tee name=found found. ! queue ! {} \
         frames. ! queue ! {detect} interval=2 ! trttrack ! {}",
        clip.display(),
        frames + 1,
        lines("detections"),
        lines("every-third-frame"),
    );
    for algorithm in Algorithm::ALL {
        write!(launch, " found. ! queue ! trttrack algorithm={algorithm} ! {}", lines(algorithm.name())).unwrap();
    }
    let pipeline = Running::playing(&launch);
    let bus = pipeline.0.bus().unwrap();
    use gst::prelude::*;
    let end =
        bus.timed_pop_filtered(gst::ClockTime::from_seconds(1800), &[gst::MessageType::Eos, gst::MessageType::Error]);
    assert!(end.is_some_and(|end| end.type_() == gst::MessageType::Eos), "the clip doesn't end");
}

/// The lines of a file by frame, from 1.
fn records(path: &Path) -> BTreeMap<u64, Value> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| (line["frame"].as_u64().unwrap() + 1, line)).collect()
}

/// Boxes as a file of MOTChallenge. Of tracks those that are confirmed, and in frames that the model didn't see the predicted.
fn boxes(records: &BTreeMap<u64, Value>, tracks: bool) -> String {
    let mut text = String::new();
    for (frame, record) in records {
        let seen = record["inferred"].as_object().is_some_and(|models| models.values().all(|done| done == "done"));
        if !tracks && seen {
            writeln!(text, "{frame}").unwrap();
        }
        for object in record["objects"].as_array().unwrap() {
            let state = object["track"]["state"].as_str().unwrap_or_default();
            if tracks && state != "confirmed" && (seen || state != "predicted") {
                continue;
            }
            let id = object["track_id"].as_i64().filter(|_| tracks).unwrap_or(-1);
            let [x, y, w, h] = ["x", "y", "width", "height"].map(|side| &object["box"][side]);
            writeln!(text, "{frame},{id},{x},{y},{w},{h},{}", object["confidence"]).unwrap();
        }
    }
    text
}

/// HOTA, IDF1 and MOTA in percent, and exchanges of ids.
fn judge(needed: &Needed, folder: &Path) -> BTreeMap<String, [f64; 4]> {
    for entry in fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()) {
        let text = boxes(&records(&entry), entry.file_stem().is_some_and(|name| name != "detections"));
        fs::write(entry.with_extension("txt"), text).unwrap();
    }
    let output = Command::new(&needed.python)
        .arg(find::root().join("crates/tracking/tests/metrics.py"))
        .arg("clip")
        .args([folder, &find::root().join("tests/data/street/truth.txt")])
        .arg(FRAME_RATE)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    let row = |line: &str| {
        let (name, values) = line.split_once(';').unwrap();
        let values: Vec<f64> = values.split(';').map(|value| value.parse().unwrap()).collect();
        (name.to_owned(), values.try_into().unwrap())
    };
    printed.lines().map(row).collect()
}

#[test]
fn people_keep_their_ids() {
    let Some(needed) = needed() else { return };
    let folder = tempfile::tempdir().unwrap();
    run(&needed, FRAMES, folder.path());
    let judged = judge(&needed, folder.path());
    for (name, [hota, idf1, mota, exchanges]) in &judged {
        println!("{name:24} HOTA {hota:5.1}   IDF1 {idf1:5.1}   MOTA {mota:5.1}   {exchanges:2} exchanges of ids");
    }
    let [_, default, _, exchanges] = judged[Algorithm::default().name()];
    let peers = ["trackers", "supervision"].map(|package| judged[&format!("{} of {package}", Algorithm::default())]);
    // A single exchange of ids among so few people is more than a point.
    assert!(peers.iter().all(|[_, idf1, ..]| default >= idf1 - 2.0), "IDF1 {default}, {peers:?}");
    assert!(peers.iter().all(|[.., theirs]| exchanges <= theirs + 1.0), "{exchanges} exchanges, {peers:?}");
    for algorithm in Algorithm::ALL {
        let [_, idf1, ..] = judged[algorithm.name()];
        assert!(idf1 >= judged["ioutracker"][1], "{algorithm}: {idf1}");
    }
}

/// The whole clip as a picture, for a person to look at: a row of each track's crops.
#[test]
#[ignore = "takes minutes, and makes a picture to look at"]
fn a_sheet_of_all_tracks() {
    let Some(needed) = needed() else { return };
    let folder = tempfile::tempdir().unwrap();
    run(&needed, u64::from(u16::MAX), folder.path());
    let tracks = folder.path().join("tracks.txt");
    fs::write(&tracks, boxes(&records(&folder.path().join(Algorithm::default().name()).with_extension("jsonl")), true))
        .unwrap();
    let sheet = find::root().join("target/street.png");
    let script = find::root().join("tests/python/sheet.py");
    let status = Command::new(&needed.python).arg(script).args([&needed.clip, &tracks, &sheet]).status().unwrap();
    assert!(status.success());
    println!("{}", sheet.display());
}
