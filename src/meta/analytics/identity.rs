//! The objects in a relation meta, and which of them are objects of the record.

use super::keypoints;
use super::library::{library, relation};
use super::relation::{Detected, Place, Relations, Turned};
use crate::meta::record_meta::Framed;
use crate::meta::roi::{Edges, ROUNDING, edges};
use crate::meta::{Name, Object};
use gst::glib;
use gst::glib::ffi::GQuark;
use gst::glib::translate::{FromGlib, IntoGlib};
use model::{OrientedBox, Rect};

/// What no element changes about an object, as long as it passes it on: its label and the bits of its confidence.
type Key = (GQuark, u32);

fn key(object: &Object) -> Key {
    (object.label.quark().into_glib(), probability(object.confidence).to_bits())
}

/// The objects in a relation meta. One without a label has that of its most probable class.
pub(super) fn objects(relations: Relations) -> Vec<Detected> {
    let object = |entry: Detected| {
        let label = if is_empty(entry.label) { class(relations, entry.entry) } else { entry.label };
        Detected { label, confidence: probability(entry.confidence), ..entry }
    };
    relations.objects().map(object).collect()
}

/// A detector that reports no confidence counts as certain.
fn probability(confidence: f32) -> f32 {
    if confidence.is_finite() { confidence.clamp(0.0, 1.0) } else { 1.0 }
}

pub(super) fn is_empty(label: GQuark) -> bool {
    // SAFETY: GLib created every quark other than 0.
    label == 0 || unsafe { glib::Quark::from_glib(label) }.as_str().is_empty()
}

/// The most probable class that is related to an object; the empty label if there is none.
fn class(relations: Relations, entry: u32) -> GQuark {
    let how = relation::RELATE_TO | relation::CONTAIN;
    let classes = relations.related(entry, how, relations.library.class).filter(|&c| !keypoints::are_in(relations, c));
    let levels = classes.flat_map(|classes| relations.classes(classes)).filter(|(label, _)| !is_empty(*label));
    levels.max_by(|(_, a), (_, b)| a.total_cmp(b)).map_or_else(|| Name::empty().quark().into_glib(), |(label, _)| label)
}

fn key_of(detected: &Detected) -> Key {
    (detected.label, detected.confidence.to_bits())
}

fn edges_of(Place { left, top, width, height }: Place) -> [f32; 4] {
    [left as f32, top as f32, left as f32 + width as f32, top as f32 + height as f32]
}

/// A box's edges, clipped to the frame.
pub(super) fn clipped(place: Place, (width, height): (u32, u32)) -> Edges {
    let clip = |at: i64, side: u32| at.clamp(0, i64::from(side)) as u32;
    let Place { left, top, .. } = place;
    let (right, bottom) = (i64::from(left) + i64::from(place.width), i64::from(top) + i64::from(place.height));
    let (left, top) = (clip(left.into(), width), clip(top.into(), height));
    [left, top, clip(right, width).max(left), clip(bottom, height).max(top)]
}

/// An object's box as whole pixels inside the frame.
fn place(object: &Object, frame: (u32, u32)) -> Place {
    let [left, top, right, bottom] = edges(&object.rect, frame);
    let pixels = |at: u32| i32::try_from(at).unwrap_or(i32::MAX);
    Place { left: pixels(left), top: pixels(top), width: pixels(right - left), height: pixels(bottom - top) }
}

/// An object's entry. It has the object's direction only if the library has directions.
pub(super) fn as_entry(object: &Object, frame: (u32, u32)) -> Detected {
    let has_directions = library().is_some_and(|library| library.oriented.is_some());
    let turned = object.oriented.filter(|_| has_directions).and_then(|oriented| turned(&oriented, frame));
    let label = object.label.quark().into_glib();
    Detected { entry: 0, label, place: place(object, frame), turned, confidence: object.confidence }
}

