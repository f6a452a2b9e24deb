//! Objects as `GstVideoRegionOfInterestMeta`, which other programs can read.
//!
//! One meta for each object of the record:
//!
//! | field | value |
//! |---|---|
//! | `roi_type` | the label |
//! | `x`, `y`, `w`, `h` | the box in pixels, rounded and clipped to the frame |
//! | `id` | the object's id, from 0 |
//! | `parent_id` | the parent's id, -1 for none |
//! | `params` | the structure `detection`, with keypoints the structure `keypoints`, for each of the classes that classifiers gave it a structure `classification`, for each embedding a structure `embedding`, and with a track the structure `object_id` |
//!
//! The structures have the names and types of Intel's DL Streamer, so that programs for it can read them.
//!
//! `detection`: `confidence` (double), `x_min`, `x_max`, `y_min`, `y_max` (double, 0–1 over the frame), `label_id` (int;
//! absent where unknown), `model_name` (string, the `model-id`).
//!
//! `keypoints`: `type` (string, `keypoints`), `format` (string, the layout's name), `dims` (array of uint, `[points, 2]`),
//! `precision` (int, 10: 32-bit floats), `data_buffer` (variant `ay`: x and y of each point as native 32-bit floats,
//! 0–1 over the object's box), `confidence` (array of float, one per point), `model_name`. The names and limbs of the
//! points are omitted, because every copy of the buffer would copy them; `format` identifies them.
//!
//! `classification`: `label` (string), `label_id` (int), `confidence` (double), `type` (string, `classification_result`),
//! `model_name`. Any structure of another program with a `label` and a `confidence` that isn't `detection` is read as one, and
//! one without `model_name` is that of the model that the structure is named after.
//!
//! `embedding`: `dims` (array of uint, `[values]`), `precision` and `data_buffer` (the values) as above, `model_name`.
//!
//! `object_id`: `id` (int, the track's id). Ids that don't fit into an int are left out.
//!
//! Sources: `blob_to_roi_converter.cpp`, `yolo_v8.cpp`, `label.cpp`, `tensor.h` and `region_of_interest.h` of DL Streamer 2026.

use super::change::{Change, fractions};
use super::record_meta::{self, Framed};
use super::{Classification, Embedding, KeypointSet, Name, Object, Record};
use gst::glib;
use gst::glib::translate::{FromGlib, IntoGlib};
use gst::prelude::*;
use gst_video::VideoRegionOfInterestMeta;
use model::{OrientedBox, Rect};
use std::ops::ControlFlow;
use std::sync::LazyLock;

/// The source of objects whose model isn't named.
const UNNAMED: &str = "roi";
const DETECTION: &glib::GStr = glib::gstr!("detection");
const KEYPOINTS: &glib::GStr = glib::gstr!("keypoints");
const CLASSIFICATION: &glib::GStr = glib::gstr!("classification");
const EMBEDDING: &glib::GStr = glib::gstr!("embedding");
const OBJECT_ID: &glib::GStr = glib::gstr!("object_id");

/// Names of structures and fields, looked up once. Each look-up takes a process-wide lock, which threads of many
/// streams with many objects would mostly wait for.
struct Names {
    /// Empty structures, to be copied.
    detection: gst::Structure,
    keypoints: gst::Structure,
    classification: gst::Structure,
    embedding: gst::Structure,
    object_id: gst::Structure,
    id: glib::Quark,
    confidence: glib::Quark,
    label: glib::Quark,
    label_id: glib::Quark,
    x_min: glib::Quark,
    x_max: glib::Quark,
    y_min: glib::Quark,
    y_max: glib::Quark,
    model_name: glib::Quark,
    kind: glib::Quark,
    format: glib::Quark,
    dims: glib::Quark,
    precision: glib::Quark,
    data_buffer: glib::Quark,
}

