//! `trtzones` on frames with made-up tracks: exact counts, events on the bus, in the record and in lines, and totals that last.

#[path = "../../crates/tracking/tests/scene/mod.rs"]
#[allow(dead_code)]
mod scene;

use crate::common::find;
use crate::common::running::register;
use gst::prelude::*;
use gst_check::Harness;
use gsttensorrt::meta::{self, Inference, ModelRun, Object, PlaceCount, Record, TrackInfo, TrackState};
use model::Rect;
use scene::{FRAME, Random, SIZE, ZONES, truth, walkers, zones_and_lines};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A line down the middle, and the right half as a zone.
const DOOR: &str = r#"{"lines": [{"name": "door", "from": [0.5, 0], "to": [0.5, 1]}],
    "zones": [{"name": "hall", "polygon": [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]}]}"#;
/// The zone of another shape.
const WIDER: &str = r#"{"lines": [{"name": "door", "from": [0.5, 0], "to": [0.5, 1]}],
    "zones": [{"name": "hall", "polygon": [[0.4, 0], [1, 0], [1, 1], [0.4, 1]]}]}"#;

fn time(frame: u64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(frame * FRAME.as_nanos() as u64)
}

struct Scene {
    harness: Harness,
    element: gst::Element,
    bus: gst::Bus,
}

impl Scene {
    /// `trtzones` with these properties, behind `before`.
    fn new(properties: &[(&str, &str)]) -> Self {
        register();
        let element = gst::ElementFactory::make("trtzones").build().unwrap();
        for (name, value) in properties {
            element.set_property_from_str(name, value);
        }
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
        let (width, height) = SIZE;
        harness.set_src_caps_str(&format!("video/x-raw,format=RGB,width={width},height={height},framerate=25/1"));
        Self { harness, element, bus }
    }

    fn push(&mut self, frame: u64, objects: Vec<Object>) -> Arc<Record> {
        let models = vec![ModelRun { model_id: "det".into(), inference: Inference::Done }];
        self.push_record(frame, Record { objects, models, ..Record::default() })
    }

    fn push_record(&mut self, frame: u64, record: Record) -> Arc<Record> {
        let mut buffer = gst::Buffer::new();
        let writable = buffer.get_mut().unwrap();
        writable.set_pts(time(frame));
        meta::set_record_alone(writable, Arc::new(record), SIZE.0, SIZE.1);
        meta::read(&self.harness.push_and_pull(buffer).unwrap(), SIZE.0, SIZE.1)
    }

    /// Frames from `from` to `to`, in which a person with this track walks from one place to another, both in fractions of the
    /// frame's width.
    fn walk(&mut self, track: u64, (from, to): (u64, u64), (start, end): (f32, f32)) -> Vec<Record> {
        let walk = |frame: u64| {
            let x = start + (end - start) * (frame - from) as f32 / (to - from).max(1) as f32;
            Arc::unwrap_or_clone(self.push(frame, vec![person(track, x, TrackState::Confirmed)]))
        };
        (from..=to).map(walk).collect()
    }

    fn stats(&self) -> gst::Structure {
        self.element.property("stats")
    }

    /// A total of a zone or a line.
    fn total(&self, list: &str, name: &str, field: &str) -> u64 {
        let places = self.stats().get::<gst::Array>(list).unwrap();
        let places = places.iter().map(|place| place.get::<gst::Structure>().unwrap());
        let place = places.into_iter().find(|place| place.get::<&str>("name") == Ok(name)).expect(name);
        place.get::<u64>(field).or_else(|_| place.get::<u32>(field).map(u64::from)).unwrap()
    }

    fn crossings(&self) -> (u64, u64) {
        (self.total("lines", "door", "in"), self.total("lines", "door", "out"))
    }

    /// Entered, left and inside.
    fn hall(&self) -> (u64, u64, u64) {
        let total = |field| self.total("zones", "hall", field);
        (total("entered"), total("left"), total("occupancy"))
    }

