//! Writes a record's objects into a relation meta.

use super::classes;
use super::identity::{Known, as_entry, is_at, objects, origins, pair};
use super::library::{is_there, library, relation};
use super::read::are_related;
use super::relation::{Detected, Editor, Fate, Relations, rebuild};
use super::{keypoints, masks};
use crate::meta::record_meta::Framed;
use crate::meta::roi::tolerance;
use crate::meta::{Classification, Object, Record, by_model};
use gst::glib::translate::IntoGlib;

/// What a relation meta has of an object.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shown {
    Nothing,
    /// Its entry alone.
    Bare(u32),
    /// All but its keypoints, and perhaps some of its classes; it has the mask, if there is one.
    WithoutPoints(u32),
    /// All, perhaps but some of its classes.
    Whole(u32),
}

impl Shown {
    fn entry(self) -> Option<u32> {
        match self {
            Self::Nothing => None,
            Self::Bare(entry) | Self::WithoutPoints(entry) | Self::Whole(entry) => Some(entry),
        }
    }
}

/// An entry that no longer holds.
struct Stale {
    entry: u32,
    /// Whether it has keypoints of ours, and a mask.
    points: bool,
    mask: bool,
    /// The entries of its classes of ours.
    classes: Vec<u32>,
    /// The index of the object that takes its place.
    successor: Option<usize>,
}

/// Updates the buffer's relation meta to `record`, which replaces `before`. Entries that still hold are kept, as are all
/// entries of other elements. Without `add`, missing ones aren't added.
pub fn mirror(buffer: &mut gst::BufferRef, before: Option<&Framed>, record: &Record, frame: (u32, u32), add: bool) {
    if !is_there() {
        return;
    }
    let (mut shown, stale) = match Relations::of(buffer) {
        Some(relations) => compare(relations, before, record, frame, add),
        None => (vec![Shown::Nothing; record.objects.len()], vec![]),
    };
    let others = match Relations::of(buffer) {
        Some(relations) if add => outdated_tracks(relations, &record.objects, &shown, &stale),
        _ => vec![],
    };
    replace(buffer, &stale, &others, &record.objects, &mut shown, frame);
    if add {
        complete(buffer, record, &mut shown, frame);
    }
}

/// What `relations` has of the objects of `record`, and what it has of `before` that no longer holds.
fn compare(
    relations: Relations,
    before: Option<&Framed>,
    record: &Record,
    frame: (u32, u32),
    add: bool,
) -> (Vec<Shown>, Vec<Stale>) {
    let mut shown = vec![Shown::Nothing; record.objects.len()];
    let mut stale = Vec::new();
    let mut others: Vec<Detected> = Vec::new();
    for (entry, old) in mirrored(relations, before) {
        let Some(old) = old else {
            others.push(entry);
            continue;
        };
        let index = record.position(old.id);
        match index.and_then(|index| Some((record.objects.get(index)?, shown.get_mut(index)?))) {
            Some((object, slot)) if is_still(old, object) => {
                let whole = old.keypoints == object.keypoints;
                *slot = if whole { Shown::Whole(entry.entry) } else { Shown::WithoutPoints(entry.entry) };
            }
            _ if old.foreign => {}
            _ => stale.push(Stale {
                entry: entry.entry,
                points: old.keypoints.is_some(),
                mask: old.mask.is_some(),
                classes: classes::entries(relations, entry.entry, &old.classifications),
                successor: index.filter(|_| add),
            }),
        }
    }
    if others.is_empty() {
        return (shown, stale);
    }
    // What is left is other elements'. The record may have taken some of their objects over.
    let known: Vec<Known> = record.objects.iter().map(|object| Known::new(object, frame)).collect();
    for (entry, index) in others.iter().zip(pair(&others, &known)) {
        if let Some(slot) = index.and_then(|index| shown.get_mut(index))
            && *slot == Shown::Nothing
        {
            let points = keypoints::of(relations, entry.entry, entry.place).is_some();
            *slot = if points { Shown::Whole(entry.entry) } else { Shown::WithoutPoints(entry.entry) };
        }
    }
    (shown, stale)
}

