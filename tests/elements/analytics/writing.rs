//! What other programs read of our objects.

use super::{HEIGHT, WIDTH, frame, object, sample, through};
use crate::common::analytics::{self, CONTAIN, Entry, IS_PART_OF, RELATE_TO, Relations};
use gst_video::VideoRegionOfInterestMeta;
use gsttensorrt::meta::{self, Mirrors, Record};
use model::Rect;
use std::sync::Arc;

const ANALYTICS: Mirrors = Mirrors { roi: false, analytics: true };

fn put(buffer: &mut gst::Buffer, record: &Record, mirrors: Mirrors) {
    meta::set_record_with(buffer.get_mut().unwrap(), Arc::new(record.clone()), WIDTH, HEIGHT, mirrors);
}

fn frame_with(record: &Record, mirrors: Mirrors) -> gst::Buffer {
    let mut buffer = frame();
    put(&mut buffer, record, mirrors);
    buffer
}

fn relations(buffer: &gst::Buffer) -> Relations {
    Relations::of(buffer).unwrap()
}

/// A keypoint's x and y in pixels, and its confidence.
type Point = (f32, f32, f32);

/// The tag and the keypoints of an object, as docs/interop.md describes them.
fn points(relations: Relations, object: &Entry) -> Option<(String, Vec<Point>)> {
    if analytics::has_keypoints() {
        let groups = relations.groups();
        let (group, tag, points) = groups.into_iter().find(|(id, ..)| relations.relation(object.id, *id) == CONTAIN)?;
        assert_eq!(relations.relation(group, object.id), IS_PART_OF);
        return Some((tag, points.into_iter().map(|(x, y, confidence)| (x as f32, y as f32, confidence)).collect()));
    }
    let classes = relations.classes();
    let (id, classes) = classes.into_iter().find(|(id, _)| relations.relation(object.id, *id) == CONTAIN)?;
    assert_eq!(relations.relation(id, object.id), IS_PART_OF);
    let ((header, count), classes) = classes.split_first().unwrap();
    assert_eq!(*count as usize, classes.len() / 3);
    let [left, top, width, height] = object.place.map(|at| at as f32);
    let points = classes.chunks(3).map(|point| {
        let names: Vec<_> = point.iter().map(|(name, _)| name.rsplit_once('.').unwrap()).collect();
        assert_eq!(names.iter().map(|(_, part)| *part).collect::<Vec<_>>(), ["x", "y", "confidence"]);
        assert!(names.iter().all(|(name, _)| *name == names[0].0));
        (left + point[0].1 * width, top + point[1].1 * height, point[2].1)
    });
    Some((header.strip_prefix("keypoints/").unwrap().to_owned(), points.collect()))
}

fn near(points: &[Point], expected: &[Point], limit: f32) -> bool {
    let close = |(a, b): (&Point, &Point)| (a.0 - b.0).abs() <= limit && (a.1 - b.1).abs() <= limit && a.2 == b.2;
    points.len() == expected.len() && points.iter().zip(expected).all(close)
}

#[test]
fn objects_have_label_box_class_and_parent() {
    if !analytics::is_there() {
        return;
    }
    let buffer = frame_with(&sample(), ANALYTICS);
    let relations = relations(&buffer);
    let [car, person] = &relations.objects()[..] else { panic!() };
    let expected = |id: u32, label: &str, place: [i32; 4]| Entry {
        id,
        label: label.into(),
        place,
        confidence: 0.75 + id as f32 / 64.0,
    };
    // Entries have the ids of their objects, and end at the frame's edges.
    assert_eq!(*car, expected(0, "car", [0, 60, 160, 168]));
    assert_eq!(*person, expected(1, "person", [80, 72, 64, 144]));
    for object in [car, person] {
        let classes = relations.classes();
        let related: Vec<_> =
            classes.iter().filter(|(id, _)| relations.relation(object.id, *id) == RELATE_TO).collect();
        assert_eq!(
            related.iter().map(|(_, levels)| &levels[..]).collect::<Vec<_>>(),
            [[(object.label.clone(), object.confidence)]]
        );
        if analytics::has_keypoints() {
            assert_eq!(relations.tag(object.id), "det");
        }
    }
    assert_eq!((relations.relation(0, 1), relations.relation(1, 0)), (CONTAIN, IS_PART_OF));
    assert!(relations.tracks().is_empty());
    assert_eq!(buffer.iter_meta::<VideoRegionOfInterestMeta>().count(), 0);
}

