//! The record on its buffer.
//!
//! It is a [`gst::meta::CustomMeta`] whose structure has one field: a shared boxed value that holds the [`Arc`]. Copying
//! a buffer copies the structure, which clones the `Arc`; nothing else is copied.
//!
//! This crate can be in a process twice, as a library linked by an application and as the plugin. The custom meta is
//! registered once, by whoever comes first. The boxed type exists once for each copy, under names of their own, because
//! the layout of a Rust type is not the same across builds. A copy that meets the other's record doesn't see it, and
//! reads the objects from the ROI metas, as any other program does.
//!
//! Where a scaler adds black borders (`videoscale add-borders` with a fixed `pixel-aspect-ratio`), boxes are off by the
//! borders, as ROI metas are: the transformation that GStreamer hands to metas doesn't tell of them.

use super::custom::Custom;
use super::{Record, roi};
use gst::glib;
use std::sync::Arc;

static RECORD: Custom = Custom::new("TrtRecord", &["video", "size"], true);
const FIELD: &glib::GStr = glib::gstr!("record");

#[derive(Clone, glib::SharedBoxed)]
#[shared_boxed_type(name = "TrtSharedRecord", allow_name_conflict)]
struct SharedRecord(Arc<Record>);

/// Registers the record's meta; needs `gst::init`. May be called more than once.
pub fn register() {
    RECORD.register();
}

/// The record that our elements put on this buffer.
pub fn record(buffer: &gst::BufferRef) -> Option<Arc<Record>> {
    record_in(RECORD.of(buffer)?.structure())
}

fn record_in(structure: &gst::StructureRef) -> Option<Arc<Record>> {
    structure.get::<SharedRecord>(FIELD).ok().map(|shared| shared.0)
}

/// Puts `record` in the place of the one before and mirrors it in ROI metas, for a frame of `width` × `height` pixels.
/// ROI metas of other elements stay as they are.
pub fn set_record(buffer: &mut gst::BufferRef, record: Arc<Record>, width: u32, height: u32) {
    put(buffer, record, (width, height), true);
}

/// As [`set_record`], without ROI metas for objects that have none: only who reads records sees them.
pub fn set_record_alone(buffer: &mut gst::BufferRef, record: Arc<Record>, width: u32, height: u32) {
    put(buffer, record, (width, height), false);
}

fn put(buffer: &mut gst::BufferRef, record: Arc<Record>, frame: (u32, u32), mirrored: bool) {
    // One that the other copy of this crate put there counts as none; its place is taken.
    let there = self::record(buffer);
    roi::mirror(buffer, there.as_deref(), &record, frame, mirrored);
    if let Some(mut meta) = RECORD.of_or_added(buffer) {
        meta.mut_structure().set(FIELD, SharedRecord(record));
    }
}

/// What any detector said about this frame of `width` × `height` pixels: our record, and objects that only others' ROI
/// metas know. These follow ours and get ids after theirs. No object is there twice.
pub fn read(buffer: &gst::BufferRef, width: u32, height: u32) -> Arc<Record> {
    let own = record(buffer).unwrap_or_default();
    let others = roi::others(buffer, &own, (width, height));
    if others.is_empty() {
        return own;
    }
    let mut all = Record::clone(&own);
    all.objects.extend(others);
    Arc::new(all)
}
