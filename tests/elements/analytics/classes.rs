//! The classes of objects and frames, as other programs read and write them.

use super::{HEIGHT, WIDTH, frame, sample, through};
use crate::common::analytics::{self, RELATE_TO, Relations};
use gsttensorrt::meta::{self, Classification, Mirrors, Record};
use std::sync::Arc;

const ANALYTICS: Mirrors = Mirrors { roi: false, analytics: true };

fn class(source: &str, label: &str, confidence: f32) -> Classification {
    Classification { source: source.into(), class_id: Some(1), label: label.into(), confidence }
}

/// The sample's car with two classes of one model and one of another; the frame with one.
fn classified() -> Record {
    let mut record = sample();
    record.objects[0].classifications =
        vec![class("colour", "red", 0.75), class("colour", "pink", 0.125), class("make", "volvo", 0.5)];
    record.classifications = vec![class("scene", "street", 0.625)];
    record
}

fn put(buffer: &mut gst::Buffer, record: &Record) {
    meta::set_record_with(buffer.get_mut().unwrap(), Arc::new(record.clone()), WIDTH, HEIGHT, ANALYTICS);
}

/// The classes that an object's entry relates to, without its label; `None`: those that nothing relates to.
fn classes(buffer: &gst::Buffer, object: Option<u32>) -> Vec<Vec<(String, f32)>> {
    let relations = Relations::of(buffer).unwrap();
    let objects = relations.objects();
    let of = |id: u32| objects.iter().find(|entry| relations.relation(entry.id, id) != 0).map(|entry| entry.id);
    let all = relations.classes().into_iter().filter(|(id, levels)| {
        let label = objects.iter().any(|entry| *levels == [(entry.label.clone(), entry.confidence)]);
        of(*id) == object && !label && !levels[0].0.starts_with("keypoints/")
    });
    all.map(|(_, levels)| levels).collect()
}

fn levels(classes: &[(&str, f32)]) -> Vec<(String, f32)> {
    classes.iter().map(|(label, level)| ((*label).to_owned(), *level)).collect()
}

#[test]
fn each_models_classes_are_one_entry() {
    if !analytics::is_there() {
        return;
    }
    let mut buffer = frame();
    put(&mut buffer, &classified());
    let colour = levels(&[("red", 0.75), ("pink", 0.125)]);
    assert_eq!(classes(&buffer, Some(0)), [colour.clone(), levels(&[("volvo", 0.5)])]);
    assert_eq!(classes(&buffer, Some(1)), [] as [Vec<_>; 0]);
    assert_eq!(classes(&buffer, None), [levels(&[("street", 0.625)])]);
    let relations = Relations::of(&buffer).unwrap();
    if analytics::has_keypoints() {
        let id = relations.classes().into_iter().find(|(_, found)| *found == colour).unwrap().0;
        assert_eq!(relations.tag(id), "colour");
    }
    // Putting the same again adds nothing.
    let length = relations.len();
    put(&mut buffer, &classified());
    assert_eq!(Relations::of(&buffer).unwrap().len(), length);
}

#[test]
fn classes_are_added_to_what_is_there_and_go_with_what_is_gone() {
    if !analytics::is_there() {
        return;
    }
    let mut buffer = frame();
    put(&mut buffer, &sample());
    let length = Relations::of(&buffer).unwrap().len();
    put(&mut buffer, &classified());
    assert_eq!(Relations::of(&buffer).unwrap().len(), length + 3, "the objects' own entries stay");
    assert_eq!(classes(&buffer, Some(0)).len(), 2);
    // Another class takes the place of one.
    let mut other = classified();
    other.objects[0].classifications[0] = class("colour", "blue", 0.875);
    put(&mut buffer, &other);
    let found = classes(&buffer, Some(0));
    assert!(found.contains(&levels(&[("blue", 0.875), ("pink", 0.125)])), "{found:?}");
    assert!(found.len() == 2 && !found.concat().iter().any(|(label, _)| label == "red"), "{found:?}");
    // Without the object its classes are gone too.
    let mut none = sample();
    none.objects.remove(0);
    none.objects[0].parent = None;
    put(&mut buffer, &none);
    let left: Vec<_> = Relations::of(&buffer).unwrap().classes().into_iter().flat_map(|(_, levels)| levels).collect();
    assert!(!left.iter().any(|(label, _)| ["blue", "volvo"].contains(&&**label)), "{left:?}");
}

#[test]
fn classes_are_read_back_without_our_record() {
    if !analytics::is_there() {
        return;
    }
    let mut buffer = frame();
    {
        let relations = Relations::of_or_added(buffer.get_mut().unwrap());
        let car = relations.add_object(Some("car"), [20, 30, 40, 10], 0.5);
        let again = relations.add_classes(&[("car", 0.5)]);
        let colour = relations.add_classes(&[("pink", 0.125), ("red", 0.75), ("", 0.5)]);
        relations.add_classes(&[("street", 2.0)]);
        relations.relate(car, RELATE_TO, again);
        relations.relate(car, RELATE_TO, colour);
    }
    let record = meta::read(&buffer, WIDTH, HEIGHT);
    let texts = |classes: &[Classification]| {
        classes.iter().map(|c| (c.label.to_string(), c.confidence, c.class_id)).collect::<Vec<_>>()
    };
    assert_eq!(texts(&record.objects[0].classifications), [("red".into(), 0.75, None), ("pink".into(), 0.125, None)]);
    assert_eq!(texts(&record.classifications), [("street".into(), 1.0, None)]);
    assert!(record.classifications.iter().all(|class| &*class.source == "analytics"));
}

#[test]
fn other_classifiers_classes_of_our_objects_are_added_and_ours_are_not_doubled() {
    if !analytics::is_there() {
        return;
    }
    let mut buffer = frame();
    put(&mut buffer, &classified());
    {
        let relations = Relations::of_or_added(buffer.get_mut().unwrap());
        let shape = relations.add_classes(&[("box", 0.25)]);
        relations.relate(1, RELATE_TO, shape);
    }
    let read = meta::read(&buffer, WIDTH, HEIGHT);
    let labels = |id: usize| read.objects[id].classifications.iter().map(|c| c.label.to_string()).collect::<Vec<_>>();
    assert_eq!((labels(0), labels(1)), (vec!["red".into(), "pink".into(), "volvo".into()], vec!["box".to_owned()]));
    assert_eq!(read.classifications.len(), 1);
    // So it is behind an element that scales the picture.
    let buffer = through("videoscale ! capsfilter caps=video/x-raw,width=160,height=120", buffer);
    let read = meta::read(&buffer, 160, 120);
    assert_eq!(read.objects[0].classifications, classified().objects[0].classifications);
    assert_eq!(read.classifications, classified().classifications);
}
