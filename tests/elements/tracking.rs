//! `trttrack` on frames with made-up metadata: which ids objects have, when they change, and in which forms they are written.

use super::objects::{HEIGHT, WIDTH, frame, object};
use crate::common::analytics::{self, Relations};
use crate::common::running::register;
use gst::prelude::*;
use gst_check::Harness;
use gst_video::VideoRegionOfInterestMeta;
use gsttensorrt::meta::{self, Inference, KeypointSet, ModelRun, Object, Record, TrackState};
use model::{Keypoint, KeypointLayout, Rect};
use std::sync::Arc;

const PERIOD: gst::ClockTime = gst::ClockTime::from_mseconds(40);

fn caps(width: u32, height: u32) -> String {
    format!("video/x-raw,format=RGB,width={width},height={height},framerate=25/1")
}

fn harness(properties: &[(&str, &str)]) -> Harness {
    register();
    let element = gst::ElementFactory::make("trttrack").build().unwrap();
    for (name, value) in properties {
        element.set_property_from_str(name, value);
    }
    let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
    harness.set_src_caps_str(&caps(WIDTH, HEIGHT));
    harness
}

fn numbered(n: u64, mut buffer: gst::Buffer) -> gst::Buffer {
    buffer.get_mut().unwrap().set_pts(n * PERIOD);
    buffer
}

/// The frame with this number, and what `det` has done with it.
fn seen(n: u64, inference: Inference, objects: Vec<Object>) -> gst::Buffer {
    let models = vec![ModelRun { model_id: "det".into(), inference }];
    let mut buffer = numbered(n, frame());
    let record = Arc::new(Record { objects, models, ..Record::default() });
    meta::set_record(buffer.get_mut().unwrap(), record, WIDTH, HEIGHT);
    buffer
}

/// A car that moves by 3.2 pixels a frame, and a person who stands.
fn car(n: u64) -> Object {
    object(0, "car", Rect::new(0.1 + 0.01 * n as f32, 0.2, 0.2, 0.2))
}

fn person() -> Object {
    object(1, "person", Rect::new(0.7, 0.4, 0.1, 0.5))
}

fn tracked(buffer: &gst::Buffer) -> Arc<Record> {
    meta::read(buffer, WIDTH, HEIGHT)
}

/// Labels and tracks.
fn tracks(record: &Record) -> Vec<(&str, Option<u64>)> {
    record.objects.iter().map(|object| (&*object.label, object.track_id)).collect()
}

/// The id of the only object.
#[track_caller]
fn only_id(buffer: &gst::Buffer) -> u64 {
    match tracked(buffer).objects[..] {
        [ref object] => object.track_id.expect("a track"),
        ref objects => panic!("{objects:?}"),
    }
}

fn stat(harness: &Harness, name: &str) -> u64 {
    harness.element().unwrap().property::<gst::Structure>("stats").get(name).unwrap()
}

#[test]
fn ids_stay_and_skipped_frames_have_predicted_boxes() {
    let mut h = harness(&[]);
    let mut ids = None;
    for n in 0..30 {
        let looked = n % 3 == 0;
        let buffer = match looked {
            true => seen(n, Inference::Done, vec![car(n), person()]),
            false => seen(n, if n % 3 == 1 { Inference::Interval } else { Inference::Busy }, vec![]),
        };
        let out = h.push_and_pull(buffer).unwrap();
        let record = tracked(&out);
        let now = tracks(&record);
        let first = ids.get_or_insert_with(|| now.iter().map(|(_, id)| id.unwrap()).collect::<Vec<u64>>());
        assert_eq!(now, [("car", Some(first[0])), ("person", Some(first[1]))], "frame {n}");
        for object in &record.objects {
            let state = object.track.unwrap().state;
            assert_eq!(state == TrackState::Predicted, !looked, "frame {n}: {state:?}");
            assert_eq!((object.class_id, &*object.source), (Some(10 + u32::from(&*object.label == "person")), "det"));
        }
        let off = (record.objects[0].rect.x - car(n).rect.x).abs() * WIDTH as f32;
        assert!(n < 9 || off < 3.0, "frame {n}: the car is {off} pixels from where it is");
    }
    assert_eq!(["frames", "frames-updated", "frames-predicted"].map(|name| stat(&h, name)), [30, 10, 20]);
    assert_eq!([stat(&h, "objects-observed"), stat(&h, "objects-predicted"), stat(&h, "resets")], [20, 40, 0]);
}

