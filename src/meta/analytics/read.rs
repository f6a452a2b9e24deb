//! Reads other elements' objects and tracks from a relation meta.

use super::classes;
use super::identity::{Known, clipped, objects, pair};
use super::library::relation;
use super::relation::{Detected, Relations};
use super::{keypoints, masks};
use crate::meta::change::fractions;
use crate::meta::record_meta::Framed;
use crate::meta::{Classification, Name, Object, Record};
use gst::glib;
use gst::glib::translate::FromGlib;
use model::Rect;
use std::ffi::c_int;
use std::sync::LazyLock;

/// The source of objects whose model isn't named.
static UNNAMED: LazyLock<Name> = LazyLock::new(|| "analytics".into());

const RELATED: c_int = relation::RELATE_TO | relation::CONTAIN | relation::IS_PART_OF;

/// Whether an object's entry and that of a track belong together, by whichever of the two directions is told.
pub(super) fn are_related(relations: Relations, entry: u32, track: u32) -> bool {
    (relations.relation(entry, track) | relations.relation(track, entry)) & RELATED != 0
}

/// What other elements found.
#[derive(Debug, Default, PartialEq)]
pub struct Found {
    /// Their objects.
    pub objects: Vec<Object>,
    /// Tracks that they gave to the record's objects, which are named by id.
    pub tracks: Vec<(u32, u64)>,
    /// Classes that they gave to the record's objects, which are named by id.
    pub classes: Vec<(u32, Classification)>,
    /// Classes that they gave to the whole frame.
    pub of_frame: Vec<Classification>,
}

/// Everything that a relation meta has beyond our record. Objects outside the frame, or without width or height, are left
/// out; the others have ids from `first`.
pub fn others(buffer: &gst::BufferRef, ours: Option<&Framed>, first: u32, frame: (u32, u32)) -> Found {
    let Some(relations) = Relations::of(buffer) else { return Found::default() };
    let detected = objects(relations);
    let pairs = pair(&detected, &Known::all(ours));
    let mut found = Found::default();
    found.add_classes(relations, ours, &detected, &pairs);
    let mut entries = Vec::with_capacity(detected.len());
    for (entry, index) in detected.iter().zip(pairs) {
        let is_seen = |[left, top, right, bottom]: [u32; 4]| left < right && top < bottom;
        let id = match index {
            Some(index) => ours.and_then(|ours| Some(ours.record.objects.get(index)?.id)),
            None if is_seen(clipped(entry.place, frame)) => {
                let id = first.saturating_add(found.objects.len() as u32);
                found.objects.push(object(relations, entry, id, frame));
                Some(id)
            }
            None => None,
        };
        if let Some(id) = id {
            entries.push((entry.entry, id));
        }
    }
    found.add_parents(relations, &entries);
    found.add_tracks(relations, &entries);
    found
}

/// Whether all classes are those that we write for objects without any: their labels, and keypoints where the library has
/// no others. With many objects that is much faster to say than whose each is.
fn are_labels(relations: Relations, record: &Record, pairs: &[Option<usize>]) -> bool {
    let objects = pairs.iter().map(|index| record.objects.get((*index)?));
    let with_points = |object: &Object| object.keypoints.is_some() && relations.library.keypoints.is_none();
    let of = |object: Option<&Object>| {
        let object = object.filter(|object| object.classifications.is_empty())?;
        Some(1 + usize::from(with_points(object)))
    };
    let ours: Option<usize> = objects.map(of).sum();
    record.classifications.is_empty() && ours == Some(relations.entries(relations.library.class).count())
}

/// `entries`: objects' entries, ascending, with the objects' ids.
impl Found {
    fn other(&mut self, id: u32) -> Option<&mut Object> {
        self.objects.iter_mut().find(|object| object.id == id)
    }

