//! Finds out what a camera sends, by asking the camera itself, without decoding.

use super::{login_refusal, nothing_to_decode, stream_name, unplayable};
use crate::config::{Camera, CameraSource, Codec};
use gst::prelude::*;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// The known facts of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StreamFacts {
    pub codec: Option<Codec>,
    /// Width and height, pixels.
    pub size: Option<(u32, u32)>,
    /// Frames per second.
    pub framerate: Option<f64>,
    /// Bits of a sample.
    pub depth: Option<u32>,
    /// How a player rotates the pictures, if it does: a value of GStreamer's tag `image-orientation`.
    pub orientation: Option<&'static str>,
}

impl StreamFacts {
    /// The facts that are known without asking the camera.
    pub fn of_file(camera: &Camera) -> Self {
        if let CameraSource::Test { size, framerate, .. } = &camera.source {
            return Self { size: Some(*size), framerate: Some(*framerate), depth: Some(8), ..Self::default() };
        }
        let hint = camera.hint;
        Self { codec: hint.codec, size: hint.size, framerate: hint.framerate, ..Self::default() }
    }

    /// These facts, completed by those of `other`.
    pub fn or(self, other: Self) -> Self {
        Self {
            codec: self.codec.or(other.codec),
            size: self.size.or(other.size),
            framerate: self.framerate.or(other.framerate),
            depth: self.depth.or(other.depth),
            orientation: self.orientation.or(other.orientation),
        }
    }

    /// Formats as `H.264, 1920×1080, 25 frames/s, 8 bit`, with `unknown` for missing facts.
    pub fn describe(&self) -> String {
        let unknown = |what: &str| format!("{what} unknown");
        let facts = [
            self.codec.map_or_else(|| unknown("codec"), |codec| codec.name().to_owned()),
            self.size.map_or_else(|| unknown("size"), |(width, height)| format!("{width}×{height}")),
            self.framerate
                .map_or_else(|| unknown("rate"), |rate| format!("{} frames/s", (rate * 100.0).round() / 100.0)),
            self.depth.map_or_else(|| unknown("depth"), |depth| format!("{depth} bit")),
        ];
        let turned = self.orientation.map(|way| format!("to be shown turned ({way})"));
        facts.into_iter().chain(turned).collect::<Vec<_>>().join(", ")
    }
}

/// Finds out what a camera sends, or why that isn't possible.
pub type Probe<'a> = dyn Fn(&Camera) -> Result<StreamFacts, String> + Sync + 'a;

/// How long a camera has to answer and to send its first frames.
const PATIENCE: Duration = Duration::from_secs(10);
/// Names of the caps that can be decoded.
const DECODED: [&str; 2] = ["video/x-h264", "video/x-h265"];
/// Values of the tag `image-orientation` for pictures that aren't upright.
const TURNED: [&str; 7] =
    ["rotate-90", "rotate-180", "rotate-270", "flip-rotate-0", "flip-rotate-90", "flip-rotate-180", "flip-rotate-270"];
/// The frames whose times give the rate where the stream doesn't declare it.
const FRAMES: usize = 11;

/// Connects to a camera (RTSP: DESCRIBE, SETUP, PLAY) or opens a file, and reads its first frames.
///
/// # Errors
/// The error of the camera or file, without secrets; it sends no H.264 or H.265; nothing came for 10 seconds.
pub fn ask_camera(camera: &Camera) -> Result<StreamFacts, String> {
    match &camera.source {
        CameraSource::Test { .. } => Ok(StreamFacts::of_file(camera)),
        CameraSource::File { path, .. } => {
            let source = element("filesrc")?;
            source.set_property("location", path);
            let asked = Asked::new(source)?;
            let streams = asked.through_parsebin()?;
            asked.answer(|error| error.error().to_string()).map_err(|error| {
                let nothing = !streams.lock().iter().any(|name| DECODED.contains(&name.as_str()));
                if nothing && Path::new(path).exists() { unplayable(&error) } else { error }
            })
        }
        CameraSource::Rtsp { url, transport, latency } => {
            let source = element("rtspsrc")?;
            source.set_property("location", url.expose());
            source.set_property("latency", u32::try_from(latency.as_millis()).unwrap_or(u32::MAX));
            source.set_property_from_str("protocols", transport.nick());
            // In microseconds, and shorter than our own timeout, so that its error comes first.
            let patience = PATIENCE.as_micros() as u64 * 8 / 10;
            source.set_property("tcp-timeout", patience);
            source.set_property("timeout", patience);
            let asked = Asked::new(source)?;
            asked.through_depayloader();
            asked.answer(|error| {
                let text = || url.hide_in(&error.error().to_string());
                login_refusal(error, url.has_user()).unwrap_or_else(text)
            })
        }
    }
}

fn element(name: &str) -> Result<gst::Element, String> {
    gst::ElementFactory::make(name).build().map_err(|_| format!("GStreamer has no element {name}: install its plugin"))
}