#[test]
fn what_is_found_keeps_its_details_and_predictions_have_none() {
    let mut h = harness(&[]);
    let layout = KeypointLayout { name: "one", names: vec!["nose".into()], limbs: vec![] };
    let points = vec![Keypoint { x: 0.75, y: 0.45, confidence: 0.9 }];
    let set = KeypointSet { source: "pose".into(), layout: Arc::new(layout), points };
    let posed = Object { keypoints: Some(set), ..person() };
    let out = h.push_and_pull(seen(0, Inference::Done, vec![car(0), posed.clone()])).unwrap();
    let record = tracked(&out);
    assert_eq!(record.objects[1].keypoints, posed.keypoints);
    assert_eq!(record.models.len(), 1);
    let out = h.push_and_pull(seen(1, Inference::Interval, vec![])).unwrap();
    assert!(tracked(&out).objects.iter().all(|object| object.keypoints.is_none() && object.track_id.is_some()));
}

#[test]
fn an_object_that_appears_later_is_tentative_first() {
    let mut h = harness(&[("min-hits", "3")]);
    let mut states = Vec::new();
    for n in 0..6 {
        let objects = if n == 0 { vec![car(0)] } else { vec![car(n), person()] };
        let record = tracked(&h.push_and_pull(seen(n, Inference::Done, objects)).unwrap());
        states.extend(record.objects.iter().filter(|o| &*o.label == "person").map(|o| o.track.unwrap().state));
    }
    use TrackState::{Confirmed, Tentative};
    assert_eq!(states, [Tentative, Tentative, Confirmed, Confirmed, Confirmed]);
}

#[test]
fn objects_in_boxes_of_others_and_weak_ones_have_no_track() {
    let mut h = harness(&[]);
    let face = Object { parent: Some(1), ..object(2, "face", Rect::new(0.72, 0.42, 0.05, 0.05)) };
    let weak = Object { confidence: 0.05, ..object(3, "cat", Rect::new(0.4, 0.7, 0.1, 0.1)) };
    let out = h.push_and_pull(seen(0, Inference::Done, vec![car(0), person(), face, weak])).unwrap();
    let record = tracked(&out);
    let has: Vec<_> = record.objects.iter().map(|object| object.track_id.is_some()).collect();
    assert_eq!(has, [true, true, false, false]);
}

#[test]
fn two_models_of_one_class_do_not_mix() {
    let mut h = harness(&[]);
    let other = |n: u64| Object { source: "other".into(), ..object(1, "car", car(n).rect) };
    let mut first = None;
    for n in 0..12 {
        // The other model looks at every second frame.
        let both = n % 2 == 0;
        let objects = if both { vec![car(n), other(n)] } else { vec![car(n)] };
        let inference = if both { Inference::Done } else { Inference::Interval };
        let models = [("det", Inference::Done), ("other", inference)];
        let models = models.map(|(id, inference)| ModelRun { model_id: id.into(), inference }).to_vec();
        let mut buffer = numbered(n, frame());
        let record = Arc::new(Record { objects, models, ..Record::default() });
        meta::set_record(buffer.get_mut().unwrap(), record, WIDTH, HEIGHT);
        let record = tracked(&h.push_and_pull(buffer).unwrap());
        let now: Vec<_> = record.objects.iter().map(|o| (o.source.to_string(), o.track_id.unwrap())).collect();
        let first = first.get_or_insert_with(|| now.clone());
        assert_eq!(now, *first, "frame {n}");
        assert_ne!(first[0].1, first[1].1);
    }
}

/// Pushes frames with the car from `n` on, and returns its id, which is the same in all of them.
#[track_caller]
fn id_in_three_frames(h: &mut Harness, n: u64) -> u64 {
    let ids: Vec<u64> =
        (n..n + 3).map(|n| only_id(&h.push_and_pull(seen(n, Inference::Done, vec![car(3)])).unwrap())).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    ids[0]
}

fn segment(start: gst::ClockTime) -> gst::Event {
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(start);
    segment.set_time(start);
    gst::event::Segment::new(&segment)
}

