//! An MP4 file of coded pictures.

use super::unit::{Time, Unit};
use crate::elements::make;
use gst::prelude::*;
use std::path::Path;
use std::time::Duration;

/// What can be in a clip: the media type, its parser, and what finds the decoding times of pictures that come without,
/// which matter where pictures are decoded in another order than they are shown in.
pub const MEDIA: [(&str, &str, Option<&str>); 3] = [
    ("video/x-h264", "h264parse", Some("h264timestamper")),
    ("video/x-h265", "h265parse", Some("h265timestamper")),
    ("image/jpeg", "jpegparse", None),
];

/// The elements that write clips, whatever the camera sends.
pub const WRITE: [&str; 2] = ["mp4mux", "filesink"];

/// The elements that write clips of a media type.
pub fn elements(media: &str) -> impl Iterator<Item = &'static str> {
    let parser = MEDIA.iter().find(|(known, ..)| *known == media).map(|(_, parser, _)| *parser);
    parser.into_iter().chain(WRITE)
}

/// Where a clip begins on the muxer's clock: decoding times can be before the first picture's.
const BEGIN: Time = 3600 * 1_000_000_000;

/// A file that is being written, by a pipeline that the calling thread pushes into.
#[derive(Debug)]
pub struct ClipFile {
    pipeline: gst::Pipeline,
    pad: gst::Pad,
    /// The time of the first picture.
    begin: Time,
}

impl ClipFile {
    /// Creates a file for pictures like this one, which is the first.
    ///
    /// # Errors
    /// An element is missing, or the file can't be created.
    pub fn create(path: &Path, first: &Unit) -> Result<Self, String> {
        let media = first.format.structure(0).map_or("nothing", |format| format.name().as_str());
        let Some((_, parser, timestamper)) = MEDIA.iter().find(|(known, ..)| *known == media) else {
            return Err(format!("MP4 files can't hold {media}"));
        };
        let element = |factory: &str, name: &str| make(factory, name).map_err(|error| error.message);
        let (parse, mux, sink) = (element(parser, "parse")?, element("mp4mux", "mux")?, element("filesink", "file")?);
        let timestamper = timestamper.filter(|name| first.dts.is_none() && gst::ElementFactory::find(name).is_some());
        let timestamper = timestamper.map(|name| element(name, "times")).transpose()?;
        // Fragments of a second, so that the file is readable up to its end even if the process is killed; in the end
        // the file is one without fragments.
        mux.set_property("fragment-duration", 1000_u32);
        mux.set_property_from_str("fragment-mode", "first-moov-then-finalise");
        sink.set_property("location", path.to_string_lossy().as_ref());
        for property in ["sync", "async"] {
            sink.set_property(property, false);
        }
        let pipeline = gst::Pipeline::new();
        let elements: Vec<_> = std::iter::once(parse.clone()).chain(timestamper).chain([mux.clone(), sink]).collect();
        let failed = |_| "the elements that write clips can't be linked".to_owned();
        pipeline.add_many(&elements).map_err(failed)?;
        gst::Element::link_many(&elements).map_err(failed)?;
        // The clock of RTP. The default is too coarse for pictures without a fixed rate.
        for pad in mux.sink_pads() {
            pad.set_property("trak-timescale", 90_000_u32);
        }
        let pad = gst::Pad::builder(gst::PadDirection::Src).name("clip").build();
        let file = Self { pipeline, pad, begin: first.pts };
        if file.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(file.cause());
        }
        file.begin(&parse, &first.format).ok_or_else(|| file.cause())?;
        Ok(file)
    }

    fn begin(&self, parse: &gst::Element, format: &gst::Caps) -> Option<()> {
        self.pad.set_active(true).ok()?;
        self.pad.link(&parse.static_pad("sink")?).ok()?;
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(gst::ClockTime::from_nseconds(BEGIN.unsigned_abs()));
        let events = [
            gst::event::StreamStart::new("clip"),
            gst::event::Caps::new(format),
            gst::event::Segment::new(&segment),
        ];
        events.into_iter().all(|event| self.pad.push_event(event)).then_some(())
    }

    /// Writes a picture.
    ///
    /// # Errors
    /// The cause, such as a full disk.
    pub fn write(&self, unit: &Unit) -> Result<(), String> {
        let mut buffer = unit.data.copy();
        if let Some(buffer) = buffer.get_mut() {
            let time = |time: Time| {
                let time = time.saturating_sub(self.begin).saturating_add(BEGIN);
                gst::ClockTime::from_nseconds(u64::try_from(time).unwrap_or(0))
            };
            buffer.set_pts(time(unit.pts));
            buffer.set_dts(unit.dts.map(time));
            buffer.set_duration(gst::ClockTime::from_nseconds(u64::try_from(unit.duration).unwrap_or(0)));
            if !unit.is_key {
                buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
        }
        match self.pad.push(buffer) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.cause()),
        }
    }

    /// Writes the end, and closes the file.
    ///
    /// # Errors
    /// The cause, such as a full disk, or that it takes longer than `limit`.
    pub fn finish(self, limit: Duration) -> Result<(), String> {
        self.pad.push_event(gst::event::Eos::new());
        let limit = gst::ClockTime::try_from(limit).unwrap_or(gst::ClockTime::MAX);
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let message = self.pipeline.bus().and_then(|bus| bus.timed_pop_filtered(limit, &kinds));
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Eos(_)) => Ok(()),
            Some(gst::MessageView::Error(error)) => Err(error.error().message().to_owned()),
            _ => Err("it takes too long to write the end".into()),
        }
    }

    /// What an element has posted.
    fn cause(&self) -> String {
        let kinds = [gst::MessageType::Error];
        // The failure is known on this thread before the message is there.
        let limit = gst::ClockTime::from_mseconds(500);
        let message = self.pipeline.bus().and_then(|bus| bus.timed_pop_filtered(limit, &kinds));
        match message.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => error.error().message().to_owned(),
            _ => "pictures aren't taken".into(),
        }
    }
}

impl Drop for ClipFile {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}