type Streams = Arc<Mutex<Vec<String>>>;

/// A pipeline that is discarded after its first frames.
struct Asked {
    pipeline: gst::Pipeline,
    source: gst::Element,
    found: Receiver<Result<StreamFacts, String>>,
    tell: Tell,
}

/// Collects the facts.
#[derive(Clone)]
struct Tell {
    found: Sender<Result<StreamFacts, String>>,
    /// The facts so far, while more frames could add to them.
    so_far: Arc<Mutex<Option<StreamFacts>>>,
}

impl Tell {
    fn tell(&self, found: Result<StreamFacts, String>) {
        // Only the first result is read.
        let _ = self.found.send(found);
    }
}

impl Asked {
    fn new(source: gst::Element) -> Result<Self, String> {
        let pipeline = gst::Pipeline::new();
        pipeline.add(&source).map_err(|error| error.to_string())?;
        let (sender, found) = channel();
        Ok(Self { pipeline, source, found, tell: Tell { found: sender, so_far: Arc::default() } })
    }

    /// Returns the names of the streams that were found.
    fn through_parsebin(&self) -> Result<Streams, String> {
        let parse = element("parsebin")?;
        self.pipeline.add(&parse).and_then(|()| self.source.link(&parse)).map_err(|error| error.to_string())?;
        let (pipeline, tell) = (self.pipeline.downgrade(), self.tell.clone());
        let streams = Streams::default();
        let found = streams.clone();
        parse.connect_pad_added(move |_, pad| {
            let name = stream_name(pad).unwrap_or_default();
            let Some(pipeline) = pipeline.upgrade() else { return };
            let watched = DECODED.contains(&name.as_str()).then(|| tell.clone());
            streams.lock().push(name);
            if watched.is_none() {
                let (streams, tell) = (streams.clone(), tell.clone());
                // All streams are known once the first data comes.
                pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                    let streams = streams.lock();
                    if !streams.iter().any(|name| DECODED.contains(&name.as_str())) {
                        tell.tell(Err(nothing_to_decode(&streams)));
                    }
                    gst::PadProbeReturn::Remove
                });
            }
            if let Err(error) = end(&pipeline, pad, &[], watched) {
                tell.tell(Err(error));
            }
        });
        Ok(found)
    }

    fn through_depayloader(&self) {
        let (pipeline, tell) = (self.pipeline.downgrade(), self.tell.clone());
        self.source.connect_pad_added(move |_, pad| {
            let Some(pipeline) = pipeline.upgrade() else { return };
            let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
            let field = |name: &str| caps.structure(0).and_then(|s| s.get::<String>(name).ok()).unwrap_or_default();
            let (media, encoding) = (field("media"), field("encoding-name"));
            let done = match (media.as_str(), encoding.as_str()) {
                ("video", "H264") => end(&pipeline, pad, &["rtph264depay", "h264parse"], Some(tell.clone())),
                ("video", "H265") => end(&pipeline, pad, &["rtph265depay", "h265parse"], Some(tell.clone())),
                ("video", other) => Err(format!("the camera sends {other}, and only H264 and H265 are taken")),
                _ => end(&pipeline, pad, &[], None),
            };
            if let Err(error) = done {
                tell.tell(Err(error));
            }
        });
    }

    /// Runs until there is a result. `describe` formats errors without secrets.
    fn answer(&self, describe: impl Fn(&gst::message::Error) -> String) -> Result<StreamFacts, String> {
        let deadline = Instant::now() + PATIENCE;
        let bus = self.pipeline.bus().ok_or("the pipeline has no bus")?;
        // A file that can't be opened posts its error before the state change fails.
        let _ = self.pipeline.set_state(gst::State::Playing);
        let result = loop {
            let tick = gst::ClockTime::from_mseconds(50);
            match bus.timed_pop_filtered(tick, &[gst::MessageType::Error, gst::MessageType::Eos]) {
                Some(message) => {
                    if let gst::MessageView::Error(error) = message.view() {
                        self.tell.tell(Err(describe(error)));
                    } else {
                        self.tell.tell(self.so_far("it ended before its first frames told what it is"));
                    }
                }
                None if Instant::now() > deadline => {
                    self.tell.tell(self.so_far(&format!("nothing came for {} s", PATIENCE.as_secs())));
                }
                None => {}
            }
            if let Ok(found) = self.found.try_recv() {
                break found;
            }
        };
        let _ = self.pipeline.set_state(gst::State::Null);
        result
    }

    /// The facts so far, if nothing more comes in time.
    fn so_far(&self, nothing: &str) -> Result<StreamFacts, String> {
        self.tell.so_far.lock().ok_or_else(|| nothing.to_owned())
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Links a pad to these elements and a sink. `watched`: collects the facts from its frames.
fn end(pipeline: &gst::Pipeline, pad: &gst::Pad, names: &[&str], watched: Option<Tell>) -> Result<(), String> {
    let mut elements = names.iter().map(|name| element(name)).collect::<Result<Vec<_>, _>>()?;
    let sink = element("fakesink")?;
    sink.set_property("async", false);
    elements.push(sink.clone());
    let text = |error: gst::glib::BoolError| error.to_string();
    pipeline.add_many(&elements).and_then(|()| gst::Element::link_many(&elements)).map_err(text)?;
    if let (Some(tell), Some(pad)) = (watched, sink.static_pad("sink")) {
        // By its type, a probe may be called by several threads.
        let times = Mutex::new(Vec::with_capacity(FRAMES));
        let orientation = Mutex::new(None);
        pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
            if let Some(event) = info.event() {
                if let gst::EventView::Tag(tag) = event.view()
                    && let Some(way) = tag.tag().get::<gst::tags::ImageOrientation>()
                {
                    *orientation.lock() = TURNED.into_iter().find(|known| *known == way.get());
                }
                return gst::PadProbeReturn::Ok;
            }
            let mut times = times.lock();
            times.extend(info.buffer().and_then(|buffer| buffer.dts_or_pts()));
            match pad.current_caps().and_then(|caps| read(&caps, &times)) {
                Some(Ok(facts)) if facts.framerate.is_none() && times.len() < FRAMES => {
                    let orientation = *orientation.lock();
                    *tell.so_far.lock() = Some(StreamFacts { framerate: measured(&times), orientation, ..facts });
                    gst::PadProbeReturn::Ok
                }
                Some(found) => {
                    let orientation = *orientation.lock();
                    tell.tell(found.map(|facts| StreamFacts { orientation, ..facts }));
                    gst::PadProbeReturn::Remove
                }
                None => gst::PadProbeReturn::Ok,
            }
        });
    }
    for element in &elements {
        element.sync_state_with_parent().map_err(text)?;
    }
    let target = elements.first().and_then(|first| first.static_pad("sink")).ok_or("no pad")?;
    pad.link(&target).map(|_| ()).map_err(|error| error.to_string())
}