#[test]
fn tracks_end_with_the_stream_a_flush_another_segment_and_a_discontinuity() {
    let mut h = harness(&[]);
    let mut ids = vec![id_in_three_frames(&mut h, 0)];

    assert!(h.push_event(gst::event::FlushStart::new()) && h.push_event(gst::event::FlushStop::new(true)));
    assert!(h.push_event(segment(gst::ClockTime::ZERO)));
    ids.push(id_in_three_frames(&mut h, 10));

    // The same segment again changes nothing.
    assert!(h.push_event(segment(gst::ClockTime::ZERO)));
    assert_eq!(id_in_three_frames(&mut h, 13), ids[1]);
    assert!(h.push_event(segment(gst::ClockTime::SECOND)));
    ids.push(id_in_three_frames(&mut h, 30));

    assert!(h.push_event(gst::event::StreamStart::new("another")));
    h.set_src_caps_str(&caps(WIDTH, HEIGHT));
    assert!(h.push_event(segment(gst::ClockTime::SECOND)));
    ids.push(id_in_three_frames(&mut h, 40));

    // A leaky queue drops two frames; then time jumps, and it goes back.
    let discont = |h: &mut Harness, number: u64| {
        let mut buffer = seen(number, Inference::Done, vec![car(3)]);
        buffer.get_mut().unwrap().set_flags(gst::BufferFlags::DISCONT);
        only_id(&h.push_and_pull(buffer).unwrap())
    };
    assert_eq!(discont(&mut h, 45), ids[3]);
    ids.push(discont(&mut h, 90));
    ids.push(discont(&mut h, 60));

    assert!(ids.is_sorted_by(|a, b| a < b), "ids are never used again: {ids:?}");
    assert_eq!(stat(&h, "resets"), 5);
}

#[test]
fn other_caps_of_the_same_stream_end_no_track() {
    let mut h = harness(&[]);
    let before = id_in_three_frames(&mut h, 0);
    h.set_src_caps_str(&caps(2 * WIDTH, 2 * HEIGHT));
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, 2 * WIDTH, 2 * HEIGHT).build().unwrap();
    let mut buffer = numbered(3, gst::Buffer::with_size(info.size()).unwrap());
    let models = vec![ModelRun { model_id: "det".into(), inference: Inference::Done }];
    let record = Arc::new(Record { objects: vec![car(3)], models, ..Record::default() });
    meta::set_record(buffer.get_mut().unwrap(), record, 2 * WIDTH, 2 * HEIGHT);
    let out = h.push_and_pull(buffer).unwrap();
    assert_eq!(meta::read(&out, 2 * WIDTH, 2 * HEIGHT).objects[0].track_id, Some(before));
}

fn rois(buffer: &gst::BufferRef) -> Vec<(String, i32, Option<i32>)> {
    let metas = buffer.iter_meta::<VideoRegionOfInterestMeta>();
    let id = |meta: &VideoRegionOfInterestMeta| meta.param("object_id").and_then(|params| params.get("id").ok());
    metas.map(|meta| (meta.roi_type().to_owned(), meta.id(), id(&meta))).collect()
}

#[test]
fn another_programs_objects_get_ids_in_their_own_metadata() {
    let mut h = harness(&[]);
    let mut first = None;
    for n in 0..10 {
        let mut buffer = numbered(n, frame());
        // On every second frame.
        if n % 2 == 0 {
            let place = (40 + 4 * n as u32, 60, 50, 80);
            VideoRegionOfInterestMeta::add(buffer.get_mut().unwrap(), "face", place).set_id(1000);
        }
        let out = h.push_and_pull(buffer).unwrap();
        let record = tracked(&out);
        // Before the third frame the detector's interval isn't known, and nothing says that the face has gone.
        let [object] = &record.objects[..] else { panic!("frame {n}: {record:?}") };
        let id = object.track_id.unwrap();
        assert_eq!((id, &*object.label, object.foreign), (*first.get_or_insert(id), "face", n % 2 == 0), "frame {n}");
        let [(label, roi, object_id)] = &rois(&out)[..] else { panic!("frame {n}: {:?}", rois(&out)) };
        assert_eq!((&**label, *object_id), ("face", i32::try_from(id).ok()), "frame {n}");
        assert!(n % 2 == 1 || *roi == 1000, "frame {n}: the other program's meta is kept");
    }
}

#[test]
fn roi_metas_of_our_objects_get_the_id() {
    for roi_meta in ["true", "false"] {
        let mut h = harness(&[("roi-meta", roi_meta)]);
        let out = h.push_and_pull(seen(0, Inference::Done, vec![car(0), person()])).unwrap();
        let record = tracked(&out);
        let id = |index: usize| record.objects[index].track_id.and_then(|id| i32::try_from(id).ok());
        assert_eq!(rois(&out), [("car".into(), 0, id(0)), ("person".into(), 1, id(1))], "roi-meta={roi_meta}");
        // Predicted objects have metas only where they are asked for.
        let out = h.push_and_pull(seen(1, Inference::Interval, vec![])).unwrap();
        assert_eq!(rois(&out).len(), if roi_meta == "true" { 2 } else { 0 });
    }
}

