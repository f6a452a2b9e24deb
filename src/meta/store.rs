//! The record on its buffer, shared with every copy of that buffer.
//!
//! This crate can be loaded twice in a process, as a library linked by an application and as the plugin. Each copy
//! registers its own meta. It doesn't see the other copy's record and reads the objects from the ROI metas, like any
//! other program.
//!
//! What elements do to the picture is done to the record's boxes and keypoints, as far as GStreamer says what they do:
//! `transform` has the kinds, docs/interop.md has a table of elements and versions. Where it doesn't say, there is no
//! record.

use super::{Record, record_meta, roi};
use std::sync::Arc;

/// The record that our elements attached to this buffer.
pub fn record(buffer: &gst::BufferRef) -> Option<Arc<Record>> {
    record_meta::of(buffer).map(|framed| framed.record)
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
    let there = record_meta::of(buffer);
    roi::mirror(buffer, there.as_ref(), &record, frame, mirrored);
    record_meta::put(buffer, record, frame);
}

/// Everything that detectors found in this frame of `width` × `height` pixels: our record, and the objects that only
/// other elements' ROI metas have. Those follow ours, with the next ids. No object is listed twice.
pub fn read(buffer: &gst::BufferRef, width: u32, height: u32) -> Arc<Record> {
    let frame = (width, height);
    let framed = record_meta::of(buffer);
    let own = framed.as_ref().map_or_else(Arc::default, |framed| framed.in_view(buffer, frame));
    let others = roi::others(buffer, framed.as_ref(), own.next_id(), frame);
    if others.is_empty() {
        return own;
    }
    let mut all = Record::clone(&own);
    all.objects.extend(others);
    Arc::new(all)
}