static NAMES: LazyLock<Names> = LazyLock::new(|| {
    let quark = |name: &str| glib::Quark::from_str(name);
    Names {
        detection: gst::Structure::new_empty_from_static(DETECTION),
        keypoints: gst::Structure::new_empty_from_static(KEYPOINTS),
        classification: gst::Structure::new_empty_from_static(CLASSIFICATION),
        embedding: gst::Structure::new_empty_from_static(EMBEDDING),
        object_id: gst::Structure::new_empty_from_static(OBJECT_ID),
        id: quark("id"),
        confidence: quark("confidence"),
        label: quark("label"),
        label_id: quark("label_id"),
        x_min: quark("x_min"),
        x_max: quark("x_max"),
        y_min: quark("y_min"),
        y_max: quark("y_max"),
        model_name: quark("model_name"),
        kind: quark("type"),
        format: quark("format"),
        dims: quark("dims"),
        precision: quark("precision"),
        data_buffer: quark("data_buffer"),
    }
});
/// DL Streamer's code for 32-bit floats, `GVA_PRECISION_FP32`.
const PRECISION_FP32: i32 = 10;

/// Left, top, right and bottom in whole pixels.
pub(super) type Edges = [u32; 4];

/// Updates the ROI metas to those of `record`, which replaces `before` on this buffer. Metas that are still valid are
/// kept, because making one costs more than everything else about an object. Without `add`, missing ones aren't added.
pub(super) fn mirror(
    buffer: &mut gst::BufferRef,
    before: Option<&Framed>,
    record: &Record,
    frame: (u32, u32),
    add: bool,
) {
    let mut shown = vec![false; record.objects.len()];
    let others: Vec<(usize, &Object)> = taken_over(record).collect();
    if !others.is_empty() || before.is_some_and(|before| !before.record.objects.is_empty()) {
        buffer.foreach_meta_mut(|mut meta| {
            use gst::buffer::BufferMetaForeachAction::{Keep, Remove};
            let Some(roi) = meta.downcast_mut::<VideoRegionOfInterestMeta>() else {
                return ControlFlow::Continue(Keep);
            };
            let is_its = |(index, object): &&(usize, &Object)| !shown[*index] && is_at(roi, object, frame);
            if let Some(&(index, object)) = others.iter().find(is_its) {
                shown[index] = true;
                if let Some(keypoints) = object.keypoints.as_ref().filter(|_| roi.param(KEYPOINTS).is_none()) {
                    roi.add_param(pose(keypoints, &object.rect));
                }
                add_attributes(roi, object);
                set_track(roi, object.track_id);
                return ControlFlow::Continue(Keep);
            }
            let Some(old) = before.and_then(|before| mirrored(roi, before)) else {
                return ControlFlow::Continue(Keep);
            };
            let index = record.position(old.id).filter(|index| {
                record.objects[*index].is_same_but_for_track(old) && is_whole(roi, old, frame) && !shown[*index]
            });
            if let Some(index) = index {
                shown[index] = true;
                set_track(roi, record.objects[index].track_id);
            }
            let holds = index.is_some();
            ControlFlow::Continue(if holds || old.foreign { Keep } else { Remove })
        });
    }
    if add {
        let missing = record.objects.iter().zip(shown).filter(|(_, shown)| !shown);
        add_mirrors(buffer, missing.map(|(object, _)| object), frame);
    }
}

/// How far GStreamer moves a meta from where it belongs, pixels: position and size are rounded separately, and GStreamer
/// 1.28 flips the indices of pixels instead of edges.
pub(super) const ROUNDING: f32 = 2.0;

