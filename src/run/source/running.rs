//! Converts between timestamps and running times: a file's timestamps are on its decoder's timeline; segments map them
//! to the running times at which pictures are shown.

use crate::elements::into_writable;
use gst::ClockTime;
use gst::prelude::*;
use parking_lot::Mutex;

type Segment = gst::FormattedSegment<ClockTime>;

/// The running time at which a buffer at `sink` with this timestamp is shown; `None`: it isn't.
pub fn time(sink: &gst::Pad, timestamp: Option<ClockTime>) -> Option<ClockTime> {
    let event = sink.sticky_event::<gst::event::Segment>(0)?;
    event.segment().downcast_ref::<ClockTime>()?.to_running_time(timestamp?)
}

/// The running time of a buffer at `pad` with this timestamp, nanoseconds, also where it isn't shown.
pub fn time_in_full(pad: &gst::Pad, timestamp: ClockTime) -> Option<i64> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    let time = event.segment().downcast_ref::<ClockTime>()?.to_running_time_full(timestamp)?;
    let nanoseconds = i64::try_from(time.abs().nseconds()).ok()?;
    Some(if time.is_negative() { -nanoseconds } else { nanoseconds })
}

/// Makes timestamps equal to running times, in one segment without limits, behind `source`, a pad of the decoder or of
/// an element after it.
pub fn stamp(source: &gst::Pad) {
    let segment = Mutex::new(None::<Segment>);
    source.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(event) = info.event() {
            let gst::EventView::Segment(event) = event.view() else { return gst::PadProbeReturn::Ok };
            let Some(new) = event.segment().downcast_ref::<ClockTime>() else { return gst::PadProbeReturn::Ok };
            if segment.lock().replace(new.clone()).is_some() {
                return gst::PadProbeReturn::Handled;
            }
            info.data = Some(gst::PadProbeData::Event(gst::event::Segment::new(&Segment::new())));
            return gst::PadProbeReturn::Ok;
        }
        let Some(buffer) = info.buffer() else { return gst::PadProbeReturn::Ok };
        let shown = match (buffer.pts(), segment.lock().as_ref()) {
            (Some(pts), Some(segment)) if segment.stop().is_some_and(|stop| pts >= stop) => None,
            (Some(pts), Some(segment)) => segment.to_running_time(pts).map(Some),
            (pts, _) => Some(pts),
        };
        let Some(pts) = shown else { return gst::PadProbeReturn::Handled };
        if let Some(gst::PadProbeData::Buffer(buffer)) = info.data.take() {
            let mut buffer = into_writable(buffer);
            if let Some(buffer) = buffer.get_mut() {
                buffer.set_pts(pts);
                // The decoding time isn't needed any more.
                buffer.set_dts(None);
            }
            info.data = Some(gst::PadProbeData::Buffer(buffer));
        }
        gst::PadProbeReturn::Ok
    });
}
