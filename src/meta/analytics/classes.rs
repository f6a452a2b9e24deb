//! The classes that classifiers gave to an object or to the frame: one entry of classes for each model, in descending order
//! of their levels. An object's entry has the relation `RELATE_TO` to them; those of the frame have no relations.

use super::identity::is_empty;
use super::keypoints;
use super::library::relation;
use super::relation::{Detected, Editor, Level, Relations};
use crate::meta::{Classification, Name, by_model};
use gst::glib;
use gst::glib::translate::{FromGlib, IntoGlib};

/// The levels of one model's classes.
fn levels(classes: &[Classification]) -> impl Iterator<Item = Level> {
    classes.iter().map(|class| (class.label.quark().into_glib(), class.confidence))
}

/// The entry that one model's classes of an object, or of the frame, already have.
fn entry(relations: Relations, object: Option<u32>, classes: &[Classification]) -> Option<u32> {
    let has_them = |entry: &u32| relations.classes(*entry).eq(levels(classes));
    match object {
        Some(object) => relations.related(object, relation::RELATE_TO, relations.library.class).find(has_them),
        None => of_frame(relations).find(has_them),
    }
}

/// The entries that an object's classes have.
pub(super) fn entries(relations: Relations, object: u32, classes: &[Classification]) -> Vec<u32> {
    by_model(classes).filter_map(|classes| entry(relations, Some(object), classes)).collect()
}

/// Whether some of these classes have no entry.
pub(super) fn are_missing(relations: Relations, object: Option<u32>, classes: &[Classification]) -> bool {
    by_model(classes).any(|classes| entry(relations, object, classes).is_none())
}

/// Adds the entries that classes of an object, or of the frame, lack.
pub(super) fn add(editor: &mut Editor, object: Option<u32>, classes: &[Classification]) {
    for classes in by_model(classes) {
        if entry(**editor, object, classes).is_some() {
            continue;
        }
        let (mut labels, mut values): (Vec<_>, Vec<_>) = levels(classes).unzip();
        let Some(added) = editor.add_classes(&mut labels, &mut values) else { continue };
        if let Some(object) = object {
            editor.relate(object, relation::RELATE_TO, added);
        }
        if let Some(class) = classes.first() {
            editor.set_tag(added, class.source.quark().as_str().to_cstr_until_nul());
        }
    }
}

/// The classes that any classifier gave to an object. What says the object's label again isn't one.
pub(super) fn of(relations: Relations, object: &Detected, unnamed: Name) -> Vec<Classification> {
    let has_label = relations.object(object.entry).label == object.label;
    let says_label = |entry: u32| {
        let mut classes = relations.classes(entry);
        match has_label {
            true => classes.eq([(object.label, object.confidence)]),
            false => classes.any(|(label, _)| label == object.label),
        }
    };
    let how = relation::RELATE_TO | relation::CONTAIN;
    let entries = relations.related(object.entry, how, relations.library.class);
    let entries = entries.filter(|&entry| !keypoints::are_in(relations, entry) && !says_label(entry));
    entries.flat_map(|entry| read(relations, entry, unnamed)).collect()
}

/// The classes that any classifier gave to the frame.
pub(super) fn of_whole_frame(relations: Relations, unnamed: Name) -> Vec<Classification> {
    of_frame(relations).flat_map(|entry| read(relations, entry, unnamed)).collect()
}

/// The entries of classes that belong to no other entry.
fn of_frame(relations: Relations) -> impl Iterator<Item = u32> {
    let is_related =
        move |a: u32, b: u32| a != b && relations.relation(a, b) | relations.relation(b, a) != relation::NONE;
    // Most belong to an object.
    let has_object = move |entry| relations.entries(relations.library.object).any(|object| is_related(object, entry));
    let is_free =
        move |entry: &u32| !has_object(*entry) && !(0..relations.len()).any(|other| is_related(other, *entry));
    relations.entries(relations.library.class).filter(is_free)
}

fn read(relations: Relations, entry: u32, unnamed: Name) -> Vec<Classification> {
    let tag = relations.tag(entry).and_then(|tag| tag.into_string().ok());
    let source = tag.map_or(unnamed, |tag| tag.as_str().into());
    let class = |(label, level): Level| {
        // SAFETY: GLib created every quark other than 0, which is empty.
        let label = (!is_empty(label)).then(|| Name::from(unsafe { glib::Quark::from_glib(label) }))?;
        let confidence = if level.is_finite() { level.clamp(0.0, 1.0) } else { 0.0 };
        Some(Classification { source, class_id: None, label, confidence })
    };
    let mut classes: Vec<_> = relations.classes(entry).filter_map(class).collect();
    classes.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    classes
}