/// Removes the metas that GStreamer has just made on `to` from those that mirror `before` on `from`, and returns the ids
/// of all objects that have a mirror on `from`.
///
/// What GStreamer makes has no parameters. It is in the wrong place where the change wasn't told, and in 1.28 where a meta
/// touches the right or lower edge: `videoscale` then scales it as if there were no borders, other elements drop it.
pub(super) fn take_followers(
    from: &gst::BufferRef,
    to: &mut gst::BufferRef,
    before: &Framed,
    change: &Change,
) -> Vec<u32> {
    let metas = from.iter_meta::<VideoRegionOfInterestMeta>();
    let mirrors: Vec<(&Object, Edges)> =
        metas.filter_map(|meta| Some((mirrored(&meta, before)?, pixel_edges(&meta)))).collect();
    if mirrors.is_empty() {
        return Vec::new();
    }
    let as_scaled = Change::scaled(change.input, change.output);
    let follows = |meta: &VideoRegionOfInterestMeta, (object, edges): &(&Object, Edges)| {
        is_named_as(meta, object)
            && [change, &as_scaled].iter().any(|change| {
                let rect = place(meta);
                let now = [rect.x, rect.y, rect.right(), rect.bottom()];
                expected(edges, change).iter().zip(now).all(|(expected, now)| (expected - now).abs() <= ROUNDING)
            })
    };
    // Those before a record belong to another picture of a composed frame.
    let records = to.iter_meta::<gst::Meta>().enumerate().filter(|(_, meta)| record_meta::is_record(meta));
    let earlier = records.map(|(index, _)| index).last();
    let mut index = 0;
    to.foreach_meta_mut(|mut meta| {
        use gst::buffer::BufferMetaForeachAction::{Keep, Remove};
        let is_new = earlier.is_none_or(|earlier| index > earlier);
        index += 1;
        let roi = meta.downcast_ref::<VideoRegionOfInterestMeta>().filter(|_| is_new);
        let is_follower = roi.is_some_and(|roi| mirrors.iter().any(|mirror| follows(roi, mirror)));
        ControlFlow::Continue(if is_follower { Remove } else { Keep })
    });
    mirrors.iter().map(|(object, _)| object.id).collect()
}

/// Where a meta with these edges belongs after a change, pixels.
fn expected(edges: &Edges, change: &Change) -> [f32; 4] {
    let [left, top, right, bottom] = edges.map(|at| at as f32);
    let rect = change.rect(&fractions(&Rect::from_corners(left, top, right, bottom), change.input));
    let rect = rect.scaled(change.output.0 as f32, change.output.1 as f32);
    [rect.x, rect.y, rect.right(), rect.bottom()]
}

pub(super) fn add_mirrors<'a>(
    buffer: &mut gst::BufferRef,
    objects: impl Iterator<Item = &'a Object>,
    frame: (u32, u32),
) {
    objects.for_each(|object| add_meta(buffer, object, frame));
}

fn add_meta(buffer: &mut gst::BufferRef, object: &Object, frame: (u32, u32)) {
    let [left, top, right, bottom] = edges(&object.rect, frame);
    let label = object.label.quark().into_glib();
    // SAFETY: the buffer is writable, and the meta, which is never null, is borrowed with it. The safe binding takes
    // the label as text and looks it up.
    let mut meta = unsafe {
        let buffer_ptr = buffer.as_mut_ptr();
        let meta = gst_video::ffi::gst_buffer_add_video_region_of_interest_meta_id(
            buffer_ptr,
            label,
            left,
            top,
            right - left,
            bottom - top,
        );
        VideoRegionOfInterestMeta::from_mut_ptr::<gst::meta::Standalone>(buffer, meta)
    };
    meta.set_id(i32::try_from(object.id).unwrap_or(i32::MAX));
    meta.set_parent_id(object.parent.and_then(|id| i32::try_from(id).ok()).unwrap_or(-1));
    meta.add_param(detection(object));
    if let Some(keypoints) = &object.keypoints {
        meta.add_param(pose(keypoints, &object.rect));
    }
    add_attributes(&mut meta, object);
    set_track(&mut meta, object.track_id);
}

/// Adds the classes and vectors of an object that the meta doesn't have yet.
fn add_attributes(meta: &mut VideoRegionOfInterestMeta, object: &Object) {
    if object.classifications.is_empty() && object.embeddings.is_empty() {
        return;
    }
    let there: Vec<Classification> = classifications(meta).collect();
    for class in object.classifications.iter().filter(|class| !there.contains(class)) {
        meta.add_param(classification(class));
    }
    let has_vector = |meta: &VideoRegionOfInterestMeta, source: Name| {
        let vectors = meta.params().filter(|params| params.name() == EMBEDDING);
        vectors.filter_map(|params| params.get::<&str>("model_name").ok()).any(|name| *name == *source)
    };
    for vector in &object.embeddings {
        if !has_vector(meta, vector.source) {
            meta.add_param(embedding(vector));
        }
    }
}

