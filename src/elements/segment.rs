//! What a segment says about the stream.

/// Keeps a stream's segment, and returns whether it is another than the one before it, of which only the end may differ.
pub fn changes(kept: &mut Option<gst::Segment>, segment: &gst::Segment) -> bool {
    kept.replace(segment.clone()).is_some_and(|old| !continues(&old, segment))
}

fn continues(old: &gst::Segment, new: &gst::Segment) -> bool {
    let place = |segment: &gst::Segment| (segment.format(), segment.start(), segment.base(), segment.time());
    old.rate() == new.rate() && place(old) == place(new)
}
