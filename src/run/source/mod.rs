//! A camera's source: a bin that delivers decoded pictures, and is discarded and made again when the camera is lost.

mod backlog;
mod decode;
mod file;
mod gate;
mod orientation;
mod paced_start;
mod rtsp;
mod running;
mod splice;
mod test;

pub use decode::DECODER_QUEUE;

use super::channel::Reporter;
use super::frame_tracker::FrameTracker;
use super::lifecycle::{Event, Patience};
use super::setup::{CameraSetup, SourceSetup};
use super::start_guard::StartGuard;
use crate::clips::Clips;
use crate::error::Error;
use backlog::Backlog;
use gst::prelude::*;
use paced_start::PacedStart;
use std::sync::Arc;
use std::time::Duration;

/// The names of sources begin with this, and end with their number.
const NAME: &str = "source-";

/// The number of the source that an object is part of. Sources are bins directly in the pipeline, which has the
/// camera's name: that can be anything.
pub fn number(object: &gst::Object) -> Option<u64> {
    let whole = |object: &gst::Object| object.is::<gst::Pipeline>();
    let up = std::iter::successors(Some(object.clone()), |object| object.parent());
    let part = up.take_while(|object| !whole(object)).last().filter(|part| part.is::<gst::Bin>())?;
    part.name().strip_prefix(NAME)?.parse().ok()
}

/// What the parts of a source need to know.
#[derive(Clone)]
pub struct SourceContext {
    setup: Arc<CameraSetup>,
    tracker: Arc<FrameTracker>,
    patience: Patience,
    /// Sends reports of this source.
    reporter: Reporter,
    start_guard: StartGuard,
    paced_start: PacedStart,
    backlog: Backlog,
    /// The queue in front of the models.
    pictures: gst::Element,
    /// Takes what the camera sends, for clips of events.
    clips: Option<Arc<Clips>>,
}

impl SourceContext {
    /// Makes the context of a source whose reports go to `reporter`; `pictures` is the queue in front of the models.
    pub fn new(
        setup: Arc<CameraSetup>,
        tracker: Arc<FrameTracker>,
        patience: Patience,
        reporter: Reporter,
        pictures: gst::Element,
        clips: Option<Arc<Clips>>,
    ) -> Self {
        let (start_guard, paced_start, backlog) = (StartGuard::default(), PacedStart::default(), Backlog::default());
        Self { setup, tracker, patience, reporter, start_guard, paced_start, backlog, pictures, clips }
    }
}

/// A source that is in a pipeline or about to be.
#[derive(Debug)]
pub struct OpenSource {
    pub bin: gst::Bin,
    /// Serialises opening and closing the source.
    pub start_guard: StartGuard,
    paced_start: PacedStart,
    backlog: Backlog,
    clips: Option<Arc<Clips>>,
}

impl OpenSource {
    /// Prevents further opening, and releases the source's threads that wait for each other.
    pub fn end(&self) {
        self.paced_start.end();
        self.backlog.end();
        self.start_guard.close();
        if let Some(clips) = &self.clips {
            clips.disconnected();
        }
    }

    /// Removes the source from a pipeline that goes on. Waits for its threads.
    pub fn close(&self) {
        self.end();
        self.bin.set_locked_state(true);
        let _ = self.bin.set_state(gst::State::Null);
        if let Some(pipeline) = self.bin.parent().and_downcast::<gst::Bin>() {
            let _ = pipeline.remove(&self.bin);
        }
    }
}

/// Loads the plugins of a source before the camera is connected: GStreamer's nvcodec queries the GPU about every codec
/// when it's loaded. That takes two seconds, in which a camera's pictures would pile up.
pub fn load(setup: &CameraSetup) {
    if !matches!(setup.source, SourceSetup::Test(_)) {
        decode::load(setup.decoder);
    }
}

