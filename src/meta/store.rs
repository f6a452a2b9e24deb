//! The record on its buffer, shared with every copy of that buffer.
//!
//! This crate can be loaded twice in a process, as a library linked by an application and as the plugin. Each copy
//! registers its own meta. It doesn't see the other copy's record and reads the objects from the ROI metas, like any
//! other program.
//!
//! When a scaler adds black borders (`videoscale add-borders` with a fixed `pixel-aspect-ratio`), boxes are off by the
//! borders, as ROI metas are: the transformation that GStreamer passes to metas doesn't describe them.

use super::{Record, record_meta, roi};
use std::sync::Arc;

/// The record that our elements attached to this buffer.
pub fn record(buffer: &gst::BufferRef) -> Option<Arc<Record>> {
    record_meta::of(buffer)
}

/// Replaces the record and mirrors it in ROI metas, for a frame of `width` × `height` pixels. ROI metas of other
/// elements are kept.
pub fn set_record(buffer: &mut gst::BufferRef, record: Arc<Record>, width: u32, height: u32) {
    put(buffer, record, (width, height), true);
}

/// Like [`set_record`], but without adding ROI metas: only readers of the record see new objects.
pub fn set_record_alone(buffer: &mut gst::BufferRef, record: Arc<Record>, width: u32, height: u32) {
    put(buffer, record, (width, height), false);
}

fn put(buffer: &mut gst::BufferRef, record: Arc<Record>, frame: (u32, u32), mirrored: bool) {
    let there = self::record(buffer);
    roi::mirror(buffer, there.as_deref(), &record, frame, mirrored);
    record_meta::put(buffer, Some(record));
}

/// Everything that detectors found in this frame of `width` × `height` pixels: our record, and the objects that only
/// other elements' ROI metas have. Those follow ours, with the next ids. No object is listed twice.
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