/// An oriented box as a rectangle of whole pixels. `None` if it isn't rotated: it is told by its upright box then.
///
/// Of a box that was scaled unevenly, and isn't a rectangle any more, it has the direction of the first side.
fn turned(oriented: &OrientedBox, (width, height): (u32, u32)) -> Option<Turned> {
    let oriented = oriented.scaled(width as f32, height as f32);
    let (rect, angle) = (oriented.unrotated(), oriented.angle());
    let [left, top, width, height] = [rect.x, rect.y, rect.w, rect.h].map(|at| at.round() as i32);
    let place = Place { left, top, width, height };
    (angle != 0.0 && angle.is_finite()).then_some(Turned { place, angle })
}

/// An object whose entry may be on a buffer.
pub(super) struct Known {
    key: Key,
    /// Where the entry's edges (left, top, right, bottom in pixels) may be: those of the box as we write it, and as another
    /// element may have written it.
    edges: [[f32; 4]; 2],
    /// Where the corners are if we write them.
    corners: Option<OrientedBox>,
}

/// An object in a relation meta, as it is compared with a known one.
struct Seen {
    key: Key,
    edges: [f32; 4],
    corners: Option<OrientedBox>,
}

impl Seen {
    fn new(entry: &Detected) -> Self {
        let corners = entry.turned.map(|turned| turned.corners());
        Self { key: key_of(entry), edges: edges_of(entry.place), corners }
    }
}

/// How far a corner of `a` is at most from the next one of `b`. Which corner is the first may differ.
fn apart(a: &OrientedBox, b: &OrientedBox) -> f32 {
    let off = |[ax, ay]: [f32; 2], [bx, by]: [f32; 2]| (ax - bx).abs().max((ay - by).abs());
    let nearest = |corner| b.corners.iter().map(|other| off(corner, *other)).fold(f32::INFINITY, f32::min);
    a.corners.into_iter().map(nearest).fold(0.0, f32::max)
}

impl Known {
    pub fn new(object: &Object, frame: (u32, u32)) -> Self {
        let Rect { x, y, w, h } = object.rect.scaled(frame.0 as f32, frame.1 as f32);
        let edges = [edges(&object.rect, frame).map(|at| at as f32), [x, y, x + w, y + h]];
        let corners = object.oriented.and_then(|_| as_entry(object, frame).turned).map(|turned| turned.corners());
        Self { key: key(object), edges, corners }
    }

    /// The objects of a record.
    pub fn all(framed: Option<&Framed>) -> Vec<Self> {
        let objects =
            framed.iter().flat_map(|framed| framed.record.objects.iter().map(|object| (object, framed.frame)));
        objects.map(|(object, frame)| Self::new(object, frame)).collect()
    }

    /// How far an edge, or a corner, of an entry is at most from where it belongs; `None` if the entry is another object's.
    fn distance(&self, seen: &Seen) -> Option<f32> {
        if self.key != seen.key {
            return None;
        }
        let off = |own: &[f32; 4]| own.iter().zip(&seen.edges).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let distance = match (&self.corners, &seen.corners) {
            (Some(own), Some(corners)) => apart(own, corners),
            // An element that doesn't know directions may have written it.
            (_, None) => self.edges.iter().map(off).fold(f32::INFINITY, f32::min),
            (None, Some(_)) => return None,
        };
        (distance <= ROUNDING).then_some(distance)
    }
}

/// True if an entry's box is the object's, apart from rounding.
pub(super) fn is_at(entry: &Detected, object: &Object, frame: (u32, u32)) -> bool {
    Known::new(object, frame).distance(&Seen::new(entry)).is_some()
}

/// For each entry the index of the object that it is: one with the same label, confidence and box. Each object is one
/// entry at most.
pub(super) fn pair(detected: &[Detected], known: &[Known]) -> Vec<Option<usize>> {
    let mut taken = vec![false; known.len()];
    // Entries mostly have the order of the objects.
    let mut next = 0;
    let find = |detected: &Detected| {
        let seen = Seen::new(detected);
        // Rounding moves an edge by half a pixel at most.
        let is_next = known.get(next).and_then(|known| known.distance(&seen)).is_some_and(|off| off <= 0.5);
        let index = if is_next && !taken[next] {
            next
        } else {
            let near = |index: usize| Some((known[index].distance(&seen).filter(|_| !taken[index])?, index));
            (0..known.len()).filter_map(near).min_by(|(a, _), (b, _)| a.total_cmp(b))?.1
        };
        taken[index] = true;
        next = index + 1;
        Some(index)
    };
    detected.iter().map(find).collect()
}