    /// The events on the bus.
    fn messages(&self) -> Vec<gst::Structure> {
        let messages = std::iter::from_fn(|| self.bus.pop_filtered(&[gst::MessageType::Element]));
        messages.map(|message| message.structure().unwrap().to_owned()).collect()
    }

    fn warning(&self) -> Option<String> {
        let message = self.bus.pop_filtered(&[gst::MessageType::Warning])?;
        let gst::MessageView::Warning(warning) = message.view() else { return None };
        Some(warning.error().message().to_owned())
    }
}

/// A person whose feet are at `x`.
fn person(track: u64, x: f32, state: TrackState) -> Object {
    let info = TrackInfo { state, age: Duration::ZERO, velocity: (0.0, 0.0) };
    Object {
        id: 0,
        rect: Rect::new(x - 0.02, 0.4, 0.04, 0.2),
        class_id: Some(0),
        label: "person".into(),
        confidence: 0.9,
        source: "det".into(),
        track_id: Some(track),
        track: Some(info),
        ..Object::default()
    }
}

/// 40 walkers, found with 10 % misses, through both elements.
#[test]
fn every_count_is_exact() {
    register();
    let walkers = walkers();
    let truth = truth(&walkers);
    let last = walkers.iter().map(|walker| walker.start + walker.frames).max().unwrap() + 60;
    for (misses, interval) in [(0.0, 0), (0.1, 0), (0.1, 2)] {
        let bin = gst::parse::bin_from_description(
            "trttrack roi-meta=false analytics-meta=false ! trtzones name=zones",
            true,
        );
        let bin = bin.unwrap();
        let zones = bin.by_name("zones").unwrap();
        zones.set_property("zones", zones_and_lines());
        let mut harness = Harness::with_element(&bin, Some("sink"), Some("src"));
        let (width, height) = SIZE;
        harness.set_src_caps_str(&format!("video/x-raw,format=RGB,width={width},height={height},framerate=25/1"));
        let mut random = Random(9);
        for n in 0..last {
            let looked = n % (interval + 1) == 0;
            let mut objects = Vec::new();
            for walker in walkers.iter().filter(|walker| looked && !walker.is_hidden(n)) {
                let Some(x) = walker.x(n) else { continue };
                if random.next() < misses {
                    continue;
                }
                let rect = walker.rect(x);
                let mut noise = |part: f32| part * (random.next() + random.next() - 1.0);
                let (x, y) = (rect.x + noise(0.06 * rect.w), rect.y + noise(0.03 * rect.h));
                let rect = Rect::new(x, y, rect.w * (1.0 + noise(0.06)), rect.h * (1.0 + noise(0.03)));
                let confidence = 0.65 + 0.3 * random.next();
                let rect = rect.scaled(1.0 / width as f32, 1.0 / height as f32);
                objects.push(Object {
                    id: objects.len() as u32,
                    rect,
                    confidence,
                    ..person(0, 0.0, TrackState::Confirmed)
                });
            }
            for object in &mut objects {
                (object.track_id, object.track) = (None, None);
            }
            let inference = if looked { Inference::Done } else { Inference::Interval };
            let models = vec![ModelRun { model_id: "det".into(), inference }];
            let mut buffer = gst::Buffer::new();
            let writable = buffer.get_mut().unwrap();
            writable.set_pts(time(n.into()));
            meta::set_record_alone(writable, Arc::new(Record { objects, models, ..Record::default() }), width, height);
            harness.push_and_pull(buffer).unwrap();
        }
        let scene = Scene { harness, element: zones, bus: gst::Bus::new() };
        let case = format!("misses {misses}, interval {interval}");
        let line = (scene.total("lines", "line", "in"), scene.total("lines", "line", "out"));
        assert_eq!(line, (truth.inwards, truth.outwards), "{case}");
        for ((name, ..), dwell) in ZONES.iter().zip(&truth.dwell) {
            let counted = ["entered", "left", "vanished", "occupancy"].map(|field| scene.total("zones", name, field));
            assert_eq!(counted, [dwell.len() as u64, dwell.len() as u64, 0, 0], "{case}: {name}");
        }
    }
}