/// The tracks of objects that now have other tracks. An object that has its track keeps those of other elements too.
fn outdated_tracks(relations: Relations, objects: &[Object], shown: &[Shown], stale: &[Stale]) -> Vec<u32> {
    let tracks: Vec<u32> = relations.entries(relations.library.track).collect();
    let mut outdated = Vec::new();
    if tracks.is_empty() {
        return outdated;
    }
    for (index, (object, shown)) in objects.iter().zip(shown).enumerate() {
        let replaced = || Some(stale.iter().find(|stale| stale.successor == Some(index))?.entry);
        let (Some(id), Some(entry)) = (object.track_id, shown.entry().or_else(replaced)) else { continue };
        let its: Vec<u32> = tracks.iter().copied().filter(|track| are_related(relations, entry, *track)).collect();
        if its.iter().all(|track| relations.track(*track) != id) {
            outdated.extend(its);
        }
    }
    outdated
}

/// All objects' entries, with those objects of a record that they are.
fn mirrored<'a>(relations: Relations, framed: Option<&'a Framed>) -> Vec<(Detected, Option<&'a Object>)> {
    let detected = objects(relations);
    let indices = pair(&detected, &Known::all(framed));
    let object = |index: Option<usize>| framed.and_then(|framed| framed.record.objects.get(index?));
    detected.into_iter().zip(indices).map(|(entry, index)| (entry, object(index))).collect()
}

/// True if `new` differs from `old` by nothing but keypoints or classes that it didn't have, or a track.
fn is_still(old: &Object, new: &Object) -> bool {
    let kept = (old.keypoints.is_none() || old.keypoints == new.keypoints)
        && old.classifications.iter().all(|class| new.classifications.contains(class));
    let place = |object: &Object| (object.rect, object.oriented, object.parent);
    kept && old.mask == new.mask
        && place(old) == place(new)
        && (old.label, old.confidence) == (new.label, new.confidence)
}

/// An entry that GStreamer has made when it copied or moved a buffer's entries.
pub struct Follower {
    entry: Detected,
    /// The id of its object.
    id: u32,
    /// Whether that has keypoints, and a mask.
    points: bool,
    mask: bool,
}

/// The entries on `to` that GStreamer has just made from those that mirror `before` on `from`.
pub fn followers(from: &gst::BufferRef, to: &gst::BufferRef, before: &Framed) -> Vec<Follower> {
    let (Some(original), Some(copy)) = (Relations::of(from), Relations::of(to)) else { return Vec::new() };
    let (original, old): (Vec<_>, Vec<_>) = mirrored(original, Some(before)).into_iter().unzip();
    let copy = objects(copy);
    let origins = origins(&copy, &original);
    let followers = copy.into_iter().zip(origins).filter_map(|(entry, origin)| {
        let object = (*old.get(origin?)?)?;
        let (points, mask) = (object.keypoints.is_some(), object.mask.is_some());
        Some(Follower { entry, id: object.id, points, mask })
    });
    followers.collect()
}

/// Corrects entries that GStreamer has moved: `old` are objects before the change, `new` the same objects after it. Entries
/// of other objects are removed, because these can't be seen any more, or their place isn't known.
///
/// GStreamer moves boxes in whole pixels, and before 1.28 it knows nothing of a scaler's borders. It doesn't move points that
/// are classes, nor turn or scale masks, which are always written again.
pub fn follow(buffer: &mut gst::BufferRef, followers: &[Follower], old: &[Object], new: &[Object], frame: (u32, u32)) {
    let Some(relations) = Relations::of(buffer) else { return };
    let mut stale = Vec::new();
    for Follower { entry, id, points, mask } in followers {
        let successor = old.iter().position(|object| object.id == *id);
        let holds = successor.and_then(|index| new.get(index)).is_some_and(|object| {
            !mask && is_at(entry, object, frame) && has_its_points(relations, entry, object, frame)
        });
        if !holds {
            let classes = old.iter().find(|object| object.id == *id).map_or(&[][..], |object| &object.classifications);
            let classes = classes::entries(relations, entry.entry, classes);
            stale.push(Stale { entry: entry.entry, points: *points, mask: *mask, classes, successor });
        }
    }
    let mut shown = vec![Shown::Nothing; new.len()];
    replace(buffer, &stale, &[], new, &mut shown, frame);
    if shown.iter().any(|shown| *shown != Shown::Nothing)
        && let Some(mut editor) = Editor::of_or_added(buffer, 1, 1)
    {
        add_details(&mut editor, new, &shown, frame);
    }
}