/// Makes a source, in state NULL, with a pad `src` that isn't linked yet. Its first picture and its end are reported;
/// `running` is the pipeline's running time.
///
/// # Errors
/// An element is missing.
pub fn make(context: &SourceContext, running: gst::ClockTime) -> Result<OpenSource, Error> {
    let SourceContext { setup, tracker, reporter, start_guard, paced_start, backlog, clips, .. } = context;
    let bin = gst::Bin::builder().name(format!("{NAME}{}", reporter.source.unwrap_or_default())).build();
    let pad = gst::GhostPad::builder(gst::PadDirection::Src).name("src").build();
    let _ = pad.set_active(true);
    let _ = bin.add_pad(&pad);
    watch(&pad, tracker.clone(), reporter.clone(), setup.source.ends());
    match &setup.source {
        SourceSetup::Rtsp(source) => rtsp::fill(&bin, &pad, source, context)?,
        SourceSetup::File(source) => file::fill(&bin, &pad, source, context, running)?,
        SourceSetup::Test(source) => test::fill(&bin, &pad, source, context, running)?,
    }
    Ok(OpenSource {
        bin,
        start_guard: start_guard.clone(),
        paced_start: paced_start.clone(),
        backlog: backlog.clone(),
        clips: clips.clone(),
    })
}

/// Records pictures, and hides the source's end from the elements after it, which go on with the next source.
fn watch(pad: &gst::GhostPad, tracker: Arc<FrameTracker>, reporter: Reporter, ends: bool) {
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    pad.add_probe(mask, move |_, info| {
        if let Some(buffer) = info.buffer() {
            tracker.came(buffer.pts(), &reporter);
        }
        if let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view())
            && let Some(interval) = interval(caps.caps())
        {
            tracker.told(interval);
        }
        if info.event().is_some_and(|event| event.type_() == gst::EventType::Eos) {
            reporter.event(if ends { Event::Ended } else { Event::SourceLost("the stream ended".into()) });
            // Not Drop: GStreamer 1.22 asserts on it when the probe is written in Rust.
            return gst::PadProbeReturn::Handled;
        }
        gst::PadProbeReturn::Ok
    });
}

/// The frame interval, if the caps have a rate that isn't variable.
fn interval(caps: &gst::CapsRef) -> Option<Duration> {
    let rate = caps.structure(0)?.get::<gst::Fraction>("framerate").ok()?;
    (rate.numer() > 0 && rate.denom() > 0)
        .then(|| Duration::from_secs_f64(f64::from(rate.denom()) / f64::from(rate.numer())))
}

/// Posts why a source can't go on, as an error of one of its elements.
fn post(element: &impl IsA<gst::Element>, error: &Error) {
    gst::element_error!(element.upcast_ref::<gst::Element>(), gst::StreamError::Failed, ("{error}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bin(name: &str) -> gst::Bin {
        gst::Bin::builder().name(name).build()
    }

    /// A camera may have any name: messages of its own elements aren't taken for a source's.
    #[test]
    fn only_parts_of_a_source_have_its_number() {
        gst::init().unwrap();
        for camera in ["source-1", "source-0", "source-7", "source-18446744073709551615", "door", "client"] {
            let pipeline = gst::Pipeline::builder().name(camera).build();
            let element = |name: &str| gst::ElementFactory::make("identity").name(name).build().unwrap();
            // Some of these names are also those of a source's own elements.
            let analysis = ["detection", "lines-1", "client", "coded", "source-3"].map(element);
            pipeline.add_many(&analysis).unwrap();
            let (source, reader, client) = (bin("source-7"), bin("source-8"), element("client"));
            reader.add(&client).unwrap();
            source.add(&reader).unwrap();
            pipeline.add(&source).unwrap();
            for own in &analysis {
                assert_eq!(number(own.upcast_ref()), None, "{camera}: {}", own.name());
            }
            assert_eq!(number(pipeline.upcast_ref()), None, "{camera}");
            assert_eq!(number(element("source-4").upcast_ref()), None, "{camera}: one that is nowhere");
            for part in [client.upcast_ref::<gst::Object>(), reader.upcast_ref(), source.upcast_ref()] {
                assert_eq!(number(part), Some(7), "{camera}: {}", part.name());
            }
            let pad = client.static_pad("src").unwrap();
            assert_eq!(number(pad.upcast_ref()), Some(7));
        }
    }
}