#[test]
fn keypoints_are_where_the_documentation_says() {
    if !analytics::is_there() {
        return;
    }
    let buffer = frame_with(&sample(), ANALYTICS);
    let relations = relations(&buffer);
    let objects = relations.objects();
    assert_eq!(points(relations, &objects[0]), None);
    let (tag, found) = points(relations, &objects[1]).unwrap();
    assert_eq!(tag, "pose/keypoints/pair-2");
    // The second is outside of the box, which ends at 144.
    let limit = if analytics::has_keypoints() { 0.5 } else { 0.01 };
    assert!(near(&found, &[(96.0, 108.0, 0.875), (160.0, 144.0, 0.125)], limit), "{found:?}");
    if analytics::has_keypoints() {
        let group = relations.groups()[0].0;
        let [hand, foot] = [0, 1].map(|index| relations.member(group, index));
        assert_eq!((relations.relation(hand, foot), relations.relation(foot, hand)), (RELATE_TO, 0));
    }
    // COCO's layout has DL Streamer's name.
    let mut coco = sample();
    let set = coco.objects[1].keypoints.as_mut().unwrap();
    set.layout = model::KeypointLayout::coco17();
    set.points = vec![set.points[0]; 17];
    let buffer = frame_with(&coco, ANALYTICS);
    let relations = self::relations(&buffer);
    let (tag, found) = points(relations, &relations.objects()[1]).unwrap();
    assert_eq!((&*tag, found.len()), ("pose/body-pose/coco-17", 17));
}

/// No element that looks for an object's class or for objects finds a keypoint.
#[test]
fn keypoints_are_no_objects_and_no_class() {
    if !analytics::is_there() {
        return;
    }
    let buffer = frame_with(&sample(), ANALYTICS);
    let relations = relations(&buffer);
    assert_eq!(relations.objects().len(), 2);
    for (id, levels) in relations.classes() {
        let of_a_keypoint = levels[0].0.starts_with("keypoints/");
        let related = relations.objects().iter().any(|object| relations.relation(object.id, id) & RELATE_TO != 0);
        assert_eq!(related, !of_a_keypoint, "{levels:?}");
    }
}

#[test]
fn each_form_is_written_where_it_is_wanted() {
    if !analytics::is_there() {
        return;
    }
    for (roi, analytics) in [(false, false), (false, true), (true, false), (true, true)] {
        let buffer = frame_with(&sample(), Mirrors { roi, analytics });
        assert_eq!(buffer.iter_meta::<VideoRegionOfInterestMeta>().count(), if roi { 2 } else { 0 });
        assert_eq!(
            Relations::of(&buffer).map_or(0, |relations| relations.objects().len()),
            if analytics { 2 } else { 0 }
        );
        // However often it was written, an object is one object.
        assert_eq!(*meta::read(&buffer, WIDTH, HEIGHT), sample());
    }
    let both = {
        let mut buffer = frame();
        meta::set_record(buffer.get_mut().unwrap(), Arc::new(sample()), WIDTH, HEIGHT);
        buffer
    };
    assert_eq!(both.iter_meta::<VideoRegionOfInterestMeta>().count(), 2);
    assert_eq!(relations(&both).objects().len(), 2);
}

#[test]
fn a_second_model_adds_to_what_is_there() {
    if !analytics::is_there() {
        return;
    }
    let mut first = sample();
    first.objects[1].keypoints = None;
    let mut buffer = frame_with(&first, ANALYTICS);
    let before = relations(&buffer);
    let (length, objects) = (before.len(), before.objects());
    assert!(points(before, &objects[1]).is_none());
    let mut second = sample();
    second.push(object(0, "dog", Rect::new(0.5, 0.5, 0.25, 0.25)));
    put(&mut buffer, &second, ANALYTICS);
    let after = relations(&buffer);
    // It is the same meta, with more in it.
    assert_eq!(after, before);
    assert_eq!(after.objects()[..2], objects);
    assert_eq!(after.objects()[2].label, "dog");
    assert!(points(after, &after.objects()[1]).is_some());
    // The dog, its class and the keypoints.
    assert_eq!(after.len(), length + 3 + if analytics::has_keypoints() { 2 } else { 0 });
    // Once more, nothing changes.
    put(&mut buffer, &second, ANALYTICS);
    assert_eq!(relations(&buffer).len(), after.len());
    assert_eq!(*meta::read(&buffer, WIDTH, HEIGHT), second);
}

#[test]
fn a_model_without_analytics_leaves_those_of_another() {
    if !analytics::is_there() {
        return;
    }
    let mut buffer = frame_with(&sample(), ANALYTICS);
    let mut second = sample();
    second.push(object(0, "dog", Rect::new(0.5, 0.5, 0.25, 0.25)));
    put(&mut buffer, &second, Mirrors { roi: false, analytics: false });
    assert_eq!(relations(&buffer).objects().len(), 2);
    assert_eq!(*meta::read(&buffer, WIDTH, HEIGHT), second);
}