fn has_its_points(relations: Relations, entry: &Detected, object: &Object, (width, height): (u32, u32)) -> bool {
    let Some(set) = &object.keypoints else { return true };
    let Some(found) = keypoints::of(relations, entry.entry, entry.place) else { return true };
    let near = |at: f32, side: u32, found: f32| (at * side as f32 - found).abs() <= tolerance(side) as f32;
    let agrees = |(point, found): (&model::Keypoint, &model::Keypoint)| {
        near(point.x, width, found.x) && near(point.y, height, found.y)
    };
    set.points.len() == found.points.len() && set.points.iter().zip(&found.points).all(agrees)
}

/// Replaces stale entries by those of their successors among `objects`, or removes them, and removes `others`. The ids in
/// `shown` become the new ones.
fn replace(
    buffer: &mut gst::BufferRef,
    stale: &[Stale],
    others: &[u32],
    objects: &[Object],
    shown: &mut [Shown],
    frame: (u32, u32),
) {
    let Some(relations) = Relations::of(buffer).filter(|_| !(stale.is_empty() && others.is_empty())) else { return };
    let mut fates = vec![Fate::Kept; relations.len() as usize];
    for other in others {
        if let Some(slot) = fates.get_mut(*other as usize) {
            *slot = Fate::Removed;
        }
    }
    for Stale { entry, points, mask, classes, successor } in stale {
        let object = successor.and_then(|index| objects.get(index));
        let fate = object.map_or(Fate::Removed, |object| Fate::Replaced(as_entry(object, frame)));
        let points = points.then(|| keypoints::entries(relations, *entry)).into_iter().flatten();
        let masks = mask.then(|| masks::entries(relations, *entry)).into_iter().flatten();
        let parts =
            label_entry(relations, *entry).into_iter().chain(points).chain(masks).chain(classes.iter().copied());
        let tracks = object.is_none().then(|| relations.entries(relations.library.track)).into_iter().flatten();
        let tracks = tracks.filter(|track| are_related(relations, *entry, *track));
        let parts = parts.chain(tracks).map(|part| (part, Fate::Removed));
        for (entry, fate) in parts.chain([(*entry, fate)]) {
            if let Some(slot) = fates.get_mut(entry as usize) {
                *slot = fate;
            }
        }
    }
    let Some(ids) = rebuild(buffer, &fates) else { return };
    let now = |entry: u32| ids.get(entry as usize).copied().flatten();
    for slot in shown.iter_mut() {
        *slot = match *slot {
            Shown::WithoutPoints(entry) => now(entry).map_or(Shown::Nothing, Shown::WithoutPoints),
            Shown::Whole(entry) => now(entry).map_or(Shown::Nothing, Shown::Whole),
            slot => slot,
        };
    }
    for Stale { entry, successor, .. } in stale {
        if let (Some(slot), Some(entry)) = (successor.and_then(|index| shown.get_mut(index)), now(*entry)) {
            *slot = Shown::Bare(entry);
        }
    }
}

/// The class that [`add_details`] has added to an object's entry.
fn label_entry(relations: Relations, entry: u32) -> Option<u32> {
    let object = relations.object(entry);
    let mut classes = relations.related(entry, relation::RELATE_TO, relations.library.class);
    classes.find(|&class| relations.classes(class).eq([(object.label, object.confidence)]))
}

/// Entries that others may add before the matrix of relations, which has the number's square of bytes, must grow.
const FEW_MORE: usize = 8;

