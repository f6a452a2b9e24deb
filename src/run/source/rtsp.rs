//! A camera on the network.

use super::super::setup::{RtspSource, make};
use super::decode::{self, Codec};
use super::{Surroundings, post};
use crate::config::Transport;
use crate::infer::{Error, ErrorKind};
use gst::prelude::*;

/// Fills `bin` with a client of the camera. What decodes is added when the camera has said what it sends.
pub fn fill(bin: &gst::Bin, pad: &gst::GhostPad, source: &RtspSource, around: &Surroundings) -> Result<(), Error> {
    let client = make("rtspsrc", "client")?;
    client.set_property("location", source.url.expose());
    client.set_property_from_str(
        "protocols",
        match source.transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        },
    );
    client.set_property("latency", u32::try_from(source.latency.as_millis()).unwrap_or(u32::MAX));
    let timeout = u64::try_from(source.timeout.as_micros()).unwrap_or(u64::MAX);
    client.set_property("tcp-timeout", timeout);
    client.set_property("timeout", timeout);
    // When the camera took each picture, from its RTCP sender reports.
    client.set_property("add-reference-timestamp-meta", true);
    // Sound isn't even asked for.
    client.connect("select-stream", false, |arguments| {
        let caps = arguments.get(2).and_then(|caps| caps.get::<gst::Caps>().ok());
        let media = caps.as_ref().and_then(|caps| caps.structure(0)?.get::<&str>("media").ok());
        Some((media == Some("video")).to_value())
    });
    let (bin_of, pad_of, around) = (bin.downgrade(), pad.downgrade(), around.clone());
    client.connect_pad_added(move |client, stream| {
        let (Some(bin), Some(pad)) = (bin_of.upgrade(), pad_of.upgrade()) else { return };
        // A second picture stream, such as a smaller one, isn't taken.
        if pad.target().is_none()
            && let Err(error) = connect(&bin, &pad, stream, &around)
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

fn connect(bin: &gst::Bin, pad: &gst::GhostPad, stream: &gst::Pad, around: &Surroundings) -> Result<(), Error> {
    let caps = stream.current_caps().unwrap_or_else(|| stream.query_caps(None));
    let codec = Codec::of(&caps)?;
    let failed = |_| Error::new(ErrorKind::Failed, "the camera's stream can't be linked");
    let depay = make(&format!("rtp{}depay", codec.name()), "depay")?;
    bin.add(&depay).map_err(|_| Error::new(ErrorKind::Failed, "the depayloader can't be added"))?;
    let coded = decode::add(bin, pad, codec, false, around)?;
    let (sink, src) = (depay.static_pad("sink"), depay.static_pad("src"));
    let (Some(sink), Some(src)) = (sink, src) else { return Ok(()) };
    src.link(&coded).map_err(failed)?;
    depay.sync_state_with_parent().map_err(|_| Error::new(ErrorKind::Failed, "the depayloader can't be started"))?;
    stream.link(&sink).map_err(failed)?;
    Ok(())
}
