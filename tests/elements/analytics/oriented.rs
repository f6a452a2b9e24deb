//! Oriented boxes: written with their direction where the library has directions, else as the upright boxes around them.

use super::{HEIGHT, WIDTH, frame, object, through};
use crate::common::analytics::{self, Entry, Relations};
use gsttensorrt::meta::{self, Mirrors, Object, Record};
use model::OrientedBox;
use std::sync::Arc;

const ANALYTICS: Mirrors = Mirrors { roi: false, analytics: true };
const FRAME: (f32, f32) = (WIDTH as f32, HEIGHT as f32);

/// A ship whose centre and size are in pixels.
fn ship(id: u32, cx: f32, cy: f32, w: f32, h: f32, angle: f32) -> Object {
    let oriented = OrientedBox::new(cx, cy, w, h, angle).unwrap().scaled(1.0 / FRAME.0, 1.0 / FRAME.1);
    let rect = oriented.enclosing().intersection(&model::Rect::UNIT);
    Object { oriented: Some(oriented), ..object(id, "ship", rect) }
}

fn frame_with(objects: Vec<Object>) -> gst::Buffer {
    let mut buffer = frame();
    let record = Arc::new(Record { objects, models: vec![], ..Record::default() });
    meta::set_record_with(buffer.get_mut().unwrap(), record, WIDTH, HEIGHT, ANALYTICS);
    buffer
}

#[test]
fn a_direction_is_written_where_the_library_has_directions() {
    if !analytics::is_there() {
        return;
    }
    // The second extends beyond the frame, the third isn't rotated.
    let objects = vec![
        ship(0, 160.0, 120.0, 100.0, 40.0, 0.5),
        ship(1, 10.0, 12.0, 60.0, 20.0, -0.5),
        ship(2, 200.0, 100.0, 60.0, 20.0, 0.0),
    ];
    let buffer = frame_with(objects.clone());
    let relations = Relations::of(&buffer).unwrap();
    let entries = relations.objects();
    let [first, second, third] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!(third.place, [170, 90, 60, 20]);
    if analytics::has_directions() {
        let is = |entry: &Entry, place: [i32; 4], angle: f32| {
            let (found, turned) = relations.oriented(entry.id);
            assert!(found == place && (turned - angle).abs() < 1e-5, "{found:?}, {turned}");
        };
        is(first, [110, 100, 100, 40], 0.5);
        is(second, [-20, 2, 60, 20], -0.5);
        is(third, [170, 90, 60, 20], 0.0);
    } else {
        assert_eq!([first.place, second.place], [[107, 78, 106, 84], [0, 0, 41, 35]]);
    }
    // The entries are known to be ours, with what they say and with what only the record says.
    assert_eq!(meta::read(&buffer, WIDTH, HEIGHT).objects, objects);
    // And when a second model adds to the record.
    let mut buffer = buffer;
    let more = Record {
        objects: [objects.clone(), vec![object(3, "person", objects[0].rect)]].concat(),
        models: vec![],
        ..Record::default()
    };
    meta::set_record_with(buffer.get_mut().unwrap(), Arc::new(more), WIDTH, HEIGHT, ANALYTICS);
    assert_eq!(Relations::of(&buffer).unwrap().objects().len(), 4);
    // A changed direction is another box.
    let turned = ship(0, 160.0, 120.0, 100.0, 40.0, -0.5);
    let record = Record { objects: vec![turned.clone()], models: vec![], ..Record::default() };
    meta::set_record_with(buffer.get_mut().unwrap(), Arc::new(record), WIDTH, HEIGHT, ANALYTICS);
    let relations = Relations::of(&buffer).unwrap();
    let entries = relations.objects();
    let [only] = &entries[..] else { panic!("{entries:?}") };
    if analytics::has_directions() {
        let (place, angle) = relations.oriented(only.id);
        assert!(place == [110, 100, 100, 40] && (angle + 0.5).abs() < 1e-5, "{place:?}, {angle}");
    }
    assert_eq!(meta::read(&buffer, WIDTH, HEIGHT).objects, [turned]);
}