#[test]
fn another_record_replaces_only_ours() {
    if !analytics::is_there() {
        return;
    }
    let mut buffer = frame();
    // Another element's objects, before ours and after it.
    let others = Relations::of_or_added(buffer.get_mut().unwrap());
    let face = others.add_object(Some("face"), [8, 16, 32, 64], 0.5);
    let smile = others.add_classes(&[("smile", 0.25), ("frown", 0.125)]);
    others.relate(face, RELATE_TO, smile);
    put(&mut buffer, &sample(), ANALYTICS);
    let there = Relations::of_or_added(buffer.get_mut().unwrap());
    let (car, person) = (there.objects()[1].id, there.objects()[2].id);
    let track = there.add_track(77);
    there.relate(person, RELATE_TO, track);
    let plate = there.add_object(Some("plate"), [10, 70, 20, 10], 0.625);
    there.relate(plate, IS_PART_OF, car);
    if analytics::has_keypoints() {
        let group = there.add_points("eyes", &[10, 20, 30, 40], &[0, 1]);
        there.relate(face, CONTAIN, group);
    }

    // The car is gone; the person has another box and no keypoints.
    let mut next = sample();
    next.objects.remove(0);
    next.objects[0].rect = Rect::new(0.5, 0.25, 0.25, 0.5);
    next.objects[0].parent = None;
    next.objects[0].keypoints = None;
    put(&mut buffer, &next, ANALYTICS);
    let now = relations(&buffer);
    let objects = now.objects();
    let found: Vec<_> = objects.iter().map(|entry| (&*entry.label, entry.place)).collect();
    assert_eq!(found, [("face", [8, 16, 32, 64]), ("person", [160, 60, 80, 120]), ("plate", [10, 70, 20, 10])]);
    assert_eq!(points(now, &objects[1]), None);
    let [(track, 77)] = now.tracks()[..] else { panic!("{:?}", now.tracks()) };
    assert_eq!(now.relation(objects[1].id, track), RELATE_TO);
    let classes = now.classes();
    assert_eq!(classes.len(), 2, "{classes:?}");
    let (smile, levels) = &classes[0];
    assert_eq!(levels[..], [("smile".to_owned(), 0.25), ("frown".to_owned(), 0.125)]);
    assert_eq!(now.relation(objects[0].id, *smile), RELATE_TO);
    if analytics::has_keypoints() {
        let [(group, tag, points)] = &now.groups()[..] else { panic!() };
        assert_eq!((&**tag, &points[..]), ("eyes", &[(10, 20, 1.0), (30, 40, 1.0)][..]));
        assert_eq!(now.relation(objects[0].id, *group), CONTAIN);
        assert_eq!(now.relation(now.member(*group, 0), now.member(*group, 1)), RELATE_TO);
    }
    let all = meta::read(&buffer, WIDTH, HEIGHT);
    let found: Vec<_> = all.objects.iter().map(|o| (&*o.label, o.track_id)).collect();
    assert_eq!(found, [("person", Some(77)), ("face", None), ("plate", None)]);

    // Without the form, what was there of ours goes too.
    put(&mut buffer, &Record::default(), Mirrors { roi: false, analytics: false });
    let labels: Vec<_> = relations(&buffer).objects().into_iter().map(|entry| entry.label).collect();
    assert_eq!(labels, ["face", "plate"]);
}

#[test]
fn a_track_is_written() {
    if !analytics::is_there() {
        return;
    }
    let mut record = sample();
    record.objects[1].track_id = Some(u64::MAX);
    let buffer = frame_with(&record, ANALYTICS);
    let relations = relations(&buffer);
    let [(track, u64::MAX)] = relations.tracks()[..] else { panic!() };
    assert_eq!((relations.relation(1, track), relations.relation(0, track)), (RELATE_TO, 0));
    assert_eq!(*meta::read(&buffer, WIDTH, HEIGHT), record);
}

#[test]
fn a_changed_object_has_its_new_parent_alone() {
    if !analytics::is_there() {
        return;
    }
    let mut record = sample();
    record.push(object(0, "bus", Rect::new(0.25, 0.25, 0.5, 0.5)));
    let mut buffer = frame_with(&record, ANALYTICS);
    let parents = |buffer: &gst::Buffer| -> Vec<(i32, i32)> {
        let relations = relations(buffer);
        let id = |label: &str| relations.objects().into_iter().find(|entry| entry.label == label).unwrap().id;
        let person = id("person");
        ["car", "bus"]
            .map(|label| (relations.relation(id(label), person), relations.relation(person, id(label))))
            .to_vec()
    };
    assert_eq!(parents(&buffer), [(CONTAIN, IS_PART_OF), (0, 0)]);
    record.objects[1].parent = Some(2);
    put(&mut buffer, &record, ANALYTICS);
    assert_eq!(parents(&buffer), [(0, 0), (CONTAIN, IS_PART_OF)]);
    record.objects[1].parent = None;
    put(&mut buffer, &record, ANALYTICS);
    assert_eq!(parents(&buffer), [(0, 0), (0, 0)]);
    assert_eq!(*meta::read(&buffer, WIDTH, HEIGHT), record);
}

