//! A camera on the network.

use super::super::setup::RtspSource;
use super::decode;
use super::{SourceContext, post};
use crate::elements::make;
use crate::error::{Error, ErrorKind};
use gst::prelude::*;
use std::time::Duration;

/// Fills `bin` with a client of the camera. The decoder is added when the camera has described its stream.
pub fn fill(bin: &gst::Bin, pad: &gst::GhostPad, source: &RtspSource, context: &SourceContext) -> Result<(), Error> {
    let client = make("rtspsrc", "client")?;
    client.set_property("location", source.url.expose());
    client.set_property_from_str("protocols", source.transport.nick());
    client.set_property("latency", u32::try_from(source.latency.as_millis()).unwrap_or(u32::MAX));
    client.set_property("tcp-timeout", microseconds(source.timeout));
    // Attaches the time when the camera captured each picture, from its RTCP sender reports.
    client.set_property("add-reference-timestamp-meta", true);
    // Audio isn't even requested.
    let (tracker, patience) = (context.tracker.clone(), context.patience);
    client.connect("select-stream", false, move |arguments| {
        let caps = arguments.get(2).and_then(|caps| caps.get::<gst::Caps>().ok());
        let media = caps.as_ref().and_then(|caps| caps.structure(0));
        let is_video = media.is_some_and(|media| media.get::<&str>("media") == Ok("video"));
        if let Some(interval) = media.filter(|_| is_video).and_then(interval) {
            tracker.told(interval);
        }
        if let Some(client) = arguments.first().and_then(|client| client.get::<gst::Element>().ok()) {
            // The timeout for the first UDP packet. It is a little shorter than our own, because its error gives the
            // reason.
            client.set_property("timeout", microseconds(tracker.longest_silence(&patience).mul_f64(0.9)));
        }
        Some(is_video.to_value())
    });
    let (bin_of, pad_of, context) = (bin.downgrade(), pad.downgrade(), context.clone());
    client.connect_pad_added(move |client, stream| {
        let (Some(bin), Some(pad)) = (bin_of.upgrade(), pad_of.upgrade()) else { return };
        // A second video stream, such as a smaller one, isn't connected.
        if pad.target().is_none()
            && let Err(error) = connect(&bin, &pad, stream, &context)
        {
            post(client, &error);
        }
    });
    let pad = pad.downgrade();
    client.connect_no_more_pads(move |client| {
        if pad.upgrade().is_some_and(|pad| pad.target().is_none()) {
            post(client, &Error::new(ErrorKind::Setting, "the camera offers no video: check the path in its URL"));
        }
    });
    bin.add(&client).map_err(|_| Error::new(ErrorKind::Failed, "rtspsrc can't be added"))
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The frame interval, if the camera's description has a rate (RFC 8866, 6.13).
fn interval(media: &gst::StructureRef) -> Option<Duration> {
    let rate: f64 = media.get::<&str>("a-framerate").ok()?.trim().parse().ok()?;
    // Smaller values aren't a rate.
    (rate.is_finite() && rate > 1e-6).then(|| Duration::from_secs_f64(1.0 / rate))
}

fn connect(bin: &gst::Bin, pad: &gst::GhostPad, stream: &gst::Pad, context: &SourceContext) -> Result<(), Error> {
    let caps = stream.current_caps().unwrap_or_else(|| stream.query_caps(None));
    let codec = decode::codec(&caps)?;
    let failed = |_| Error::new(ErrorKind::Failed, "the camera's stream can't be linked");
    let depay = make(&format!("rtp{}depay", codec.nick()), "depay")?;
    bin.add(&depay).map_err(|_| Error::new(ErrorKind::Failed, "the depayloader can't be added"))?;
    let coded = decode::add(bin, pad, codec, false, context)?;
    let (sink, src) = (depay.static_pad("sink"), depay.static_pad("src"));
    let (Some(sink), Some(src)) = (sink, src) else { return Ok(()) };
    src.link(&coded).map_err(failed)?;
    depay.sync_state_with_parent().map_err(|_| Error::new(ErrorKind::Failed, "the depayloader can't be started"))?;
    stream.link(&sink).map_err(failed)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_may_have_a_rate() {
        gst::init().unwrap();
        let described =
            |rate: &str| interval(&gst::Structure::builder("application/x-rtp").field("a-framerate", rate).build());
        assert_eq!(described("25"), Some(Duration::from_millis(40)));
        assert_eq!(described(" 0.15 ").map(|time| time.as_millis()), Some(6666));
        for nonsense in ["", "0", "-5", "inf", "NaN", "25 fps", "1e-300", "1e999"] {
            assert_eq!(described(nonsense), None, "{nonsense}");
        }
        assert_eq!(interval(&gst::Structure::new_empty("application/x-rtp")), None);
    }
}
