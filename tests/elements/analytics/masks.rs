//! Masks as segmentations, written and read.

use super::{HEIGHT, WIDTH, frame, object};
use crate::common::analytics::{self, CONTAIN, IS_PART_OF, Relations, Segmentation};
use gst_video::{VideoFormat, VideoFrameFlags, VideoMeta};
use gsttensorrt::meta::{self, Mirrors, Object, Record};
use model::{Mask, Rect};
use std::sync::Arc;

const ANALYTICS: Mirrors = Mirrors { roi: false, analytics: true };

/// A person whose mask is the left half of its box, and a car without one.
fn masked() -> Record {
    let rect = Rect::new(0.25, 0.25, 0.25, 0.5);
    let mask = Mask::from_cells(rect, 4, 8, |column, _| column < 2);
    let person = Object { mask, ..object(3, "person", rect) };
    Record { objects: vec![object(0, "car", Rect::new(0.5, 0.25, 0.25, 0.25)), person], ..Record::default() }
}

fn put(buffer: &mut gst::Buffer, record: Record) {
    meta::set_record_with(buffer.get_mut().unwrap(), Arc::new(record), WIDTH, HEIGHT, ANALYTICS);
}

/// The rows of a picture, and the distance of their starts, in bytes.
fn pixels(segmentation: &Segmentation) -> Vec<Vec<u8>> {
    let meta = segmentation.picture.meta::<VideoMeta>().unwrap();
    assert_eq!(meta.format(), VideoFormat::Gray8);
    let map = segmentation.picture.map_readable().unwrap();
    let (width, height, stride) = (meta.width() as usize, meta.height() as usize, meta.stride()[0] as usize);
    (0..height).map(|row| map[meta.offset()[0] + row * stride..][..width].to_vec()).collect()
}

#[test]
fn an_object_contains_its_mask() {
    if !analytics::has_segmentation() {
        return;
    }
    let mut buffer = frame();
    put(&mut buffer, masked());
    let relations = Relations::of(&buffer).unwrap();
    let objects = relations.objects();
    let person = objects.iter().find(|object| object.label == "person").unwrap();
    let car = objects.iter().find(|object| object.label == "car").unwrap();
    let [segmentation] = &relations.segmentations()[..] else { panic!() };
    assert_eq!(relations.relation(person.id, segmentation.id), CONTAIN);
    assert_eq!(relations.relation(segmentation.id, person.id), IS_PART_OF);
    assert_eq!(relations.relation(car.id, segmentation.id), 0);
    assert_eq!((segmentation.place, &segmentation.regions[..]), (person.place, &[0, 4][..]));
    let rows = pixels(segmentation);
    assert_eq!((rows[0].len(), rows.len()), (person.place[2] as usize, person.place[3] as usize));
    let half = rows[0].len() / 2;
    assert!(rows.iter().all(|row| row.iter().enumerate().all(|(x, value)| *value == if x < half { 4 } else { 0 })));
}

#[test]
fn a_mask_goes_with_its_object() {
    if !analytics::has_segmentation() {
        return;
    }
    let mut buffer = frame();
    put(&mut buffer, masked());
    // Written again, nothing is added.
    let entries = Relations::of(&buffer).unwrap().len();
    put(&mut buffer, masked());
    assert_eq!(Relations::of(&buffer).unwrap().len(), entries);
    // The object has another mask.
    let mut next = masked();
    let rect = next.objects[1].rect;
    next.objects[1].mask = Mask::from_cells(rect, 4, 8, |_, row| row < 4);
    put(&mut buffer, next.clone());
    let relations = Relations::of(&buffer).unwrap();
    assert_eq!(relations.len(), entries);
    let [segmentation] = &relations.segmentations()[..] else { panic!() };
    let rows = pixels(segmentation);
    let half = rows.len() / 2;
    assert!(rows.iter().enumerate().all(|(y, row)| row.iter().all(|value| *value == if y < half { 4 } else { 0 })));
    // The other object's entry is replaced: the mask is copied.
    next.objects[0].rect.w = 0.125;
    put(&mut buffer, next.clone());
    let [segmentation] = &Relations::of(&buffer).unwrap().segmentations()[..] else { panic!() };
    assert_eq!(pixels(segmentation), rows);
    // The object is gone.
    next.objects.pop();
    put(&mut buffer, next);
    assert!(Relations::of(&buffer).unwrap().segmentations().is_empty());
}

#[test]
fn masks_of_others_are_read() {
    if !analytics::has_segmentation() {
        return;
    }
    let mut buffer = frame();
    let relations = Relations::of_or_added(buffer.get_mut().unwrap());
    let place = [40, 24, 8, 4];
    let cat = relations.add_object(Some("cat"), place, 0.5);
    let mut picture = gst::Buffer::from_mut_slice(vec![1, 0, 9, 9, 0, 7, 9, 9]);
    VideoMeta::add_full(picture.get_mut().unwrap(), VideoFrameFlags::empty(), VideoFormat::Gray8, 2, 2, &[0], &[4])
        .unwrap();
    let segmentation = relations.add_segmentation(picture, place);
    relations.relate(cat, CONTAIN, segmentation);
    let read = meta::read(&buffer, WIDTH, HEIGHT);
    let [object] = &read.objects[..] else { panic!("{read:?}") };
    let mask = object.mask.as_ref().unwrap();
    assert_eq!((mask.columns(), mask.rows(), mask.bits()), (2, 2, &[0b1001][..]));
    assert_eq!(mask.area(), object.rect);
}