#[test]
fn an_event_is_on_the_bus_and_in_the_record() {
    let mut scene = Scene::new(&[("zones", DOOR)]);
    let records = scene.walk(41, (0, 40), (0.3, 0.7));
    let events: Vec<_> = records.iter().flat_map(|record| &record.events).collect();
    let names: Vec<_> = events.iter().map(|event| (event.kind.name(), &*event.place)).collect();
    assert_eq!(names, [("entered", "hall"), ("crossed", "door")], "{events:?}");
    let [entered, crossed] = &scene.messages()[..] else { panic!() };
    for (message, event) in [(entered, events[0]), (crossed, events[1])] {
        assert_eq!(message.name(), "trtzones-event");
        assert_eq!(message.get::<&str>("type"), Ok(event.kind.name()));
        let at = event.time.as_nanos() as u64;
        assert_eq!((message.get::<u64>("timestamp"), message.get::<u64>("running-time")), (Ok(at), Ok(at)));
        assert_eq!((message.get::<u64>("track-id"), message.get::<&str>("label")), (Ok(41), Ok("person")));
    }
    assert_eq!(entered.get::<&str>("zone"), Ok("hall"));
    // Downwards, the right side is out.
    assert_eq!((crossed.get::<&str>("line"), crossed.get::<&str>("direction")), (Ok("door"), Ok("out")));
    assert_eq!((scene.crossings(), scene.hall()), ((0, 1), (1, 0, 1)));
    assert_eq!(scene.stats().get::<u64>("events"), Ok(2));
}

#[test]
fn at_the_end_all_leave_and_totals_stay() {
    let mut scene = Scene::new(&[("zones", DOOR)]);
    scene.walk(1, (0, 40), (0.3, 0.7));
    scene.messages();
    assert!(scene.harness.push_event(gst::event::Eos::new()));
    let [left] = &scene.messages()[..] else { panic!() };
    assert_eq!((left.get::<&str>("type"), left.get::<bool>("vanished")), (Ok("left"), Ok(true)));
    let dwell = left.get::<u64>("dwell").unwrap();
    assert!((700_000_000..900_000_000).contains(&dwell), "half of 40 frames of 40 ms: {dwell}");
    assert_eq!((scene.crossings(), scene.hall()), ((0, 1), (1, 1, 0)));
}

#[test]
fn totals_go_on_over_flushes_and_new_streams_where_no_time_passes() {
    let mut scene = Scene::new(&[("zones", DOOR)]);
    scene.walk(1, (0, 40), (0.3, 0.7));
    assert!(scene.harness.push_event(gst::event::FlushStart::new()));
    assert!(scene.harness.push_event(gst::event::FlushStop::new(true)));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    assert!(scene.harness.push_event(gst::event::Segment::new(&segment)));
    // An hour later by the timestamps, the same object under another id.
    scene.walk(2, (90_000, 90_040), (0.7, 0.3));
    assert_eq!((scene.crossings(), scene.hall()), ((1, 1), (1, 1, 0)));
    let longest = scene.total("zones", "hall", "longest-dwell");
    assert!((1_400_000_000..1_800_000_000).contains(&longest), "{longest}");
}

#[test]
fn tentative_and_predicted_objects_do_not_count() {
    let mut scene = Scene::new(&[("zones", DOOR)]);
    for frame in 0..50 {
        let x = 0.3 + 0.01 * frame as f32;
        scene.push(frame, vec![person(1, x, TrackState::Tentative)]);
    }
    scene.walk(2, (50, 55), (0.3, 0.32));
    for frame in 56..100 {
        scene.push(frame, vec![person(2, 0.7, TrackState::Predicted)]);
    }
    assert_eq!((scene.crossings(), scene.hall()), ((0, 0), (0, 0, 0)));
}