/// Writes the id of an object's track where the meta has another or none. Without a track, what another program's tracker has
/// written stays.
fn set_track(meta: &mut VideoRegionOfInterestMeta, track: Option<u64>) {
    let Some(id) = track.and_then(|id| i32::try_from(id).ok()) else { return };
    let known = meta.params().find(|params| params.name() == OBJECT_ID);
    match known.map(|params| (params.as_ptr(), params.get::<i32>("id").ok())) {
        Some((_, known)) if known == Some(id) => {}
        // SAFETY: the structure belongs to the meta, which is mutably borrowed, and nothing else refers to it.
        Some((params, _)) => unsafe { gst::StructureRef::from_glib_borrow_mut(params.cast_mut()) }.set("id", id),
        None => meta.add_param(object_id(id)),
    }
}

/// The id that a tracker has given to a meta's object.
fn track(meta: &VideoRegionOfInterestMeta) -> Option<u64> {
    u64::try_from(meta.param(OBJECT_ID)?.get::<i32>("id").ok()?).ok()
}

/// The classes in a meta's parameters.
fn classifications(meta: &VideoRegionOfInterestMeta) -> impl Iterator<Item = Classification> {
    meta.params().filter(|params| params.name() != DETECTION).filter_map(|params| {
        let (label, confidence) = (params.get::<&str>("label").ok()?, number(params, "confidence")?);
        let model = params.get::<&str>("model_name").ok().filter(|name| !name.is_empty());
        Some(Classification {
            source: model.unwrap_or(params.name().as_str()).into(),
            class_id: params.get::<i32>("label_id").ok().and_then(|id| u32::try_from(id).ok()),
            label: label.into(),
            confidence: confidence.clamp(0.0, 1.0) as f32,
        })
    })
}

/// True if nothing of `object` was lost: elements that change a frame round the pixels and drop the parameters.
fn is_whole(meta: &VideoRegionOfInterestMeta, object: &Object, frame: (u32, u32)) -> bool {
    meta.params().next().is_some() && pixel_edges(meta) == edges(&object.rect, frame)
}

/// Adds the objects of ROI metas that don't mirror our record, with ids from `first`. `found` has other elements' objects
/// that are known already: one that a ROI meta has too gets its class and its model's name from there.
pub(super) fn add_others(
    buffer: &gst::BufferRef,
    ours: Option<&Framed>,
    found: &mut Vec<Object>,
    first: u32,
    frame: (u32, u32),
) {
    let mut free: Vec<bool> = vec![true; found.len()];
    // The original ids of the metas and their parents, and their objects' places in `found`. Other elements' ids need
    // not be unique, and may equal ids of our objects.
    let mut ids: Vec<(i32, i32, usize)> = Vec::new();
    for meta in buffer.iter_meta::<VideoRegionOfInterestMeta>() {
        if ours.and_then(|ours| mirrored(&meta, ours)).is_some() {
            continue;
        }
        let object = object(&meta, first + found.len() as u32, frame);
        let known = found.iter().zip(&free).enumerate().filter(|(_, (_, free))| **free);
        let off = known.filter_map(|(index, (known, _))| Some((distance(known, &object, frame)?, index)));
        let index = match off.min() {
            Some((_, index)) => {
                free[index] = false;
                complete(&mut found[index], &object);
                index
            }
            None => {
                found.push(object);
                found.len() - 1
            }
        };
        ids.push((meta.id(), meta.parent_id(), index));
    }
    for &(_, parent, index) in &ids {
        // A parent of 0 means that the meta's producer doesn't set parents.
        if parent > 0 {
            let mut with_id = ids.iter().filter(|(id, ..)| *id == parent);
            if let (Some(&(.., parent)), None) = (with_id.next(), with_id.next())
                && parent != index
                && found[index].parent.is_none()
            {
                found[index].parent = Some(found[parent].id);
            }
        }
    }
}

