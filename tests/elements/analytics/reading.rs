//! What we read of other elements' objects.

use super::{HEIGHT, WIDTH, frame, sample, through};
use crate::common::analytics::{self, CONTAIN, IS_PART_OF, RELATE_TO, Relations};
use gst_video::VideoRegionOfInterestMeta;
use gsttensorrt::meta::{self, Object, Record};
use model::{Keypoint, Rect};
use std::sync::Arc;

fn read(buffer: &gst::Buffer) -> Vec<Object> {
    Record::clone(&meta::read(buffer, WIDTH, HEIGHT)).objects
}

fn pixels(object: &Object) -> [f32; 4] {
    let Rect { x, y, w, h } = object.rect.scaled(WIDTH as f32, HEIGHT as f32);
    [x, y, w, h].map(|at| (at * 100.0).round() / 100.0)
}

#[test]
fn objects_of_others_have_label_box_confidence_and_parent() {
    if !analytics::is_there() {
        return;
    }
    let mut buffer = frame();
    let relations = Relations::of_or_added(buffer.get_mut().unwrap());
    let plate = relations.add_object(Some("plate"), [20, 30, 40, 10], 0.5);
    let car = relations.add_object(Some("car"), [-10, 20, 100, 50], 0.625);
    let wheel = relations.add_object(Some("wheel"), [20, 50, 10, 10], 7.5);
    let unsure = relations.add_object(Some("unsure"), [100, 100, 10, 10], f32::NAN);
    relations.relate(plate, IS_PART_OF, car);
    relations.relate(car, CONTAIN, wheel);
    relations.relate(unsure, RELATE_TO, car);
    let objects = read(&buffer);
    let found: Vec<_> = objects.iter().map(|o| (o.id, &*o.label, pixels(o), o.confidence, o.parent)).collect();
    assert_eq!(
        found,
        [
            (0, "plate", [20.0, 30.0, 40.0, 10.0], 0.5, Some(1)),
            (1, "car", [-10.0, 20.0, 100.0, 50.0], 0.625, None),
            (2, "wheel", [20.0, 50.0, 10.0, 10.0], 1.0, Some(1)),
            (3, "unsure", [100.0, 100.0, 10.0, 10.0], 1.0, None),
        ]
    );
    assert!(objects.iter().all(|o| &*o.source == "analytics" && o.class_id.is_none() && o.track_id.is_none()));
    // There is no record of ours.
    assert_eq!(meta::record(&buffer), None);
}

#[test]
fn an_object_without_label_has_that_of_its_class() {
    if !analytics::is_there() {
        return;
    }
    let mut buffer = frame();
    let relations = Relations::of_or_added(buffer.get_mut().unwrap());
    let place = [20, 30, 40, 10];
    for (label, relation) in [(None, RELATE_TO), (Some(""), CONTAIN), (Some("named"), RELATE_TO), (None, 0)] {
        let object = relations.add_object(label, place, 0.5);
        let classes = relations.add_classes(&[("dog", 0.25), ("cat", 0.5), ("", 0.75)]);
        relations.relate(object, relation, classes);
    }
    let labels: Vec<_> = read(&buffer).iter().map(|o| o.label.to_string()).collect();
    assert_eq!(labels, ["cat", "cat", "named", ""]);
}

#[test]
fn what_is_not_in_the_picture_is_no_object() {
    if !analytics::is_there() {
        return;
    }
    let mut buffer = frame();
    let relations = Relations::of_or_added(buffer.get_mut().unwrap());
    for place in [[-20, 0, 20, 10], [320, 0, 10, 10], [10, 300, 10, 10], [10, 10, 0, 5], [i32::MIN, 0, i32::MAX, 1]] {
        relations.add_object(Some("out"), place, 0.5);
    }
    relations.add_object(Some("in"), [i32::MIN, -5, i32::MAX, 10], 0.5);
    relations.add_object(Some("in"), [319, 239, i32::MAX, i32::MAX], 0.5);
    assert_eq!(read(&buffer).iter().map(|o| &*o.label).collect::<Vec<_>>(), ["in"]);
}

#[test]
fn other_elements_objects_beside_ours_are_read_once() {
    if !analytics::is_there() {
        return;
    }
    let mut buffer = frame();
    // One like our person, but elsewhere, and one at its place with another confidence; before and after ours.
    let there = Relations::of_or_added(buffer.get_mut().unwrap());
    there.add_object(Some("person"), [200, 16, 32, 64], sample().objects[1].confidence);
    meta::set_record(buffer.get_mut().unwrap(), Arc::new(sample()), WIDTH, HEIGHT);
    let there = Relations::of_or_added(buffer.get_mut().unwrap());
    let person = there.objects()[2].id;
    let other = there.add_object(Some("person"), [80, 72, 64, 144], 0.5);
    let hat = there.add_object(Some("hat"), [90, 72, 20, 20], 0.5);
    there.relate(hat, IS_PART_OF, person);
    for (elements, scale) in [
        ("identity", 1),
        ("videoscale ! capsfilter caps=video/x-raw,width=640,height=480", 2),
        ("tee ! queue ! videoconvert ! capsfilter caps=video/x-raw,format=BGRA", 1),
    ] {
        let out = through(elements, buffer.copy());
        let all = meta::read(&out, scale * WIDTH, scale * HEIGHT);
        assert_eq!(all.objects[..2], sample().objects, "{elements}");
        assert_eq!(all.models, sample().models);
        let others: Vec<_> = all.objects[2..].iter().map(|o| (o.id, &*o.label, pixels(o), o.parent)).collect();
        assert_eq!(
            others,
            [
                (2, "person", [200.0, 16.0, 32.0, 64.0], None),
                (3, "person", [80.0, 72.0, 64.0, 144.0], None),
                (4, "hat", [90.0, 72.0, 20.0, 20.0], Some(1)),
            ],
            "{elements}"
        );
    }
    let _ = other;
}