/// A person who is hidden in the hall for longer than `merge`, whose track goes on.
#[test]
fn a_lost_track_stays_where_it_was() {
    let mut scene = Scene::new(&[("zones", DOOR)]);
    scene.walk(1, (0, 40), (0.3, 0.7));
    for frame in 41..120 {
        let models = vec![ModelRun { model_id: "det".into(), inference: Inference::Done }];
        scene.push_record(frame, Record { models, lost_tracks: vec![1], ..Record::default() });
    }
    assert_eq!(scene.hall(), (1, 0, 1));
    scene.walk(1, (120, 130), (0.7, 0.71));
    assert_eq!(scene.hall(), (1, 0, 1));
}

#[test]
fn a_change_while_playing_restarts_only_what_it_changes() {
    let mut scene = Scene::new(&[("zones", DOOR)]);
    scene.walk(1, (0, 40), (0.3, 0.7));
    scene.element.set_property("zones", WIDER);
    scene.walk(1, (41, 50), (0.7, 0.7));
    // Who is there enters the new zone; the line goes on.
    assert_eq!((scene.crossings(), scene.hall()), ((0, 1), (1, 0, 1)));
    scene.walk(1, (51, 100), (0.7, 0.2));
    assert_eq!((scene.crossings(), scene.hall()), ((1, 1), (1, 1, 0)));

    assert_eq!(scene.warning(), None);
    scene.element.set_property("zones", r#"{"lines": 3}"#);
    scene.walk(1, (101, 102), (0.2, 0.2));
    let warning = scene.warning().unwrap();
    assert!(
        warning.starts_with("zones: the zones can't be read") && warning.contains("stay as they were"),
        "{warning}"
    );
    assert_eq!((scene.crossings(), scene.hall()), ((1, 1), (1, 1, 0)));
}

#[test]
fn frames_carry_zones_and_counts_for_drawing() {
    let mut scene = Scene::new(&[("zones", DOOR)]);
    let records = scene.walk(1, (0, 40), (0.3, 0.7));
    let counts = |record: &Record| record.places.iter().map(|place| place.count).collect::<Vec<_>>();
    let count = |occupancy, outwards| [PlaceCount::Zone { occupancy }, PlaceCount::Line { inwards: 0, outwards }];
    assert_eq!((counts(&records[0]), counts(&records[40])), (count(0, 0).into(), count(1, 1).into()));
    assert_eq!(&*records[0].places[1].points, [(0.5, 0.0), (0.5, 1.0)]);
    scene.element.set_property("attach-zones", false);
    assert!(scene.walk(1, (41, 42), (0.7, 0.7)).iter().all(|record| record.places.is_empty()));
}

#[test]
fn a_file_is_read_again_when_it_is_set_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zones.json");
    let path_text = path.to_str().unwrap();
    std::fs::write(&path, DOOR).unwrap();
    let mut scene = Scene::new(&[("zones-file", path_text)]);
    scene.walk(1, (0, 40), (0.3, 0.7));
    std::fs::write(&path, r#"{"lines": [{"name": "gate", "from": [0.3, 0], "to": [0.3, 1]}]}"#).unwrap();
    scene.walk(1, (41, 45), (0.7, 0.7));
    assert_eq!(scene.crossings(), (0, 1), "not yet");
    scene.element.set_property("zones-file", path_text);
    scene.walk(1, (46, 100), (0.7, 0.1));
    assert_eq!(scene.total("lines", "gate", "in"), 1);
    assert_eq!(scene.stats().get::<gst::Array>("zones").unwrap().len(), 0);
}

#[test]
fn totals_survive_a_restart_in_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let properties = [("zones", DOOR), ("state-file", path.to_str().unwrap())];
    let mut scene = Scene::new(&properties);
    scene.walk(1, (0, 40), (0.3, 0.7));
    scene.element.set_state(gst::State::Null).unwrap();
    let mut scene = Scene::new(&properties);
    // Under another id, but at once: the same object.
    scene.walk(2, (0, 40), (0.7, 0.3));
    assert_eq!((scene.crossings(), scene.hall()), ((1, 1), (1, 1, 0)));

    std::fs::write(&path, "[]").unwrap();
    assert_fails(&properties, "can't read state-file");
    assert_fails(&[("zones", DOOR), ("zones-file", "/x")], "zones and zones-file are both set");
    assert_fails(&[("zones", r#"{"margin": 3}"#)], "zones: margin: 3 isn't a part of the frame's height");
    assert_fails(&[("zones-file", Path::new("/nowhere").to_str().unwrap())], "can't read zones-file /nowhere");
}

#[track_caller]
fn assert_fails(properties: &[(&str, &str)], expected: &str) {
    register();
    let pipeline = gst::parse::launch("videotestsrc ! trtzones name=zones ! fakesink").unwrap();
    let pipeline: gst::Pipeline = pipeline.downcast().unwrap();
    let element = pipeline.by_name("zones").unwrap();
    properties.iter().for_each(|(name, value)| element.set_property_from_str(name, value));
    assert!(pipeline.set_state(gst::State::Paused).is_err(), "{properties:?}");
    let message = pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Error]).unwrap();
    let gst::MessageView::Error(error) = message.view() else { panic!() };
    assert!(error.error().message().contains(expected), "{}", error.error().message());
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn objects_without_tracks_are_told_of() {
    let mut scene = Scene::new(&[("zones", DOOR)]);
    for frame in 0..100 {
        assert_eq!(scene.warning(), None, "frame {frame}");
        scene.push(frame, vec![Object { track_id: None, track: None, ..person(0, 0.3, TrackState::Confirmed) }]);
    }
    assert!(scene.warning().unwrap().contains("put trttrack before trtzones"));
}

#[test]
fn lines_have_tracks_and_events_that_the_schema_allows() {
    register();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lines.jsonl");
    let bin = gst::parse::bin_from_description(
        &format!("trttrack ! trtzones name=zones ! trtpublish location={}", path.display()),
        true,
    );
    let bin = bin.unwrap();
    bin.by_name("zones").unwrap().set_property("zones", DOOR);
    let mut harness = Harness::with_element(&bin, Some("sink"), Some("src"));
    harness.set_src_caps_str("video/x-raw,format=RGB,width=1280,height=720,framerate=25/1");
    for frame in 0..=40 {
        let found =
            Object { track_id: None, track: None, ..person(0, 0.3 + 0.01 * frame as f32, TrackState::Confirmed) };
        let (objects, inference) =
            if frame % 2 == 0 { (vec![found], Inference::Done) } else { (vec![], Inference::Interval) };
        let models = vec![ModelRun { model_id: "det".into(), inference }];
        let mut buffer = gst::Buffer::new();
        let writable = buffer.get_mut().unwrap();
        writable.set_pts(time(frame));
        meta::set_record_alone(writable, Arc::new(Record { objects, models, ..Record::default() }), SIZE.0, SIZE.1);
        harness.push_and_pull(buffer).unwrap();
    }
    assert!(harness.push_event(gst::event::Eos::new()));
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let schema = std::fs::read_to_string(find::root().join("docs/objects.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    for line in &lines {
        assert!(schema.is_valid(line), "{:?}", schema.iter_errors(line).map(|e| e.to_string()).collect::<Vec<_>>());
    }
    let states: Vec<_> = lines.iter().map(|line| line["objects"][0]["track"]["state"].as_str().unwrap()).collect();
    assert!(states.iter().enumerate().all(|(n, state)| *state == ["confirmed", "predicted"][n % 2]), "{states:?}");
    // 12.8 pixels in 40 ms.
    let velocity = lines[40]["objects"][0]["track"]["velocity"]["x"].as_f64().unwrap();
    assert!((velocity - 320.0).abs() < 20.0, "{velocity}");
    let events: Vec<_> =
        lines.iter().filter_map(|line| line.get("events")).flat_map(|e| e.as_array().unwrap()).collect();
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["entered", "crossed"], "{events:?}");
    assert_eq!((&events[1]["line"], &events[1]["direction"]), (&Value::from("door"), &Value::from("out")));
    assert_eq!(events[0]["track_id"], lines[0]["objects"][0]["track_id"]);
}