/// How many pixels the edges of two boxes are apart that may be the same object, told in two ways.
fn distance(a: &Object, b: &Object, frame: (u32, u32)) -> Option<u32> {
    let (one, other) = (edges(&a.rect, frame), edges(&b.rect, frame));
    let is_same = a.label == b.label && agree(&one, &other, frame);
    is_same.then(|| one.iter().zip(&other).map(|(a, b)| a.abs_diff(*b)).sum())
}

/// Adds what only a ROI meta tells about an object.
fn complete(object: &mut Object, roi: &Object) {
    object.class_id = object.class_id.or(roi.class_id);
    object.track_id = object.track_id.or(roi.track_id);
    for class in &roi.classifications {
        let is_it = |known: &&mut Classification| known.label == class.label && known.confidence == class.confidence;
        match object.classifications.iter_mut().find(is_it) {
            Some(known) => known.clone_from(class),
            None => object.classifications.push(class.clone()),
        }
    }
    if &*roi.source != UNNAMED {
        object.source = roi.source;
    }
}

/// The objects of `record` that it has taken over from other elements, with their indices.
fn taken_over(record: &Record) -> impl Iterator<Item = (usize, &Object)> {
    record.objects.iter().enumerate().filter(|(_, object)| object.foreign)
}

/// The object of a record that `meta` mirrors: with the same id and label, and with the same position or the same
/// parameters, because another program may have moved it. An object that the record has taken over from another element
/// has that element's id there.
fn mirrored<'a>(meta: &VideoRegionOfInterestMeta, ours: &'a Framed) -> Option<&'a Object> {
    let with_id = u32::try_from(meta.id()).ok().and_then(|id| ours.record.objects.get(ours.record.position(id)?));
    let with_id = with_id.filter(|object| {
        is_at(meta, object, ours.frame) || (is_named_as(meta, object) && has_parameters_of(meta, object))
    });
    let others = || taken_over(&ours.record).map(|(_, object)| object);
    with_id.or_else(|| others().find(|object| is_at(meta, object, ours.frame)))
}

/// True if the meta has an object's label and box.
fn is_at(meta: &VideoRegionOfInterestMeta, object: &Object, frame: (u32, u32)) -> bool {
    let is_there = |rect: &Rect| agree(&edges(rect, frame), &pixel_edges(meta), frame);
    // DL Streamer's metas have the box before it is rotated.
    let unrotated =
        |oriented: &OrientedBox| fractions(&oriented.scaled(frame.0 as f32, frame.1 as f32).unrotated(), frame);
    name(meta) == object.label
        && (is_there(&object.rect) || object.oriented.is_some_and(|oriented| is_there(&unrotated(&oriented))))
}

/// An object that the record has taken over from another element has that element's id.
fn is_named_as(meta: &VideoRegionOfInterestMeta, object: &Object) -> bool {
    (object.foreign || u32::try_from(meta.id()) == Ok(object.id)) && name(meta) == object.label
}

fn has_parameters_of(meta: &VideoRegionOfInterestMeta, object: &Object) -> bool {
    meta.param(DETECTION).is_some_and(|params| {
        number(params, "confidence") == Some(f64::from(object.confidence))
            && params.get::<&str>("model_name").is_ok_and(|name| name == &*object.source)
            && params.get::<i32>("label_id").ok() == object.class_id.map(label_id)
    })
}