#[test]
fn a_direction_of_another_element_is_read() {
    if !analytics::is_there() || !analytics::has_directions() {
        return;
    }
    let mut buffer = frame();
    let relations = Relations::of_or_added(buffer.get_mut().unwrap());
    relations.add_oriented("ship", [110, 100, 100, 40], 0.5, 0.5);
    relations.add_oriented("boat", [10, 10, 40, 20], 0.0, 0.25);
    relations.add_oriented("odd", [60, 10, 40, 20], f32::NAN, 0.25);
    let read = meta::read(&buffer, WIDTH, HEIGHT);
    let [ship, boat, odd] = &read.objects[..] else { panic!("{read:?}") };
    let oriented = ship.oriented.unwrap().scaled(FRAME.0, FRAME.1);
    let near = |a: f32, b: f32| (a - b).abs() < 0.01;
    assert!(near(oriented.angle(), 0.5) && near(oriented.size().0, 100.0) && near(oriented.centre().0, 160.0));
    let around = oriented.enclosing();
    let rect = ship.rect.scaled(FRAME.0, FRAME.1);
    assert!(near(around.x, rect.x) && near(around.y, rect.y) && near(around.w, rect.w) && near(around.h, rect.h));
    assert_eq!((boat.oriented, odd.oriented), (None, None));
    // What another element found stays one object when a model of ours adds the record.
    let record =
        Arc::new(Record { objects: vec![object(0, "person", boat.rect)], models: vec![], ..Record::default() });
    meta::set_record_with(buffer.get_mut().unwrap(), record, WIDTH, HEIGHT, ANALYTICS);
    let read = meta::read(&buffer, WIDTH, HEIGHT);
    let directions: Vec<_> = read.objects.iter().map(|o| (&*o.label, o.oriented.is_some())).collect();
    assert_eq!(directions, [("person", false), ("ship", true), ("boat", false), ("odd", false)]);
}

/// Behind elements that change the picture other programs find the box with its direction of now, or not at all.
#[test]
fn directions_follow_the_picture() {
    if !analytics::is_there() || !analytics::has_directions() {
        return;
    }
    type Moved = fn(f32, f32) -> (f32, f32);
    let cases: [(&str, Moved); 7] = [
        ("identity", |x, y| (x, y)),
        ("videoscale ! capsfilter caps=video/x-raw,width=640,height=480", |x, y| (2.0 * x, 2.0 * y)),
        ("videocrop left=20 top=10", |x, y| (x - 20.0, y - 10.0)),
        ("videoflip video-direction=horiz", |x, y| (320.0 - x, y)),
        ("videoflip video-direction=90r", |x, y| (240.0 - y, x)),
        ("videoflip video-direction=ul-lr", |x, y| (y, x)),
        ("videoscale ! capsfilter caps=video/x-raw,width=320,height=320,pixel-aspect-ratio=1/1", |x, y| (x, y + 40.0)),
    ];
    let ship = ship(0, 160.0, 120.0, 100.0, 40.0, 0.5);
    let before = ship.oriented.unwrap().scaled(FRAME.0, FRAME.1);
    for (elements, moved) in cases {
        let out = through(elements, frame_with(vec![ship.clone()]));
        let Some(relations) = Relations::of(&out) else {
            assert!(elements.starts_with("videoflip") || elements.starts_with("videocrop"), "{elements}: dropped");
            continue;
        };
        let entries = relations.objects();
        let Some(entry) = entries.first() else {
            assert!(elements.contains("pixel-aspect-ratio"), "{elements}: dropped");
            continue;
        };
        let ([x, y, w, h], angle) = relations.oriented(entry.id);
        let now =
            OrientedBox::new(x as f32 + w as f32 / 2.0, y as f32 + h as f32 / 2.0, w as f32, h as f32, angle).unwrap();
        let expected = before.map(moved);
        for [x, y] in expected.corners {
            let near = |[cx, cy]: &[f32; 2]| (cx - x).abs() < 2.5 && (cy - y).abs() < 2.5;
            assert!(now.corners.iter().any(near), "{elements}: {now:?}, not {expected:?}");
        }
    }
}