/// The facts in the caps, with the rate of these times if the caps don't declare one and there are enough times.
fn read(caps: &gst::Caps, times: &[gst::ClockTime]) -> Option<Result<StreamFacts, String>> {
    let structure = caps.structure(0)?;
    let codec = match Codec::of(caps) {
        Ok(codec) => codec,
        Err(other) => return Some(Err(format!("it is {other}, and only H.264 and H.265 are taken"))),
    };
    let pixels = |name| structure.get::<i32>(name).ok().and_then(|value| u32::try_from(value).ok());
    let told = structure.get::<gst::Fraction>("framerate").ok().filter(|rate| rate.numer() > 0 && rate.denom() > 0);
    let framerate = match told {
        Some(rate) => Some(f64::from(rate.numer()) / f64::from(rate.denom())),
        None if times.len() < FRAMES => None,
        None => measured(times),
    };
    // Profiles with 8 bit omit it.
    let depth = structure.get::<u32>("bit-depth-luma").ok().or(Some(8));
    let size = pixels("width").zip(pixels("height"));
    Some(Ok(StreamFacts { codec: Some(codec), size, framerate, depth, orientation: None }))
}

/// The frame rate of these times.
fn measured(times: &[gst::ClockTime]) -> Option<f64> {
    let (first, last) = (times.iter().min()?, times.iter().max()?);
    let seconds = (*last - *first).nseconds() as f64 / 1e9;
    (seconds > 0.0).then(|| (times.len() - 1) as f64 / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_say_what_a_stream_is() {
        gst::init().unwrap();
        let caps = |text: &str| text.parse::<gst::Caps>().unwrap();
        let full = caps("video/x-h265,width=3840,height=2160,framerate=30000/1001,bit-depth-luma=(uint)10");
        let facts = read(&full, &[]).unwrap().unwrap();
        assert_eq!((facts.codec, facts.size, facts.depth), (Some(Codec::H265), Some((3840, 2160)), Some(10)));
        assert_eq!(facts.describe(), "HEVC, 3840×2160, 29.97 frames/s, 10 bit");
        assert!(read(&caps("video/x-vp9,width=1,height=1"), &[]).unwrap().unwrap_err().contains("video/x-vp9"));
        // Without a declared rate the frames' times have to give it.
        let bare = caps("video/x-h264,width=640,height=480");
        let times: Vec<_> = (0..11).map(|i| gst::ClockTime::from_mseconds(40 * i)).collect();
        assert_eq!(read(&bare, &times[..5]).unwrap().unwrap().framerate, None);
        let facts = read(&bare, &times).unwrap().unwrap();
        assert_eq!((facts.framerate, facts.depth), (Some(25.0), Some(8)));
        assert_eq!(StreamFacts::default().describe(), "codec unknown, size unknown, rate unknown, depth unknown");
    }
}
