//! The record on its buffer, shared with every copy of that buffer.
//!
//! This crate can be loaded twice in a process, as a library linked by an application and as the plugin. Each copy
//! registers its own meta. It doesn't see the other copy's record and reads the objects from the analytics metadata
//! or the ROI metas, like any other program.
//!
//! What elements do to the picture is done to the record's boxes and keypoints, as far as GStreamer says what they do:
//! `transform` has the kinds, docs/interop.md has a table of elements and versions. Where it doesn't say, there is no
//! record.

use super::{Record, analytics, record_meta, roi};
use std::sync::Arc;

/// The forms in which objects are written beside the record, for other programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mirrors {
    /// `GstVideoRegionOfInterestMeta`.
    pub roi: bool,
    /// `GstAnalyticsRelationMeta`. Nothing is written where GStreamer has no such library ([`analytics`]).
    pub analytics: bool,
}

/// The record that our elements attached to this buffer.
pub fn record(buffer: &gst::BufferRef) -> Option<Arc<Record>> {
    record_meta::of(buffer).map(|framed| framed.record)
}

/// Replaces the record and mirrors it in ROI metas and analytics metadata, for a frame of `width` × `height` pixels.
/// What other elements have attached is kept.
pub fn set_record(buffer: &mut gst::BufferRef, record: Arc<Record>, width: u32, height: u32) {
    set_record_with(buffer, record, width, height, Mirrors { roi: true, analytics: true });
}

/// Like [`set_record`], but with nothing new for other programs: only readers of the record see new objects.
pub fn set_record_alone(buffer: &mut gst::BufferRef, record: Arc<Record>, width: u32, height: u32) {
    set_record_with(buffer, record, width, height, Mirrors { roi: false, analytics: false });
}

/// Like [`set_record`], with new objects in these forms alone.
pub fn set_record_with(buffer: &mut gst::BufferRef, record: Arc<Record>, width: u32, height: u32, mirrors: Mirrors) {
    let (there, frame) = (record_meta::of(buffer), (width, height));
    roi::mirror(buffer, there.as_ref(), &record, frame, mirrors.roi);
    analytics::mirror(buffer, there.as_ref(), &record, frame, mirrors.analytics);
    record_meta::put(buffer, record, frame);
}

/// Replaces the record by one with the same objects and classes, which other programs' forms already have as far as they
/// were asked for.
pub fn annotate(buffer: &mut gst::BufferRef, record: Arc<Record>, width: u32, height: u32) {
    record_meta::put(buffer, record, (width, height));
}

/// Everything that detectors found in this frame of `width` × `height` pixels: our record, the objects that only other
/// elements' analytics metadata has, and those that only their ROI metas have. Each follows what is before it, with the
/// next ids. No object is listed twice. Objects of the record have the tracks that a
/// tracker has given them, and the classes that other classifiers have.
pub fn read(buffer: &gst::BufferRef, width: u32, height: u32) -> Arc<Record> {
    let frame = (width, height);
    let framed = record_meta::of(buffer);
    let own = framed.as_ref().map_or_else(Arc::default, |framed| framed.in_view(buffer, frame));
    let analytics::Found { objects: mut others, mut tracks, classes, of_frame } =
        analytics::others(buffer, framed.as_ref(), own.next_id(), frame);
    roi::add_others(buffer, framed.as_ref(), &mut others, own.next_id(), frame);
    let track_of = |id: u32| own.objects.get(own.position(id)?)?.track_id;
    tracks.retain(|(id, track)| track_of(*id) != Some(*track));
    if others.is_empty() && tracks.is_empty() && classes.is_empty() && of_frame.is_empty() {
        return own;
    }
    let mut all = Record::clone(&own);
    for object in &mut all.objects {
        if let Some((_, track)) = tracks.iter().find(|(id, _)| *id == object.id) {
            (object.track_id, object.track) = (Some(*track), None);
        }
        let classes = classes.iter().filter(|(id, _)| *id == object.id);
        object.classifications.extend(classes.map(|(_, class)| class.clone()));
    }
    all.classifications.extend(of_frame);
    all.objects.extend(others);
    Arc::new(all)
}