/// Adds what the relation meta lacks.
fn complete(buffer: &mut gst::BufferRef, record: &Record, shown: &mut [Shown], frame: (u32, u32)) {
    let relations = Relations::of(buffer);
    let tracks: Vec<u32> =
        relations.map_or_else(Vec::new, |relations| relations.entries(relations.library.track).collect());
    let has_track = |relations: Relations, entry: u32, id: u64| {
        tracks.iter().any(|track| relations.track(*track) == id && are_related(relations, entry, *track))
    };
    let lacks_track = |entry: u32, object: &Object| {
        object.track_id.is_some_and(|id| relations.is_none_or(|relations| !has_track(relations, entry, id)))
    };
    let lacks_classes = |object: Option<u32>, classes: &[Classification]| {
        !classes.is_empty() && relations.is_none_or(|relations| classes::are_missing(relations, object, classes))
    };
    let lacks = |(object, shown): &(&Object, &Shown)| match shown {
        Shown::Nothing | Shown::Bare(_) => true,
        Shown::WithoutPoints(entry) => {
            object.keypoints.is_some()
                || lacks_classes(Some(*entry), &object.classifications)
                || lacks_track(*entry, object)
        }
        Shown::Whole(entry) => lacks_classes(Some(*entry), &object.classifications) || lacks_track(*entry, object),
    };
    let lacking: Vec<&Object> = record.objects.iter().zip(&*shown).filter(lacks).map(|(object, _)| object).collect();
    if lacking.is_empty() && !lacks_classes(None, &record.classifications) {
        return;
    }
    let has_keypoints = library().is_some_and(|library| library.keypoints.is_some());
    let (mut entries, mut bytes) = (FEW_MORE, 0);
    for object in lacking {
        let points = object.keypoints.as_ref().map_or(0, |set| 1 + if has_keypoints { set.points.len() } else { 0 });
        // The object and its class.
        let (track, mask) = (usize::from(object.track_id.is_some()), usize::from(object.mask.is_some()));
        entries += 2 + track + mask + points + by_model(&object.classifications).count();
        // An entry's header and its fields.
        bytes +=
            160 + 64 * object.classifications.len() + 64 * object.keypoints.as_ref().map_or(0, |set| set.points.len());
    }
    let Some(mut editor) = Editor::of_or_added(buffer, entries, bytes) else { return };
    // All objects come first, so that their entries have the objects' ids where there were none.
    for (object, slot) in record.objects.iter().zip(&mut *shown) {
        if *slot != Shown::Nothing {
            continue;
        }
        *slot = editor.add_object(&as_entry(object, frame)).map_or(Shown::Nothing, Shown::Bare);
    }
    for (object, slot) in record.objects.iter().zip(&*shown) {
        let (Some(entry), Some(id)) = (slot.entry(), object.track_id) else { continue };
        if !has_track(*editor, entry, id)
            && let Some(track) = editor.add_track(id)
        {
            editor.relate(entry, relation::RELATE_TO, track);
        }
    }
    for (object, slot) in record.objects.iter().zip(&*shown) {
        let Shown::Bare(entry) = *slot else { continue };
        let is_ours = |whole: &u32| shown.iter().any(|shown| shown.entry() == Some(*whole));
        let wholes = editor.related(entry, relation::IS_PART_OF, editor.library.object);
        // Those of the object whose place it takes.
        for whole in wholes.filter(is_ours).collect::<Vec<_>>() {
            editor.take_out(entry, whole);
        }
        if let Some(parent) = object.parent.and_then(|id| shown.get(record.position(id)?)?.entry()) {
            editor.put_into(entry, parent);
        }
    }
    add_details(&mut editor, &record.objects, shown, frame);
    classes::add(&mut editor, None, &record.classifications);
}

/// Adds labels, classes, masks and keypoints to the entries that lack them.
fn add_details(editor: &mut Editor, objects: &[Object], shown: &[Shown], frame: (u32, u32)) {
    for (object, shown) in objects.iter().zip(shown) {
        let Shown::Bare(entry) = shown else { continue };
        if let Some(class) = editor.add_class(object.label.quark().into_glib(), object.confidence) {
            editor.relate(*entry, relation::RELATE_TO, class);
        }
        editor.set_tag(*entry, object.source.quark().as_str().to_cstr_until_nul());
    }
    for (object, shown) in objects.iter().zip(shown) {
        if let (Shown::Bare(entry), Some(mask)) = (shown, &object.mask) {
            masks::add(editor, *entry, object.id, mask, &object.rect, frame);
        }
    }
    for (object, shown) in objects.iter().zip(shown) {
        if let (Shown::Bare(entry) | Shown::WithoutPoints(entry), Some(set)) = (shown, &object.keypoints) {
            let place = editor.object(*entry).place;
            keypoints::add(editor, *entry, place, set, frame);
        }
    }
    for (object, shown) in objects.iter().zip(shown) {
        if let Some(entry) = shown.entry() {
            classes::add(editor, Some(entry), &object.classifications);
        }
    }
}