/// What a record has taken over is another element's, and stays if the record goes.
#[test]
fn entries_of_others_stay_when_their_objects_leave_the_record() {
    if !analytics::is_there() {
        return;
    }
    let mut buffer = frame();
    Relations::of_or_added(buffer.get_mut().unwrap()).add_object(Some("face"), [8, 16, 32, 64], 0.5);
    let taken = meta::read(&buffer, WIDTH, HEIGHT);
    put(&mut buffer, &taken, Mirrors { roi: true, analytics: true });
    let is_once = |buffer: &gst::Buffer| {
        assert_eq!(relations(buffer).objects().len(), 1);
        assert_eq!(meta::read(buffer, WIDTH, HEIGHT).objects.len(), 1);
    };
    is_once(&buffer);
    put(&mut buffer, &Record::default(), ANALYTICS);
    is_once(&buffer);
}

/// Nothing to say about a box without area; nothing to divide by.
#[test]
fn any_number_can_be_written() {
    if !analytics::is_there() {
        return;
    }
    let mut record = sample();
    record.objects[0].rect = Rect::new(f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30);
    record.objects[1].rect = Rect::new(5.0, 5.0, 1.0, 1.0);
    let set = record.objects[1].keypoints.as_mut().unwrap();
    set.points[0].x = f32::NAN;
    set.points[1].y = f32::INFINITY;
    let mut buffer = frame_with(&record, ANALYTICS);
    assert_eq!(relations(&buffer).objects().len(), 2);
    put(&mut buffer, &Record::default(), ANALYTICS);
    assert!(relations(&buffer).objects().is_empty());
    let many = Record {
        objects: (0..300).map(|id| object(id, "x", Rect::UNIT)).collect(),
        models: sample().models,
        ..Record::default()
    };
    put(&mut buffer, &many, ANALYTICS);
    assert_eq!(relations(&buffer).objects().len(), 300);
    assert_eq!(meta::read(&buffer, WIDTH, HEIGHT).objects.len(), 300);
}

/// Behind elements that change the picture, other programs find the keypoints where they are now, or not at all.
#[test]
fn keypoints_follow_the_picture() {
    if !analytics::is_there() {
        return;
    }
    let (w, h) = (WIDTH as f32, HEIGHT as f32);
    type Moved = fn(f32, f32) -> (f32, f32);
    let cases: [(&str, Moved); 7] = [
        ("identity", |x, y| (x, y)),
        ("videoscale ! capsfilter caps=video/x-raw,width=640,height=480", |x, y| (2.0 * x, 2.0 * y)),
        ("videoconvert ! capsfilter caps=video/x-raw,format=NV12", |x, y| (x, y)),
        ("videocrop left=20 top=10", |x, y| (x - 20.0, y - 10.0)),
        ("videoflip video-direction=horiz", |x, y| (320.0 - x, y)),
        ("videoflip video-direction=90r", |x, y| (240.0 - y, x)),
        ("videoscale ! capsfilter caps=video/x-raw,width=320,height=320,pixel-aspect-ratio=1/1", |x, y| (x, y + 40.0)),
    ];
    for (elements, moved) in cases {
        let out = through(elements, frame_with(&sample(), ANALYTICS));
        let Some(relations) = Relations::of(&out) else {
            assert!(elements.starts_with("videoflip") || elements.starts_with("videocrop"), "{elements}: dropped");
            continue;
        };
        let objects = relations.objects();
        let Some(person) = objects.iter().find(|entry| entry.label == "person") else {
            assert!(elements.contains("pixel-aspect-ratio") && objects.is_empty(), "{elements}: {objects:?}");
            continue;
        };
        let [left, top, width, height] = person.place.map(|at| at as f32);
        let corners = [moved(80.0, 72.0), moved(144.0, 216.0)];
        for (found, expected) in [
            (left, corners[0].0.min(corners[1].0)),
            (top, corners[0].1.min(corners[1].1)),
            (left + width, corners[0].0.max(corners[1].0)),
            (top + height, corners[0].1.max(corners[1].1)),
        ] {
            assert!((found - expected).abs() <= 2.0, "{elements}: {person:?}, not {corners:?}");
        }
        let (_, found) = points(relations, person).unwrap();
        let expected = [(0.3 * w, 0.45 * h, 0.875), (0.5 * w, 0.6 * h, 0.125)].map(|(x, y, confidence)| {
            let (x, y) = moved(x, y);
            (x, y, confidence)
        });
        assert!(near(&found, &expected, 3.0), "{elements}: {found:?}, not {expected:?}");
    }
}
