//! An MP4 file of coded pictures.

use super::unit::{Time, Unit};
use crate::elements::make;
use gst::prelude::*;
use std::path::Path;
use std::time::Duration;

/// What can be in a clip.
#[derive(Debug, Clone, Copy)]
pub struct Medium {
    /// Its media type.
    pub name: &'static str,
    /// As MP4 files have it.
    pub stream_format: &'static str,
    pub parser: &'static str,
    /// The element that finds the decoding times of pictures that come without: they matter where pictures are decoded in
    /// another order than they are shown in.
    pub timestamper: &'static str,
}

/// All that can be in a clip.
pub const MEDIA: [Medium; 2] = [
    Medium { name: "video/x-h264", stream_format: "avc", parser: "h264parse", timestamper: "h264timestamper" },
    Medium { name: "video/x-h265", stream_format: "hvc1", parser: "h265parse", timestamper: "h265timestamper" },
];

/// The elements that write clips, whatever the camera sends.
pub const WRITE: [&str; 2] = ["mp4mux", "filesink"];

/// The elements that write clips of a media type.
pub fn elements(media: &str) -> impl Iterator<Item = &'static str> {
    let parser = MEDIA.iter().find(|medium| medium.name == media).map(|medium| medium.parser);
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
        let Some(medium) = MEDIA.iter().find(|medium| medium.name == media) else {
            return Err(format!("MP4 files can't hold {media}"));
        };
        let element = |factory: &str, name: &str| make(factory, name).map_err(|error| error.message);
        let (parse, mux, sink) =
            (element(medium.parser, "parse")?, element("mp4mux", "mux")?, element("filesink", "file")?);
        let is_there = gst::ElementFactory::find(medium.timestamper).is_some();
        let timestamper =
            (first.dts.is_none() && is_there).then(|| element(medium.timestamper, "times")).transpose()?;
        // As MP4 has it: the element that finds decoding times doesn't tell the parser what the muxer takes.
        let format = element("capsfilter", "format")?;
        let caps = gst::Caps::builder(media).field("stream-format", medium.stream_format).field("alignment", "au");
        format.set_property("caps", caps.build());
        // Fragments of a second, so that the file is readable up to its end even if the process is killed; in the end
        // the file is one without fragments.
        mux.set_property("fragment-duration", 1000_u32);
        mux.set_property_from_str("fragment-mode", "first-moov-then-finalise");
        sink.set_property("location", path.to_string_lossy().as_ref());
        for property in ["sync", "async"] {
            sink.set_property(property, false);
        }
        let pipeline = gst::Pipeline::new();
        let elements: Vec<_> =
            [parse.clone(), format].into_iter().chain(timestamper).chain([mux.clone(), sink]).collect();
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
        let events =
            [gst::event::StreamStart::new("clip"), gst::event::Caps::new(format), gst::event::Segment::new(&segment)];
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

#[cfg(test)]
mod tests {
    use super::*;
    use gst_app::AppSink;
    use std::sync::Arc;

    /// What an encoder makes of 50 pictures, as it comes from a camera: without decoding times.
    fn encoded(encoder: &str) -> Vec<Unit> {
        gst::init().unwrap();
        let text = format!(
            "videotestsrc num-buffers=50 ! video/x-raw,width=64,height=48,framerate=25/1 ! {encoder} ! appsink name=sink"
        );
        let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
        let sink = pipeline.by_name("sink").unwrap().downcast::<AppSink>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let mut units = Vec::new();
        while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(30)) {
            let segment = sample.segment().unwrap().downcast_ref::<gst::ClockTime>().unwrap().clone();
            let time = |time| Time::try_from(segment.to_running_time(Some(time))?.nseconds()).ok();
            let mut buffer = sample.buffer_owned().unwrap();
            buffer.make_mut().set_dts(None);
            units.push(Unit::copy(&buffer, sample.caps().unwrap(), 1, None, time).unwrap());
        }
        pipeline.set_state(gst::State::Null).unwrap();
        assert_eq!(units.len(), 50);
        units
    }

    /// When the pictures of a file are shown, ms, in the order of the file.
    fn shown(path: &Path) -> Vec<u64> {
        let text =
            format!("filesrc location={} ! qtdemux name=demux demux. ! queue ! appsink name=sink", path.display());
        let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
        let sink = pipeline.by_name("sink").unwrap().downcast::<AppSink>().unwrap();
        sink.set_property("sync", false);
        pipeline.set_state(gst::State::Playing).unwrap();
        let mut times = Vec::new();
        while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(30)) {
            let segment = sample.segment().unwrap().downcast_ref::<gst::ClockTime>().unwrap().clone();
            times.push(segment.to_running_time(sample.buffer().unwrap().pts()).unwrap());
        }
        pipeline.set_state(gst::State::Null).unwrap();
        times.iter().map(|time| (time.nseconds() + 500_000) / 1_000_000).collect()
    }

    #[test]
    fn every_media_type_has_its_pictures_at_their_times() {
        let folder = tempfile::tempdir().unwrap();
        for (name, encoder) in [
            (
                "h264",
                "x264enc tune=zerolatency key-int-max=10 ! h264parse config-interval=-1 ! video/x-h264,stream-format=byte-stream",
            ),
            ("avc", "x264enc bframes=2 b-adapt=false key-int-max=10 ! h264parse ! video/x-h264,stream-format=avc"),
            (
                "reordered",
                "x264enc bframes=2 b-adapt=false key-int-max=10 ! h264parse config-interval=-1 ! \
                           video/x-h264,stream-format=byte-stream",
            ),
            (
                "h265",
                "x265enc tune=zerolatency key-int-max=10 log-level=none ! h265parse config-interval=-1 ! \
                      video/x-h265,stream-format=byte-stream",
            ),
        ] {
            let path = folder.path().join(name);
            let units: Vec<_> = encoded(encoder).into_iter().map(Arc::new).collect();
            // From a later key frame on.
            let first = units.iter().skip(10).position(|unit| unit.is_key).unwrap() + 10;
            let file = ClipFile::create(&path, &units[first]).unwrap();
            units[first..].iter().for_each(|unit| file.write(unit).unwrap());
            file.finish(Duration::from_secs(30)).unwrap();
            let begin = units[first].pts;
            let times: Vec<_> = units[first..].iter().map(|unit| (unit.pts - begin) as u64 / 1_000_000).collect();
            assert!(times.len() > 20, "{name}");
            assert_eq!(shown(&path), times, "{name}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_tells_why() {
        let units = encoded("x264enc tune=zerolatency key-int-max=10 ! h264parse config-interval=-1");
        let error = ClipFile::create(Path::new("/nowhere/clip.mp4"), &units[0]).unwrap_err();
        assert!(error.contains("/nowhere/clip.mp4"), "{error}");
        let full = ClipFile::create(Path::new("/dev/full"), &units[0]);
        let written = full.and_then(|file| {
            units.iter().try_for_each(|unit| file.write(unit)).and_then(|()| file.finish(Duration::from_secs(10)))
        });
        assert!(written.unwrap_err().contains("space"), "/dev/full");
        let other = encoded("jpegenc").remove(0);
        assert!(ClipFile::create(Path::new("/dev/null"), &other).unwrap_err().contains("image/jpeg"));
    }
}