/// Another program's meta as an object.
fn object(meta: &VideoRegionOfInterestMeta, id: u32, frame: (u32, u32)) -> Object {
    // The first structure with a confidence; in DL Streamer the detector's is `detection`.
    let params = meta.param(DETECTION).or_else(|| meta.params().find(|s| number(s, "confidence").is_some()));
    let model = params.and_then(|s| s.get::<&str>("model_name").ok()).filter(|name| !name.is_empty());
    let told = params.and_then(|s| normalised(s, meta, frame));
    let rect = told.unwrap_or_else(|| fractions(&place(meta), frame));
    let oriented = params.filter(|_| told.is_some()).and_then(|s| rotated(s, &rect, frame));
    // A meta whose detector reported nothing has its first class's confidence.
    let is_read = |class: &Classification| meta.param(DETECTION).is_some() || *class.label != *name(meta);
    Object {
        id,
        rect: oriented.map_or(rect, |oriented| oriented.enclosing()),
        oriented,
        class_id: params.and_then(|s| s.get::<i32>("label_id").ok()).and_then(|id| u32::try_from(id).ok()),
        label: name(meta),
        // A detector that reports no confidence counts as certain.
        confidence: params.and_then(|s| number(s, "confidence")).map_or(1.0, |c| c.clamp(0.0, 1.0) as f32),
        source: model.unwrap_or(UNNAMED).into(),
        foreign: true,
        classifications: classifications(meta).filter(is_read).collect(),
        track_id: track(meta),
        ..Object::default()
    }
}

/// The box in `params`, if it has one and the meta's pixels agree: elements that crop a frame update only the pixels.
fn normalised(params: &gst::StructureRef, meta: &VideoRegionOfInterestMeta, frame: (u32, u32)) -> Option<Rect> {
    let [x1, y1, x2, y2] = ["x_min", "y_min", "x_max", "y_max"].map(|name| number(params, name));
    let rect = Rect::from_corners(x1? as f32, y1? as f32, x2? as f32, y2? as f32);
    agree(&edges(&rect, frame), &pixel_edges(meta), frame).then_some(rect)
}

/// The box `rect` with the direction that DL Streamer tells, if there is one: radians, clockwise, in pixels.
fn rotated(params: &gst::StructureRef, rect: &Rect, (width, height): (u32, u32)) -> Option<OrientedBox> {
    let angle = number(params, "rotation").filter(|angle| *angle != 0.0)?;
    let (w, h) = (width.max(1) as f32, height.max(1) as f32);
    let Rect { x, y, w: wide, h: high } = rect.scaled(w, h);
    let oriented = OrientedBox::new(x + wide / 2.0, y + high / 2.0, wide, high, angle as f32)?;
    Some(oriented.scaled(1.0 / w, 1.0 / h))
}

/// The meta's box in pixels. The position is stored unsigned, but `compositor` writes negative ones.
fn place(meta: &VideoRegionOfInterestMeta) -> Rect {
    let (x, y, w, h) = meta.rect();
    Rect::new(x.cast_signed() as f32, y.cast_signed() as f32, w as f32, h as f32)
}

/// A finite number, stored as double or float.
fn number(params: &gst::StructureRef, name: &str) -> Option<f64> {
    let value = params.value(name).ok()?;
    let number = value.get::<f64>().or_else(|_| value.get::<f32>().map(f64::from)).ok()?;
    number.is_finite().then_some(number)
}

/// Empty if C code left it at 0: the binding's `roi_type` would then dereference a null pointer.
fn name(meta: &VideoRegionOfInterestMeta) -> Name {
    // SAFETY: `GstVideoRegionOfInterestMeta` is valid while `meta` is borrowed; only an integer is read.
    let quark = unsafe { (*(meta as *const _ as *const gst_video::ffi::GstVideoRegionOfInterestMeta)).roi_type };
    if quark == 0 {
        return Name::empty();
    }
    // SAFETY: GLib created every quark other than 0.
    unsafe { glib::Quark::from_glib(quark) }.into()
}

/// `rect`, 0–1, rounded to pixels and clipped to the frame.
pub(super) fn edges(rect: &Rect, (width, height): (u32, u32)) -> Edges {
    // `as` maps negative values and NaN to 0.
    let place = |at: f32, size: u32| ((at * size as f32).round() as u32).min(size);
    let (left, top) = (place(rect.x, width), place(rect.y, height));
    [left, top, place(rect.right(), width).max(left), place(rect.bottom(), height).max(top)]
}

fn pixel_edges(meta: &VideoRegionOfInterestMeta) -> Edges {
    let (x, y, w, h) = meta.rect();
    [x, y, x.saturating_add(w), y.saturating_add(h)]
}