/// For each entry of a copy the entry of the original that it was copied from. The copy has the original's entries in
/// their order, perhaps not all of them, after those that it had before.
pub(super) fn origins(copy: &[Detected], original: &[Detected]) -> Vec<Option<usize>> {
    let mut origins = vec![None; copy.len()];
    let mut left = original.len();
    for (entry, origin) in copy.iter().zip(&mut origins).rev() {
        if let Some(index) = (0..left).rev().find(|&index| key_of(&original[index]) == key_of(entry)) {
            *origin = Some(index);
            left = index;
        }
    }
    origins
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: (u32, u32) = (320, 240);

    fn object(id: u32, label: &str, left: f32, confidence: f32) -> Object {
        Object {
            id,
            rect: Rect::new(left, 0.25, 0.25, 0.5),
            class_id: None,
            label: label.into(),
            confidence,
            source: "det".into(),
            ..Object::default()
        }
    }

    fn entry(entry: u32, object: &Object) -> Detected {
        Detected { entry, ..as_entry(object, FRAME) }
    }

    #[test]
    fn an_object_is_one_entry_wherever_that_stands() {
        let objects = [object(0, "a", 0.0, 0.5), object(1, "a", 0.003, 0.5), object(2, "b", 0.5, 0.5)];
        let known: Vec<Known> = objects.iter().map(|object| Known::new(object, FRAME)).collect();
        let [a, near, b] = [0, 1, 2].map(|k| entry(k, &objects[k as usize]));
        let other = entry(9, &object(0, "a", 0.0, 0.625));
        for (entries, expected) in [
            (vec![a, near, b], vec![Some(0), Some(1), Some(2)]),
            (vec![b, near, a], vec![Some(2), Some(1), Some(0)]),
            // Of two objects that are near each other, each is the entry at its own place.
            (vec![near], vec![Some(1)]),
            (vec![other, a, b, a], vec![None, Some(0), Some(2), Some(1)]),
            (vec![a, near, a], vec![Some(0), Some(1), None]),
        ] {
            assert_eq!(pair(&entries, &known), expected, "{entries:?}");
        }
        let far = Detected { place: Place { left: 20, ..a.place }, ..a };
        assert_eq!(pair(&[far], &known), [None]);
    }

    #[test]
    fn a_box_beyond_the_frame_is_clipped() {
        for (place, expected) in [
            (Place { left: -10, top: -5, width: 20, height: 300 }, [0, 0, 10, 240]),
            (Place { left: 400, top: 10, width: 10, height: 10 }, [320, 10, 320, 20]),
            (Place { left: i32::MAX, top: i32::MIN, width: i32::MAX, height: -1 }, [320, 0, 320, 0]),
        ] {
            assert_eq!(clipped(place, FRAME), expected);
        }
    }

    #[test]
    fn a_copys_entries_are_the_last_ones() {
        let [a, b, c] = [0.125, 0.25, 0.375].map(|confidence| entry(0, &object(0, "x", 0.0, confidence)));
        let moved = |entry: Detected| Detected { place: Place { left: 77, ..entry.place }, ..entry };
        assert_eq!(origins(&[moved(a), moved(b), moved(c)], &[a, b, c]), [Some(0), Some(1), Some(2)]);
        assert_eq!(origins(&[moved(a), moved(c)], &[a, b, c]), [Some(0), Some(2)]);
        assert_eq!(origins(&[a, a, c], &[a, b, c]), [None, Some(0), Some(2)]);
        assert_eq!(origins(&[a, b, a, b], &[a, b]), [None, None, Some(0), Some(1)]);
        assert_eq!(origins(&[], &[a]), []);
    }
}
