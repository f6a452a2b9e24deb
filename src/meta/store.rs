//! The record on its buffer, which shares it with every copy of that buffer.
//!
//! This crate can be in a process twice, as a library linked by an application and as the plugin. Each copy has a meta of its
//! own. One that meets the other's record doesn't see it, and reads the objects from the ROI metas, as any other program
//! does.
//!
//! Where a scaler adds black borders (`videoscale add-borders` with a fixed `pixel-aspect-ratio`), boxes are off by the
//! borders, as ROI metas are: the transformation that GStreamer hands to metas doesn't tell of them.

use super::{Record, record_meta, roi};
use std::sync::Arc;

/// The record that our elements put on this buffer.
pub fn record(buffer: &gst::BufferRef) -> Option<Arc<Record>> {
    record_meta::of(buffer)
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
    let there = self::record(buffer);
    roi::mirror(buffer, there.as_deref(), &record, frame, mirrored);
    record_meta::put(buffer, Some(record));
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
