//! Events and totals as lines of their own: in files, and on their topics of a broker.

use crate::common::mosquitto::Mosquitto;
use crate::common::running::register;
use gst::prelude::*;
use gst_check::Harness;
use gsttensorrt::meta::{self, Object, Record, TrackInfo, TrackState};
use model::Rect;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const SIZE: (u32, u32) = (640, 480);
const ZONES: &str = r#"{"settle_s": 0, "lines": [{"name": "door", "from": [0.5, 0], "to": [0.5, 1]}],
    "zones": [{"name": "hall/1", "polygon": [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]}]}"#;
/// 2026-05-04T12:34:56Z, from 1900, s.
const START: u64 = 1_777_898_096 + 2_208_988_800;

/// `trtzones` and a `trtpublish` with these properties.
struct Scene {
    harness: Harness,
    zones: gst::Element,
    frames: u64,
}

impl Scene {
    fn new(properties: &str) -> Self {
        register();
        let bin = gst::parse::bin_from_description(&format!("trtzones name=zones ! trtpublish {properties}"), true);
        let bin = bin.unwrap();
        let zones = bin.by_name("zones").unwrap();
        zones.set_property("zones", ZONES);
        let mut harness = Harness::with_element(&bin, Some("sink"), Some("src"));
        let (width, height) = SIZE;
        harness.set_src_caps_str(&format!("video/x-raw,format=RGB,width={width},height={height},framerate=25/1"));
        Self { harness, zones, frames: 0 }
    }

    /// 50 frames of 40 ms, in which a person walks from left to right.
    fn walk(&mut self, track: u64) {
        for step in 0..50_u16 {
            let rect = Rect::new(0.1 + 0.014 * f32::from(step), 0.4, 0.05, 0.3);
            let info = TrackInfo { state: TrackState::Confirmed, age: Duration::ZERO, velocity: (0.0, 0.0) };
            let (track_id, track) = (Some(track), Some(info));
            let person = Object { rect, label: "person".into(), confidence: 0.9, track_id, track, ..Object::default() };
            let mut buffer = gst::Buffer::new();
            let writable = buffer.get_mut().unwrap();
            let pts = gst::ClockTime::from_mseconds(40 * self.frames);
            writable.set_pts(pts);
            let ntp = gst::Caps::new_empty_simple("timestamp/x-ntp");
            gst::ReferenceTimestampMeta::add(writable, &ntp, gst::ClockTime::from_seconds(START) + pts, None);
            let record = Record { objects: vec![person], ..Record::default() };
            meta::set_record_alone(writable, Arc::new(record), SIZE.0, SIZE.1);
            self.harness.push_and_pull(buffer).unwrap();
            self.frames += 1;
        }
    }

    fn eos(&mut self) {
        assert!(self.harness.push_event(gst::event::Eos::new()));
    }
}

/// The lines of a file, which the schema allows.
fn lines(path: &Path) -> Vec<Value> {
    let schema = serde_json::from_str(include_str!("../../docs/objects.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        assert!(schema.is_valid(line), "{line}");
    }
    lines
}

/// What is said of events: the type, the place, and what was counted.
fn told(lines: &[Value]) -> Vec<String> {
    let of_events = lines.iter().filter(|line| line.get("type").is_some());
    let told = of_events.map(|line| {
        let place = line.get("line").or_else(|| line.get("zone")).unwrap().as_str().unwrap();
        let counts = ["in", "out", "entered", "left"].map(|key| line.get(key).map(Value::to_string));
        let counts: Vec<_> = counts.into_iter().flatten().collect();
        format!("{} {place} {}", line["type"].as_str().unwrap(), counts.join("/")).trim_end().to_owned()
    });
    told.collect()
}

#[test]
fn what_is_written_is_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    for (content, frames, events) in [("objects", 50, false), ("events", 0, true), ("both", 50, true)] {
        let path = folder.path().join(content);
        let mut scene = Scene::new(&format!("content={content} stream-id=cam location={}", path.display()));
        scene.walk(7);
        scene.eos();
        let lines = lines(&path);
        assert_eq!(lines.iter().filter(|line| line.get("objects").is_some()).count(), frames, "{content}");
        let expected: &[&str] = match events {
            false => &[],
            true => &[
                "totals hall/1 0/0",
                "totals door 0/0",
                "entered hall/1",
                "totals hall/1 1/0",
                "crossed door",
                "totals door 0/1",
                // At the end.
                "left hall/1",
                "totals hall/1 1/1",
            ],
        };
        let mut told = told(&lines);
        // Both may happen in one frame; events come before totals.
        let mut expected = expected.to_vec();
        told.sort();
        expected.sort_unstable();
        assert_eq!(told, expected, "{content}");
    }
    // An event that took place at a frame's time has that frame's time of day.
    let lines = lines(&folder.path().join("events"));
    for line in &lines {
        let seconds = line["pts"].as_u64().unwrap() as f64 / 1e9;
        let utc = line["ntp"].as_str().unwrap();
        let told: f64 =
            utc.strip_prefix("2026-05-04T12:34:").and_then(|rest| rest.strip_suffix('Z')).unwrap().parse().unwrap();
        assert!((told - 56.0 - seconds).abs() < 1e-6, "{line}");
    }
}

#[test]
fn a_later_subscriber_has_the_totals_at_once() {
    let Some(broker) = Mosquitto::open() else { return };
    let location = format!("mqtt://127.0.0.1:{}/site/{{stream-id}}", broker.port);
    let mut scene = Scene::new(&format!("content=both stream-id=door location={location} mqtt-retain=true"));
    scene.walk(1);
    // Another zone, while running: only its totals start anew.
    scene.zones.set_property("zones", ZONES.replace("[1, 1], [0.5, 1]", "[1, 1], [0.6, 1]"));
    scene.walk(2);
    scene.eos();
    let subscriber = broker.subscribe("site/#");
    let mut retained: Vec<_> = (0..3).map(|_| subscriber.next()).collect();
    retained.sort();
    let topics: Vec<_> = retained.iter().map(|(topic, _)| topic.as_str()).collect();
    assert_eq!(topics, ["site/door", "site/door/events/door", "site/door/events/hall_1"], "no event is kept");
    let line = |index: usize| serde_json::from_str::<Value>(&retained[index].1).unwrap();
    assert_eq!(line(0)["frame"], 99);
    assert_eq!(told(&[line(1), line(2)]), ["totals door 0/2", "totals hall/1 1/1"]);

    // Events alone, on the topic of the location.
    let all = broker.subscribe("alarms/#");
    let location = format!("mqtt://127.0.0.1:{}/alarms", broker.port);
    let mut scene = Scene::new(&format!("content=events stream-id=door location={location}"));
    scene.walk(1);
    scene.eos();
    // The broker knows the subscriber of before, who gets the rest of its messages first.
    let alarms = std::iter::repeat_with(|| all.next()).filter(|(topic, _)| topic.starts_with("alarms"));
    let messages: Vec<_> = alarms.take(8).collect();
    for (topic, text) in messages {
        let line: Value = serde_json::from_str(&text).unwrap();
        let expected = match line["type"].as_str().unwrap() {
            "totals" if line.get("line").is_some() => "alarms/door/door",
            "totals" => "alarms/door/hall_1",
            _ => "alarms",
        };
        assert_eq!(topic, expected, "{text}");
    }
}
