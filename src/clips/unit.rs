//! A coded picture.

use gst::prelude::*;
use std::time::SystemTime;

/// Nanoseconds on the clock of the frames' presentation timestamps.
pub type Time = i64;

/// The duration of a picture if nothing tells it.
const PERIOD: Time = 40_000_000;

/// A coded picture with a copy of its data: that of the camera's buffer may be a part of a large block.
#[derive(Debug)]
pub struct Unit {
    pub data: gst::Buffer,
    /// Bytes.
    pub size: u64,
    /// What is needed to decode it; units that can be in one file have equal ones.
    pub format: gst::Caps,
    /// The number of the connection that it came over.
    pub stream: u64,
    pub pts: Time,
    pub dts: Option<Time>,
    pub duration: Time,
    /// Decoding can begin with it.
    pub is_key: bool,
    /// When it came.
    pub came: SystemTime,
}

impl Unit {
    /// Copies a buffer of these caps. `time` converts its timestamps; a buffer without any follows the unit `before` it.
    pub fn copy(
        buffer: &gst::BufferRef,
        caps: &gst::CapsRef,
        stream: u64,
        before: Option<&Self>,
        time: impl Fn(gst::ClockTime) -> Option<Time>,
    ) -> Option<Self> {
        let data = buffer.map_readable().ok()?.to_vec();
        let (pts, dts) = (buffer.pts().and_then(&time), buffer.dts().and_then(&time));
        let follows = || before.map_or(0, |before| before.pts.saturating_add(before.duration));
        let pts = pts.or(dts).unwrap_or_else(follows);
        let declared = buffer.duration().and_then(|duration| Time::try_from(duration.nseconds()).ok());
        let passed = before.map(|before| pts.saturating_sub(before.pts)).filter(|passed| *passed > 0);
        Some(Self {
            size: data.len() as u64,
            data: gst::Buffer::from_slice(data),
            format: format(caps),
            stream,
            pts,
            dts,
            duration: declared.filter(|declared| *declared > 0).or(passed).unwrap_or(PERIOD),
            is_key: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
            came: SystemTime::now(),
        })
    }
}

/// The part of caps that a decoder depends on. Parsers change the rest, such as the frame rate, within a stream.
fn format(caps: &gst::CapsRef) -> gst::Caps {
    let Some(all) = caps.structure(0) else { return gst::Caps::new_empty() };
    let mut format = gst::Structure::new_empty(all.name());
    for name in ["stream-format", "alignment", "codec_data", "width", "height"] {
        if let Ok(value) = all.value(name) {
            format.set_value(name, value.to_send_value());
        }
    }
    gst::Caps::builder_full().structure(format).build()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A unit of 1000 bytes.
    pub fn unit(stream: u64, ms: i64, is_key: bool) -> Unit {
        gst::init().unwrap();
        let pts = ms * 1_000_000;
        Unit {
            data: gst::Buffer::new(),
            size: 1000,
            format: gst::Caps::new_empty_simple("video/x-h264"),
            stream,
            pts,
            dts: None,
            duration: PERIOD,
            is_key,
            came: SystemTime::now(),
        }
    }

    #[test]
    fn a_units_times_are_those_of_its_buffer_or_follow_the_one_before() {
        gst::init().unwrap();
        let caps = "video/x-h264,stream-format=byte-stream,width=320,height=240,framerate=25/1,profile=main";
        let caps: gst::Caps = caps.parse().unwrap();
        let copy = |pts: Option<u64>, before: Option<&Unit>| {
            let mut buffer = gst::Buffer::from_slice([7; 9]);
            buffer.get_mut().unwrap().set_pts(pts.map(gst::ClockTime::from_mseconds));
            Unit::copy(&buffer, &caps, 3, before, |time| Time::try_from(time.nseconds()).ok()).unwrap()
        };
        let first = copy(Some(100), None);
        assert_eq!((first.pts, first.duration, first.size, first.stream), (100_000_000, PERIOD, 9, 3));
        assert_eq!(
            first.format.to_string(),
            "video/x-h264, stream-format=(string)byte-stream, width=(int)320, height=(int)240"
        );
        let second = copy(Some(120), Some(&first));
        assert_eq!((second.pts, second.duration), (120_000_000, 20_000_000));
        assert_eq!(copy(None, Some(&second)).pts, 140_000_000);
    }
}