#[test]
fn analytics_has_each_objects_track_once() {
    if !analytics::is_there() {
        eprintln!("skipped: GStreamer has no analytics library");
        return;
    }
    let mut h = harness(&[]);
    // The entries are there before the tracks, and one has the track of another element.
    let mut buffer = seen(0, Inference::Done, vec![car(0), person()]);
    let there = Relations::of(&buffer).unwrap();
    let entry = there.objects()[1].id;
    let old = Relations::of_or_added(buffer.get_mut().unwrap()).add_track(7_000_000);
    there.relate(entry, analytics::RELATE_TO, old);
    let check = |out: &gst::Buffer| {
        let record = tracked(out);
        let relations = Relations::of(out).unwrap();
        let (objects, tracks) = (relations.objects(), relations.tracks());
        assert_eq!((objects.len(), tracks.len()), (2, 2), "{tracks:?}");
        for (object, entry) in record.objects.iter().zip(&objects) {
            let its = tracks.iter().filter(|(track, _)| relations.relation(entry.id, *track) == analytics::RELATE_TO);
            let ids: Vec<_> = its.map(|(_, id)| Some(*id)).collect();
            assert_eq!(ids, [object.track_id], "{}", object.label);
        }
    };
    let out = h.push_and_pull(buffer).unwrap();
    check(&out);
    // A second tracker replaces the first one's.
    let mut second = harness(&[]);
    let again = second.push_and_pull(out).unwrap();
    check(&again);
    check(&h.push_and_pull(seen(1, Inference::Interval, vec![])).unwrap());
}

#[test]
fn a_shared_frame_stays_as_it_is() {
    let mut h = harness(&[]);
    let buffer = seen(0, Inference::Done, vec![car(0)]);
    let before = buffer.clone();
    let out = h.push_and_pull(buffer).unwrap();
    assert!(tracked(&out).objects[0].track_id.is_some());
    assert!(tracked(&before).objects[0].track_id.is_none());
    assert_eq!(out.peek_memory(0).as_ptr(), before.peek_memory(0).as_ptr(), "the pixels are shared");
}

#[test]
fn settings_change_while_playing() {
    let mut h = harness(&[]);
    let bus = gst::Bus::new();
    let element = h.element().unwrap();
    element.set_bus(Some(&bus));
    let id = id_in_three_frames(&mut h, 0);
    element.set_property("max-age", 3_u32);
    let mut lost = Vec::new();
    for n in 3..8 {
        let record = tracked(&h.push_and_pull(seen(n, Inference::Done, vec![])).unwrap());
        lost.push(!record.lost_tracks.is_empty());
    }
    assert_eq!(lost, [true, true, true, false, false]);
    assert_ne!(id_in_three_frames(&mut h, 8), id);

    // What doesn't go together is told, and changes nothing.
    let id = id_in_three_frames(&mut h, 11);
    element.set_property("low-confidence", 0.9_f32);
    assert_eq!(id_in_three_frames(&mut h, 14), id);
    let warning = bus.pop_filtered(&[gst::MessageType::Warning]).expect("a warning");
    let gst::MessageView::Warning(warning) = warning.view() else { panic!() };
    assert!(warning.error().message().contains("low-confidence 0.9 is above high-confidence"), "{warning:?}");

    element.set_property("low-confidence", 0.1_f32);
    element.set_property_from_str("algorithm", "oc-sort");
    assert_ne!(id_in_three_frames(&mut h, 17), id, "another algorithm starts anew");
}

#[test]
fn settings_that_contradict_each_other_are_an_error_at_start() {
    register();
    let pipeline = gst::parse::launch("videotestsrc ! trttrack low-confidence=0.9 ! fakesink").unwrap();
    assert!(pipeline.set_state(gst::State::Paused).is_err());
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn any_memory_and_format_passes() {
    register();
    let mut h = Harness::new("trttrack");
    for caps in ["video/x-raw(memory:CUDAMemory),format=P010_10LE", "video/x-raw(memory:GLMemory),format=Y444"] {
        h.set_src_caps_str(&format!("{caps},width=64,height=32,framerate=0/1"));
        let buffer = numbered(0, gst::Buffer::new());
        let pointer = buffer.as_ptr();
        assert_eq!(h.push_and_pull(buffer).unwrap().as_ptr(), pointer);
    }
}