    /// Adds the classes of our objects, and of the frame, that our record doesn't have.
    fn add_classes(
        &mut self,
        relations: Relations,
        ours: Option<&Framed>,
        detected: &[Detected],
        pairs: &[Option<usize>],
    ) {
        let record = ours.map(|ours| &*ours.record);
        if record.is_some_and(|record| are_labels(relations, record, pairs)) {
            return;
        }
        let new = |found: Vec<Classification>, known: &[Classification]| {
            let is_known = |class: &Classification| {
                known.iter().any(|known| (known.label, known.confidence) == (class.label, class.confidence))
            };
            found.into_iter().filter(|class| !is_known(class)).collect::<Vec<_>>()
        };
        self.of_frame =
            new(classes::of_whole_frame(relations, *UNNAMED), record.map_or(&[], |record| &record.classifications));
        for (entry, index) in detected.iter().zip(pairs) {
            let own = index.zip(record).and_then(|(index, record)| record.objects.get(index));
            if let Some(own) = own {
                let new = new(classes::of(relations, entry, *UNNAMED), &own.classifications);
                self.classes.extend(new.into_iter().map(|class| (own.id, class)));
            }
        }
    }

    /// What an object is in, by whichever of the two directions is told.
    fn add_parents(&mut self, relations: Relations, entries: &[(u32, u32)]) {
        if self.objects.is_empty() {
            return;
        }
        let id_of = |entry: u32| Some(entries[entries.binary_search_by_key(&entry, |(entry, _)| *entry).ok()?].1);
        for &(entry, id) in entries {
            for part in relations.related(entry, relation::CONTAIN, relations.library.object).filter_map(id_of) {
                self.put_into(part, id);
            }
            for whole in relations.related(entry, relation::IS_PART_OF, relations.library.object).filter_map(id_of) {
                self.put_into(id, whole);
            }
        }
    }

    fn put_into(&mut self, part: u32, whole: u32) {
        if let Some(object) = self.other(part).filter(|object| object.id != whole) {
            object.parent = Some(whole);
        }
    }

    /// Of several tracks of an object, the one that was added last counts.
    fn add_tracks(&mut self, relations: Relations, entries: &[(u32, u32)]) {
        for track in relations.entries(relations.library.track) {
            let Some((_, id)) = entries.iter().find(|(entry, _)| are_related(relations, *entry, track)) else {
                continue;
            };
            let track = relations.track(track);
            match self.other(*id) {
                Some(object) => object.track_id = Some(track),
                None => match self.tracks.iter_mut().find(|(of, _)| of == id) {
                    Some((_, known)) => *known = track,
                    None => self.tracks.push((*id, track)),
                },
            }
        }
    }
}

/// `detected` has a label, be it empty.
fn object(relations: Relations, detected: &Detected, id: u32, frame: (u32, u32)) -> Object {
    let place = detected.place;
    let oriented = detected.turned.map(|turned| turned.corners());
    let upright = Rect::new(place.left as f32, place.top as f32, place.width as f32, place.height as f32);
    let rect = oriented.map_or(upright, |oriented| oriented.enclosing());
    let source = relations.tag(detected.entry).and_then(|tag| tag.into_string().ok());
    let source = source.map_or(*UNNAMED, |tag| tag.as_str().into());
    let found = keypoints::of(relations, detected.entry, place);
    Object {
        id,
        rect: fractions(&rect, frame),
        oriented: oriented.map(|oriented| oriented.scaled(1.0 / frame.0.max(1) as f32, 1.0 / frame.1.max(1) as f32)),
        class_id: None,
        // SAFETY: GLib created every quark other than 0.
        label: unsafe { glib::Quark::from_glib(detected.label) }.into(),
        confidence: detected.confidence,
        source,
        foreign: true,
        keypoints: found.map(|found| found.into_set(relations, frame, source)),
        mask: masks::of(relations, detected.entry, frame),
        classifications: classes::of(relations, detected, *UNNAMED),
        ..Object::default()
    }
}