/// How far an edge may be off by rounding, for a frame whose side has this many pixels: 2 pixels, or 1/64 of the frame,
/// which is what one pixel of a small frame becomes when the frame is scaled up.
pub(super) fn tolerance(side: u32) -> u32 {
    (side / 64).max(2)
}

/// True if two boxes are the same apart from rounding.
fn agree(a: &Edges, b: &Edges, (width, height): (u32, u32)) -> bool {
    let limits = [width, height, width, height].map(tolerance);
    a.iter().zip(b).zip(limits).all(|((a, b), limit)| a.abs_diff(*b) <= limit)
}

fn label_id(class_id: u32) -> i32 {
    i32::try_from(class_id).unwrap_or(i32::MAX)
}

#[expect(deprecated, reason = "the setters by name look it up each time")]
fn detection(object: &Object) -> gst::Structure {
    let Rect { x, y, .. } = object.rect;
    let names = &*NAMES;
    let mut s = names.detection.clone();
    s.set_by_quark(names.confidence, f64::from(object.confidence));
    if let Some(id) = object.class_id {
        s.set_by_quark(names.label_id, label_id(id));
    }
    s.set_by_quark(names.x_min, f64::from(x));
    s.set_by_quark(names.x_max, f64::from(object.rect.right()));
    s.set_by_quark(names.y_min, f64::from(y));
    s.set_by_quark(names.y_max, f64::from(object.rect.bottom()));
    s.set_by_quark(names.model_name, &*object.source);
    s
}

#[expect(deprecated, reason = "the setters by name look it up each time")]
fn pose(keypoints: &KeypointSet, rect: &Rect) -> gst::Structure {
    let points = &keypoints.points;
    // A box without width has all points at its left edge.
    let inside = |at: f32, from: f32, size: f32| if size > 0.0 { (at - from) / size } else { 0.0 };
    let data: Vec<u8> = points
        .iter()
        .flat_map(|p| [inside(p.x, rect.x, rect.w), inside(p.y, rect.y, rect.h)])
        .flat_map(f32::to_ne_bytes)
        .collect();
    let names = &*NAMES;
    let mut s = names.keypoints.clone();
    s.set_by_quark(names.kind, "keypoints");
    s.set_by_quark(names.format, keypoints.layout.name);
    s.set_by_quark(names.dims, gst::Array::new([points.len() as u32, 2]));
    s.set_by_quark(names.precision, PRECISION_FP32);
    s.set_by_quark(names.data_buffer, glib::Variant::array_from_fixed_array(&data));
    s.set_by_quark(names.confidence, gst::Array::new(points.iter().map(|p| p.confidence)));
    s.set_by_quark(names.model_name, &*keypoints.source);
    s
}

#[expect(deprecated, reason = "the setters by name look it up each time")]
fn object_id(id: i32) -> gst::Structure {
    let names = &*NAMES;
    let mut s = names.object_id.clone();
    s.set_by_quark(names.id, id);
    s
}

#[expect(deprecated, reason = "the setters by name look it up each time")]
fn classification(class: &Classification) -> gst::Structure {
    let names = &*NAMES;
    let mut s = names.classification.clone();
    s.set_by_quark(names.label, &*class.label);
    if let Some(id) = class.class_id {
        s.set_by_quark(names.label_id, label_id(id));
    }
    s.set_by_quark(names.confidence, f64::from(class.confidence));
    s.set_by_quark(names.kind, "classification_result");
    s.set_by_quark(names.model_name, &*class.source);
    s
}

#[expect(deprecated, reason = "the setters by name look it up each time")]
fn embedding(Embedding { source, values }: &Embedding) -> gst::Structure {
    let data: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    let names = &*NAMES;
    let mut s = names.embedding.clone();
    s.set_by_quark(names.dims, gst::Array::new([values.len() as u32]));
    s.set_by_quark(names.precision, PRECISION_FP32);
    s.set_by_quark(names.data_buffer, glib::Variant::array_from_fixed_array(&data));
    s.set_by_quark(names.model_name, &**source);
    s
}
