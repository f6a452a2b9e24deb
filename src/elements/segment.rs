//! What a segment says about the stream.

/// Whether a segment is the same as the one before it, perhaps with another end.
pub fn continues(old: &gst::Segment, new: &gst::Segment) -> bool {
    let place = |segment: &gst::Segment| (segment.format(), segment.start(), segment.base(), segment.time());
    old.rate() == new.rate() && place(old) == place(new)
}