#[test]
fn a_trackers_ids_are_those_of_our_objects() {
    if !analytics::is_there() {
        return;
    }
    let mut buffer = frame();
    meta::set_record(buffer.get_mut().unwrap(), Arc::new(sample()), WIDTH, HEIGHT);
    let relations = Relations::of_or_added(buffer.get_mut().unwrap());
    // As `ioutracker`: also tracks that it doesn't see now.
    relations.add_track(3);
    let old = relations.add_track(4);
    let new = relations.add_track(5);
    let reverse = relations.add_track(u64::MAX);
    relations.relate(0, RELATE_TO, old);
    relations.relate(0, RELATE_TO, new);
    relations.relate(reverse, RELATE_TO, 1);
    let tracks = |buffer: &gst::Buffer| read(buffer).iter().map(|o| o.track_id).collect::<Vec<_>>();
    // Of two, the one that came last.
    assert_eq!(tracks(&buffer), [Some(5), Some(u64::MAX)]);
    assert!(meta::record(&buffer).unwrap().objects.iter().all(|o| o.track_id.is_none()));
    let scaled = through("videoscale ! capsfilter caps=video/x-raw,width=160,height=120", buffer.copy());
    assert_eq!(tracks(&scaled), [Some(5), Some(u64::MAX)]);
    // And those of others.
    let mut buffer = frame();
    let relations = Relations::of_or_added(buffer.get_mut().unwrap());
    let object = relations.add_object(Some("x"), [10, 10, 20, 20], 0.5);
    let track = relations.add_track(0);
    relations.relate(object, RELATE_TO, track);
    assert_eq!(tracks(&buffer), [Some(0)]);
}

/// As DL Streamer writes its objects.
#[test]
fn an_object_in_both_forms_is_one() {
    if !analytics::is_there() {
        return;
    }
    let mut buffer = frame();
    let writable = buffer.get_mut().unwrap();
    let relations = Relations::of_or_added(writable);
    relations.add_object(Some("car"), [20, 30, 40, 50], 0.5);
    relations.add_object(Some("car"), [22, 30, 40, 50], 0.625);
    for (left, class) in [(22, 3), (20, 4), (150, 5)] {
        let mut roi = VideoRegionOfInterestMeta::add(writable, "car", (left, 30, 40, 50));
        let detection = gst::Structure::builder("detection").field("confidence", 0.75).field("label_id", class);
        roi.add_param(detection.field("model_name", "yolo").build());
    }
    VideoRegionOfInterestMeta::add(writable, "bus", (20, 30, 40, 50));
    let objects = read(&buffer);
    let found: Vec<_> =
        objects.iter().map(|o| (&*o.label, pixels(o)[0], o.confidence, o.class_id, &*o.source)).collect();
    assert_eq!(
        found,
        [
            ("car", 20.0, 0.5, Some(4), "yolo"),
            ("car", 22.0, 0.625, Some(3), "yolo"),
            ("car", 150.0, 0.75, Some(5), "yolo"),
            ("bus", 20.0, 1.0, None, "roi"),
        ]
    );
}

#[test]
fn keypoints_of_others_are_read() {
    if !analytics::is_there() {
        return;
    }
    let mut buffer = frame();
    let relations = Relations::of_or_added(buffer.get_mut().unwrap());
    let hand = relations.add_object(Some("hand"), [32, 24, 32, 24], 0.5);
    if analytics::has_keypoints() {
        let group = relations.add_points("hands/posture/hand-3", &[32, 24, 64, 48, 48, 36], &[0, 1, 1, 2]);
        relations.relate(hand, RELATE_TO, group);
    } else {
        let names = ["a.x", "a.y", "a.confidence", "b.x", "b.y", "b.confidence", "c.x", "c.y", "c.confidence"];
        let levels = [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, f32::NAN];
        let mut classes = vec![("keypoints/hands/posture/hand-3", 3.0)];
        classes.extend(names.into_iter().zip(levels));
        let classes = relations.add_classes(&classes);
        relations.relate(hand, CONTAIN, classes);
    }
    let objects = read(&buffer);
    let set = objects[0].keypoints.as_ref().unwrap();
    let place = |point: &Keypoint| ((point.x * 1000.0).round(), (point.y * 1000.0).round());
    assert_eq!(set.points.iter().map(place).collect::<Vec<_>>(), [(100.0, 100.0), (200.0, 200.0), (150.0, 150.0)]);
    assert_eq!(&*set.source, "hands");
    if analytics::has_keypoints() {
        assert_eq!((set.layout.names.len(), &set.layout.limbs[..]), (0, &[(0, 1), (1, 2)][..]));
    } else {
        assert_eq!(set.layout.names.iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(set.points[2].confidence, 0.0);
    }
}

/// The order in which an object is looked for: our record, analytics metadata, ROI metas.
#[test]
fn each_object_comes_from_the_first_that_has_it() {
    if !analytics::is_there() {
        return;
    }
    let mut buffer = frame();
    let writable = buffer.get_mut().unwrap();
    VideoRegionOfInterestMeta::add(writable, "roi", (1, 2, 30, 40));
    Relations::of_or_added(writable).add_object(Some("analytics"), [100, 20, 30, 40], 0.5);
    meta::set_record(writable, Arc::new(sample()), WIDTH, HEIGHT);
    let objects = read(&buffer);
    let found: Vec<_> = objects.iter().map(|o| (o.id, &*o.label, &*o.source)).collect();
    assert_eq!(found, [(0, "car", "det"), (1, "person", "det"), (2, "analytics", "analytics"), (3, "roi", "roi"),]);
}
