//! A camera's source: a bin that gives decoded pictures, and is thrown away and made anew when the camera is lost.

mod backlog;
mod decode;
mod file;
mod gate;
mod orientation;
mod rtsp;
mod running;
mod splice;
mod start;
mod test;

pub use decode::DECODER_QUEUE;

use super::channel::Reporter;
use super::lifecycle::Event;
use super::setup::{CameraSetup, Source};
use super::track::Track;
use super::turns::Turns;
use crate::infer::Error;
use backlog::Backlog;
use gst::prelude::*;
use start::Start;
use std::sync::Arc;

/// Names of sources begin with this, and end with their number.
const NAME: &str = "source-";

/// The number of the source that an object is part of.
pub fn number(object: &gst::Object) -> Option<u64> {
    std::iter::successors(Some(object.clone()), |object| object.parent())
        .find_map(|object| object.name().strip_prefix(NAME)?.parse().ok())
}

/// What the parts of a source need to know.
#[derive(Clone)]
struct Surroundings {
    setup: Arc<CameraSetup>,
    track: Arc<Track>,
    turns: Turns,
    start: Start,
    backlog: Backlog,
    /// The queue in front of the models.
    pictures: gst::Element,
}

/// A source that is in a pipeline, or about to be.
#[derive(Debug)]
pub struct Opened {
    pub bin: gst::Bin,
    /// Of its opening and closing.
    pub turns: Turns,
    start: Start,
    backlog: Backlog,
}

impl Opened {
    /// What is being opened isn't opened after this, and none of its threads waits for another one.
    pub fn end(&self) {
        self.start.end();
        self.backlog.end();
        self.turns.end();
    }

    /// Takes it out of a pipeline that goes on. Waits for its threads.
    pub fn close(&self) {
        self.end();
        self.bin.set_locked_state(true);
        let _ = self.bin.set_state(gst::State::Null);
        if let Some(pipeline) = self.bin.parent().and_downcast::<gst::Bin>() {
            let _ = pipeline.remove(&self.bin);
        }
    }
}

/// Loads what a source is made of, before the camera is connected: GStreamer's nvcodec asks the GPU about every codec when
/// it's loaded. That takes two seconds, in which a camera's pictures would pile up.
pub fn load(setup: &CameraSetup) {
    if !matches!(setup.source, Source::Test(_)) {
        decode::load(setup.decoder);
    }
}

/// Makes a source, in NULL, with a pad `src` that isn't linked yet. Its first picture and its end are reported; `running`
/// is the pipeline's running time, `pictures` the queue in front of its models.
///
/// # Errors
/// An element is missing.
pub fn make(
    setup: &Arc<CameraSetup>,
    track: &Arc<Track>,
    reporter: &Reporter,
    running: gst::ClockTime,
    pictures: &gst::Element,
) -> Result<Opened, Error> {
    let around = Surroundings {
        setup: setup.clone(),
        track: track.clone(),
        turns: Turns::default(),
        start: Start::default(),
        backlog: Backlog::default(),
        pictures: pictures.clone(),
    };
    let bin = gst::Bin::builder().name(format!("{NAME}{}", reporter.source.unwrap_or_default())).build();
    let pad = gst::GhostPad::builder(gst::PadDirection::Src).name("src").build();
    let _ = pad.set_active(true);
    let _ = bin.add_pad(&pad);
    watch(&pad, track.clone(), reporter.clone(), setup.source.ends());
    match &setup.source {
        Source::Rtsp(source) => rtsp::fill(&bin, &pad, source, &around)?,
        Source::File(source) => file::fill(&bin, &pad, source, &around, running)?,
        Source::Test(source) => test::fill(&bin, &pad, source, &around, running)?,
    }
    Ok(Opened { bin, turns: around.turns, start: around.start, backlog: around.backlog })
}

/// Takes note of pictures, and keeps the source's end from what comes after it: that goes on with the next source.
fn watch(pad: &gst::GhostPad, track: Arc<Track>, reporter: Reporter, ends: bool) {
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(mask, move |_, info| {
        if let Some(buffer) = info.buffer() {
            track.came(buffer.pts(), &reporter);
        }
        if info.event().is_some_and(|event| event.type_() == gst::EventType::Eos) {
            reporter.event(if ends { Event::Ended } else { Event::SourceLost("the stream ended".into()) });
            // Not Drop, for which GStreamer 1.22 asserts when the probe is Rust's.
            return gst::PadProbeReturn::Handled;
        }
        gst::PadProbeReturn::Ok
    });
}

/// Posts why a source can't go on, as an error of one of its elements.
fn post(element: &impl IsA<gst::Element>, error: &Error) {
    gst::element_error!(element.upcast_ref::<gst::Element>(), gst::StreamError::Failed, ("{error}"));
}
